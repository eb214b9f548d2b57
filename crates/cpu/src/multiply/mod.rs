//! The products of a layer, dense or grouped by expert: results of the forward, and gradients of weights. (Gradients of
//! inputs are a forward with the transposed weight, see [`crate::packed::transpose`].)
//!
//! A task is one block of results, cut as [`Cut`] says. It goes through the depth in passes, brings operands
//! into its thread's scratch where they do not lie as a kernel reads them, and hands the finished block to an epilogue.
//! Every result is one chain of multiply-adds over the whole depth in order, so block shapes never change a bit.

mod cut;
mod dots;
mod forward;
mod pairs;
mod row_panels;
mod weight_gradient;

use cut::Cut;
pub use cut::PART_BYTES;
pub use forward::forward;
pub use pairs::Pairs;
pub use weight_gradient::weight_gradient;

use std::ops::Range;

/// Which rows belong to which expert.
#[derive(Clone, Copy)]
pub enum Groups<'a> {
    /// All of so many rows to the one matrix.
    One(usize),
    /// Expert e has rows `offsets[e]..offsets[e + 1]`.
    Offsets(&'a [i32]),
}

impl<'a> Groups<'a> {
    /// Some of the experts, counted from 0.
    pub fn of_experts(&self, experts: Range<usize>) -> Groups<'a> {
        match self {
            Groups::One(_) => *self,
            Groups::Offsets(o) => Groups::Offsets(&o[experts.start..=experts.end]),
        }
    }

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

/// Where a task's block of results lies.
struct Place {
    expert: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}
