//! Embedding and normalisation: one row after the other.

use crate::Cpu;
use crate::epilogue::Target;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::Data;
use moeworks_ops::{Norm, NormKind, Tensor};
use std::ops::Range;

/// Rows of one task.
const ROWS: usize = 32;

/// Partial sums of a reduction over rows; a fixed number, so that its order is.
const PARTS: usize = 16;

fn task_rows(task: usize, rows: usize) -> Range<usize> {
    task * ROWS..((task + 1) * ROWS).min(rows)
}

pub(crate) fn embed(cpu: &mut Cpu, ids_t: &Tensor, table_vd: &Tensor, x_td: &Tensor) {
    let mut access = cpu.memory.access();
    let (ids, table) = (access.read::<i32>(ids_t), Data::read(&mut access, table_vd));
    let x = Shared::new(access.write::<f32>(x_td));
    let (d, isa) = (table_vd.dim(1), cpu.isa);
    assert_eq!(x_td.dim(1), d);
    cpu.pool.run(ids.len().div_ceil(ROWS), &|task, _| {
        for t in task_rows(task, ids.len()) {
            let row = ids[t] as usize * d;
            assert!(row + d <= table_vd.len(), "row {} of a table of {}", ids[t], table_vd.dim(0));
            // SAFETY: row t is this task's own.
            let out = unsafe { x.slice(t * d, d) };
            match table {
                Data::F32(table) => out.copy_from_slice(&table[row..row + d]),
                // SAFETY: widening stays inside both rows.
                Data::Bf16(table) => unsafe { simd::run(isa.vector(), Widen { from: &table[row..row + d], out }) },
            }
        }
    });
}

struct Widen<'a> {
    from: &'a [half::bf16],
    out: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let whole = self.from.len() / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            // SAFETY: whole vectors inside both.
            unsafe { S::store(self.out.as_mut_ptr().add(i), S::load_bf16(self.from.as_ptr().add(i))) };
        }
        for i in whole..self.from.len() {
            self.out[i] = self.from[i].to_f32();
        }
    }
}

pub(crate) fn embed_backward(cpu: &mut Cpu, ids_t: &Tensor, dx_td: &Tensor, dtable_vd: &Tensor) {
    let fresh = cpu.memory.take_zero(dtable_vd);
    let mut access = cpu.memory.access();
    let (ids, dx) = (access.read::<i32>(ids_t), access.read::<f32>(dx_td));
    let dtable = Shared::new(access.write::<f32>(dtable_vd));
    let (d, all) = (dx_td.dim(1), dtable_vd.len());
    if fresh {
        const PIECE: usize = 1 << 16;
        // SAFETY: pieces of different tasks differ.
        cpu.pool.run(all.div_ceil(PIECE), &|task, _| unsafe {
            dtable.slice(task * PIECE, PIECE.min(all - task * PIECE)).fill(0.0);
        });
    }
    // Tasks own columns: rows of one token are then added in order, whoever runs them.
    const COLUMNS: usize = 64;
    cpu.pool.run(d.div_ceil(COLUMNS), &|task, _| {
        let columns = task * COLUMNS..((task + 1) * COLUMNS).min(d);
        for (t, id) in ids.iter().enumerate() {
            let row = *id as usize * d;
            assert!(row + d <= dtable_vd.len(), "row {id} of a table of {}", dtable_vd.dim(0));
            // SAFETY: these columns are this task's own.
            let out = unsafe { dtable.slice(row + columns.start, columns.len()) };
            let from = &dx[t * d + columns.start..t * d + columns.end];
            out.iter_mut().zip(from).for_each(|(o, x)| *o += x);
        }
    });
}

pub(crate) fn norm(cpu: &mut Cpu, norm: Norm, x_td: &Tensor, weight_d: &Tensor, y_td: &Tensor, stats_t2: &Tensor) {
    let mut access = cpu.memory.access();
    let (x, weight) = (access.read::<f32>(x_td), access.read::<f32>(weight_d));
    let (y, stats) = (Target::write(&mut access, y_td), Shared::new(access.write::<f32>(stats_t2)));
    let (isa, rows) = (cpu.isa, x_td.dim(0));
    assert_eq!((y_td.len(), stats_t2.len()), (x.len(), 2 * rows));
    cpu.pool.run(rows.div_ceil(ROWS), &|task, _| {
        let kernel = Forward { norm, x, weight, y, stats, rows: task_rows(task, rows) };
        // SAFETY: rows of different tasks differ.
        unsafe { simd::run(isa.vector(), kernel) }
    });
}

struct Forward<'a> {
    norm: Norm,
    x: &'a [f32],
    weight: &'a [f32],
    y: Target,
    stats: Shared<f32>,
    rows: Range<usize>,
}

/// `v` with lanes from `n` on set to zero.
#[inline(always)]
unsafe fn first<S: Simd>(v: S::V, n: usize) -> S::V {
    if n >= S::LANES {
        return v;
    }
    let mut lanes = [0.0f32; 16];
    // SAFETY: the array holds any vector's lanes.
    unsafe {
        S::store_part(lanes.as_mut_ptr(), v, n);
        S::load(lanes.as_ptr())
    }
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let d = self.weight.len();
        // SAFETY: loads and stores stay inside the row, whose length every slice has been checked for.
        unsafe {
            for t in self.rows {
                let row = self.x[t * d..(t + 1) * d].as_ptr();
                let mut sum = S::splat(0.0);
                if self.norm.kind == NormKind::Layer {
                    for i in (0..d).step_by(S::LANES) {
                        sum = S::add(sum, S::load_n(row.add(i), (d - i).min(S::LANES)));
                    }
                }
                let mean = S::sum(sum) / d as f32;
                let (m, mut squares) = (S::splat(mean), S::splat(0.0));
                for i in (0..d).step_by(S::LANES) {
                    let n = (d - i).min(S::LANES);
                    let centred = first::<S>(S::sub(S::load_n(row.add(i), n), m), n);
                    squares = S::fma(centred, centred, squares);
                }
                let scale = 1.0 / (S::sum(squares) / d as f32 + self.norm.eps as f32).sqrt();
                let s = S::splat(scale);
                for i in (0..d).step_by(S::LANES) {
                    let n = (d - i).min(S::LANES);
                    let normed = S::mul(S::sub(S::load_n(row.add(i), n), m), s);
                    let y = S::mul(normed, S::load_n(self.weight.as_ptr().add(i), n));
                    self.y.store::<S>(t * d + i, y, n);
                }
                *self.stats.at(2 * t) = mean;
                *self.stats.at(2 * t + 1) = scale;
            }
        }
    }
}

pub(crate) fn norm_backward(
    cpu: &mut Cpu,
    norm: Norm,
    dy_td: &Tensor,
    x_td: &Tensor,
    weight_d: &Tensor,
    stats_t2: &Tensor,
    dx_td: &Tensor,
    dweight_d: &Tensor,
) {
    let fresh = cpu.memory.take_zero(dx_td);
    let mut access = cpu.memory.access();
    let (dy, x) = (Data::read(&mut access, dy_td), access.read::<f32>(x_td));
    let (weight, stats) = (access.read::<f32>(weight_d), access.read::<f32>(stats_t2));
    let dx = Shared::new(access.write::<f32>(dx_td));
    let dweight = access.write::<f32>(dweight_d);
    let (isa, rows, d) = (cpu.isa, x_td.dim(0), weight.len());
    assert_eq!((dy_td.len(), dx_td.len(), x.len(), dweight.len()), (rows * d, rows * d, rows * d, d));
    let part = rows.div_ceil(PARTS).max(1);
    let partial = cpu.partial.of(PARTS * d);
    let sums = Shared::new(partial);
    cpu.pool.run(PARTS, &|task, _| {
        let rows = (task * part).min(rows)..((task + 1) * part).min(rows);
        // SAFETY: every task has its own row of partial sums.
        let sums = unsafe { sums.slice(task * d, d) };
        sums.fill(0.0);
        let kernel = Backward { norm, dy, x, weight, stats, dx, fresh, sums, rows };
        // SAFETY: rows of different tasks differ.
        unsafe { simd::run(isa.vector(), kernel) }
    });
    let partial = cpu.partial.of(PARTS * d);
    for row in partial.chunks(d) {
        dweight.iter_mut().zip(row).for_each(|(w, p)| *w += p);
    }
}

struct Backward<'a> {
    norm: Norm,
    dy: Data<'a>,
    x: &'a [f32],
    weight: &'a [f32],
    stats: &'a [f32],
    dx: Shared<f32>,
    /// Whether `dx` is still to be made zero.
    fresh: bool,
    sums: &'a mut [f32],
    rows: Range<usize>,
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let d = self.weight.len();
        // SAFETY: loads and stores stay inside the row, whose length every slice has been checked for.
        unsafe {
            for t in self.rows {
                let row = self.x[t * d..(t + 1) * d].as_ptr();
                let (mean, scale) = (S::splat(self.stats[2 * t]), S::splat(self.stats[2 * t + 1]));
                if self.fresh {
                    self.dx.slice(t * d, d).fill(0.0);
                }
                // With g = dy weight: dx = scale (g - mean(g) - normed mean(g normed)), without mean(g) for RMS.
                let (mut g_sum, mut gn_sum) = (S::splat(0.0), S::splat(0.0));
                for i in (0..d).step_by(S::LANES) {
                    let n = (d - i).min(S::LANES);
                    let normed = S::mul(S::sub(S::load_n(row.add(i), n), mean), scale);
                    let dy = self.dy.load_n::<S>(t * d + i, n);
                    let g = S::mul(dy, S::load_n(self.weight.as_ptr().add(i), n));
                    g_sum = S::add(g_sum, g);
                    gn_sum = S::fma(g, normed, gn_sum);
                    let sum = self.sums.as_mut_ptr().add(i);
                    S::store_n(sum, S::fma(dy, normed, S::load_n(sum, n)), n);
                }
                let g_mean = match self.norm.kind {
                    NormKind::Layer => S::splat(S::sum(g_sum) / d as f32),
                    NormKind::Rms => S::splat(0.0),
                };
                let gn_mean = S::splat(S::sum(gn_sum) / d as f32);
                for i in (0..d).step_by(S::LANES) {
                    let n = (d - i).min(S::LANES);
                    let normed = S::mul(S::sub(S::load_n(row.add(i), n), mean), scale);
                    let g = S::mul(self.dy.load_n::<S>(t * d + i, n), S::load_n(self.weight.as_ptr().add(i), n));
                    let inner = S::sub(S::sub(g, g_mean), S::mul(normed, gn_mean));
                    let at = self.dx.at(t * d + i);
                    S::store_n(at, S::fma(scale, inner, S::load_n(at, n)), n);
                }
            }
        }
    }
}
