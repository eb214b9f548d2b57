//! The experts: gathered rows, gate, up and SwiGLU in one product, down and the weighted sum.

use crate::Cpu;
use crate::epilogue::{Addend, Epilogue, Store, Target};
use crate::isa::Isa;
use crate::multiply::{Groups, forward, weight_gradient};
use crate::packed::{self, Packed};
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::{Data, Rows};
use moeworks_ops::{DType, Dispatch, Matrix, Tensor};
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
    let store = Store { to: Target::write(&mut access, scratch_rd), width: d, expert_step: 0, on: Addend::None };
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

pub(crate) fn down_backward(
    cpu: &mut Cpu,
    dy_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    g_rf: &Tensor,
    u_rf: &Tensor,
    h_rf: &Tensor,
    dh_rf: &Tensor,
    dweights_tk: &Tensor,
    dw_edf: &Tensor,
) {
    let (d, f, rows) = (w.shape.outputs, w.shape.inputs, dispatch.token_r.len());
    let (isa, rounded) = (cpu.isa, w.shape.dtype == DType::Bf16);
    assert_eq!((g_rf.len(), u_rf.len(), h_rf.len(), dh_rf.len()), (rows * f, rows * f, rows * f, rows * f));
    assert_eq!((dy_td.dim(1), dw_edf.len()), (d, w.shape.experts * d * f));

    // First the gradient before each row's weight: dy of its token times w.
    let mut access = cpu.memory.access();
    let tokens = access.read::<i32>(&dispatch.token_r);
    let dy = Rows { index: Some(tokens), ..Rows::plain(Data::read(&mut access, dy_td), d) };
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let store = Store { to: Target::write(&mut access, dh_rf), width: f, expert_step: 0, on: Addend::None };
    let turned = cpu.arranged.of(packed::transposed_bytes(&w.shape));
    let turned = packed::transpose(&mut cpu.pool, isa, &w.shape, matrix, 0, turned);
    forward(&mut cpu.pool, isa, &[(dy, turned)], groups, f, PANEL, &store);

    // Then h anew, the product of both (the gradient of the row's weight), and the row's weight on top.
    let mut access = cpu.memory.access();
    let (row_of, weights) = (access.read::<i32>(&dispatch.row_tk), access.read::<f32>(&dispatch.weights_tk));
    let (weight_of_row, dot_of_row) = cpu.partial.of(2 * rows).split_at_mut(rows);
    for (row, weight) in row_of.iter().zip(weights) {
        weight_of_row[*row as usize] = *weight;
    }
    let pass = Reweigh {
        g: Data::read(&mut access, g_rf),
        u: Data::read(&mut access, u_rf),
        h: Target::write(&mut access, h_rf),
        dh: Target::write(&mut access, dh_rf),
        weights: weight_of_row,
        dots: Shared::new(dot_of_row),
        f,
    };
    cpu.pool.run(rows.div_ceil(ROWS), &|task, _| {
        let rows = task * ROWS..((task + 1) * ROWS).min(rows);
        // SAFETY: rows of different tasks differ.
        unsafe { simd::run(isa.vector(), ReweighRows { pass: &pass, rows }) }
    });
    let dweights = access.write::<f32>(dweights_tk);
    for (dweight, row) in dweights.iter_mut().zip(row_of) {
        *dweight = dot_of_row[*row as usize];
    }

    let mut access = cpu.memory.access();
    let tokens = access.read::<i32>(&dispatch.token_r);
    let plain = Rows::plain(Data::read(&mut access, dy_td), d);
    let dy = Rows { index: Some(tokens), scale: Some(weight_of_row), ..plain };
    let h = Rows::plain(Data::read(&mut access, h_rf), f);
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let store = Store { to: Target::write(&mut access, dw_edf), width: f, expert_step: d * f, on: Addend::Present };
    weight_gradient(&mut cpu.pool, isa, &[dy], h, rounded, d, f, groups, &store);
}

/// What the pass between the two products of [`down_backward`] reads and writes.
struct Reweigh<'a> {
    g: Data<'a>,
    u: Data<'a>,
    h: Target,
    dh: Target,
    weights: &'a [f32],
    dots: Shared<f32>,
    f: usize,
}

struct ReweighRows<'a> {
    pass: &'a Reweigh<'a>,
    rows: Range<usize>,
}

impl Kernel for ReweighRows<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Reweigh { g, u, h, dh, weights, dots, f } = self.pass;
        for row in self.rows {
            // SAFETY: the row's elements are inside and this task's own.
            unsafe {
                let (weight, mut dot) = (S::splat(weights[row]), S::splat(0.0));
                for i in (0..*f).step_by(S::LANES) {
                    let (n, at) = ((f - i).min(S::LANES), row * f + i);
                    let gate = g.load_n::<S>(at, n);
                    let hidden = S::mul(S::mul(gate, S::sigmoid(gate)), u.load_n::<S>(at, n));
                    let gradient = dh.load::<S>(at, n);
                    h.store::<S>(at, hidden, n);
                    dot = S::fma(hidden, gradient, dot);
                    dh.store::<S>(at, S::mul(weight, gradient), n);
                }
                *dots.at(row) = S::sum(dot);
            }
        }
    }
}

pub(crate) fn gate_up_backward(
    cpu: &mut Cpu,
    dh_rf: &Tensor,
    x_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    g_rf: &Tensor,
    u_rf: &Tensor,
    scratch_rd: &Tensor,
    dx_td: &Tensor,
    dgate_efd: &Tensor,
    dup_efd: &Tensor,
) {
    let (f, d, rows) = (w.shape.outputs, w.shape.inputs, dispatch.token_r.len());
    let (isa, rounded) = (cpu.isa, w.shape.dtype == DType::Bf16);
    assert_eq!((dh_rf.len(), g_rf.len(), u_rf.len(), scratch_rd.len()), (rows * f, rows * f, rows * f, rows * d));
    assert_eq!((dgate_efd.len(), dup_efd.len()), (w.shape.experts * f * d, w.shape.experts * f * d));

    let mut access = cpu.memory.access();
    let pass = Deactivate {
        dh: Data::read(&mut access, dh_rf),
        g: Target::write(&mut access, g_rf),
        u: Target::write(&mut access, u_rf),
    };
    let all = rows * f;
    const PIECE: usize = 8192;
    cpu.pool.run(all.div_ceil(PIECE), &|task, _| {
        let range = task * PIECE..((task + 1) * PIECE).min(all);
        // SAFETY: pieces of different tasks differ.
        unsafe { simd::run(isa.vector(), DeactivatePiece { pass: &pass, range }) }
    });

    let mut access = cpu.memory.access();
    let tokens = access.read::<i32>(&dispatch.token_r);
    let dg = Rows::plain(Data::read(&mut access, g_rf), f);
    let du = Rows::plain(Data::read(&mut access, u_rf), f);
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let groups = Groups::Offsets(access.read::<i32>(&dispatch.offsets_e));
    let store = Store { to: Target::write(&mut access, scratch_rd), width: d, expert_step: 0, on: Addend::None };
    let bytes = packed::transposed_bytes(&w.shape);
    let (first, second) = cpu.arranged.of(2 * bytes).split_at_mut(bytes);
    let gate = packed::transpose(&mut cpu.pool, isa, &w.shape, matrix, 0, first);
    let up = packed::transpose(&mut cpu.pool, isa, &w.shape, matrix, 1, second);
    forward(&mut cpu.pool, isa, &[(dg, gate), (du, up)], groups, d, PANEL, &store);
    let x = Rows { index: Some(tokens), ..Rows::plain(Data::read(&mut access, x_td), d) };
    let both = Stacked { to: [dgate_efd, dup_efd].map(|t| Target::write(&mut access, t)), rows: f, width: d };
    weight_gradient(&mut cpu.pool, isa, &[dg, du], x, rounded, f, d, groups, &both);

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
    to: [Target; 2],
    rows: usize,
    width: usize,
}

impl Epilogue for Stacked {
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
        for (which, to) in self.to.into_iter().enumerate() {
            let first = which * self.rows;
            let (start, end) = (rows.start.max(first), rows.end.min(first + self.rows));
            if start < end {
                let store = Store { to, width: self.width, expert_step, on: Addend::Present };
                // SAFETY: the caller's; these are some of the block's rows.
                unsafe {
                    let block = block.add((start - rows.start) * step);
                    store.take::<S>(expert, start - first..end - first, columns.clone(), block, step);
                }
            }
        }
    }
}

/// Gate and up in place to their own gradients.
struct Deactivate<'a> {
    dh: Data<'a>,
    g: Target,
    u: Target,
}

struct DeactivatePiece<'a> {
    pass: &'a Deactivate<'a>,
    range: Range<usize>,
}

impl Kernel for DeactivatePiece<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Deactivate { dh, g, u } = self.pass;
        for i in self.range.clone().step_by(S::LANES) {
            let n = (self.range.end - i).min(S::LANES);
            // SAFETY: the piece is inside all three and this task's own.
            unsafe {
                let (d, gate, up) = (dh.load_n::<S>(i, n), g.load::<S>(i, n), u.load::<S>(i, n));
                let s = S::sigmoid(gate);
                let silu = S::mul(gate, s);
                // silu'(x) = s + silu (1 - s)
                let slope = S::fma(silu, S::sub(S::splat(1.0), s), s);
                g.store::<S>(i, S::mul(S::mul(d, up), slope), n);
                u.store::<S>(i, S::mul(d, silu), n);
            }
        }
    }
}
