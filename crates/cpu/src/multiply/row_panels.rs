//! Rows as packed panels whose depth runs over the rows: right operands of weights' gradients in pairs of bf16. They
//! are arranged once for all blocks that read them, for a few experts at a time, or a few columns of one.

use super::{Groups, PART_BYTES};
use crate::Bytes;
use crate::isa::Isa;
use crate::packed::TILE_DEPTH;
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::Rows;
use half::bf16;
use std::ops::Range;

/// Rows of a task that arranges, a multiple of a tile's depth.
const ROWS: usize = 64;

/// Experts and columns whose panels are arranged together.
#[derive(Clone)]
pub struct Part {
    /// The experts.
    pub experts: Range<usize>,
    /// The columns, from a multiple of two panels on.
    pub columns: Range<usize>,
}

/// All experts and columns in parts; columns are cut at multiples of `unit`, which is one of two panels.
pub fn parts<'a>(groups: &'a Groups<'_>, columns: usize, unit: usize) -> impl Iterator<Item = Part> + 'a {
    let mut next = Part { experts: 0..0, columns: columns..columns };
    std::iter::from_fn(move || {
        let start = if next.columns.end < columns { next.experts.start } else { next.experts.end };
        if start == groups.len() {
            return None;
        }
        let bytes = |experts: Range<usize>| 2 * height(groups, &experts) * columns.next_multiple_of(2 * PANEL);
        let mut experts = start..start + 1;
        while experts.end < groups.len() && bytes(experts.start..experts.end + 1) <= PART_BYTES {
            experts.end += 1;
        }
        let most = (PART_BYTES / (2 * height(groups, &experts).max(1)) / unit * unit).max(unit);
        let left = if next.columns.end < columns { next.columns.end } else { 0 };
        next = Part { experts, columns: left..(left + most).min(columns) };
        Some(next.clone())
    })
}

/// Rows of panels from the first of some experts to one.
fn base(groups: &Groups, first: usize, expert: usize) -> usize {
    let before = groups.rows(expert).start - groups.rows(first).start;
    before.next_multiple_of(TILE_DEPTH) + (expert - first) * TILE_DEPTH
}

/// Rows of an expert's panels.
fn depth(groups: &Groups, expert: usize) -> usize {
    groups.rows(expert).len().next_multiple_of(TILE_DEPTH)
}

/// Rows of all panels of some experts.
fn height(groups: &Groups, experts: &Range<usize>) -> usize {
    let last = experts.end - 1;
    base(groups, experts.start, last) + depth(groups, last)
}

/// Panels of a part.
#[derive(Clone, Copy)]
pub struct RowPanels<'a> {
    panels: Shared<bf16>,
    groups: Groups<'a>,
    first_expert: usize,
    first_column: usize,
    width: usize,
}

impl<'a> RowPanels<'a> {
    /// Arranges a part of the rows.
    pub fn arrange(pool: &mut Pool, isa: Isa, x: Rows, groups: Groups<'a>, part: &Part, room: &mut Bytes) -> Self {
        let width = part.columns.len().next_multiple_of(2 * PANEL);
        let bytes = room.of(2 * height(&groups, &part.experts) * width);
        let panels = Shared::new(bytemuck::cast_slice_mut(bytes));
        let arranged =
            RowPanels { panels, groups, first_expert: part.experts.start, first_column: part.columns.start, width };
        let pieces = part.experts.clone().map(|e| depth(&groups, e).div_ceil(ROWS)).max().unwrap_or(0);
        pool.run(part.experts.len() * pieces, &|task, _| {
            let (expert, start) = (part.experts.start + task / pieces, task % pieces * ROWS);
            let (all, depth) = (groups.rows(expert), depth(&groups, expert));
            if start < depth {
                let rows = (all.start + start).min(all.end)..(all.start + start + ROWS).min(all.end);
                let deep = (depth - start).min(ROWS);
                // SAFETY: rows and columns are inside; the task writes its own rows of panels, for which there is room.
                unsafe {
                    let to = arranged.panel(expert, part.columns.start, start).cast_mut();
                    simd::run(isa.vector(), Arrange { x, rows, columns: part.columns.clone(), to, deep, depth });
                }
            }
        });
        arranged
    }

    /// The panel that begins at `column`, from a row of the expert on, which is even.
    ///
    /// # Safety
    /// They are in the part.
    pub unsafe fn panel(&self, expert: usize, column: usize, row: usize) -> *const bf16 {
        let depth = depth(&self.groups, expert);
        let start = base(&self.groups, self.first_expert, expert) * self.width;
        // SAFETY: the caller's.
        unsafe { self.panels.at(start + (column - self.first_column) * depth + row * PANEL) }
    }

    /// Elements from one of an expert's panels to the next.
    pub fn panel_stride(&self, expert: usize) -> usize {
        depth(&self.groups, expert) * PANEL
    }
}

struct Arrange<'a> {
    x: Rows<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    to: *mut bf16,
    /// Rows to write, with those of zeros.
    deep: usize,
    /// Rows of a panel.
    depth: usize,
}

impl Kernel for Arrange<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Arrange { x, rows, columns, to, deep, depth } = self;
        // SAFETY: the caller's.
        unsafe { x.copy_panels::<S>(rows, columns, to, deep, depth) }
    }
}
