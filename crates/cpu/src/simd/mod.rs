//! One kernel source for every instruction set: kernels are generic over [`Simd`] and entered through [`run`], which
//! compiles them once for each set.
//!
//! All of a kernel is `#[inline(always)]` down from its entry, so that the compiler may use the set's instructions in
//! it; nothing of it is called through a pointer.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod registers;

use crate::isa::Vector;
use half::bf16;
pub use portable::Portable;
pub use registers::{Block, Operands};

/// A vector of f32 lanes.
///
/// # Safety
/// Its methods may be called only where the processor has the instruction set, which [`run`] sees to. Pointers must
/// be valid for what the method touches: [`Simd::LANES`] elements, or `n` of them.
#[allow(clippy::missing_safety_doc)] // said once above
pub unsafe trait Simd: Copy + 'static {
    /// The register type.
    type V: Copy;
    /// Lanes in it; a divisor of 16.
    const LANES: usize;
    /// Registers there are.
    const REGISTERS: usize;
    /// Whether a register is one of the processor's, not an array.
    const VECTOR: bool = true;

    /// Every lane `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// LANES elements.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Stores all lanes.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n < LANES` elements, the others 0.
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V;
    /// Stores the first `n < LANES` lanes.
    unsafe fn store_part(p: *mut f32, v: Self::V, n: usize);
    /// Widened bf16.
    unsafe fn load_bf16(p: *const bf16) -> Self::V;
    /// Rounded to nearest even.
    unsafe fn store_bf16(p: *mut bf16, v: Self::V);
    /// LANES pairs of bf16: the first of each widened, and the second.
    unsafe fn load_pairs(p: *const bf16) -> (Self::V, Self::V);
    /// LANES pairs of bf16, as [`Simd::dot`] multiplies them.
    type Pairs: Copy;
    /// LANES pairs.
    unsafe fn load_dots(p: *const bf16) -> Self::Pairs;
    /// The one pair at `p` in all lanes.
    unsafe fn splat_dots(p: *const bf16) -> Self::Pairs;
    /// `sum + a0 b0 + a1 b1` in every lane.
    unsafe fn dot(sum: Self::V, a: Self::Pairs, b: Self::Pairs) -> Self::V;
    /// [`Simd::add_products`] for so many rows, where it is written out.
    #[inline(always)]
    fn written_out<const DOT: bool>(_rows: usize) -> Option<Block> {
        None
    }
    /// Adds the products of so many steps (at least 1) to M rows of two vectors of `c`, rows `c_step` apart, or
    /// overwrites them if `fresh`: in each step the row's number on the left in all lanes, times both vectors on the
    /// right. With DOT they are pairs of bf16, otherwise f32. `c` holds the second vector behind the first.
    ///
    /// # Safety
    /// Operands and `c` are there for all rows and steps.
    #[inline(always)]
    unsafe fn add_products<const DOT: bool, const M: usize>(
        steps: usize,
        o: Operands,
        c: *mut f32,
        c_step: usize,
        fresh: bool,
    ) {
        // SAFETY: the caller's.
        unsafe {
            if let Some(block) = Self::written_out::<DOT>(M) {
                return block(steps, o, c, c_step, fresh);
            }
            let mut sums = [[Self::splat(0.0); 2]; M];
            if !fresh {
                for (i, sums) in sums.iter_mut().enumerate() {
                    *sums = [Self::load(c.add(i * c_step)), Self::load(c.add(i * c_step + Self::LANES))];
                }
            }
            for step in 0..steps {
                let right = o.b.map(|b| b.add(step * o.b_step));
                let left = o.a.add(step * o.a_step);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let left = left.add(i * o.row);
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = match DOT {
                            true => Self::dot(*sum, Self::splat_dots(left.cast()), Self::load_dots(right.cast())),
                            false => Self::fma(Self::splat(*left.cast()), Self::load(right.cast()), *sum),
                        };
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                Self::store(c.add(i * c_step), sums[0]);
                Self::store(c.add(i * c_step + Self::LANES), sums[1]);
            }
        }
    }
    /// Stores LANES pairs, the first of each from `even`, both rounded as by [`Simd::store_bf16`].
    unsafe fn store_pairs(p: *mut bf16, even: Self::V, odd: Self::V);
    /// As `store_pairs`, past the caches as [`Simd::stream`].
    #[inline(always)]
    unsafe fn stream_pairs(p: *mut bf16, even: Self::V, odd: Self::V) {
        // SAFETY: the caller's.
        unsafe { Self::store_pairs(p, even, odd) }
    }
    /// As `store_pairs` of LANES bf16 each.
    #[inline(always)]
    unsafe fn interleave(even: *const bf16, odd: *const bf16, to: *mut bf16) {
        // SAFETY: the caller's.
        unsafe { Self::store_pairs(to, Self::load_bf16(even), Self::load_bf16(odd)) }
    }
    /// As two of `interleave` for elements that follow one another, to two places.
    #[inline(always)]
    unsafe fn interleave_two(even: *const bf16, odd: *const bf16, to: [*mut bf16; 2]) {
        for (i, to) in to.into_iter().enumerate() {
            for lane in (0..16).step_by(Self::LANES) {
                // SAFETY: the caller's: 32 elements of each, and room for 16 pairs in both places.
                unsafe { Self::interleave(even.add(16 * i + lane), odd.add(16 * i + lane), to.add(2 * lane)) };
            }
        }
    }
    /// LANES numbers kept in halves (`moeworks_ops::rounding::join`).
    unsafe fn load_halves(upper: *const bf16, lower: *const u16) -> Self::V;
    /// Keeps LANES numbers in halves (`moeworks_ops::rounding::split`).
    unsafe fn store_halves(upper: *mut bf16, lower: *mut u16, v: Self::V);
    /// `moeworks_ops::rounding::random_bits` of LANES elements from `first` on, of a step's seed.
    unsafe fn random_bits(seed: u32, first: u32) -> Self::V;
    /// The upper 16 bits of every lane as its lower ones.
    unsafe fn upper_bits(v: Self::V) -> Self::V;
    /// `moeworks_ops::rounding::round_randomly` in every lane.
    unsafe fn round_randomly(v: Self::V, random: Self::V) -> Self::V;
    /// Rounds every lane to the nearest bf16, ties to even, and keeps it as f32.
    unsafe fn round_bf16(v: Self::V) -> Self::V;
    /// `a + b`
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a b`
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `1 / a`, within 2 units in the last place, where neither is too small to be normal.
    #[inline(always)]
    unsafe fn reciprocal(a: Self::V) -> Self::V {
        // SAFETY: the caller's.
        unsafe { Self::div(Self::splat(1.0), a) }
    }
    /// As [`Simd::store`] to an address that is a multiple of a vector's size, past the caches: for what is not read
    /// again soon. Kernels that do so end with [`stream_end`].
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: Self::V) {
        // SAFETY: the caller's.
        unsafe { Self::store(p, v) }
    }
    /// Stores two vectors as bf16 side by side, as [`Simd::stream`], to a cache line where LANES is 16.
    #[inline(always)]
    unsafe fn stream_bf16(p: *mut bf16, a: Self::V, b: Self::V) {
        // SAFETY: the caller's.
        unsafe {
            Self::store_bf16(p, a);
            Self::store_bf16(p.add(Self::LANES), b);
        }
    }
    /// Square root.
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// `a b + c`, fused where the set has it.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of each lane; `b` where either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of each lane; `b` where either is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Rounds to the nearest integer, ties to even.
    unsafe fn round(a: Self::V) -> Self::V;
    /// `2^n` for integers `-126..=127`.
    unsafe fn pow2(n: Self::V) -> Self::V;
    /// `v 2^n` for integers of twice that range.
    #[inline(always)]
    unsafe fn times_pow2(v: Self::V, n: Self::V) -> Self::V {
        // SAFETY: the caller's.
        unsafe {
            let half = Self::round(Self::mul(n, Self::splat(0.5)));
            Self::mul(Self::mul(v, Self::pow2(half)), Self::pow2(Self::sub(n, half)))
        }
    }
    /// Sum of the lanes in a fixed order.
    unsafe fn sum(v: Self::V) -> f32;
    /// Largest lane.
    unsafe fn largest(v: Self::V) -> f32;
    /// One bit a lane: `|a| > b`.
    unsafe fn exceeds(a: Self::V, b: Self::V) -> u32;

    /// Transposes a 16 x 16 block.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        for i in 0..16 {
            for j in 0..16 {
                // SAFETY: both blocks are the caller's.
                unsafe { *to.add(j * to_step + i) = *from.add(i * from_step + j) };
            }
        }
    }

    /// The first `n <= LANES` elements, the others 0.
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller's.
        unsafe { if n >= Self::LANES { Self::load(p) } else { Self::load_part(p, n) } }
    }

    /// Stores the first `n <= LANES` lanes.
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: Self::V, n: usize) {
        // SAFETY: the caller's.
        unsafe { if n >= Self::LANES { Self::store(p, v) } else { Self::store_part(p, v, n) } }
    }

    /// `e^x`, within 2 units in the last place where `x` is in -87.3..88.3 and as at the nearer end outside; NaN of
    /// NaN.
    ///
    /// `x = n ln 2 + r` with |r| <= ln 2 / 2, and Cephes' polynomial of degree 6 for `e^r`.
    #[inline(always)]
    unsafe fn exp(x: Self::V) -> Self::V {
        // SAFETY: the caller's.
        unsafe {
            let s = |v: f32| Self::splat(v);
            // With NaN, max and min give their second operand: x stays there.
            let x = Self::min(s(88.3), Self::max(s(-87.3), x));
            let n = Self::round(Self::mul(x, s(std::f32::consts::LOG2_E)));
            let r = Self::fma(n, s(-0.693_359_4), x);
            let r = Self::fma(n, s(2.121_944_4e-4), r);
            let mut p = s(1.987_569_1e-4);
            for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1, 1.0, 1.0] {
                p = Self::fma(p, r, s(c));
            }
            Self::times_pow2(p, n)
        }
    }

    /// `1 / (1 + e^-x)`
    #[inline(always)]
    unsafe fn sigmoid(x: Self::V) -> Self::V {
        // SAFETY: the caller's.
        unsafe {
            let e = Self::exp(Self::sub(Self::splat(0.0), x));
            Self::reciprocal(Self::add(Self::splat(1.0), e))
        }
    }
}

/// Orders streamed stores before all that follows.
#[inline(always)]
pub fn stream_end() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// A kernel with its arguments.
pub trait Kernel {
    /// What it gives back.
    type Output;
    /// Runs it with one instruction set.
    ///
    /// # Safety
    /// The processor has the set; moreover whatever the kernel says of its arguments.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Runs a kernel with an instruction set.
///
/// # Safety
/// As the kernel's own `run`. The set itself was checked when `vector` was made.
#[inline]
pub unsafe fn run<K: Kernel>(vector: Vector, kernel: K) -> K::Output {
    // SAFETY: a `Vector` other than Portable exists only where the processor has it (see `isa`).
    unsafe {
        match vector {
            Vector::Portable => kernel.run::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Vector::Avx2 => avx2::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Vector::Avx512 => avx512::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Vector::Avx512Bf16 => avx512::run_bf16(kernel),
        }
    }
}

#[cfg(test)]
mod tests;
