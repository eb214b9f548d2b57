//! Rows of f32 as bf16, once for all products that read them.

use crate::isa::Isa;
use crate::pool::Pool;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::{Data, Rows};
use half::bf16;
use moeworks_ops::{Access, DType, Tensor};

/// Elements of one task.
const PIECE: usize = 1 << 14;

/// A tensor's rows, and where they are f32 and a product wants bf16, their copy.
pub struct Narrow<'a> {
    tensor: &'a Tensor,
    copy: Option<&'a [bf16]>,
}

impl<'a> Narrow<'a> {
    /// Rows of `width`, as the products read them.
    pub fn rows(&self, access: &mut Access<'a>, width: usize) -> Rows<'a> {
        Rows::plain(self.copy.map_or_else(|| Data::read(access, self.tensor), Data::Bf16), width)
    }
}

/// Bytes that [`narrow`] needs for a tensor.
pub fn bytes(x: &Tensor) -> usize {
    2 * x.len()
}

/// Rounds a tensor to bf16 in `into` if a product wants it so and it is not.
pub fn narrow<'a>(
    pool: &mut Pool,
    isa: Isa,
    access: &mut Access<'_>,
    tensor: &'a Tensor,
    rounded: bool,
    into: &'a mut [u8],
) -> Narrow<'a> {
    if !rounded || tensor.dtype != DType::F32 {
        return Narrow { tensor, copy: None };
    }
    let narrow: &mut [bf16] = &mut bytemuck::cast_slice_mut(into)[..tensor.len()];
    round(pool, isa, access.read::<f32>(tensor), narrow);
    Narrow { tensor, copy: Some(narrow) }
}

/// Rounds all of `from` to `to`, which is as long.
pub fn round(pool: &mut Pool, isa: Isa, from: &[f32], to: &mut [bf16]) {
    assert_eq!(from.len(), to.len());
    let out = Shared::new(to);
    pool.run(from.len().div_ceil(PIECE), &|task, _| {
        let from = &from[task * PIECE..((task + 1) * PIECE).min(from.len())];
        // SAFETY: pieces of different tasks differ.
        unsafe { simd::run(isa.vector(), Round { from, to: out.slice(task * PIECE, from.len()) }) }
    });
}

struct Round<'a> {
    from: &'a [f32],
    to: &'a mut [bf16],
}

impl Kernel for Round<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let whole = self.from.len() / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            // SAFETY: whole vectors inside both.
            unsafe { S::store_bf16(self.to.as_mut_ptr().add(i), S::load(self.from.as_ptr().add(i))) };
        }
        for i in whole..self.from.len() {
            self.to[i] = bf16::from_f32(self.from[i]);
        }
    }
}
