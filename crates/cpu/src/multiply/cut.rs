//! How products are cut so that blocks fit the caches.

use super::dots;
use crate::isa::Isa;

/// Largest block of results, and how it goes through the depth.
#[derive(Clone, Copy)]
pub struct Cut {
    /// Rows at most, a multiple of `row_unit`.
    pub rows: usize,
    /// Rows that blocks are whole multiples of, where there are enough.
    pub row_unit: usize,
    /// Columns at most.
    pub columns: usize,
    /// Depth of a pass: two panels of it stay in the first-level cache.
    pub pass: usize,
    /// Bytes of copied left operands, about: they stay in the second-level cache while all columns pass.
    pub left_bytes: usize,
}

impl Cut {
    /// For products of f32, or of pairs of bf16.
    pub fn of(isa: Isa, pairs: bool) -> Self {
        match pairs {
            true if isa.has_tiles() => Cut { rows: 256, row_unit: 32, columns: 512, pass: 256, left_bytes: 1 << 18 },
            true => Cut { rows: 252, row_unit: dots::ROWS, columns: 512, pass: 512, left_bytes: 1 << 18 },
            false => Cut { rows: 192, row_unit: 12, columns: 512, pass: 256, left_bytes: 1 << 18 },
        }
    }
}
