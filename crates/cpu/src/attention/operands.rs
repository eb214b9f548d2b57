//! Right operands of attention's products in pairs of bf16, arranged once for all blocks that read them.

use crate::isa::Isa;
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::Rows;
use half::bf16;
use std::ops::Range;

/// Rows and width of a head, with the padding of their arrangements.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    rows: usize,
    width: usize,
    /// Rows in whole tiles of pairs.
    pub(super) padded_rows: usize,
    /// Width as the depth of a product.
    pub(super) depth: usize,
    /// Panels of columns.
    pub(super) panels: usize,
}

impl Shape {
    pub(super) fn new(rows: usize, width: usize) -> Self {
        Shape {
            rows,
            width,
            padded_rows: rows.next_multiple_of(32),
            depth: width.next_multiple_of(32),
            panels: width.div_ceil(PANEL),
        }
    }

    /// Elements of an arrangement of one head, of either kind.
    pub(super) fn elements(&self) -> usize {
        self.padded_rows * self.depth
    }
}

/// How a head is arranged.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Sixteen rows a panel, its depth the head's columns: products with rows as columns of the result.
    Transposed,
    /// Sixteen columns a panel, its depth all rows: products that sum over rows.
    Pairs,
}

/// One head to arrange: columns of `rows` from `column` on.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) kind: Kind,
    pub(super) rows: Rows<'a>,
    pub(super) column: usize,
}

/// Arranged heads, one behind the other.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    shape: Shape,
    at: Shared<u8>,
}

/// Rows of one task.
const ROWS: usize = 128;

/// Arranges every order in memory of at least `2 orders.len() shape.elements()` bytes; padding is zero.
pub(super) fn arrange(pool: &mut Pool, isa: Isa, shape: Shape, orders: &[Order], into: &mut [u8]) -> Operands {
    assert!(into.len() >= 2 * orders.len() * shape.elements());
    let operands = Operands { shape, at: Shared::new(into) };
    let chunks = shape.padded_rows.div_ceil(ROWS);
    pool.run(orders.len() * chunks, &|task, _| {
        let (index, chunk) = (task / chunks, task % chunks);
        let rows = chunk * ROWS..((chunk + 1) * ROWS).min(shape.padded_rows);
        // SAFETY: the memory was checked; every task has its own rows of its own order.
        unsafe { simd::run(isa.vector(), Arrange { order: orders[index], index, rows, operands }) }
    });
    operands
}

impl Operands {
    /// The panel of rows `row..row + 16` of a transposed head.
    ///
    /// # Safety
    /// The rows are inside the padded ones.
    pub(super) unsafe fn transposed(&self, order: usize, row: usize) -> *mut bf16 {
        // SAFETY: the caller's.
        unsafe { self.at.at(2 * (order * self.shape.elements() + row * self.shape.depth)).cast() }
    }

    /// A panel of columns of a head in pairs, from `row` (even) on.
    ///
    /// # Safety
    /// Panel and row are inside.
    pub(super) unsafe fn pairs(&self, order: usize, panel: usize, row: usize) -> *mut bf16 {
        let place = order * self.shape.elements() + (panel * self.shape.padded_rows + row) * PANEL;
        // SAFETY: the caller's.
        unsafe { self.at.at(2 * place).cast() }
    }
}

struct Arrange<'a> {
    order: Order<'a>,
    index: usize,
    rows: Range<usize>,
    operands: Operands,
}

/// Sixteen rows of the widest head.
#[repr(align(64))]
struct Block([bf16; PANEL * WIDEST]);

/// Widest head there may be.
pub(super) const WIDEST: usize = 256;

impl Kernel for Arrange<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Arrange { order, index, rows, operands } = self;
        let Shape { width, depth, panels, .. } = operands.shape;
        let there = |rows: &Range<usize>| rows.start.min(operands.shape.rows)..rows.end.min(operands.shape.rows);
        // SAFETY: rows that are there are inside `order.rows`; the arrangement has room for the padded ones.
        unsafe {
            if order.kind == Kind::Pairs {
                for panel in 0..panels {
                    let first = order.column + panel * PANEL;
                    let columns = first..(first + PANEL).min(order.column + width);
                    let to = operands.pairs(index, panel, rows.start);
                    order.rows.copy_pairs::<S>(there(&rows), columns, to, rows.len());
                }
                return;
            }
            let mut block = Block([bf16::ZERO; PANEL * WIDEST]);
            for row in rows.step_by(PANEL) {
                let here = there(&(row..row + PANEL));
                block.0[here.len() * depth..PANEL * depth].fill(bf16::ZERO);
                order.rows.copy_bf16::<S>(here, order.column..order.column + width, block.0.as_mut_ptr(), depth);
                let to = operands.transposed(index, row);
                for k in (0..depth).step_by(2 * PANEL) {
                    // Pairs along the depth are moved as f32 without a change of bits.
                    let from = block.0.as_ptr().add(k).cast();
                    S::transpose(from, depth / 2, to.add(k * PANEL).cast(), PANEL);
                }
            }
        }
    }
}
