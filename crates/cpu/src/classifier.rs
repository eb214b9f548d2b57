//! Logits and cross-entropy in two passes over the vocabulary: the first reduces each block of logits to maxima and sums
//! while it is in the cache, the second makes gradients of them. Where products cost more than memory, logits are kept in
//! f32 from the one to the other, of some rows at a time; otherwise the second pass computes them again, a range of the
//! vocabulary at a time. All rows pass each range at once, so every weight's gradient is written once.

use crate::Cpu;
use crate::epilogue::{Addend, Epilogue, Store, Target};
use crate::multiply::{Groups, forward, weight_gradient};
use crate::narrow;
use crate::packed::{self, Packed};
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::{Data, Rows};
use moeworks_ops::{ClassifierGradient, DType, Matrix, MatrixShape, Tensor};
use std::ops::Range;

/// Bytes of the logits' gradients that are held at once where logits are not kept.
const HELD: usize = 32 << 20;
/// Below this width logits are computed again in less time than memory takes to keep them.
const NARROW: usize = 128;
/// Rows of one task that brings parts together.
const ROWS: usize = 64;
/// Ids whose maximum and sum are one part: blocks are whole parts, so that the order of a sum does not depend on them.
const PART: usize = 256;

pub(crate) fn classifier(
    cpu: &mut Cpu,
    x_td: &Tensor,
    w: &Matrix,
    targets_t: &Tensor,
    nll_t: &Tensor,
    best_t: Option<&Tensor>,
    gradient: Option<&ClassifierGradient>,
) {
    let (v, d, rows) = (w.shape.outputs, w.shape.inputs, targets_t.len());
    let (isa, rounded) = (cpu.isa, w.shape.dtype == DType::Bf16);
    assert_eq!((x_td.len(), nll_t.len()), (rows * d, rows));
    let on = gradient.map(|g| Addend::of_gradient(&mut cpu.memory, &g.dw_vd));
    let mut access = cpu.memory.access();
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let x = Rows::plain(Data::read(&mut access, x_td), d);
    let targets = access.read::<i32>(targets_t);
    let nll = Shared::new(access.write::<f32>(nll_t));

    let parts = v.div_ceil(PART);
    let (lse, rest) = cpu.partial.of(rows * (2 + 3 * parts)).split_at_mut(rows);
    let (target_logits, rest) = rest.split_at_mut(rows);
    let (most, rest) = rest.split_at_mut(rows * parts);
    let (sums, best) = rest.split_at_mut(rows * parts);
    let size = w.shape.dtype.size();
    let at_once = cpu.kept_logits.rows_at_once(rows, v).filter(|_| gradient.is_some() && d >= NARROW);
    let (kept, chunk) = (at_once.is_some(), at_once.unwrap_or(rows).max(1));
    let most_at_once = (HELD / (rows.max(1) * size) / 512 * 512).clamp(512, 4096);
    let range = match gradient {
        None => 0,
        Some(_) if kept => v,
        Some(_) => v.div_ceil(v.div_ceil(most_at_once)).next_multiple_of(PART).min(v),
    };
    let whole = MatrixShape { outputs: range, ..w.shape };
    let held = if kept { 4 * chunk * v } else { rows * range * size };
    let (turned, held) = cpu.arranged.split(packed::transposed_bytes(&whole), held.next_multiple_of(64));
    let held = Held::new(held, rounded, kept.then_some(v));
    // Whole where all rows' gradients of all ids are there at once, by ranges otherwise.
    let (all_turned, turned) = match kept {
        true => (Some(packed::transpose(&mut cpu.pool, isa, &w.shape, matrix, 0, turned)), &mut [][..]),
        false => (None, turned),
    };
    let (target_logits, most, sums) = (Shared::new(target_logits), Shared::new(most), Shared::new(sums));
    let (best, lse) = (Shared::new(best), Shared::new(lse));
    let mut gradient = gradient.zip(on).map(|(gradient, on)| {
        assert_eq!((gradient.dx_td.len(), gradient.dw_vd.len()), (rows * d, v * d));
        let (dw, dx) = (Target::write(&mut access, &gradient.dw_vd), Target::write(&mut access, &gradient.dx_td));
        // Sums over ranges are kept in f32 even where dx is not.
        let sum = match dx {
            Target::Bf16(_) if range < v => Target::F32(Shared::new(cpu.sums.of(rows * d))),
            _ => dx,
        };
        Back { scale: gradient.scale as f32, on, dw, dx, sum }
    });
    for start in (0..rows).step_by(chunk) {
        let part = start..(start + chunk).min(rows);
        let n = part.len();
        let (x, targets) = (x.skip(start), &targets[part.clone()]);
        // SAFETY: rows from `start` on are inside every output of rows.
        let reduce = unsafe {
            Reduce {
                targets,
                parts,
                keep: held.logits,
                target_logits: target_logits.from(start),
                most: most.from(start * parts),
                sums: sums.from(start * parts),
                best: best_t.is_some().then(|| best.from(start * parts)),
            }
        };
        forward(&mut cpu.pool, isa, &[(x, matrix)], Groups::One(n), v, PART, &reduce);
        // SAFETY: as above.
        let (lse_of, nll_of) = unsafe { (lse.from(start), nll.from(start)) };
        reduce.denominators(&mut cpu.pool, n, lse_of, nll_of);
        let Some(back) = &mut gradient else { continue };
        // SAFETY: the rows' denominators are there, and nothing writes them any more.
        let lse = unsafe { &*lse.slice(start, n) };
        for first in (0..v).step_by(range) {
            let shape = MatrixShape { outputs: range.min(v - first), ..w.shape };
            let weights = matrix.outputs(first, &shape);
            let width = shape.outputs;
            let spread =
                Spread { targets, lse, scale: back.scale, first, width: held.width(width), to: held.gradients };
            match held.logits {
                Some((logits, _)) => cpu.pool.run(n.div_ceil(ROWS), &|task, _| {
                    let rows = task * ROWS..((task + 1) * ROWS).min(n);
                    // SAFETY: every task has its own rows, of which all logits are there.
                    unsafe { simd::run(isa.vector(), Kept { spread: &spread, logits, v, rows }) }
                }),
                None => forward(&mut cpu.pool, isa, &[(x, weights)], Groups::One(n), width, PANEL, &spread),
            }
            // SAFETY: all of them are written, and nothing writes them until the next range.
            let dlogits = unsafe { held.gradients.as_data(n * held.width(width)) };
            let dlogits = Rows::plain(dlogits, held.width(width));
            let turned =
                all_turned.unwrap_or_else(|| packed::transpose(&mut cpu.pool, isa, &shape, weights, 0, turned));
            let added = if first == 0 { Addend::None } else { Addend::Present };
            // SAFETY: rows from `start` on, and gradients from `first` on, are inside their tensors.
            let (sum, dw) = unsafe { (back.sum.from(start * d), back.dw.from(first * d)) };
            let store = Store { to: sum, width: d, expert_step: 0, on: added, stream: false };
            forward(&mut cpu.pool, isa, &[(dlogits, turned)], Groups::One(n), d, PANEL, &store);
            let store = Store { to: dw, width: d, expert_step: 0, on: back.on, stream: true };
            let room = &mut cpu.row_panels;
            weight_gradient(&mut cpu.pool, isa, &[dlogits], x, rounded, width, d, Groups::One(n), room, &store);
        }
        // The next rows' are added.
        back.on = Addend::Present;
    }
    if let Some(best_t) = best_t {
        for (t, likeliest) in access.write::<i32>(best_t).iter_mut().enumerate() {
            // SAFETY: all parts are there, and no task is running.
            let (most, best) = unsafe { (most.slice(t * parts, parts), best.slice(t * parts, parts)) };
            let first = (0..parts).reduce(|a, b| if most[b] > most[a] { b } else { a }).unwrap_or(0);
            *likeliest = (first * PART) as i32 + best[first] as i32;
        }
    }
    if let Some(Back { sum: Target::F32(sum), dx: Target::Bf16(dx), .. }) = gradient {
        // SAFETY: both hold all rows, and no task is running.
        unsafe { narrow::round(&mut cpu.pool, isa, sum.slice(0, rows * d), dx.slice(0, rows * d)) };
    }
}

/// Where gradients go.
struct Back<'a> {
    scale: f32,
    on: Addend<'a>,
    dw: Target,
    dx: Target,
    /// What dx is summed in.
    sum: Target,
}

/// Memory of logits and their gradients. Kept logits become their gradients in place, bf16 in the first half of each
/// row's bytes.
struct Held {
    /// Logits that are kept, and their row's width.
    logits: Option<(Shared<f32>, usize)>,
    gradients: Target,
    /// Gradients from row to row per logit.
    each: usize,
}

impl Held {
    fn new(bytes: &mut [u8], rounded: bool, kept: Option<usize>) -> Self {
        let logits = kept.map(|v| (Shared::new(bytemuck::cast_slice_mut(&mut *bytes)), v));
        let gradients = match rounded {
            true => Target::Bf16(Shared::new(bytemuck::cast_slice_mut(bytes))),
            false => Target::F32(Shared::new(bytemuck::cast_slice_mut(bytes))),
        };
        Held { logits, gradients, each: if rounded && kept.is_some() { 2 } else { 1 } }
    }

    /// Gradients from row to row, for rows of so many logits.
    fn width(&self, logits: usize) -> usize {
        self.each * logits
    }
}

/// Takes logits and leaves each part's maximum, the sum of exponentials below it, and where it is.
struct Reduce<'a> {
    targets: &'a [i32],
    parts: usize,
    target_logits: Shared<f32>,
    most: Shared<f32>,
    sums: Shared<f32>,
    /// Where logits are kept, in rows of so many.
    keep: Option<(Shared<f32>, usize)>,
    /// Places are small enough for f32 to hold.
    best: Option<Shared<f32>>,
}

/// The first `n` lanes; minus infinity in the others.
///
/// # Safety
/// They are there.
#[inline(always)]
unsafe fn load_or_least<S: Simd>(p: *const f32, n: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        if n >= S::LANES {
            return S::load(p);
        }
        let mut lanes = [f32::NEG_INFINITY; 16];
        S::store_part(lanes.as_mut_ptr(), S::load_part(p, n), n);
        S::load(lanes.as_ptr())
    }
}

impl Reduce<'_> {
    /// Brings the parts of so many rows together: their denominators' logarithms, and the losses of those with a target.
    fn denominators(&self, pool: &mut Pool, rows: usize, lse: Shared<f32>, nll: Shared<f32>) {
        let parts = self.parts;
        pool.run(rows.div_ceil(ROWS), &|task, _| {
            for t in task * ROWS..((task + 1) * ROWS).min(rows) {
                // SAFETY: every task has its own rows, whose parts are there.
                unsafe {
                    let (most, sums) = (self.most.slice(t * parts, parts), self.sums.slice(t * parts, parts));
                    let largest = most.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let sum: f32 = most.iter().zip(sums).map(|(m, s)| *s * (*m - largest).exp()).sum();
                    *lse.at(t) = largest + sum.ln();
                    *nll.at(t) = if self.targets[t] < 0 { 0.0 } else { *lse.at(t) - *self.target_logits.at(t) };
                }
            }
        });
    }
}

impl Epilogue for Reduce<'_> {
    #[inline(always)]
    unsafe fn take<S: Simd>(
        &self,
        _: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    ) {
        // SAFETY: blocks are whole parts; a row's parts are this call's own.
        unsafe {
            for (i, t) in rows.enumerate() {
                let row = block.add(i * step);
                if let Ok(target) = usize::try_from(self.targets[t])
                    && columns.contains(&target)
                {
                    *self.target_logits.at(t) = *row.add(target - columns.start);
                }
                if let Some((to, width)) = self.keep {
                    for c in (columns.start..columns.end).step_by(S::LANES) {
                        let n = (columns.end - c).min(S::LANES);
                        S::store_n(to.at(t * width + c), S::load(row.add(c - columns.start)), n);
                    }
                }
                for start in columns.clone().step_by(PART) {
                    let (from, n) = (row.add(start - columns.start), (columns.end - start).min(PART));
                    let mut largest = S::splat(f32::NEG_INFINITY);
                    for c in (0..n).step_by(S::LANES) {
                        largest = S::max(largest, load_or_least::<S>(from.add(c), n - c));
                    }
                    let most = S::largest(largest);
                    let (m, mut sum) = (S::splat(most), S::splat(0.0));
                    for c in (0..n).step_by(S::LANES) {
                        sum = S::add(sum, S::exp(S::sub(load_or_least::<S>(from.add(c), n - c), m)));
                    }
                    let at = t * self.parts + start / PART;
                    *self.most.at(at) = most;
                    *self.sums.at(at) = S::sum(sum);
                    if let Some(best) = self.best {
                        *best.at(at) = (0..n).find(|c| *from.add(*c) == most).unwrap_or(0) as f32;
                    }
                }
            }
        }
    }
}

/// Takes logits of the ids from `first` on and stores their gradients.
struct Spread<'a> {
    targets: &'a [i32],
    lse: &'a [f32],
    scale: f32,
    first: usize,
    width: usize,
    to: Target,
}

impl Epilogue for Spread<'_> {
    #[inline(always)]
    unsafe fn take<S: Simd>(
        &self,
        _: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    ) {
        // SAFETY: the block holds whole panels; the row's elements are this call's own.
        unsafe {
            for (i, t) in rows.enumerate() {
                let (row, to) = (block.add(i * step), t * self.width);
                let target = usize::try_from(self.targets[t]).ok();
                let scale = S::splat(if target.is_some() { self.scale } else { 0.0 });
                let lse = S::splat(self.lse[t]);
                // Before the others: gradients may take the places of logits.
                let target = target.and_then(|id| id.checked_sub(self.first)).filter(|c| columns.contains(c));
                let target = target.map(|c| (c, *row.add(c - columns.start)));
                for c in (columns.start..columns.end).step_by(S::LANES) {
                    // Kept logits of the next row may be another thread's already.
                    let n = (columns.end - c).min(S::LANES);
                    let p = S::exp(S::sub(S::load_n(row.add(c - columns.start), n), lse));
                    self.to.store::<S>(to + c, S::mul(scale, p), n);
                }
                if let Some((c, logit)) = target {
                    let p = (logit - self.lse[t]).exp();
                    self.to.store::<S>(to + c, S::splat(self.scale * (p - 1.0)), 1);
                }
            }
        }
    }
}

/// Turns rows of kept logits into their gradients, in place.
struct Kept<'a> {
    spread: &'a Spread<'a>,
    logits: Shared<f32>,
    /// Logits of a row.
    v: usize,
    rows: Range<usize>,
}

impl Kernel for Kept<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's; each vector is read before its gradients are written, which lie no further on in a row.
        unsafe {
            let first = self.logits.at(self.rows.start * self.v);
            self.spread.take::<S>(0, self.rows, 0..self.v, first, self.v)
        }
    }
}
