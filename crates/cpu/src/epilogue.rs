//! What happens to a block of results while it is still in the cache.

use crate::shared::Shared;
use crate::simd::Simd;
use crate::source::Data;
use half::bf16;
use moeworks_ops::{Access, DType, Memory, Tensor};
use std::ops::Range;

/// Receives finished blocks: results of `rows` and `columns` of one expert, in f32, `step` elements from row to row. Stores
/// past the caches are put in order by the product's tasks, behind their last block.
pub trait Epilogue: Sync {
    /// Whether blocks overwrite what was there, so that even one of zeros counts.
    fn overwrites(&self) -> bool {
        true
    }

    /// Takes a block.
    ///
    /// # Safety
    /// `block` holds the rows, with columns rounded up to whole panels; no two calls have a result in common.
    unsafe fn take<S: Simd>(
        &self,
        expert: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    );
}

/// A float tensor to be written by several tasks.
#[derive(Clone, Copy)]
pub enum Target {
    /// f32.
    F32(Shared<f32>),
    /// bf16.
    Bf16(Shared<bf16>),
}

impl Target {
    /// A float tensor, to write.
    pub fn write(access: &mut Access<'_>, t: &Tensor) -> Self {
        match t.dtype {
            DType::F32 => Target::F32(Shared::new(access.write(t))),
            DType::Bf16 => Target::Bf16(Shared::new(access.write(t))),
            other => panic!("this device has f32 and bf16, not {other:?}"),
        }
    }

    /// The first `n` elements, to read.
    ///
    /// # Safety
    /// They are inside, and nothing writes them while the result is in use.
    pub unsafe fn as_data<'a>(self, n: usize) -> Data<'a> {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Target::F32(x) => Data::F32(x.slice(0, n)),
                Target::Bf16(x) => Data::Bf16(x.slice(0, n)),
            }
        }
    }

    /// The same target from element `i` on.
    ///
    /// # Safety
    /// The element is inside.
    pub unsafe fn from(self, i: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Target::F32(x) => Target::F32(x.from(i)),
                Target::Bf16(x) => Target::Bf16(x.from(i)),
            }
        }
    }

    /// Stores the first `n` lanes at element `i`, rounded if the target is bf16.
    ///
    /// # Safety
    /// The elements are inside, and this task's own.
    #[inline(always)]
    pub unsafe fn store<S: Simd>(self, i: usize, v: S::V, n: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Target::F32(x) => S::store_n(x.at(i), v, n),
                Target::Bf16(x) if n >= S::LANES => S::store_bf16(x.at(i), v),
                Target::Bf16(x) => {
                    let mut lanes = [0.0f32; 16];
                    S::store(lanes.as_mut_ptr(), v);
                    for (j, lane) in lanes.into_iter().take(n).enumerate() {
                        *x.at(i + j) = bf16::from_f32(lane);
                    }
                }
            }
        }
    }

    /// The first `n` lanes from element `i`, widened.
    ///
    /// # Safety
    /// The elements are inside, and this task's own.
    #[inline(always)]
    pub unsafe fn load<S: Simd>(self, i: usize, n: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Target::F32(x) => S::load_n(x.at(i), n),
                Target::Bf16(x) if n >= S::LANES => S::load_bf16(x.at(i)),
                Target::Bf16(x) => {
                    let mut lanes = [0.0f32; 16];
                    for (j, lane) in lanes.iter_mut().take(n).enumerate() {
                        *lane = (*x.at(i + j)).to_f32();
                    }
                    S::load(lanes.as_ptr())
                }
            }
        }
    }
}

/// What a stored result is added to.
#[derive(Clone, Copy)]
pub enum Addend<'a> {
    /// Nothing: overwrite.
    None,
    /// What is there already.
    Present,
    /// Another f32 tensor of the same shape.
    Other(&'a [f32]),
}

impl Addend<'_> {
    /// What a gradient that is added to is added to: nothing, where it is zero by promise. Whoever asks then writes
    /// all of it.
    pub fn of_gradient(memory: &mut Memory, t: &Tensor) -> Self {
        if memory.take_zero(t) { Addend::None } else { Addend::Present }
    }
}

/// Stores results as rows of `width`; experts, where a result is a matrix of each, are `expert_step` apart.
pub struct Store<'a> {
    /// Where.
    pub to: Target,
    /// Elements of a row.
    pub width: usize,
    /// Elements from expert to expert (0 where rows are numbered through).
    pub expert_step: usize,
    /// On top of what.
    pub on: Addend<'a>,
    /// Whether what is overwritten goes past the caches: gradients of weights, which nothing reads soon.
    pub stream: bool,
}

impl Epilogue for Store<'_> {
    fn overwrites(&self) -> bool {
        matches!(self.on, Addend::None)
    }

    #[inline(always)]
    unsafe fn take<S: Simd>(
        &self,
        expert: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: *const f32,
        step: usize,
    ) {
        // The commonest kind, without a choice for every vector.
        if let (Target::F32(to), Addend::None) = (self.to, self.on)
            && columns.len().is_multiple_of(S::LANES)
        {
            // SAFETY: as below; streamed where every row starts on a cache line.
            unsafe {
                let first = to.at(expert * self.expert_step + rows.start * self.width + columns.start);
                let stream = self.stream && (first as usize).is_multiple_of(64) && self.width.is_multiple_of(16);
                for i in 0..rows.len() {
                    let to = first.add(i * self.width);
                    for c in (0..columns.len()).step_by(S::LANES) {
                        let v = S::load(block.add(i * step + c));
                        if stream { S::stream(to.add(c), v) } else { S::store(to.add(c), v) }
                    }
                }
            }
            return;
        }
        if let (Target::Bf16(to), Addend::None) = (self.to, self.on)
            && columns.len().is_multiple_of(2 * S::LANES)
        {
            // SAFETY: as above, two vectors of LANES 16 to a cache line.
            unsafe {
                let first = to.at(expert * self.expert_step + rows.start * self.width + columns.start);
                let stream = self.stream && (first as usize).is_multiple_of(64) && self.width.is_multiple_of(32);
                for i in 0..rows.len() {
                    let to = first.add(i * self.width);
                    for c in (0..columns.len()).step_by(2 * S::LANES) {
                        let from = block.add(i * step + c);
                        let (a, b) = (S::load(from), S::load(from.add(S::LANES)));
                        if stream {
                            S::stream_bf16(to.add(c), a, b);
                        } else {
                            S::store_bf16(to.add(c), a);
                            S::store_bf16(to.add(c + S::LANES), b);
                        }
                    }
                }
            }
            return;
        }
        for (i, row) in rows.enumerate() {
            let start = expert * self.expert_step + row * self.width;
            let mut c = columns.start;
            while c < columns.end {
                let n = (columns.end - c).min(S::LANES);
                // SAFETY: the block holds whole panels; row and columns are this call's own part of the target.
                unsafe {
                    let mut v = S::load(block.add(i * step + c - columns.start));
                    match self.on {
                        Addend::None => {}
                        Addend::Present => v = S::add(v, self.to.load::<S>(start + c, n)),
                        Addend::Other(x) => v = S::add(v, S::load_n(x[start + c..start + c + n].as_ptr(), n)),
                    }
                    self.to.store::<S>(start + c, v, n);
                }
                c += S::LANES;
            }
        }
    }
}
