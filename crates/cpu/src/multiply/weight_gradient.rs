//! `dw = dy^T x`.

use super::dots::{self, LeftPairs};
use super::row_panels::{Part, RowPanels, parts};
use super::{Cut, Groups, Pairs, Place, block};
use crate::Bytes;
use crate::epilogue::Epilogue;
use crate::isa::Isa;
use crate::kernel::{Left, Right, multiply, next_rows};
use crate::packed::TILE_DEPTH;
use crate::pool::Pool;
use crate::scratch::{DEPTH, PAIR_PASS, PANEL, Scratch};
use crate::simd::{self, Kernel, Simd, stream_end};
use crate::source::Rows;
use std::ops::Range;

/// `dw = dy^T x` for every expert, over its rows. Several `dy` over the same `x` (gate and up) make one product whose
/// results lie one below the other: matrices of `dy.len() x outputs` rows and `inputs` columns. With `rounded`, operands
/// are rounded to bf16 first. Experts without rows have zeros. `room` holds `x` as pairs are multiplied.
pub fn weight_gradient<E: Epilogue>(
    pool: &mut Pool,
    isa: Isa,
    dy: &[Rows],
    x: Rows,
    rounded: bool,
    outputs: usize,
    inputs: usize,
    groups: Groups,
    room: &mut Bytes,
    epilogue: &E,
) {
    let all = dy.len() * outputs;
    let paired = rounded && isa.multiplies_bf16();
    let cut = Cut::of(isa, paired);
    let unit = if paired { 2 * PANEL } else { 3 * PANEL };
    let blocks = |pool: &mut Pool, part: &Part, paired: Option<(Isa, RowPanels)>| {
        // Left operands in pairs are arranged anew for every block: as few blocks as keep all threads at work.
        let wanted = (if paired.is_some() { 1 } else { 4 } * pool.threads()).div_ceil(part.experts.len());
        let tall = block(all, unit, cut.rows.next_multiple_of(unit), wanted);
        let down = all.div_ceil(tall);
        let wide = block(part.columns.len(), 2 * PANEL, cut.columns, wanted.div_ceil(down));
        let across = part.columns.len().div_ceil(wide);
        pool.run(part.experts.len() * down * across, &|task, scratch| {
            let (expert, block) = (part.experts.start + task / (down * across), task % (down * across));
            let (top, left) = (block / across * tall, part.columns.start + block % across * wide);
            let columns = left..(left + wide).min(part.columns.end);
            let place = Place { expert, rows: top..(top + tall).min(all), columns };
            let over = groups.rows(expert);
            if over.is_empty() && !epilogue.overwrites() {
                return;
            }
            let kernel = WeightGradient { dy, x, rounded, outputs, over, place, epilogue, scratch, paired };
            // SAFETY: operands and results are inside their tensors, and blocks of different tasks differ.
            unsafe { simd::run(isa.vector(), kernel) }
        });
    };
    if !paired {
        return blocks(pool, &Part { experts: 0..groups.len(), columns: 0..inputs }, None);
    }
    for part in parts(&groups, inputs, cut.columns) {
        let panels = RowPanels::arrange(pool, isa, x, groups, &part, room);
        blocks(pool, &part, Some((isa, panels)));
    }
}

struct WeightGradient<'a, E> {
    dy: &'a [Rows<'a>],
    x: Rows<'a>,
    rounded: bool,
    outputs: usize,
    over: Range<usize>,
    place: Place,
    epilogue: &'a E,
    scratch: &'a mut Scratch,
    /// The path, where it multiplies pairs, and `x` as they are multiplied.
    paired: Option<(Isa, RowPanels<'a>)>,
}

impl<E> WeightGradient<'_, E> {
    /// The parts of the block that belong to one `dy` each: which, its columns, and where in the block they begin.
    fn parts(&self) -> impl Iterator<Item = (Rows<'_>, Range<usize>, usize)> {
        let rows = &self.place.rows;
        self.dy.iter().enumerate().filter_map(move |(i, dy)| {
            let own = i * self.outputs..(i + 1) * self.outputs;
            let (start, end) = (rows.start.max(own.start), rows.end.min(own.end));
            (start < end).then(|| (*dy, start - own.start..end - own.start, start - rows.start))
        })
    }
}

impl<E: Epilogue> Kernel for WeightGradient<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let panels = self.place.columns.len().div_ceil(PANEL);
        // Rows a power of two apart would share too few cache sets.
        let (c, step) = (self.scratch.c(), (panels + 1) * PANEL);
        let most = self.paired.map_or(DEPTH, |_| PAIR_PASS);
        // SAFETY: scratch holds the blocks; operands are inside their tensors by the caller.
        unsafe {
            // Passes as even as tiles allow: a short one costs as many results as a long one.
            let pass = self.over.len().div_ceil(self.over.len().div_ceil(most).max(1)).next_multiple_of(32).max(32);
            if self.over.is_empty() {
                std::ptr::write_bytes(c, 0, self.place.rows.len() * step);
            }
            if let Some((isa, x)) = self.paired
                && (1..=pass).contains(&self.over.len())
                && !isa.has_tiles()
            {
                self.in_one_pass::<S>(x);
                return stream_end();
            }
            for start in self.over.clone().step_by(pass) {
                let part = start..(start + pass).min(self.over.end);
                let fresh = start == self.over.start;
                match self.paired {
                    Some((isa, x)) => self.in_pairs::<S>(isa, x, part, panels, c, step, fresh),
                    None => self.on_vectors::<S>(part, panels, c, step, fresh),
                }
            }
            let Place { expert, rows, columns } = self.place;
            self.epilogue.take::<S>(expert, rows, columns, c, step);
        }
        stream_end();
    }
}

impl<E: Epilogue> WeightGradient<'_, E> {
    /// Rows `over` of the depth, in f32.
    ///
    /// # Safety
    /// As the kernel's.
    #[inline(always)]
    unsafe fn on_vectors<S: Simd>(&self, over: Range<usize>, panels: usize, c: *mut f32, step: usize, fresh: bool) {
        // SAFETY: the caller's.
        unsafe {
            let height = self.place.rows.len().next_multiple_of(2) + 2;
            let a = self.scratch.a();
            let mut left = [(0, 0, Left { start: a, row_step: 1, k_step: 0 }); 2];
            let mut count = 0;
            for (dy, columns, at) in self.parts() {
                // Copied even where rows could be read in place: a column of rows far apart fills few cache sets.
                dy.copy_f32::<S>(over.clone(), columns.clone(), self.rounded, a.add(at), height);
                let operand = Left { start: a.add(at), row_step: 1, k_step: height };
                left[count] = (at, columns.len(), operand);
                count += 1;
            }
            // A few rows at a time through all their columns: rows may be gathered, and lie far apart.
            const ROWS_AT_ONCE: usize = 4;
            let panel = |p: usize| self.scratch.b().add(p * DEPTH * PANEL);
            for row in over.clone().step_by(ROWS_AT_ONCE) {
                let rows = row..(row + ROWS_AT_ONCE).min(over.end);
                for p in (0..panels).step_by(2) {
                    let first = self.place.columns.start + p * PANEL;
                    let columns = first..(first + 2 * PANEL).min(self.place.columns.end);
                    let to = panel(p).add((row - over.start) * 2 * PANEL);
                    self.x.copy_f32::<S>(rows.clone(), columns, self.rounded, to, 2 * PANEL);
                }
            }
            for p in (0..panels).step_by(2) {
                let both = (panels - p).min(2);
                let b = Right { start: panel(p), k_step: 2 * PANEL, panel_step: PANEL };
                for (at, rows, a) in &left[..count] {
                    let c = c.add(at * step + p * PANEL);
                    multiply::<S>(*rows, both, over.len(), *a, b, c, step, fresh);
                }
            }
        }
    }

    /// Rows `over` of the depth, in pairs of bf16.
    ///
    /// # Safety
    /// As the kernel's.
    #[inline(always)]
    unsafe fn in_pairs<S: Simd>(
        &self,
        isa: Isa,
        x: RowPanels,
        over: Range<usize>,
        panels: usize,
        c: *mut f32,
        step: usize,
        fresh: bool,
    ) {
        let depth = over.len().next_multiple_of(TILE_DEPTH);
        let Place { expert, rows, columns } = &self.place;
        let (a, rows, stride) = (self.scratch.a_bf16(), rows.len(), x.panel_stride(*expert));
        // SAFETY: scratch holds PAIR_ROWS and a panel more x PAIR_PASS; the rest is the caller's.
        unsafe {
            let b = x.panel(*expert, columns.start, over.start - self.over.start);
            let panel = |p: usize| b.wrapping_add(p * stride);
            let pairs = Pairs::ready(isa);
            // Left operands in ascending order: what a part writes beyond its columns, the next one overwrites.
            if let Pairs::Dots = pairs {
                let a = self.left_pairs::<S>(over.clone());
                dots::block::<S>(rows, panels, over.len().div_ceil(2), a, panel, c, step, fresh);
                return;
            }
            for (dy, columns, at) in self.parts() {
                dy.copy_transposed::<S>(over.clone(), columns, a.add(at * depth), depth);
            }
            pairs.block::<S>(rows, panels, depth, a, depth, panel, c, step, fresh);
        }
    }

    /// Rows `over` of the left operand, pair by pair, in scratch.
    ///
    /// # Safety
    /// As the kernel's.
    #[inline(always)]
    unsafe fn left_pairs<S: Simd>(&self, over: Range<usize>) -> LeftPairs {
        let a = self.scratch.a_bf16();
        // Pairs a power of two apart would share too few cache sets.
        let height = self.place.rows.len().next_multiple_of(PANEL) + PANEL;
        for (dy, columns, at) in self.parts() {
            // SAFETY: the caller's.
            unsafe { dy.copy_pair_rows::<S>(over.clone(), columns, a.add(2 * at), height) };
        }
        LeftPairs { start: a, row_step: 2, pair_step: 2 * height }
    }

    /// All of a shallow product, by dots: a few rows pass through all columns, and what comes of a block of registers goes
    /// on at once, so that it trickles to memory while others are multiplied. (Deep ones write so seldom that whole
    /// blocks are faster.)
    ///
    /// # Safety
    /// As the kernel's.
    #[inline(always)]
    unsafe fn in_one_pass<S: Simd>(&self, x: RowPanels) {
        let Place { expert, rows, columns } = &self.place;
        let (stride, pairs) = (x.panel_stride(*expert), self.over.len().div_ceil(2));
        let panels = columns.len().div_ceil(PANEL);
        let (c, step) = (self.scratch.c(), 2 * PANEL);
        // SAFETY: the caller's.
        unsafe {
            let (b, all) = (x.panel(*expert, columns.start, 0), self.left_pairs::<S>(self.over.clone()));
            let mut top = 0;
            while top < rows.len() {
                let few = next_rows(rows.len() - top);
                let left = LeftPairs { start: all.start.add(top * all.row_step), ..all };
                for p in (0..panels).step_by(2) {
                    // All panels have come with the first rows.
                    let panel = |i: usize| b.wrapping_add((p + if top == 0 { i } else { i % 2 }) * stride);
                    dots::block::<S>(few, (panels - p).min(2), pairs, left, panel, c, step, true);
                    let first = columns.start + p * PANEL;
                    let columns = first..(first + 2 * PANEL).min(columns.end);
                    let rows = rows.start + top..rows.start + top + few;
                    self.epilogue.take::<S>(*expert, rows, columns, c, step);
                }
                top += few;
            }
        }
    }
}
