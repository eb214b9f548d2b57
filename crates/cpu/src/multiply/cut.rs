//! How products are cut so that blocks fit the caches.

use crate::isa::Isa;
use crate::kernel::TALLEST;
use crate::scratch::{COLUMNS, DEPTH, PAIR_COLUMNS, PAIR_ROWS, ROWS};

/// Bytes of operands that are arranged at a time for blocks to read, about: the last cache should still have them then.
pub const PART_BYTES: usize = 8 << 20;

/// Largest block of results, and how it goes through the depth.
#[derive(Clone, Copy)]
pub struct Cut {
    /// Rows at most, a multiple of `row_unit`.
    pub rows: usize,
    /// Rows that blocks are whole multiples of, where there are enough.
    pub row_unit: usize,
    /// Columns at most.
    pub columns: usize,
    /// Depth of a pass of a forward: two panels of it stay in the first-level cache.
    pub pass: usize,
    /// Bytes of copied left operands, about: they stay in the second-level cache while all columns pass.
    pub left_bytes: usize,
}

impl Cut {
    /// For products of f32, or of pairs of bf16.
    pub fn of(isa: Isa, pairs: bool) -> Self {
        let whole = |rows: usize, unit: usize| rows / unit * unit;
        let (rows, row_unit, columns, pass) = match pairs {
            true if isa.has_tiles() => (PAIR_ROWS, 32, PAIR_COLUMNS, 256),
            true => (whole(PAIR_ROWS, TALLEST), TALLEST, PAIR_COLUMNS, 512),
            false => (ROWS, TALLEST, COLUMNS, DEPTH),
        };
        Cut { rows, row_unit, columns, pass, left_bytes: 1 << 18 }
    }
}
