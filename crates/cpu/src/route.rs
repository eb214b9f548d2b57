//! Routing: who goes to which expert.

use crate::Cpu;
use crate::epilogue::Target;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::Data;
use moeworks_ops::{Routing, Tensor};
use std::ops::Range;

/// Rows of one task.
const ROWS: usize = 32;
/// Partial sums over rows; a fixed number, so that their order is.
const PARTS: usize = 16;

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
    let isa = cpu.isa;
    {
        let (probs, lse) = (Shared::new(probs), Shared::new(lse));
        let (chosen, weights) = (Shared::new(chosen), Shared::new(weights));
        cpu.pool.run(rows.div_ceil(ROWS), &|task, _| {
            for t in task * ROWS..((task + 1) * ROWS).min(rows) {
                // SAFETY: row t of every output is this task's own.
                unsafe {
                    let p = probs.slice(t * experts, experts);
                    simd::run(isa.vector(), Logits { x, row: t * d, w, d, out: p });
                    let picks = chosen.slice(t * top, top);
                    *lse.at(t) = softmax_top(p, picks, weights.slice(t * top, top), normalize);
                }
            }
        });
    }
    sort(access, experts, chosen, probs, routing);
}

struct Logits<'a> {
    x: Data<'a>,
    row: usize,
    w: &'a [f32],
    d: usize,
    out: &'a mut [f32],
}

impl Kernel for Logits<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (e, out) in self.out.iter_mut().enumerate() {
            let w = &self.w[e * self.d..(e + 1) * self.d];
            // SAFETY: loads stay inside the rows.
            unsafe {
                let mut sum = S::splat(0.0);
                for i in (0..self.d).step_by(S::LANES) {
                    let n = (self.d - i).min(S::LANES);
                    sum = S::fma(self.x.load_n::<S>(self.row + i, n), S::load_n(w.as_ptr().add(i), n), sum);
                }
                *out = S::sum(sum);
            }
        }
    }
}

/// Logits to probabilities in place; the likeliest, ties to the lower number, and their weights. Returns the logarithm
/// of the denominator.
fn softmax_top(p: &mut [f32], picks: &mut [i32], weights: &mut [f32], normalize: bool) -> f32 {
    for k in 0..picks.len() {
        let taken = &picks[..k];
        let free = (0..p.len()).filter(|e| !taken.contains(&(*e as i32)));
        // NaN logits make NaN weights, but a row for every choice all the same.
        let best = free.reduce(|best, e| if p[e] > p[best] { e } else { best });
        picks[k] = best.expect("no more choices than experts") as i32;
    }
    let most = p[picks[0] as usize];
    let mut sum = 0.0;
    for p in p.iter_mut() {
        *p = (*p - most).exp();
        sum += *p;
    }
    p.iter_mut().for_each(|p| *p /= sum);
    let total: f32 = if normalize { picks.iter().map(|e| p[*e as usize]).sum() } else { 1.0 };
    for (weight, e) in weights.iter_mut().zip(picks) {
        *weight = p[*e as usize] / total;
    }
    most + sum.ln()
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
        x: Data::read(&mut access, x_td),
        w: access.read(w_ed),
        probs: access.read(&routing.probs_te),
        lse: access.read(&routing.lse_t),
        chosen: access.read(&routing.chosen_tk),
        balance: access.read(balance_e),
        z: z as f32,
        dx: Target::write(&mut access, dx_td),
        d,
        experts,
        top,
    };
    let dw = access.write::<f32>(dw_ed);
    assert_eq!((back.dweights.len(), back.chosen.len(), back.lse.len()), (rows * top, rows * top, rows));
    assert_eq!((dx_td.len(), back.probs.len(), back.balance.len()), (rows * d, rows * experts, experts));
    let (isa, part) = (cpu.isa, rows.div_ceil(PARTS).max(1));
    let each = experts * d + experts;
    let partial = cpu.partial.of(PARTS * each);
    let sums = Shared::new(partial);
    cpu.pool.run(PARTS, &|task, _| {
        let rows = (task * part).min(rows)..((task + 1) * part).min(rows);
        // SAFETY: every task has its own sums, and its own rows of dx.
        unsafe {
            let (sums, dlogits) = sums.slice(task * each, each).split_at_mut(experts * d);
            sums.fill(0.0);
            simd::run(isa.vector(), BackwardRows { back: &back, rows, sums, dlogits });
        }
    });
    for part in cpu.partial.of(PARTS * each).chunks(each) {
        dw.iter_mut().zip(part).for_each(|(w, p)| *w += p);
    }
}

struct Backward<'a> {
    normalize: bool,
    dweights: &'a [f32],
    x: Data<'a>,
    w: &'a [f32],
    probs: &'a [f32],
    lse: &'a [f32],
    chosen: &'a [i32],
    balance: &'a [f32],
    z: f32,
    dx: Target,
    d: usize,
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

struct BackwardRows<'a> {
    back: &'a Backward<'a>,
    rows: Range<usize>,
    sums: &'a mut [f32],
    dlogits: &'a mut [f32],
}

impl Kernel for BackwardRows<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let BackwardRows { back, rows, sums, dlogits } = self;
        let d = back.d;
        for t in rows {
            back.logits(t, dlogits);
            for i in (0..d).step_by(S::LANES) {
                let n = (d - i).min(S::LANES);
                // SAFETY: loads and stores stay inside rows whose length was checked.
                unsafe {
                    let x = back.x.load_n::<S>(t * d + i, n);
                    let mut dx = back.dx.load::<S>(t * d + i, n);
                    for (e, g) in dlogits.iter().enumerate() {
                        let g = S::splat(*g);
                        dx = S::fma(g, S::load_n(back.w[e * d..(e + 1) * d].as_ptr().add(i), n), dx);
                        let sum = sums[e * d..(e + 1) * d].as_mut_ptr().add(i);
                        S::store_n(sum, S::fma(g, x, S::load_n(sum, n)), n);
                    }
                    back.dx.store::<S>(t * d + i, dx, n);
                }
            }
        }
    }
}
