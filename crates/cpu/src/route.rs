//! Routing: who goes to which expert.

use crate::Cpu;
use crate::epilogue::{Addend, Epilogue, Store, Target};
use crate::isa::Isa;
use crate::multiply::{Groups, forward, weight_gradient};
use crate::packed::{self, PackPanel, Packed};
use crate::pool::Pool;
use crate::scratch::{COLUMNS, PANEL};
use crate::shared::Shared;
use crate::simd::{self, Simd};
use crate::source::{Data, Rows};
use moeworks_ops::{DType, MatrixKind, MatrixShape, Routing, Tensor};
use std::ops::Range;

/// Rows of one task.
const ROWS: usize = 32;

/// A router's weight as a matrix in f32, packed for one op: it is small.
fn pack<'a>(pool: &mut Pool, isa: Isa, w: &[f32], d: usize, into: &'a mut [u8]) -> Packed<'a> {
    let shape = shape(w.len() / d, d);
    let into = &mut into[..packed::bytes(&shape)];
    let out = Shared::new(into);
    pool.run(packed::all_panels(&shape), &|index, _| {
        // SAFETY: `into` was sized for the shape; every task has its own panel.
        unsafe {
            let (_, rows) = packed::origin(&shape, index);
            simd::run(isa.vector(), PackPanel { shape: &shape, rows: &w[rows], index, out });
        }
    });
    Packed::new(&shape, into)
}

fn shape(experts: usize, d: usize) -> MatrixShape {
    MatrixShape { kind: MatrixKind::Plain, dtype: DType::F32, experts: 1, outputs: experts, inputs: d }
}

pub(crate) fn route(cpu: &mut Cpu, normalize: bool, x_td: &Tensor, w_ed: &Tensor, routing: &Routing) {
    let mut access = cpu.memory.access();
    let (x, w) = (Data::read(&mut access, x_td), access.read::<f32>(w_ed));
    let (rows, experts, d, top) = (x_td.dim(0), w_ed.dim(0), w_ed.dim(1), routing.chosen_tk.dim(1));
    let probs = access.write::<f32>(&routing.probs_te);
    let lse = access.write::<f32>(&routing.lse_t);
    let chosen = access.write::<i32>(&routing.chosen_tk);
    let weights = access.write::<f32>(&routing.dispatch.weights_tk);
    assert_eq!((x_td.dim(1), probs.len(), lse.len()), (d, rows * experts, rows));
    assert_eq!((chosen.len(), weights.len()), (rows * top, rows * top));
    assert!(experts <= COLUMNS, "{experts} experts");
    let choose = Choose {
        normalize,
        experts,
        top,
        probs: Shared::new(probs),
        lse: Shared::new(lse),
        chosen: Shared::new(chosen),
        weights: Shared::new(weights),
    };
    let matrix = pack(&mut cpu.pool, cpu.isa, w, d, cpu.arranged.of(packed::bytes(&shape(experts, d))));
    let unit = experts.next_multiple_of(PANEL);
    forward(&mut cpu.pool, cpu.isa, &[(Rows::plain(x, d), matrix)], Groups::One(rows), experts, unit, &choose);
    sort(access, experts, chosen, probs, routing);
}

/// Takes all logits of a row: their probabilities, the likeliest, and the weights of those.
struct Choose {
    normalize: bool,
    experts: usize,
    top: usize,
    probs: Shared<f32>,
    lse: Shared<f32>,
    chosen: Shared<i32>,
    weights: Shared<f32>,
}

impl Epilogue for Choose {
    #[inline(always)]
    unsafe fn take<S: Simd>(&self, _: usize, rows: Range<usize>, _: Range<usize>, block: *const f32, step: usize) {
        let Choose { normalize, experts, top, .. } = *self;
        for (i, t) in rows.enumerate() {
            // SAFETY: row t of every output is this call's own, and the block holds all experts.
            unsafe {
                let p = self.probs.slice(t * experts, experts);
                std::ptr::copy_nonoverlapping(block.add(i * step), p.as_mut_ptr(), experts);
                let picks = self.chosen.slice(t * top, top);
                likeliest(p, picks);
                let most = S::splat(p[picks[0] as usize]);
                for c in (0..experts).step_by(S::LANES) {
                    let (at, n) = (p.as_mut_ptr().add(c), (experts - c).min(S::LANES));
                    S::store_n(at, S::exp(S::sub(S::load_n(at, n), most)), n);
                }
                let logit = *block.add(i * step + picks[0] as usize);
                let sum: f32 = p.iter().sum();
                p.iter_mut().for_each(|p| *p /= sum);
                let total: f32 = if normalize { picks.iter().map(|e| p[*e as usize]).sum() } else { 1.0 };
                for (weight, e) in self.weights.slice(t * top, top).iter_mut().zip(picks) {
                    *weight = p[*e as usize] / total;
                }
                *self.lse.at(t) = logit + sum.ln();
            }
        }
    }
}

/// The largest, ties to the lower number.
#[inline(always)]
fn likeliest(p: &[f32], picks: &mut [i32]) {
    for k in 0..picks.len() {
        let taken = &picks[..k];
        let free = (0..p.len()).filter(|e| !taken.contains(&(*e as i32)));
        // NaN logits make NaN weights, but a row for every choice all the same.
        let best = free.reduce(|best, e| if p[e] > p[best] { e } else { best });
        picks[k] = best.expect("no more choices than experts") as i32;
    }
}

/// Rows sorted by expert, tokens ascending inside each: a counting sort.
fn sort(mut access: moeworks_ops::Access<'_>, experts: usize, chosen: &[i32], probs: &[f32], routing: &Routing) {
    let dispatch = &routing.dispatch;
    let (offsets, tokens) = (access.write::<i32>(&dispatch.offsets_e), access.write::<i32>(&dispatch.token_r));
    let (row_of, load) = (access.write::<i32>(&dispatch.row_tk), access.write::<f32>(&routing.load_e));
    let mass = access.write::<f32>(&routing.mass_e);
    assert_eq!((offsets.len(), load.len(), mass.len()), (experts + 1, experts, experts));
    assert_eq!((tokens.len(), row_of.len()), (chosen.len(), chosen.len()));
    let top = routing.chosen_tk.dim(1);
    offsets.fill(0);
    chosen.iter().for_each(|e| offsets[*e as usize + 1] += 1);
    for e in 0..experts {
        load[e] = offsets[e + 1] as f32;
        offsets[e + 1] += offsets[e];
    }
    for (choice, e) in chosen.iter().enumerate() {
        // While it fills, an expert's offset runs ahead; the last step sets it back.
        let row = offsets[*e as usize];
        offsets[*e as usize] += 1;
        tokens[row as usize] = (choice / top) as i32;
        row_of[choice] = row;
    }
    offsets.copy_within(0..experts, 1);
    offsets[0] = 0;
    for (e, mass) in mass.iter_mut().enumerate() {
        *mass = probs.iter().skip(e).step_by(experts).map(|p| f64::from(*p)).sum::<f64>() as f32;
    }
}

pub(crate) fn route_backward(
    cpu: &mut Cpu,
    normalize: bool,
    dweights_tk: &Tensor,
    x_td: &Tensor,
    w_ed: &Tensor,
    routing: &Routing,
    balance_e: &Tensor,
    z: f64,
    dx_td: &Tensor,
    dw_ed: &Tensor,
) {
    let mut access = cpu.memory.access();
    let (rows, experts, d, top) = (x_td.dim(0), w_ed.dim(0), w_ed.dim(1), routing.chosen_tk.dim(1));
    let back = Backward {
        normalize,
        dweights: access.read(dweights_tk),
        probs: access.read(&routing.probs_te),
        lse: access.read(&routing.lse_t),
        chosen: access.read(&routing.chosen_tk),
        balance: access.read(balance_e),
        z: z as f32,
        experts,
        top,
    };
    assert_eq!((back.dweights.len(), back.chosen.len(), back.lse.len()), (rows * top, rows * top, rows));
    assert_eq!((dx_td.len(), dw_ed.len()), (rows * d, experts * d));
    assert_eq!((back.probs.len(), back.balance.len()), (rows * experts, experts));
    let dlogits = cpu.partial.of(rows * experts);
    let out = Shared::new(dlogits);
    cpu.pool.run(rows.div_ceil(ROWS), &|task, _| {
        for t in task * ROWS..((task + 1) * ROWS).min(rows) {
            // SAFETY: row t is this task's own.
            back.logits(t, unsafe { out.slice(t * experts, experts) });
        }
    });
    let (pool, isa, groups) = (&mut cpu.pool, cpu.isa, Groups::One(rows));
    let shape = shape(experts, d);
    let (packed, turned) = cpu.arranged.split(packed::bytes(&shape), packed::transposed_bytes(&shape));
    let matrix = pack(pool, isa, access.read::<f32>(w_ed), d, packed);
    let turned = packed::transpose(pool, isa, &shape, matrix, 0, turned);
    let dlogits = Rows::plain(Data::F32(dlogits), experts);
    let x = Rows::plain(Data::read(&mut access, x_td), d);
    let (dx, dw) = (Target::write(&mut access, dx_td), Target::write(&mut access, dw_ed));
    let dx = Store { to: dx, width: d, expert_step: 0, on: Addend::Present, stream: false };
    forward(pool, isa, &[(dlogits, turned)], groups, d, PANEL, &dx);
    let dw = Store { to: dw, width: d, expert_step: 0, on: Addend::Present, stream: false };
    weight_gradient(pool, isa, &[dlogits], x, false, experts, d, groups, &mut cpu.row_panels, &dw);
}

struct Backward<'a> {
    normalize: bool,
    dweights: &'a [f32],
    probs: &'a [f32],
    lse: &'a [f32],
    chosen: &'a [i32],
    balance: &'a [f32],
    z: f32,
    experts: usize,
    top: usize,
}

impl Backward<'_> {
    /// The gradient of one row's logits.
    #[inline(always)]
    fn logits(&self, t: usize, out: &mut [f32]) {
        let p = &self.probs[t * self.experts..(t + 1) * self.experts];
        let choices = t * self.top..(t + 1) * self.top;
        let picks = || self.chosen[choices.clone()].iter().map(|e| *e as usize).zip(&self.dweights[choices.clone()]);
        out.copy_from_slice(self.balance);
        let total: f32 = if self.normalize { picks().map(|(e, _)| p[e]).sum() } else { 1.0 };
        let shared: f32 = picks().map(|(e, g)| g * p[e] / total).sum();
        for (e, g) in picks() {
            out[e] += if self.normalize { (g - shared) / total } else { *g };
        }
        let mean: f32 = out.iter().zip(p).map(|(a, b)| a * b).sum();
        for (o, p) in out.iter_mut().zip(p) {
            *o = p * (*o - mean + self.z * 2.0 * self.lse[t]);
        }
    }
}
