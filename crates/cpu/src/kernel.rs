//! The innermost loops: a block of results from rows on the left and panels on the right.

use crate::scratch::PANEL;
use crate::simd::{Operands, Simd};
use half::bf16;

/// Rows of the tallest block of registers: with two vectors, 24 sums of 32 registers.
pub const TALLEST: usize = 12;

/// Rows of the next block of registers of so many: sixteen make two of eight, for smaller ones do not fill the pipelines.
#[inline(always)]
pub fn next_rows(rows: usize) -> usize {
    if rows == 16 { 8 } else { rows.min(TALLEST) }
}

/// A left operand in f32: element (row, k) is at `start + row * row_step + k * k_step`.
#[derive(Clone, Copy)]
pub struct Left {
    /// Element (0, 0).
    pub start: *const f32,
    /// Elements from row to row.
    pub row_step: usize,
    /// Elements from k to k + 1.
    pub k_step: usize,
}

impl Left {
    #[inline(always)]
    unsafe fn down(self, rows: usize) -> Self {
        // SAFETY: the caller keeps inside the operand.
        Left { start: unsafe { self.start.add(rows * self.row_step) }, ..self }
    }
}

/// A right operand in f32: element (k, column) of panel p is at `start + p * panel_step + k * k_step + column`.
#[derive(Clone, Copy)]
pub struct Right {
    /// Element (0, 0) of the first panel.
    pub start: *const f32,
    /// Elements from k to k + 1.
    pub k_step: usize,
    /// Elements from panel to panel.
    pub panel_step: usize,
}

/// One register block: M rows of N vectors. Adds to `c`, or overwrites it if `fresh`.
#[inline(always)]
unsafe fn registers<S: Simd, const M: usize, const N: usize>(
    depth: usize,
    a: Left,
    b: Right,
    c: *mut f32,
    c_step: usize,
    fresh: bool,
    coming: *const f32,
) {
    // SAFETY: the caller's operands hold M rows, N vectors of columns and `depth` inputs.
    unsafe {
        let per_panel = PANEL / S::LANES;
        if N == 2 && depth > 0 {
            let operands = Operands {
                a: a.start.cast(),
                row: 4 * a.row_step,
                a_step: 4 * a.k_step,
                b: [b.start.cast(), b.start.add(1 / per_panel * b.panel_step + 1 % per_panel * S::LANES).cast()],
                b_step: 4 * b.k_step,
                coming: coming.cast(),
            };
            return S::add_products::<false, M>(depth, operands, c, c_step, fresh);
        }
        let mut sums = [[S::splat(0.0); N]; M];
        if !fresh {
            for i in 0..M {
                for j in 0..N {
                    sums[i][j] = S::load(c.add(i * c_step + j * S::LANES));
                }
            }
        }
        for k in 0..depth {
            let row = b.start.add(k * b.k_step);
            let mut right = [S::splat(0.0); N];
            for j in 0..N {
                right[j] = S::load(row.add(j / per_panel * b.panel_step + j % per_panel * S::LANES));
            }
            let column = a.start.add(k * a.k_step);
            for i in 0..M {
                let left = S::splat(*column.add(i * a.row_step));
                for j in 0..N {
                    sums[i][j] = S::fma(left, right[j], sums[i][j]);
                }
            }
        }
        for i in 0..M {
            for j in 0..N {
                S::store(c.add(i * c_step + j * S::LANES), sums[i][j]);
            }
        }
    }
}

/// All rows against N vectors of columns.
#[inline(always)]
unsafe fn strip<S: Simd, const N: usize>(
    rows: usize,
    depth: usize,
    a: Left,
    b: Right,
    c: *mut f32,
    c_step: usize,
    fresh: bool,
) {
    // SAFETY: as `registers`, for all rows.
    unsafe {
        let (mut at, mut passed) = (0, 0);
        let wide = N * S::LANES / PANEL;
        macro_rules! blocks {
            ($m:literal) => {
                while rows - at >= $m && ($m != TALLEST || next_rows(rows - at) == TALLEST) {
                    // The next panels come while the first blocks of rows pass these.
                    let next = b.start.wrapping_add((wide + passed) * b.panel_step);
                    let coming = if passed < wide { next } else { b.start };
                    registers::<S, $m, N>(depth, a.down(at), b, c.add(at * c_step), c_step, fresh, coming);
                    (at, passed) = (at + $m, passed + 1);
                }
            };
        }
        // As many rows as the registers hold: 12 x 2 of 32, 6 x 2 of 16.
        if S::REGISTERS == 32 {
            blocks!(12);
            blocks!(8);
        }
        if S::VECTOR {
            blocks!(6);
        }
        blocks!(4);
        blocks!(2);
        blocks!(1);
    }
}

/// `c = a b`, or `c += a b` unless `fresh`, for `panels` panels of 16 columns side by side in `c`. Every result is one
/// chain of multiply-adds over k, whatever the shape of the block.
///
/// # Safety
/// The operands hold what is asked for, and `c` has room for `rows` rows, `c_step` apart, of `panels` panels.
#[inline(always)]
pub unsafe fn multiply<S: Simd>(
    rows: usize,
    panels: usize,
    depth: usize,
    a: Left,
    b: Right,
    c: *mut f32,
    c_step: usize,
    fresh: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut p = 0;
        let at = |p: usize| Right { start: b.start.add(p * b.panel_step), ..b };
        if S::REGISTERS == 32 {
            while panels - p >= 2 {
                strip::<S, 2>(rows, depth, a, at(p), c.add(p * PANEL), c_step, fresh);
                p += 2;
            }
        }
        while p < panels {
            if S::LANES == PANEL {
                strip::<S, 1>(rows, depth, a, at(p), c.add(p * PANEL), c_step, fresh);
            } else {
                strip::<S, 2>(rows, depth, a, at(p), c.add(p * PANEL), c_step, fresh);
            }
            p += 1;
        }
    }
}

/// As [`multiply`] for a few rows and one packed bf16 panel, which is widened on the way: for so few rows that
/// widening it first would cost more than it saves. The chain of every result is the same. `depth` is even.
///
/// # Safety
/// As [`multiply`]; `b` is a packed panel.
#[inline(always)]
pub unsafe fn multiply_pairs<S: Simd>(
    rows: usize,
    depth: usize,
    a: Left,
    b: *const bf16,
    c: *mut f32,
    c_step: usize,
    fresh: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut at = 0;
        macro_rules! blocks {
            ($m:literal) => {
                while rows - at >= $m {
                    pairs::<S, $m>(depth, a.down(at), b, c.add(at * c_step), c_step, fresh);
                    at += $m;
                }
            };
        }
        blocks!(4);
        blocks!(2);
        blocks!(1);
    }
}

#[inline(always)]
unsafe fn pairs<S: Simd, const M: usize>(
    depth: usize,
    a: Left,
    b: *const bf16,
    c: *mut f32,
    c_step: usize,
    fresh: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        for lane in (0..PANEL).step_by(S::LANES) {
            let mut sums = [S::splat(0.0); M];
            if !fresh {
                for i in 0..M {
                    sums[i] = S::load(c.add(i * c_step + lane));
                }
            }
            for pair in 0..depth / 2 {
                let (even, odd) = S::load_pairs(b.add((pair * PANEL + lane) * 2));
                let column = a.start.add(2 * pair * a.k_step);
                for i in 0..M {
                    let left = column.add(i * a.row_step);
                    sums[i] = S::fma(S::splat(*left), even, sums[i]);
                    sums[i] = S::fma(S::splat(*left.add(a.k_step)), odd, sums[i]);
                }
            }
            for i in 0..M {
                S::store(c.add(i * c_step + lane), sums[i]);
            }
        }
    }
}

/// Widens `depth` inputs (even) of a packed bf16 panel to [depth][16] f32, `step` apart.
///
/// # Safety
/// `out` has room, and `panel` holds them.
#[inline(always)]
pub unsafe fn widen_panel<S: Simd>(panel: *const bf16, depth: usize, out: *mut f32, step: usize) {
    // SAFETY: the caller's.
    unsafe {
        for pair in 0..depth / 2 {
            for lane in (0..PANEL).step_by(S::LANES) {
                let (even, odd) = S::load_pairs(panel.add((pair * PANEL + lane) * 2));
                S::store(out.add(2 * pair * step + lane), even);
                S::store(out.add((2 * pair + 1) * step + lane), odd);
            }
        }
    }
}
