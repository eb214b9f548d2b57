//! `y = x w^T`.

use super::{Groups, Pairs, Place, block};
use crate::epilogue::Epilogue;
use crate::isa::Isa;
use crate::kernel::{Left, Right, multiply, multiply_pairs, widen_panel};
use crate::packed::{Packed, TILE_DEPTH};
use crate::pool::Pool;
use crate::scratch::{COLUMNS, DEPTH, PANEL, ROWS, Scratch, TILE_COLUMNS, TILE_PASS, TILE_ROWS};
use crate::simd::{self, Kernel, Simd};
use crate::source::Rows;
use moeworks_ops::DType;

/// Below this many rows a bf16 panel is widened on the way instead of first.
const FEW: usize = 5;

/// Rows and the weight they are multiplied by.
pub type Term<'a> = (Rows<'a>, Packed<'a>);

/// Cuts rows of all experts and columns into blocks, and finds the block of a task. Blocks of rows follow one another
/// first, so that a weight's columns are still in the cache when the next rows need them.
struct Blocks<'a> {
    groups: Groups<'a>,
    /// Rows of a block at most, a multiple of `unit`.
    most: usize,
    unit: usize,
    columns: usize,
    extent: usize,
}

impl Blocks<'_> {
    fn across(&self) -> usize {
        self.extent.div_ceil(self.columns)
    }

    /// Rows of an expert's blocks: as even as units allow.
    fn height(&self, rows: usize) -> usize {
        rows.div_ceil(rows.div_ceil(self.most).max(1)).next_multiple_of(self.unit)
    }

    fn down(&self, expert: usize) -> usize {
        let rows = self.groups.rows(expert).len();
        if rows == 0 { 0 } else { rows.div_ceil(self.height(rows)) }
    }

    fn count(&self) -> usize {
        (0..self.groups.len()).map(|e| self.down(e)).sum::<usize>() * self.across()
    }

    fn place(&self, mut task: usize) -> Place {
        for expert in 0..self.groups.len() {
            let (down, across) = (self.down(expert), self.across());
            if task < down * across {
                let (all, left) = (self.groups.rows(expert), task / down * self.columns);
                let height = self.height(all.len());
                let top = all.start + task % down * height;
                let columns = left..(left + self.columns).min(self.extent);
                return Place { expert, rows: top..(top + height).min(all.end), columns };
            }
            task -= down * across;
        }
        unreachable!("{task} tasks too many")
    }
}

/// `y = sum of x w^T` over one or more terms of one shape, block by block into an epilogue. Columns are counted in
/// panels' lanes, so that gate and up panels each have theirs; a block starts at a multiple of `unit` columns (at most
/// COLUMNS), whole units.
pub fn forward<E: Epilogue>(
    pool: &mut Pool,
    isa: Isa,
    terms: &[Term],
    groups: Groups,
    columns: usize,
    unit: usize,
    epilogue: &E,
) {
    let paired = terms[0].1.dtype == DType::Bf16 && isa.multiplies_bf16();
    let row_unit = if paired { Pairs::row_unit(isa) } else { 12 };
    let (most, wide) = if paired { (TILE_ROWS / row_unit * row_unit, TILE_COLUMNS) } else { (ROWS, COLUMNS) };
    let rows: usize = (0..groups.len()).map(|e| groups.rows(e).len()).sum();
    // Few rows make few blocks of rows: cut columns finer then, so that every thread has work.
    let wanted = (4 * pool.threads()).div_ceil(rows.div_ceil(most).max(1));
    let width = block(columns, unit, wide / unit * unit, wanted);
    let blocks = Blocks { groups, most, unit: row_unit, columns: width, extent: columns };
    pool.run(blocks.count(), &|task, scratch| {
        let place = blocks.place(task);
        // SAFETY: `Forward` reads the rows and panels of its place, which are inside their operands, and blocks of
        // different tasks have no result in common.
        unsafe { simd::run(isa.vector(), Forward { terms, place, epilogue, scratch, paired: paired.then_some(isa) }) }
    });
}

struct Forward<'a, E> {
    terms: &'a [Term<'a>],
    place: Place,
    epilogue: &'a E,
    scratch: &'a mut Scratch,
    /// The path, where it multiplies pairs.
    paired: Option<Isa>,
}

impl<E: Epilogue> Kernel for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Forward { terms, place, epilogue, scratch, paired } = self;
        // A block may start inside a panel: its first columns are then computed for nothing.
        let skip = place.columns.start % PANEL;
        let panels = (skip + place.columns.len()).div_ceil(PANEL);
        // Rows a power of two apart would share too few cache sets.
        let (c, step) = (scratch.c(), (panels + 1) * PANEL);
        let mut fresh = true;
        // SAFETY: scratch holds a block of results and a panel more; the caller keeps the place inside the operands.
        unsafe {
            for (x, w) in terms {
                match paired {
                    Some(isa) => in_pairs::<S>(isa, x, w, &place, panels, scratch, step, fresh),
                    None => on_vectors::<S>(x, w, &place, panels, scratch, step, fresh),
                }
                fresh = false;
            }
            epilogue.take::<S>(place.expert, place.rows, place.columns, c.add(skip), step);
        }
    }
}

/// A term's block, in f32.
///
/// # Safety
/// The place is inside the operands, and scratch holds `panels` panels of results.
#[inline(always)]
unsafe fn on_vectors<S: Simd>(
    x: &Rows,
    w: &Packed,
    place: &Place,
    panels: usize,
    scratch: &mut Scratch,
    step: usize,
    mut fresh: bool,
) {
    let (rows, first) = (place.rows.len(), place.columns.start / PANEL);
    let (c, bf16) = (scratch.c(), w.dtype == DType::Bf16);
    // SAFETY: scratch holds ROWS x DEPTH and DEPTH x 2 PANEL operands; the rest is the caller's.
    unsafe {
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
                let start = w.f32_panel(place.expert, first, k);
                let b = Right { start, k_step: PANEL, panel_step: w.panel_stride() };
                multiply::<S>(rows, panels, depth, a, b, c, step, fresh);
            } else if rows < FEW {
                for p in 0..panels {
                    let b = w.bf16_panel(place.expert, first + p, k);
                    multiply_pairs::<S>(rows, even, a, b, c.add(p * PANEL), step, fresh);
                }
            } else {
                for p in (0..panels).step_by(2) {
                    let both = (panels - p).min(2);
                    for side in 0..both {
                        let panel = w.bf16_panel(place.expert, first + p + side, k);
                        widen_panel::<S>(panel, even, scratch.b().add(side * DEPTH * PANEL), PANEL);
                    }
                    let b = Right { start: scratch.b(), k_step: PANEL, panel_step: DEPTH * PANEL };
                    multiply::<S>(rows, both, even, a, b, c.add(p * PANEL), step, fresh);
                }
            }
            fresh = false;
        }
    }
}

/// A term's block, in pairs of bf16.
///
/// # Safety
/// As [`on_vectors`].
#[inline(always)]
unsafe fn in_pairs<S: Simd>(
    isa: Isa,
    x: &Rows,
    w: &Packed,
    place: &Place,
    panels: usize,
    scratch: &mut Scratch,
    step: usize,
    mut fresh: bool,
) {
    let (rows, first) = (place.rows.len(), place.columns.start / PANEL);
    // SAFETY: scratch holds TILE_ROWS x TILE_PASS bf16, and two tiles' rows more; packed weights are padded to whole
    // tiles; rows read in place are all there; the rest is the caller's.
    unsafe {
        let pairs = Pairs::ready(isa);
        for k in (0..w.depth).step_by(TILE_PASS) {
            let depth = (w.depth - k).min(TILE_PASS);
            let padded = depth.next_multiple_of(TILE_DEPTH);
            let there = x.bf16_in_place(place.rows.start, Pairs::rows_read(isa, rows)).filter(|_| depth == padded);
            let (a, a_step) = match there {
                Some(data) => (data[k..].as_ptr(), x.width),
                None => {
                    x.copy_bf16::<S>(place.rows.clone(), k..k + depth, scratch.a_bf16(), padded);
                    (scratch.a_bf16().cast_const(), padded)
                }
            };
            let panel = |p: usize| w.bf16_panel(place.expert, first + p, k);
            pairs.block::<S>(rows, panels, padded, a, a_step, panel, scratch.c(), step, fresh);
            fresh = false;
        }
    }
}
