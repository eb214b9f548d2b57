//! The three products of a layer over packed weights, dense or grouped by expert: results of the forward, gradients of
//! inputs, gradients of weights.
//!
//! A task is one block of results, at most ROWS x COLUMNS. It goes through the depth in steps of DEPTH, brings operands
//! into its thread's scratch where they do not lie as a kernel reads them, and hands the finished block to an epilogue.
//! Every result is one chain of multiply-adds over the whole depth in order, so block shapes never change a bit.

use crate::epilogue::Epilogue;
use crate::isa::Isa;
use crate::kernel::{Left, Right, multiply, multiply_pairs, widen_panel};
use crate::packed::Packed;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::packed::TILE_DEPTH;
use crate::pool::Pool;
use crate::scratch::{COLUMNS, DEPTH, PANEL, ROWS, Scratch};
use crate::simd::{self, Kernel, Simd};
use crate::source::Rows;
use moeworks_ops::DType;
use std::ops::Range;

/// Below this many rows a bf16 panel is widened on the way instead of first.
const FEW: usize = 5;

/// Which rows belong to which expert.
#[derive(Clone, Copy)]
pub enum Groups<'a> {
    /// All of so many rows to the one matrix.
    One(usize),
    /// Expert e has rows `offsets[e]..offsets[e + 1]`.
    Offsets(&'a [i32]),
}

impl Groups<'_> {
    /// Experts.
    pub fn len(&self) -> usize {
        match self {
            Groups::One(_) => 1,
            Groups::Offsets(o) => o.len() - 1,
        }
    }

    /// Rows of an expert.
    pub fn rows(&self, expert: usize) -> Range<usize> {
        match self {
            Groups::One(rows) => 0..*rows,
            Groups::Offsets(o) => o[expert] as usize..o[expert + 1] as usize,
        }
    }
}

/// Size of blocks along a dimension: at most `most`, a multiple of `unit`, and small enough that `wanted` blocks come
/// out where the dimension allows.
fn block(extent: usize, unit: usize, most: usize, wanted: usize) -> usize {
    extent.div_ceil(wanted.max(1)).next_multiple_of(unit).clamp(unit, most)
}

/// Where a task's block lies.
struct Place {
    expert: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Cuts rows of all experts and columns into blocks, and finds the block of a task.
struct Blocks<'a> {
    groups: Groups<'a>,
    rows: usize,
    columns: usize,
    extent: usize,
}

impl Blocks<'_> {
    fn across(&self) -> usize {
        self.extent.div_ceil(self.columns)
    }

    fn count(&self) -> usize {
        (0..self.groups.len()).map(|e| self.groups.rows(e).len().div_ceil(self.rows)).sum::<usize>() * self.across()
    }

    fn place(&self, task: usize) -> Place {
        let (mut down, across) = (task / self.across(), task % self.across());
        let columns = across * self.columns..((across + 1) * self.columns).min(self.extent);
        for expert in 0..self.groups.len() {
            let all = self.groups.rows(expert);
            let here = all.len().div_ceil(self.rows);
            if down < here {
                let start = all.start + down * self.rows;
                return Place { expert, rows: start..(start + self.rows).min(all.end), columns };
            }
            down -= here;
        }
        unreachable!("task {task} of {}", self.count())
    }
}

/// `y = x w^T`, block by block into an epilogue. Columns are counted in panels' lanes, so that gate and up panels each
/// have theirs; a block starts at a multiple of `unit` columns (at most COLUMNS), whole units.
pub fn forward<E: Epilogue>(
    pool: &mut Pool,
    isa: Isa,
    x: Rows,
    w: Packed,
    groups: Groups,
    columns: usize,
    unit: usize,
    epilogue: &E,
) {
    let rows: usize = (0..groups.len()).map(|e| groups.rows(e).len()).sum();
    // Few rows make few blocks of rows: cut columns finer then, so that every thread has work.
    let wanted = (4 * pool.threads()).div_ceil(rows.div_ceil(ROWS).max(1));
    let width = block(columns, unit, COLUMNS / unit * unit, wanted);
    let blocks = Blocks { groups, rows: ROWS, columns: width, extent: columns };
    let tiles = w.dtype == DType::Bf16 && isa.has_tiles();
    pool.run(blocks.count(), &|task, scratch| {
        let place = blocks.place(task);
        // SAFETY: `Forward` reads the rows and panels of its place, which are inside their operands, and blocks of
        // different tasks have no result in common.
        unsafe { simd::run(isa.vector(), Forward { x, w, place, epilogue, scratch, tiles }) }
    });
}

struct Forward<'a, E> {
    x: Rows<'a>,
    w: Packed<'a>,
    place: Place,
    epilogue: &'a E,
    scratch: &'a mut Scratch,
    tiles: bool,
}

impl<E: Epilogue> Kernel for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Forward { x, w, place, epilogue, scratch, tiles } = self;
        // A block may start inside a panel: its first columns are then computed for nothing.
        let (rows, first, skip) = (place.rows.len(), place.columns.start / PANEL, place.columns.start % PANEL);
        let panels = (skip + place.columns.len()).div_ceil(PANEL);
        let (c, step) = (scratch.c(), panels * PANEL);
        let bf16 = w.dtype == DType::Bf16;
        // SAFETY: scratch holds ROWS x DEPTH, DEPTH x 2 PANEL and ROWS x (COLUMNS + PANEL); the caller keeps the place inside
        // the operands.
        unsafe {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            if tiles {
                for k in (0..w.depth).step_by(2 * DEPTH) {
                    let depth = (w.depth - k).min(2 * DEPTH);
                    let padded = depth.next_multiple_of(TILE_DEPTH);
                    x.copy_bf16::<S>(place.rows.clone(), k..k + depth, scratch.a_bf16(), padded);
                    let panel = |p: usize| w.bf16_panel(place.expert, first + p, k);
                    on_tiles(rows, panels, padded, scratch.a_bf16(), panel, c, step, k == 0);
                }
                return epilogue.take::<S>(place.expert, place.rows, place.columns, c.add(skip), step);
            }
            debug_assert!(!tiles);
            for k in (0..w.depth).step_by(DEPTH) {
                let depth = (w.depth - k).min(DEPTH);
                let even = depth.next_multiple_of(2);
                let a = match x.in_place(bf16) {
                    Some(data) => {
                        Left { start: data[place.rows.start * x.width + k..].as_ptr(), row_step: x.width, k_step: 1 }
                    }
                    None => {
                        x.copy_f32::<S>(place.rows.clone(), k..k + depth, bf16, scratch.a(), even);
                        Left { start: scratch.a(), row_step: even, k_step: 1 }
                    }
                };
                if !bf16 {
                    let b = Right {
                        start: w.f32_panel(place.expert, first, k),
                        k_step: PANEL,
                        panel_step: w.panel_stride(),
                    };
                    multiply::<S>(rows, panels, depth, a, b, c, step, k == 0);
                    continue;
                }
                if rows < FEW {
                    for p in 0..panels {
                        let b = w.bf16_panel(place.expert, first + p, k);
                        multiply_pairs::<S>(rows, even, a, b, c.add(p * PANEL), step, k == 0);
                    }
                    continue;
                }
                for p in (0..panels).step_by(2) {
                    let both = (panels - p).min(2);
                    for side in 0..both {
                        let panel = w.bf16_panel(place.expert, first + p + side, k);
                        widen_panel::<S>(panel, even, scratch.b().add(side * DEPTH * PANEL), PANEL);
                    }
                    let b = Right { start: scratch.b(), k_step: PANEL, panel_step: DEPTH * PANEL };
                    multiply::<S>(rows, both, even, a, b, c.add(p * PANEL), step, k == 0);
                }
            }
            epilogue.take::<S>(place.expert, place.rows, place.columns, c.add(skip), step);
        }
    }
}

/// A block on tiles: rows in scratch (`depth` apart, a multiple of 32), panels where `panel` says.
///
/// # Safety
/// Scratch has room for rows rounded up to 16 in `a` and `c`, tiles are there, and panels hold `depth` inputs.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[inline(always)]
unsafe fn on_tiles(
    rows: usize,
    panels: usize,
    depth: usize,
    a: *const half::bf16,
    panel: impl Fn(usize) -> *const half::bf16,
    c: *mut f32,
    step: usize,
    fresh: bool,
) {
    // SAFETY: the caller's. Rows past the last one are stale numbers whose results nobody reads.
    unsafe {
        let tiles = crate::amx::Tiles::configure();
        let steps = depth / TILE_DEPTH;
        let (tall, wide) = (rows.div_ceil(16), panels);
        for p in (0..wide).step_by(2) {
            for t in (0..tall).step_by(2) {
                let (a, c) = (a.add(16 * t * depth), c.add(16 * t * step + p * PANEL));
                if t + 1 < tall && p + 1 < wide {
                    tiles.two_by_two(steps, a, depth, [panel(p), panel(p + 1)], c, step, fresh);
                    continue;
                }
                for i in 0..(tall - t).min(2) {
                    for j in 0..(wide - p).min(2) {
                        let (a, c) = (a.add(16 * i * depth), c.add(16 * i * step + j * PANEL));
                        tiles.one_by_one(steps, a, depth, panel(p + j), c, step, fresh);
                    }
                }
            }
        }
    }
}

/// `dx = dy w`: `dy` are rows of the weight's outputs, results are rows of its inputs. Gate and up panels are summed
/// over alike, from two sources of rows.
pub fn input_gradient<E: Epilogue>(
    pool: &mut Pool,
    isa: Isa,
    dy: &[Rows],
    w: Packed,
    outputs: usize,
    groups: Groups,
    epilogue: &E,
) {
    let rows: usize = (0..groups.len()).map(|e| groups.rows(e).len()).sum();
    let wanted = (4 * pool.threads()).div_ceil(rows.div_ceil(ROWS).max(1));
    let width = block(w.depth, 2 * PANEL, COLUMNS, wanted);
    let blocks = Blocks { groups, rows: ROWS, columns: width, extent: w.depth };
    let tiles = w.dtype == DType::Bf16 && isa.has_tiles();
    pool.run(blocks.count(), &|task, scratch| {
        let place = blocks.place(task);
        // SAFETY: as in `forward`.
        unsafe { simd::run(isa.vector(), InputGradient { dy, w, outputs, place, epilogue, scratch, tiles }) }
    });
}

struct InputGradient<'a, E> {
    dy: &'a [Rows<'a>],
    w: Packed<'a>,
    outputs: usize,
    place: Place,
    epilogue: &'a E,
    scratch: &'a mut Scratch,
    tiles: bool,
}

impl<E: Epilogue> Kernel for InputGradient<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let InputGradient { dy, w, outputs, place, epilogue, scratch, tiles } = self;
        let rows = place.rows.len();
        let panels = place.columns.len().div_ceil(PANEL);
        let (c, step) = (scratch.c(), panels * PANEL);
        let bf16 = w.dtype == DType::Bf16;
        let mut fresh = true;
        // SAFETY: as in `Forward`.
        unsafe {
            for (which, dy) in dy.iter().enumerate() {
                for n in (0..outputs).step_by(DEPTH) {
                    let depth = (outputs - n).min(DEPTH);
                    // The depth runs over panels of the weight: whole ones, their padding being zero.
                    let padded = depth.next_multiple_of(PANEL);
                    let source = |p: usize| (n / PANEL + p) * dy_count(&w, outputs) + which;
                    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
                    if tiles {
                        let padded = depth.next_multiple_of(TILE_DEPTH);
                        dy.copy_bf16::<S>(place.rows.clone(), n..n + depth, scratch.a_bf16(), padded);
                        let k = place.columns.start;
                        for p in (0..panels).step_by(2) {
                            let both = (panels - p).min(2);
                            for side in 0..both {
                                let to = scratch.b_bf16().add(side * DEPTH * PANEL);
                                let at = |q: usize| w.bf16_panel(place.expert, source(q), k + (p + side) * PANEL);
                                transpose_pairs(padded / PANEL, depth.div_ceil(PANEL), at, to);
                            }
                            let b = scratch.b_bf16().cast_const();
                            let panel = |side: usize| b.add(side * DEPTH * PANEL);
                            on_tiles(rows, both, padded, scratch.a_bf16(), panel, c.add(p * PANEL), step, fresh);
                        }
                        fresh = false;
                        continue;
                    }
                    debug_assert!(!tiles);
                    let a = match dy.in_place(bf16) {
                        Some(data) => Left {
                            start: data[place.rows.start * dy.width + n..].as_ptr(),
                            row_step: dy.width,
                            k_step: 1,
                        },
                        None => {
                            dy.copy_f32::<S>(place.rows.clone(), n..n + depth, bf16, scratch.a(), padded);
                            Left { start: scratch.a(), row_step: padded, k_step: 1 }
                        }
                    };
                    for p in (0..panels).step_by(2) {
                        let both = (panels - p).min(2);
                        for side in 0..both {
                            let k = place.columns.start + (p + side) * PANEL;
                            for q in 0..padded / PANEL {
                                let to = scratch.b().add((side * DEPTH + q * PANEL) * PANEL);
                                transposed_block::<S>(&w, place.expert, source(q), k, to);
                            }
                        }
                        let b = Right { start: scratch.b(), k_step: PANEL, panel_step: DEPTH * PANEL };
                        multiply::<S>(rows, both, depth, a, b, c.add(p * PANEL), step, fresh);
                    }
                    fresh = false;
                }
            }
            epilogue.take::<S>(place.expert, place.rows, place.columns, c, step);
        }
    }
}

/// Panels of the weight for every panel of outputs: 2 where gate and up alternate.
#[inline(always)]
fn dy_count(w: &Packed, outputs: usize) -> usize {
    w.panels / outputs.div_ceil(PANEL)
}

/// Inputs `k..k + 16` of a panel as 16 rows (outputs) of 16 columns (inputs). Inputs past the depth are zero.
///
/// # Safety
/// `to` has room for 256 elements.
#[inline(always)]
unsafe fn transposed_block<S: Simd>(w: &Packed, expert: usize, panel: usize, k: usize, to: *mut f32) {
    let depth = (w.depth - k).min(PANEL);
    let mut block = [0.0f32; PANEL * PANEL];
    // SAFETY: the panel holds `depth` inputs from k on, padded to an even number in bf16; block and `to` hold 256.
    unsafe {
        if w.dtype == DType::Bf16 {
            widen_panel::<S>(w.bf16_panel(expert, panel, k), depth.next_multiple_of(2), block.as_mut_ptr(), PANEL);
            S::transpose(block.as_ptr(), PANEL, to, PANEL);
        } else if depth == PANEL {
            S::transpose(w.f32_panel(expert, panel, k), PANEL, to, PANEL);
        } else {
            std::ptr::copy_nonoverlapping(w.f32_panel(expert, panel, k), block.as_mut_ptr(), depth * PANEL);
            S::transpose(block.as_ptr(), PANEL, to, PANEL);
        }
    }
}

/// Sixteen inputs of `whole` panels (zeros up to `panels`) as a packed panel whose depth runs over the outputs.
///
/// # Safety
/// `to` has room for `panels` x 16 x 16 elements, and each source holds 16 inputs (packed weights are padded to 32).
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
unsafe fn transpose_pairs(
    panels: usize,
    whole: usize,
    source: impl Fn(usize) -> *const half::bf16,
    to: *mut half::bf16,
) {
    // SAFETY: the caller's. Elements are moved as 32-bit pairs: source pair (k, k + 1) of output n is at
    // [k / 2][n], result pair (n, n + 1) of input k is at [n / 2][k].
    unsafe {
        let to = to.cast::<u32>();
        for q in 0..panels {
            let to = to.add(q * PANEL / 2 * PANEL);
            if q >= whole {
                std::ptr::write_bytes(to, 0, PANEL / 2 * PANEL);
                continue;
            }
            let from = source(q).cast::<u32>();
            for n in 0..PANEL / 2 {
                for k in 0..PANEL / 2 {
                    let (x, y) = (*from.add(k * PANEL + 2 * n), *from.add(k * PANEL + 2 * n + 1));
                    *to.add(n * PANEL + 2 * k) = (x & 0xffff) | (y << 16);
                    *to.add(n * PANEL + 2 * k + 1) = (x >> 16) | (y & 0xffff_0000);
                }
            }
        }
    }
}

/// `dw = dy^T x` for every expert, over its rows: results are matrices of outputs x inputs. With `rounded`, operands are
/// rounded to bf16 first.
pub fn weight_gradient<E: Epilogue>(
    pool: &mut Pool,
    isa: Isa,
    dy: Rows,
    x: Rows,
    rounded: bool,
    outputs: usize,
    inputs: usize,
    groups: Groups,
    epilogue: &E,
) {
    let wanted = (4 * pool.threads()).div_ceil(groups.len());
    let tall = block(outputs, 3 * PANEL, ROWS, wanted);
    let wide = block(inputs, 2 * PANEL, COLUMNS, wanted.div_ceil(outputs.div_ceil(tall)));
    let (down, across) = (outputs.div_ceil(tall), inputs.div_ceil(wide));
    let tiles = rounded && isa.has_tiles();
    pool.run(groups.len() * down * across, &|task, scratch| {
        let (expert, block) = (task / (down * across), task % (down * across));
        let (top, left) = (block / across * tall, block % across * wide);
        let place = Place { expert, rows: top..(top + tall).min(outputs), columns: left..(left + wide).min(inputs) };
        let over = groups.rows(expert);
        if over.is_empty() {
            return;
        }
        // SAFETY: as in `forward`.
        unsafe { simd::run(isa.vector(), WeightGradient { dy, x, rounded, over, place, epilogue, scratch, tiles }) }
    });
}

struct WeightGradient<'a, E> {
    dy: Rows<'a>,
    x: Rows<'a>,
    rounded: bool,
    over: Range<usize>,
    place: Place,
    epilogue: &'a E,
    scratch: &'a mut Scratch,
    tiles: bool,
}

impl<E: Epilogue> Kernel for WeightGradient<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let WeightGradient { dy, x, rounded, over, place, epilogue, scratch, tiles } = self;
        let (rows, panels) = (place.rows.len(), place.columns.len().div_ceil(PANEL));
        let (c, step) = (scratch.c(), panels * PANEL);
        // SAFETY: as in `Forward`.
        unsafe {
            let mut fresh = true;
            for start in over.clone().step_by(DEPTH) {
                let part = start..(start + DEPTH).min(over.end);
                let depth = part.len();
                #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
                if tiles {
                    let padded = depth.next_multiple_of(TILE_DEPTH);
                    transposed_rows(&dy, part.clone(), place.rows.clone(), scratch.a_bf16(), padded);
                    for p in (0..panels).step_by(2) {
                        let both = (panels - p).min(2);
                        for side in 0..both {
                            let left = place.columns.start + (p + side) * PANEL;
                            let columns = left..(left + PANEL).min(place.columns.end);
                            let to = scratch.b_bf16().add(side * DEPTH * PANEL);
                            paired_rows(&x, part.clone(), columns, to, padded);
                        }
                        let b = scratch.b_bf16().cast_const();
                        let panel = |side: usize| b.add(side * DEPTH * PANEL);
                        on_tiles(rows, both, padded, scratch.a_bf16(), panel, c.add(p * PANEL), step, fresh);
                    }
                    fresh = false;
                    continue;
                }
                debug_assert!(!tiles);
                let height = rows.next_multiple_of(2);
                dy.copy_f32::<S>(part.clone(), place.rows.clone(), rounded, scratch.a(), height);
                let a = Left { start: scratch.a(), row_step: 1, k_step: height };
                for p in (0..panels).step_by(2) {
                    let both = (panels - p).min(2);
                    let left = place.columns.start + p * PANEL;
                    let columns = left..(left + 2 * PANEL).min(place.columns.end);
                    x.copy_f32::<S>(part.clone(), columns, rounded, scratch.b(), 2 * PANEL);
                    let b = Right { start: scratch.b(), k_step: 2 * PANEL, panel_step: PANEL };
                    multiply::<S>(rows, both, depth, a, b, c.add(p * PANEL), step, fresh);
                }
                fresh = false;
            }
            epilogue.take::<S>(place.expert, place.rows, place.columns, c, step);
        }
    }
}

/// Columns of rows as rows of their own: `out[column][row]` in bf16, zero up to `depth` rows.
///
/// # Safety
/// `out` has room for `columns.len()` rows of `depth`.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
unsafe fn transposed_rows(from: &Rows, rows: Range<usize>, columns: Range<usize>, out: *mut half::bf16, depth: usize) {
    for (r, row) in rows.clone().enumerate() {
        for (c, column) in columns.clone().enumerate() {
            // SAFETY: the caller's.
            unsafe { *out.add(c * depth + r) = from.get_bf16(row, column) };
        }
    }
    for c in 0..columns.len() {
        for r in rows.len()..depth {
            // SAFETY: the caller's.
            unsafe { *out.add(c * depth + r) = half::bf16::ZERO };
        }
    }
}

/// Rows two by two as a packed panel whose depth runs over the rows: zero beyond the columns and up to `depth` rows.
///
/// # Safety
/// `out` has room for `depth` x 16 elements.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
unsafe fn paired_rows(from: &Rows, rows: Range<usize>, columns: Range<usize>, out: *mut half::bf16, depth: usize) {
    // SAFETY: the caller's.
    unsafe {
        std::ptr::write_bytes(out, 0, depth * PANEL);
        for (r, row) in rows.enumerate() {
            for (c, column) in columns.clone().enumerate() {
                *out.add((r / 2 * PANEL + c) * 2 + r % 2) = from.get_bf16(row, column);
            }
        }
    }
}
