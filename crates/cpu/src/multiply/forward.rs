//! `y = x w^T`.

use super::{Cut, Groups, Pairs, Place, block};
use crate::epilogue::Epilogue;
use crate::isa::Isa;
use crate::kernel::{Left, Right, multiply, multiply_pairs, widen_panel};
use crate::packed::{Packed, TILE_DEPTH};
use crate::pool::Pool;
use crate::scratch::{DEPTH, PANEL, Scratch};
use crate::simd::{self, Kernel, Simd, stream_end};
use crate::source::Rows;
use half::bf16;
use moeworks_ops::DType;
use std::ops::Range;

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
    let multiplier = Multiplier::new(isa, terms[0].1.dtype);
    let cut = Cut::of(isa, matches!(multiplier, Multiplier::Pairs(_)));
    // Copied rows stay in the second-level cache with their whole depth.
    let copied: usize =
        terms.iter().filter(|term| !multiplier.reads_in_place(term)).map(|t| multiplier.row_bytes(t)).sum();
    let most = match copied {
        0 => cut.rows,
        bytes => (cut.left_bytes / bytes / cut.row_unit * cut.row_unit).clamp(4 * cut.row_unit, cut.rows),
    };
    let room = terms.iter().map(|t| multiplier.row_bytes(t)).sum::<usize>() * (most + 2 * PANEL);
    let rows: usize = (0..groups.len()).map(|e| groups.rows(e).len()).sum();
    // Few rows make few blocks of rows: cut columns finer then, so that every thread has work.
    let wanted = (4 * pool.threads()).div_ceil(rows.div_ceil(most).max(1));
    let width = block(columns, unit, (cut.columns / unit * unit).max(unit), wanted);
    let blocks = Blocks { groups, most, unit: cut.row_unit, columns: width, extent: columns };
    pool.prepare(|scratch| scratch.grow_left(room));
    pool.run(blocks.count(), &|task, scratch| {
        let place = blocks.place(task);
        // SAFETY: `Forward` reads the rows and panels of its place, which are inside their operands, and blocks of
        // different tasks have no result in common.
        unsafe { simd::run(isa.vector(), Forward { terms, place, multiplier, epilogue, scratch }) }
    });
}

/// How terms are multiplied.
#[derive(Clone, Copy)]
enum Multiplier {
    /// f32 by f32.
    Floats,
    /// f32, rounded to bf16, by bf16 that is widened.
    Widened,
    /// Pairs of bf16, on this path.
    Pairs(Isa),
}

impl Multiplier {
    fn new(isa: Isa, weights: DType) -> Self {
        match weights {
            DType::Bf16 if isa.multiplies_bf16() => Multiplier::Pairs(isa),
            DType::Bf16 => Multiplier::Widened,
            _ => Multiplier::Floats,
        }
    }

    /// Depth of a term as its copy has it.
    fn depth(self, w: &Packed) -> usize {
        match self {
            Multiplier::Floats | Multiplier::Widened => w.depth.next_multiple_of(2),
            Multiplier::Pairs(_) => w.depth.next_multiple_of(TILE_DEPTH),
        }
    }

    /// Bytes of a copied row.
    fn row_bytes(self, (_, w): &Term) -> usize {
        self.depth(w) * if let Multiplier::Pairs(_) = self { 2 } else { 4 }
    }

    /// Whether rows are read where they are, but perhaps for the last ones.
    fn reads_in_place(self, (x, w): &Term) -> bool {
        match self {
            Multiplier::Floats | Multiplier::Widened => x.in_place(self.rounds()).is_some(),
            Multiplier::Pairs(_) => x.bf16_in_place(0, 0).is_some() && self.depth(w) == w.depth,
        }
    }

    fn rounds(self) -> bool {
        !matches!(self, Multiplier::Floats)
    }
}

struct Forward<'a, E> {
    terms: &'a [Term<'a>],
    place: Place,
    multiplier: Multiplier,
    epilogue: &'a E,
    scratch: &'a mut Scratch,
}

/// Rows of a term where kernels read them, f32 or bf16.
#[derive(Clone, Copy)]
struct Ready {
    start: *const u8,
    /// Elements from row to row.
    step: usize,
}

impl<E: Epilogue> Kernel for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Forward { terms, place, multiplier, epilogue, scratch } = self;
        let Place { expert, rows, columns } = place;
        // A block may start inside a panel: its first columns are then computed for nothing.
        let skip = columns.start % PANEL;
        let panels = (skip + columns.len()).div_ceil(PANEL);
        // Rows a power of two apart would share too few cache sets.
        let step = (panels + 1) * PANEL;
        let mut at = scratch.left();
        let (first, c) = (columns.start / PANEL, scratch.c());
        // SAFETY: there is room for all rows of all terms, and scratch holds a block of results and a panel more; the
        // caller keeps the place inside the operands.
        unsafe {
            for (i, term) in terms.iter().enumerate() {
                let left = bring::<S>(multiplier, term, &rows, at);
                at = at.add(multiplier.row_bytes(term) * (rows.len() + 2 * PANEL));
                let block = Block { w: &term.1, expert, first, panels, rows: rows.len(), c, step, fresh: i == 0 };
                match multiplier {
                    Multiplier::Pairs(isa) => block.in_pairs::<S>(isa, left),
                    _ => block.on_vectors::<S>(left, scratch),
                }
            }
            epilogue.take::<S>(expert, rows, columns, c.add(skip), step);
        }
        stream_end();
    }
}

/// Rows of a term as kernels read them: where they are, or copied to `to`.
///
/// # Safety
/// `to` has room for the rows.
#[inline(always)]
unsafe fn bring<S: Simd>(multiplier: Multiplier, (x, w): &Term, rows: &Range<usize>, to: *mut u8) -> Ready {
    let depth = multiplier.depth(w);
    // SAFETY: the caller's.
    unsafe {
        if let Multiplier::Pairs(isa) = multiplier {
            let there = x.bf16_in_place(rows.start, Pairs::rows_read(isa, rows.len()));
            return match there.filter(|_| depth == w.depth) {
                Some(data) => Ready { start: data.as_ptr().cast(), step: x.width },
                None => {
                    x.copy_bf16::<S>(rows.clone(), 0..w.depth, to.cast(), depth);
                    Ready { start: to, step: depth }
                }
            };
        }
        match x.in_place(multiplier.rounds()) {
            Some(data) => Ready { start: data[rows.start * x.width..].as_ptr().cast(), step: x.width },
            None => {
                x.copy_f32::<S>(rows.clone(), 0..w.depth, multiplier.rounds(), to.cast(), depth);
                Ready { start: to, step: depth }
            }
        }
    }
}

/// A block of results.
struct Block<'a> {
    w: &'a Packed<'a>,
    expert: usize,
    /// First panel.
    first: usize,
    panels: usize,
    rows: usize,
    c: *mut f32,
    step: usize,
    fresh: bool,
}

impl Block<'_> {
    /// A term, in f32.
    ///
    /// # Safety
    /// Rows and panels are there, and room for results.
    #[inline(always)]
    unsafe fn on_vectors<S: Simd>(self, left: Ready, scratch: &Scratch) {
        let Block { w, expert, first, panels, rows, c, step, mut fresh } = self;
        // SAFETY: the caller's.
        unsafe {
            for k in (0..w.depth).step_by(DEPTH) {
                let depth = (w.depth - k).min(DEPTH);
                let a = Left { start: left.start.cast::<f32>().add(k), row_step: left.step, k_step: 1 };
                let even = depth.next_multiple_of(2);
                if w.dtype != DType::Bf16 {
                    let start = w.f32_panel(expert, first, k);
                    let b = Right { start, k_step: PANEL, panel_step: w.panel_stride() };
                    multiply::<S>(rows, panels, depth, a, b, c, step, fresh);
                } else if rows < FEW {
                    for p in 0..panels {
                        let b = w.bf16_panel(expert, first + p, k);
                        multiply_pairs::<S>(rows, even, a, b, c.add(p * PANEL), step, fresh);
                    }
                } else {
                    for p in (0..panels).step_by(2) {
                        let both = (panels - p).min(2);
                        for side in 0..both {
                            let panel = w.bf16_panel(expert, first + p + side, k);
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

    /// A term, in pairs of bf16.
    ///
    /// # Safety
    /// As [`Block::on_vectors`].
    #[inline(always)]
    unsafe fn in_pairs<S: Simd>(self, isa: Isa, left: Ready) {
        let Block { w, expert, first, panels, rows, c, step, mut fresh } = self;
        let (all, pass) = (w.depth.next_multiple_of(TILE_DEPTH), Cut::of(isa, true).pass);
        // SAFETY: the caller's; packed weights are padded to whole tiles.
        unsafe {
            let pairs = Pairs::ready(isa);
            for k in (0..all).step_by(pass) {
                let depth = (all - k).min(pass);
                let a = left.start.cast::<bf16>().add(k);
                let panel = |p: usize| w.bf16_panel(expert, (first + p).min(w.panels - 1), k);
                pairs.block::<S>(rows, panels, depth, a, left.step, panel, c, step, fresh);
                fresh = false;
            }
        }
    }
}
