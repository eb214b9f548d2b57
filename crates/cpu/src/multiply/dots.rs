//! Blocks of results by dot products of bf16 pairs on vectors.

use crate::kernel::{TALLEST, next_rows};
use crate::scratch::PANEL;
use crate::simd::{Operands, Simd};
use half::bf16;

/// Rows of pairs on the left: pair k of row i is at `start + i * row_step + k * pair_step`.
#[derive(Clone, Copy)]
pub struct LeftPairs {
    /// Row 0, pair 0.
    pub start: *const bf16,
    /// Elements from row to row.
    pub row_step: usize,
    /// Elements from pair to pair.
    pub pair_step: usize,
}

/// `c = a b`, or `c += a b` unless `fresh`, over so many pairs: as [`super::Pairs::block`]. Every result is one chain of
/// dot products over the depth, whatever the shape of a block.
///
/// # Safety
/// As there; rows of `c` have room for an even number of panels.
#[inline(always)]
pub unsafe fn block<S: Simd>(
    rows: usize,
    panels: usize,
    pairs: usize,
    a: LeftPairs,
    panel: impl Fn(usize) -> *const bf16,
    c: *mut f32,
    step: usize,
    fresh: bool,
) {
    // SAFETY: the caller's; blocks of rows and panels are inside it.
    unsafe {
        for p in (0..panels).step_by(2) {
            // A last panel without a partner is multiplied twice: `c` has room for both results.
            let right = [panel(p), panel((p + 1).min(panels - 1))];
            let (mut row, mut passed) = (0, 0);
            macro_rules! blocks {
                ($m:literal) => {
                    while rows - row >= $m && ($m != TALLEST || next_rows(rows - row) == TALLEST) {
                        let left = LeftPairs { start: a.start.add(row * a.row_step), ..a };
                        // The next two panels come while the first blocks of rows pass these.
                        let coming = if passed < 2 { panel(p + 2 + passed) } else { right[0] };
                        registers::<S, $m>(pairs, left, right, coming, c.add(row * step + p * PANEL), step, fresh);
                        (row, passed) = (row + $m, passed + 1);
                    }
                };
            }
            blocks!(12);
            blocks!(8);
            blocks!(4);
            blocks!(2);
            blocks!(1);
        }
    }
}

/// One register block: M rows of two panels.
///
/// # Safety
/// Operands and results are as large as that.
#[inline(always)]
unsafe fn registers<S: Simd, const M: usize>(
    pairs: usize,
    a: LeftPairs,
    b: [*const bf16; 2],
    coming: *const bf16,
    c: *mut f32,
    step: usize,
    fresh: bool,
) {
    for first in (0..2 * PANEL).step_by(2 * S::LANES) {
        // SAFETY: the caller's; two vectors at a time of two panels.
        unsafe {
            let vector = |at: usize| b[at / PANEL].add(2 * (at % PANEL)).cast();
            let operands = Operands {
                a: a.start.cast(),
                row: 2 * a.row_step,
                a_step: 2 * a.pair_step,
                b: [vector(first), vector(first + S::LANES)],
                b_step: 4 * PANEL,
                coming: coming.cast(),
            };
            S::add_products::<true, M>(pairs, operands, c.add(first), step, fresh);
        }
    }
}
