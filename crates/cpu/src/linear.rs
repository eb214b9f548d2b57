//! Linear layers, and the projection to queries, keys and values.

use crate::Cpu;
use crate::epilogue::{Addend, Epilogue, Store, Target};
use crate::multiply::{Groups, forward, weight_gradient};
use crate::narrow;
use crate::packed::{self, PackPanel, Packed};
use crate::scratch::{COLUMNS, PANEL};
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::{Data, Rows};
use moeworks_ops::{DType, Heads, Matrix, Rope, Tensor};
use std::ops::Range;

pub(crate) fn pack(cpu: &mut Cpu, sources: &[Tensor], to: &Matrix) {
    let (isa, mut access) = (cpu.isa, cpu.memory.access());
    let sources: Vec<&[f32]> = sources.iter().map(|s| access.read::<f32>(s)).collect();
    let shape = to.shape;
    for source in &sources {
        assert_eq!(source.len(), shape.experts * shape.outputs * shape.inputs);
    }
    assert_eq!(to.data.len(), packed::bytes(&shape));
    let out = Shared::new(access.write::<u8>(&to.data));
    cpu.pool.run(packed::all_panels(&shape), &|index, _| {
        // SAFETY: `out` was checked; every task has its own panel.
        unsafe {
            let (source, rows) = packed::origin(&shape, index);
            simd::run(isa.vector(), PackPanel { shape: &shape, rows: &sources[source][rows], index, out });
        }
    });
}

pub(crate) fn linear(cpu: &mut Cpu, x_tk: &Tensor, w: &Matrix, residual_tn: Option<&Tensor>, y_tn: &Tensor) {
    let mut access = cpu.memory.access();
    let (n, k, t) = (w.shape.outputs, w.shape.inputs, x_tk.len() / w.shape.inputs);
    assert_eq!((x_tk.len(), y_tn.len()), (t * k, t * n));
    let x = Rows::plain(Data::read(&mut access, x_tk), k);
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let to = Target::write(&mut access, y_tn);
    let on = match residual_tn {
        None => Addend::None,
        Some(r) if r == y_tn => Addend::Present,
        Some(r) => {
            assert_eq!(r.len(), t * n);
            Addend::Other(access.read::<f32>(r))
        }
    };
    let store = Store { to, width: n, expert_step: 0, on, stream: false };
    forward(&mut cpu.pool, cpu.isa, &[(x, matrix)], Groups::One(t), n, PANEL, &store);
}

pub(crate) fn linear_backward(
    cpu: &mut Cpu,
    dy_tn: &Tensor,
    x_tk: &Tensor,
    w: &Matrix,
    dx_tk: &Tensor,
    dw_nk: &Tensor,
) {
    let (n, k, t) = (w.shape.outputs, w.shape.inputs, x_tk.len() / w.shape.inputs);
    assert_eq!((dy_tn.len(), dx_tk.len(), dw_nk.len()), (t * n, t * k, n * k));
    let on = Addend::of_gradient(&mut cpu.memory, dw_nk);
    let (pool, isa, groups, rounded) = (&mut cpu.pool, cpu.isa, Groups::One(t), w.shape.dtype == DType::Bf16);
    let mut access = cpu.memory.access();
    let (turned, plain) = cpu.arranged.split(packed::transposed_bytes(&w.shape), narrow::bytes(dy_tn));
    let dy = narrow::narrow(pool, isa, &mut access, dy_tn, rounded, plain).rows(&mut access, n);
    let x = Rows::plain(Data::read(&mut access, x_tk), k);
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let dx = Store { to: Target::write(&mut access, dx_tk), width: k, expert_step: 0, on: Addend::None, stream: false };
    let dw = Store { to: Target::write(&mut access, dw_nk), width: k, expert_step: 0, on, stream: true };
    let turned = packed::transpose(pool, isa, &w.shape, matrix, 0, turned);
    forward(pool, isa, &[(dy, turned)], groups, k, PANEL, &dx);
    weight_gradient(pool, isa, &[dy], x, rounded, n, k, groups, &mut cpu.row_panels, &dw);
}

/// Clamp, rotation and store of queries, keys and values.
struct Project<'a> {
    heads: Heads,
    clip: Option<f32>,
    cos: &'a [f32],
    sin: &'a [f32],
    positions: &'a [i32],
    to: Target,
    clipped: Option<Shared<u8>>,
}

impl Epilogue for Project<'_> {
    #[inline(always)]
    unsafe fn take<S: Simd>(
        &self,
        _: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    ) {
        let (width, half) = (self.heads.width, self.heads.width / 2);
        let rotated = (self.heads.query + self.heads.kv) * width;
        let row_bytes = self.heads.row().div_ceil(8);
        let bound = self.clip.unwrap_or(f32::INFINITY);
        // SAFETY: blocks are whole heads and whole bytes of the mask; rows and columns are this call's own.
        unsafe {
            let (low, high) = (S::splat(-bound), S::splat(bound));
            for (i, t) in rows.enumerate() {
                let row = block.add(i * step);
                let angle = self.positions[t] as usize * half;
                if let Some(mask) = self.clipped {
                    for c in columns.clone().step_by(S::LANES) {
                        let n = (columns.end - c).min(S::LANES);
                        let over = S::exceeds(S::load(row.add(c - columns.start)), high) & ((1 << n) - 1);
                        for byte in 0..n.div_ceil(8) {
                            *mask.at(t * row_bytes + c / 8 + byte) = (over >> (8 * byte)) as u8;
                        }
                    }
                }
                for head in columns.clone().step_by(width) {
                    let from = row.add(head - columns.start);
                    let to = t * self.heads.row() + head;
                    // NaN passes: min and max give their second operand then.
                    let clamp = |v: S::V| S::min(high, S::max(low, v));
                    if head >= rotated {
                        for c in (0..width).step_by(S::LANES) {
                            let n = (width - c).min(S::LANES);
                            self.to.store::<S>(to + c, clamp(S::load_n(from.add(c), n)), n);
                        }
                        continue;
                    }
                    for c in (0..half).step_by(S::LANES) {
                        let n = (half - c).min(S::LANES);
                        let cos = S::load_n(self.cos[angle..angle + half].as_ptr().add(c), n);
                        let sin = S::load_n(self.sin[angle..angle + half].as_ptr().add(c), n);
                        let (a, b) = (clamp(S::load_n(from.add(c), n)), clamp(S::load_n(from.add(half + c), n)));
                        self.to.store::<S>(to + c, S::sub(S::mul(a, cos), S::mul(b, sin)), n);
                        self.to.store::<S>(to + half + c, S::fma(a, sin, S::mul(b, cos)), n);
                    }
                }
            }
        }
    }
}

pub(crate) fn qkv(
    cpu: &mut Cpu,
    heads: Heads,
    clip: Option<f64>,
    x_td: &Tensor,
    w: &Matrix,
    rope: &Rope,
    positions_t: &Tensor,
    qkv_tn: &Tensor,
    clipped_tb: Option<&Tensor>,
) {
    let mut access = cpu.memory.access();
    let (d, t) = (w.shape.inputs, x_td.dim(0));
    assert_eq!((x_td.len(), qkv_tn.len(), w.shape.outputs), (t * d, t * heads.row(), heads.row()));
    let x = Rows::plain(Data::read(&mut access, x_td), d);
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let project = Project {
        heads,
        clip: clip.map(|c| c as f32),
        cos: access.read(&rope.cos_sc),
        sin: access.read(&rope.sin_sc),
        positions: access.read(positions_t),
        to: Target::write(&mut access, qkv_tn),
        clipped: clipped_tb.map(|mask| {
            assert_eq!(mask.len(), t * heads.row().div_ceil(8));
            Shared::new(access.write::<u8>(mask))
        }),
    };
    // Blocks are whole heads, and whole bytes of the mask.
    let unit = (1..=4).map(|n| n * heads.width).find(|n| n.is_multiple_of(8)).expect("heads are even");
    assert!(unit <= COLUMNS, "heads of {} do not fit a block", heads.width);
    forward(&mut cpu.pool, cpu.isa, &[(x, matrix)], Groups::One(t), heads.row(), unit, &project);
}

pub(crate) fn qkv_backward(
    cpu: &mut Cpu,
    heads: Heads,
    dqkv_tn: &Tensor,
    x_td: &Tensor,
    w: &Matrix,
    rope: &Rope,
    positions_t: &Tensor,
    clipped_tb: Option<&Tensor>,
    dx_td: &Tensor,
    dw_nd: &Tensor,
) {
    let mut access = cpu.memory.access();
    let (cos, sin) = (access.read::<f32>(&rope.cos_sc), access.read::<f32>(&rope.sin_sc));
    let positions = access.read::<i32>(positions_t);
    let clipped = clipped_tb.map(|mask| access.read::<u8>(mask));
    let d = Target::write(&mut access, dqkv_tn);
    let (isa, rows) = (cpu.isa, positions.len());
    assert_eq!(dqkv_tn.len(), rows * heads.row());
    const ROWS: usize = 16;
    cpu.pool.run(rows.div_ceil(ROWS), &|task, _| {
        let rows = task * ROWS..((task + 1) * ROWS).min(rows);
        // SAFETY: rows of different tasks differ.
        unsafe { simd::run(isa.vector(), Unrotate { heads, cos, sin, positions, clipped, d, rows }) }
    });
    linear_backward(cpu, dqkv_tn, x_td, w, dx_td, dw_nd);
}

struct Unrotate<'a> {
    heads: Heads,
    cos: &'a [f32],
    sin: &'a [f32],
    positions: &'a [i32],
    clipped: Option<&'a [u8]>,
    d: Target,
    rows: Range<usize>,
}

impl Kernel for Unrotate<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (width, half, row) = (self.heads.width, self.heads.width / 2, self.heads.row());
        let row_bytes = row.div_ceil(8);
        // SAFETY: loads and stores stay inside this task's rows, whose length was checked.
        unsafe {
            for t in self.rows {
                let angle = self.positions[t] as usize * half;
                for head in 0..self.heads.query + self.heads.kv {
                    let at = t * row + head * width;
                    for c in (0..half).step_by(S::LANES) {
                        let n = (half - c).min(S::LANES);
                        let cos = S::load_n(self.cos[angle..angle + half].as_ptr().add(c), n);
                        let sin = S::load_n(self.sin[angle..angle + half].as_ptr().add(c), n);
                        let (a, b) = (self.d.load::<S>(at + c, n), self.d.load::<S>(at + half + c, n));
                        self.d.store::<S>(at + c, S::fma(a, cos, S::mul(b, sin)), n);
                        self.d.store::<S>(at + half + c, S::sub(S::mul(b, cos), S::mul(a, sin)), n);
                    }
                }
                let Some(mask) = self.clipped else { continue };
                for (byte, bits) in mask[t * row_bytes..(t + 1) * row_bytes].iter().enumerate() {
                    // Few elements are clipped: most bytes are zero.
                    for bit in (0..8).filter(|bit| bits >> bit & 1 == 1) {
                        self.d.store::<S>(t * row + byte * 8 + bit, S::splat(0.0), 1);
                    }
                }
            }
        }
    }
}
