//! Masters in halves: the upper ones are the packed bf16 weights themselves, the lower ones lie row by row.

use crate::Cpu;
use crate::isa::Isa;
use crate::packed::{self, TILE_DEPTH};
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use half::bf16;
use moeworks_ops::{Access, DType, Halves, MatrixShape, Tensor};
use std::mem::MaybeUninit;

/// Numbers that a kernel changes in place, by their position in the parameter.
pub trait Values: Copy {
    /// The first `n` lanes from element `i` on.
    ///
    /// # Safety
    /// The elements are inside, and the caller's own.
    unsafe fn load<S: Simd>(&self, i: usize, n: usize) -> S::V;
    /// Stores the first `n` lanes.
    ///
    /// # Safety
    /// As `load`.
    unsafe fn store<S: Simd>(&self, i: usize, v: S::V, n: usize);
}

/// A part of a row in halves, from element `first` of the parameter on.
#[derive(Clone, Copy)]
pub struct InHalves {
    upper: *mut bf16,
    lower: Shared<u16>,
    first: usize,
}

impl Values for InHalves {
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, i: usize, n: usize) -> S::V {
        // SAFETY: the caller's; rows of upper halves have room for whole vectors.
        unsafe {
            let upper = self.upper.add(i - self.first);
            if n >= S::LANES {
                return S::load_halves(upper, self.lower.at(i));
            }
            let mut lower = [0u16; PANEL];
            lower[..n].copy_from_slice(self.lower.slice(i, n));
            S::load_halves(upper, lower.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(&self, i: usize, v: S::V, n: usize) {
        // SAFETY: the caller's.
        unsafe {
            let upper = self.upper.add(i - self.first);
            if n >= S::LANES {
                return S::store_halves(upper, self.lower.at(i), v);
            }
            let (mut high, mut low) = ([bf16::ZERO; PANEL], [0u16; PANEL]);
            S::store_halves(high.as_mut_ptr(), low.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(high.as_ptr(), upper, n);
            self.lower.slice(i, n).copy_from_slice(&low[..n]);
        }
    }
}

/// What is done to rows.
pub trait Visit: Sync {
    /// `n` elements from `first` on, all of one row.
    ///
    /// # Safety
    /// They are inside, and the caller's own.
    unsafe fn row<S: Simd>(&self, values: InHalves, first: usize, n: usize);
}

/// Inputs whose upper halves are brought into rows at once, with what keeps rows off each other's cache sets.
const INPUTS: usize = 1024;
const STRIDE: usize = INPUTS + TILE_DEPTH;

/// Visits all elements of a master in halves, row by row.
pub fn visit(pool: &mut Pool, isa: Isa, access: &mut Access<'_>, halves: &Halves, visitor: &impl Visit) {
    let shape = &halves.matrix.shape;
    assert_eq!(shape.dtype, DType::Bf16, "upper halves are bf16");
    assert_eq!(halves.lower.len(), shape.experts * shape.outputs * shape.inputs);
    assert_eq!(halves.matrix.data.len(), packed::bytes(shape));
    let lower = Shared::new(access.write::<u16>(&halves.lower));
    let upper = Shared::new(access.write::<u8>(&halves.matrix.data));
    pool.run(packed::all_panels(shape), &|index, _| {
        if packed::origin(shape, index).0 == halves.source {
            // SAFETY: lengths were checked; the panel and its rows are this task's own.
            unsafe { simd::run(isa.vector(), VisitPanel { shape, index, upper, lower, visitor }) }
        }
    });
}

struct VisitPanel<'a, V> {
    shape: &'a MatrixShape,
    index: usize,
    upper: Shared<u8>,
    lower: Shared<u16>,
    visitor: &'a V,
}

/// Upper halves of a panel's rows.
#[repr(align(64))]
struct Rows(MaybeUninit<[bf16; PANEL * STRIDE]>);

impl<V: Visit> Kernel for VisitPanel<'_, V> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let VisitPanel { shape, index, upper, lower, visitor } = self;
        let (k, range) = (shape.inputs, packed::origin(shape, index).1);
        let panel = index * packed::padded(shape) * PANEL;
        let mut rows = Rows(MaybeUninit::uninit());
        let rows = rows.0.as_mut_ptr().cast::<bf16>();
        for start in (0..k).step_by(INPUTS) {
            let inputs = (k - start).min(INPUTS);
            // SAFETY: the panel has inputs up to the next multiple of 32, for which the rows have room; pairs of inputs
            // are moved as 32-bit elements without a change of bits.
            unsafe {
                let tile = |at: usize| upper.at(2 * (panel + (start + at) * PANEL)).cast::<f32>();
                for at in (0..inputs).step_by(TILE_DEPTH) {
                    S::transpose(tile(at), PANEL, rows.add(at).cast(), STRIDE / 2);
                }
                for (n, first) in range.clone().step_by(k).enumerate() {
                    let first = first + start;
                    visitor.row::<S>(InHalves { upper: rows.add(n * STRIDE), lower, first }, first, inputs);
                }
                for at in (0..inputs).step_by(TILE_DEPTH) {
                    S::transpose(rows.add(at).cast(), STRIDE / 2, tile(at), PANEL);
                }
            }
        }
    }
}

/// Numbers into halves, or out of them.
struct Convert {
    numbers: Shared<f32>,
    join: bool,
}

impl Visit for Convert {
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, values: InHalves, first: usize, n: usize) {
        for i in (first..first + n).step_by(S::LANES) {
            let lanes = (first + n - i).min(S::LANES);
            // SAFETY: the caller's.
            unsafe {
                match self.join {
                    true => S::store_n(self.numbers.at(i), values.load::<S>(i, lanes), lanes),
                    false => values.store::<S>(i, S::load_n(self.numbers.at(i), lanes), lanes),
                }
            }
        }
    }
}

pub(crate) fn split(cpu: &mut Cpu, source: &Tensor, to: &Halves) {
    convert(cpu, source, to, false);
}

pub(crate) fn join(cpu: &mut Cpu, from: &Halves, source: &Tensor) {
    convert(cpu, source, from, true);
}

fn convert(cpu: &mut Cpu, source: &Tensor, halves: &Halves, join: bool) {
    assert_eq!(source.len(), halves.lower.len());
    let mut access = cpu.memory.access();
    let numbers = Shared::new(access.write::<f32>(source));
    visit(&mut cpu.pool, cpu.isa, &mut access, halves, &Convert { numbers, join });
}
