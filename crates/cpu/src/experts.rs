//! The experts: gathered rows, gate, up and SwiGLU in one product, down and the weighted sum.

use crate::Cpu;
use crate::epilogue::{Addend, Epilogue, Store, Target};
use crate::isa::Isa;
use crate::multiply::{Groups, PART_BYTES, forward, weight_gradient};
use crate::narrow;
use crate::packed::{self, Packed};
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::{Data, Rows};
use moeworks_ops::{DType, Dispatch, Matrix, MatrixShape, Tensor};
use std::ops::Range;

/// Rows of one task of the row passes.
const ROWS: usize = 32;

/// Takes blocks of alternating gate and up panels.
struct Activate {
    width: usize,
    kept: Option<(Target, Target)>,
    hidden: Target,
}

impl Epilogue for Activate {
    #[inline(always)]
    unsafe fn take<S: Simd>(
        &self,
        _: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    ) {
        // Pairs of panels two by two fill cache lines of bf16, which can go past the caches.
        let whole = [2 * self.width, columns.start, columns.len()].iter().all(|n| n.is_multiple_of(4 * PANEL));
        if let (Some((Target::Bf16(gate), Target::Bf16(up))), Target::Bf16(hidden)) = (self.kept, self.hidden)
            && S::LANES == PANEL
            && whole
            // SAFETY: an address only.
            && unsafe { (gate.at(0) as usize | up.at(0) as usize).is_multiple_of(64) }
        {
            for (i, row) in rows.enumerate() {
                for c in columns.clone().step_by(4 * PANEL) {
                    // SAFETY: the block holds whole pairs of panels; the row's elements are this call's own, and on
                    // whole cache lines.
                    unsafe {
                        let from = block.add(i * step + c - columns.start);
                        let [g, u, g1, u1] = [0, 1, 2, 3].map(|panel| from.add(panel * PANEL));
                        let (g, u, g1, u1) = (S::load(g), S::load(u), S::load(g1), S::load(u1));
                        let at = row * self.width + c / 2;
                        S::stream_bf16(gate.at(at), g, g1);
                        S::stream_bf16(up.at(at), u, u1);
                        S::store_bf16(hidden.at(at), S::mul(S::mul(g, S::sigmoid(g)), u));
                        S::store_bf16(hidden.at(at + PANEL), S::mul(S::mul(g1, S::sigmoid(g1)), u1));
                    }
                }
            }
            return;
        }
        if let (Some((Target::F32(gate), Target::F32(up))), Target::F32(hidden)) = (self.kept, self.hidden)
            && S::LANES == PANEL
            && self.width.is_multiple_of(PANEL)
            // SAFETY: an address only.
            && unsafe { (gate.at(0) as usize | up.at(0) as usize).is_multiple_of(64) }
        {
            for (i, row) in rows.enumerate() {
                for c in columns.clone().step_by(2 * PANEL) {
                    // SAFETY: as above.
                    unsafe {
                        let from = block.add(i * step + c - columns.start);
                        let (g, u, at) = (S::load(from), S::load(from.add(PANEL)), row * self.width + c / 2);
                        S::stream(gate.at(at), g);
                        S::stream(up.at(at), u);
                        S::store(hidden.at(at), S::mul(S::mul(g, S::sigmoid(g)), u));
                    }
                }
            }
            return;
        }
        for (i, row) in rows.enumerate() {
            for pair in (columns.start..columns.end).step_by(2 * PANEL) {
                let first = pair / 2;
                for lane in (0..PANEL.min(self.width - first)).step_by(S::LANES) {
                    let n = (self.width - first - lane).min(S::LANES);
                    let to = row * self.width + first + lane;
                    // SAFETY: the block holds whole pairs of panels; the row's elements are this call's own.
                    unsafe {
                        let from = block.add(i * step + pair - columns.start + lane);
                        let (g, u) = (S::load(from), S::load(from.add(PANEL)));
                        if let Some((gate, up)) = self.kept {
                            gate.store::<S>(to, g, n);
                            up.store::<S>(to, u, n);
                        }
                        self.hidden.store::<S>(to, S::mul(S::mul(g, S::sigmoid(g)), u), n);
                    }
                }
            }
        }
    }
}

pub(crate) fn gate_up(
    cpu: &mut Cpu,
    x_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    kept: Option<(&Tensor, &Tensor)>,
    h_rf: &Tensor,
) {
    let mut access = cpu.memory.access();
    let (f, d, rows) = (w.shape.outputs, w.shape.inputs, dispatch.token_r.len());
    assert_eq!((x_td.dim(1), h_rf.len()), (d, rows * f));
    let tokens = access.read::<i32>(&dispatch.token_r);
    let x = Rows { index: Some(tokens), ..Rows::plain(Data::read(&mut access, x_td), d) };
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let activate = Activate {
        width: f,
        kept: kept.map(|(g, u)| {
            assert_eq!((g.len(), u.len()), (rows * f, rows * f));
            (Target::write(&mut access, g), Target::write(&mut access, u))
        }),
        hidden: Target::write(&mut access, h_rf),
    };
    forward(&mut cpu.pool, cpu.isa, &[(x, matrix)], groups, matrix.panels * PANEL, 2 * PANEL, &activate);
}

pub(crate) fn down(
    cpu: &mut Cpu,
    h_rf: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    residual_td: &Tensor,
    scratch_rd: &Tensor,
    y_td: &Tensor,
) {
    let mut access = cpu.memory.access();
    let (d, f, rows) = (w.shape.outputs, w.shape.inputs, dispatch.token_r.len());
    assert_eq!((h_rf.len(), scratch_rd.len(), residual_td.len()), (rows * f, rows * d, y_td.len()));
    let h = Rows::plain(Data::read(&mut access, h_rf), f);
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let store =
        Store { to: Target::write(&mut access, scratch_rd), width: d, expert_step: 0, on: Addend::None, stream: true };
    forward(&mut cpu.pool, cpu.isa, &[(h, matrix)], groups, d, PANEL, &store);

    let mut access = cpu.memory.access();
    let sum = Combine {
        from: Data::read(&mut access, scratch_rd),
        row_of: access.read(&dispatch.row_tk),
        weights: Some(access.read(&dispatch.weights_tk)),
        on: if residual_td == y_td { Addend::Present } else { Addend::Other(access.read(residual_td)) },
        to: Target::write(&mut access, y_td),
        top: dispatch.row_tk.dim(1),
        d,
    };
    combine(&mut cpu.pool, cpu.isa, sum);
}

/// `to[t] = on[t] + sum over k of weights[t, k] from[row_of[t, k]]`, in order of k; without weights, all 1.
#[derive(Clone, Copy)]
struct Combine<'a> {
    from: Data<'a>,
    row_of: &'a [i32],
    weights: Option<&'a [f32]>,
    on: Addend<'a>,
    to: Target,
    top: usize,
    d: usize,
}

fn combine(pool: &mut Pool, isa: Isa, sum: Combine) {
    let rows = sum.row_of.len() / sum.top;
    pool.run(rows.div_ceil(ROWS), &|task, _| {
        let rows = task * ROWS..((task + 1) * ROWS).min(rows);
        // SAFETY: rows of different tasks differ.
        unsafe { simd::run(isa.vector(), CombineRows { sum, rows }) }
    });
}

struct CombineRows<'a> {
    sum: Combine<'a>,
    rows: Range<usize>,
}

impl Kernel for CombineRows<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Combine { from, row_of, weights, on, to, top, d } = self.sum;
        for t in self.rows {
            for i in (0..d).step_by(S::LANES) {
                let n = (d - i).min(S::LANES);
                // SAFETY: routed rows are inside `from`, and row t of the target is this task's own.
                unsafe {
                    let mut v = match on {
                        Addend::None => S::splat(0.0),
                        Addend::Present => to.load::<S>(t * d + i, n),
                        Addend::Other(x) => S::load_n(x[t * d + i..t * d + i + n].as_ptr(), n),
                    };
                    for choice in t * top..(t + 1) * top {
                        let part = from.load_n::<S>(row_of[choice] as usize * d + i, n);
                        v = match weights {
                            Some(w) => S::fma(S::splat(w[choice]), part, v),
                            None => S::add(part, v),
                        };
                    }
                    to.store::<S>(t * d + i, v, n);
                }
            }
        }
    }
}

/// Experts in parts whose weights, of so many matrices each, are transposed at once, and the bytes of a part's transposed
/// matrix at most.
fn parts(shape: &MatrixShape, matrices: usize) -> (impl Iterator<Item = Range<usize>> + use<>, usize) {
    let (experts, each) = (shape.experts, packed::transposed_bytes(&MatrixShape { experts: 1, ..*shape }));
    let most = (PART_BYTES / (matrices * each)).max(1);
    // As even as their number allows.
    let at_once = experts.div_ceil(experts.div_ceil(most));
    ((0..experts).step_by(at_once).map(move |start| start..(start + at_once).min(experts)), at_once * each)
}

pub(crate) fn down_backward(
    cpu: &mut Cpu,
    dy_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    g_rf: &Tensor,
    u_rf: &Tensor,
    h_rf: &Tensor,
    dweights_tk: &Tensor,
    dw_edf: &Tensor,
) {
    let (d, f, rows) = (w.shape.outputs, w.shape.inputs, dispatch.token_r.len());
    let (isa, rounded) = (cpu.isa, w.shape.dtype == DType::Bf16);
    assert_eq!((g_rf.len(), u_rf.len(), h_rf.len()), (rows * f, rows * f, rows * f));
    assert_eq!((dy_td.dim(1), dw_edf.len()), (d, w.shape.experts * d * f));
    let on = Addend::of_gradient(&mut cpu.memory, dw_edf);
    let mut access = cpu.memory.access();
    let tokens = access.read::<i32>(&dispatch.token_r);
    let (row_of, weights) = (access.read::<i32>(&dispatch.row_tk), access.read::<f32>(&dispatch.weights_tk));
    let chunks = f.div_ceil(CHUNK);
    let (weight_of_row, dots) = cpu.partial.of((1 + chunks) * rows).split_at_mut(rows);
    for (row, weight) in row_of.iter().zip(weights) {
        weight_of_row[*row as usize] = *weight;
    }
    let (parts, bytes) = parts(&w.shape, 1);
    let (turned, plain) = cpu.arranged.split(bytes, narrow::bytes(dy_td));
    let narrow = narrow::narrow(&mut cpu.pool, isa, &mut access, dy_td, rounded, plain);
    let dy = Rows { index: Some(tokens), ..narrow.rows(&mut access, d) };
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let reweigh = Reweigh {
        g: Target::write(&mut access, g_rf),
        u: Target::write(&mut access, u_rf),
        h: Target::write(&mut access, h_rf),
        weights: weight_of_row,
        dots: Shared::new(dots),
        f,
    };
    for experts in parts {
        let (part, shape) = matrix.of_experts(&w.shape, experts.clone());
        let turned = packed::transpose(&mut cpu.pool, isa, &shape, part, 0, turned);
        forward(&mut cpu.pool, isa, &[(dy, turned)], groups.of_experts(experts), f, CHUNK, &reweigh);
    }
    let dweights = access.write::<f32>(dweights_tk);
    for (dweight, row) in dweights.iter_mut().zip(row_of) {
        *dweight = dots[*row as usize * chunks..][..chunks].iter().sum();
    }

    let mut access = cpu.memory.access();
    let h = Rows::plain(Data::read(&mut access, h_rf), f);
    let tokens = access.read::<i32>(&dispatch.token_r);
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let dy = Rows { index: Some(tokens), ..narrow.rows(&mut access, d) };
    let store = Store { to: Target::write(&mut access, dw_edf), width: f, expert_step: d * f, on, stream: true };
    weight_gradient(&mut cpu.pool, isa, &[dy], h, rounded, d, f, groups, &mut cpu.row_panels, &store);
}

/// Columns whose products are summed as one part of a row's dot: blocks are whole chunks, so that the order of a sum
/// does not depend on them.
const CHUNK: usize = 64;

/// Takes blocks of gradients of hidden rows before the rows' weights: gate and up become their own gradients, hidden
/// rows are computed anew, times their weights, and their products with the gradient are summed.
struct Reweigh<'a> {
    g: Target,
    u: Target,
    h: Target,
    weights: &'a [f32],
    /// Parts of each row's dot, a chunk each.
    dots: Shared<f32>,
    f: usize,
}

impl Epilogue for Reweigh<'_> {
    #[inline(always)]
    unsafe fn take<S: Simd>(
        &self,
        _: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    ) {
        let Reweigh { g, u, h, weights, dots, f } = self;
        let aligned = |h: usize| f.is_multiple_of(2 * PANEL) && h.is_multiple_of(64);
        let whole = S::LANES == PANEL && columns.start.is_multiple_of(CHUNK) && columns.len().is_multiple_of(CHUNK);
        let chunk_of = |row: usize, chunk: usize| row * f.div_ceil(CHUNK) + chunk / CHUNK;
        // The commonest kind, without a choice for every vector.
        if let (Target::Bf16(g), Target::Bf16(u), Target::Bf16(h)) = (g, u, h)
            && whole
            && aligned(h.address(0) as usize)
        {
            for (i, row) in rows.enumerate() {
                for chunk in columns.clone().step_by(CHUNK) {
                    // SAFETY: the block holds whole chunks; the row's elements and this chunk's dot are this call's own,
                    // and hidden ones on whole cache lines.
                    unsafe {
                        let (weight, mut dot) = (S::splat(weights[row]), S::splat(0.0));
                        let from = block.add(i * step + chunk - columns.start);
                        for c in (0..CHUNK).step_by(2 * PANEL) {
                            let mut hidden = [weight; 2];
                            for side in 0..2 {
                                let (c, at) = (c + side * PANEL, row * f + chunk + c + side * PANEL);
                                let (gate, up) = (S::load_bf16(g.at(at)), S::load_bf16(u.at(at)));
                                let new = turn::<S>(S::load(from.add(c)), gate, up, weight, &mut dot);
                                S::store_bf16(g.at(at), new.gate);
                                S::store_bf16(u.at(at), new.up);
                                hidden[side] = new.hidden;
                            }
                            S::stream_bf16(h.at(row * f + chunk + c), hidden[0], hidden[1]);
                        }
                        *dots.at(chunk_of(row, chunk)) = S::sum(dot);
                    }
                }
            }
            return;
        }
        let stream = matches!(h, Target::F32(h) if aligned(h.address(0) as usize));
        for (i, row) in rows.enumerate() {
            for chunk in columns.clone().step_by(CHUNK) {
                // SAFETY: the block holds whole panels; the row's elements and this chunk's dot are this call's own.
                unsafe {
                    let (weight, mut dot) = (S::splat(weights[row]), S::splat(0.0));
                    for c in (chunk..(chunk + CHUNK).min(columns.end)).step_by(S::LANES) {
                        let (n, at) = ((columns.end - c).min(S::LANES), row * f + c);
                        let gradient = S::load(block.add(i * step + c - columns.start));
                        let (gate, up) = (g.load::<S>(at, n), u.load::<S>(at, n));
                        let new = turn::<S>(gradient, gate, up, weight, &mut dot);
                        g.store::<S>(at, new.gate, n);
                        u.store::<S>(at, new.up, n);
                        match h {
                            Target::F32(h) if stream => S::stream(h.at(at), new.hidden),
                            _ => h.store::<S>(at, new.hidden, n),
                        }
                    }
                    *dots.at(chunk_of(row, chunk)) = S::sum(dot);
                }
            }
        }
    }
}

/// Gradients of gate and up, and the weighted hidden row.
struct Turned<V> {
    gate: V,
    up: V,
    hidden: V,
}

/// One vector of [`Reweigh`]: adds the gradient's products with the hidden row to `dot`.
///
/// # Safety
/// As every method of `Simd`.
#[inline(always)]
unsafe fn turn<S: Simd>(gradient: S::V, gate: S::V, up: S::V, weight: S::V, dot: &mut S::V) -> Turned<S::V> {
    // SAFETY: the caller's.
    unsafe {
        let sigmoid = S::sigmoid(gate);
        let silu = S::mul(gate, sigmoid);
        let hidden = S::mul(silu, up);
        *dot = S::fma(hidden, gradient, *dot);
        // silu'(x) = s + silu (1 - s)
        let slope = S::fma(silu, S::sub(S::splat(1.0), sigmoid), sigmoid);
        let weighted = S::mul(weight, gradient);
        Turned { gate: S::mul(S::mul(weighted, up), slope), up: S::mul(weighted, silu), hidden: S::mul(weight, hidden) }
    }
}

pub(crate) fn gate_up_backward(
    cpu: &mut Cpu,
    dg_rf: &Tensor,
    du_rf: &Tensor,
    x_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    scratch_rd: &Tensor,
    dx_td: &Tensor,
    dgate_efd: &Tensor,
    dup_efd: &Tensor,
) {
    let (f, d, rows) = (w.shape.outputs, w.shape.inputs, dispatch.token_r.len());
    let (isa, rounded) = (cpu.isa, w.shape.dtype == DType::Bf16);
    assert_eq!((dg_rf.len(), du_rf.len(), scratch_rd.len()), (rows * f, rows * f, rows * d));
    assert_eq!((dgate_efd.len(), dup_efd.len()), (w.shape.experts * f * d, w.shape.experts * f * d));

    let on = [dgate_efd, dup_efd].map(|t| Addend::of_gradient(&mut cpu.memory, t));
    let mut access = cpu.memory.access();
    let tokens = access.read::<i32>(&dispatch.token_r);
    let dg = Rows::plain(Data::read(&mut access, dg_rf), f);
    let du = Rows::plain(Data::read(&mut access, du_rf), f);
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let store =
        Store { to: Target::write(&mut access, scratch_rd), width: d, expert_step: 0, on: Addend::None, stream: true };
    let (parts, bytes) = parts(&w.shape, 2);
    let (first, second) = cpu.arranged.split(bytes, bytes);
    for experts in parts {
        let (part, shape) = matrix.of_experts(&w.shape, experts.clone());
        let gate = packed::transpose(&mut cpu.pool, isa, &shape, part, 0, first);
        let up = packed::transpose(&mut cpu.pool, isa, &shape, part, 1, second);
        forward(&mut cpu.pool, isa, &[(dg, gate), (du, up)], groups.of_experts(experts), d, PANEL, &store);
    }
    let x = Rows { index: Some(tokens), ..Rows::plain(Data::read(&mut access, x_td), d) };
    let to = [dgate_efd, dup_efd].map(|t| Target::write(&mut access, t));
    let both = Stacked { to: [(to[0], on[0]), (to[1], on[1])], rows: f, width: d };
    weight_gradient(&mut cpu.pool, isa, &[dg, du], x, rounded, f, d, groups, &mut cpu.row_panels, &both);

    let mut access = cpu.memory.access();
    let sum = Combine {
        from: Data::read(&mut access, scratch_rd),
        row_of: access.read(&dispatch.row_tk),
        weights: None,
        on: Addend::None,
        to: Target::write(&mut access, dx_td),
        top: dispatch.row_tk.dim(1),
        d,
    };
    combine(&mut cpu.pool, cpu.isa, sum);
}

/// Adds blocks to two tensors of matrices, the rows of the second counted on from those of the first.
struct Stacked {
    to: [(Target, Addend<'static>); 2],
    rows: usize,
    width: usize,
}

impl Epilogue for Stacked {
    fn overwrites(&self) -> bool {
        self.to.iter().any(|(_, on)| matches!(on, Addend::None))
    }

    #[inline(always)]
    unsafe fn take<S: Simd>(
        &self,
        expert: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    ) {
        let expert_step = self.rows * self.width;
        for (which, (to, on)) in self.to.into_iter().enumerate() {
            let first = which * self.rows;
            let (start, end) = (rows.start.max(first), rows.end.min(first + self.rows));
            if start < end {
                let store = Store { to, width: self.width, expert_step, on, stream: true };
                // SAFETY: the caller's; these are some of the block's rows.
                unsafe {
                    let block = block.add((start - rows.start) * step);
                    store.take::<S>(expert, start - first..end - first, columns.clone(), block, step);
                }
            }
        }
    }
}
