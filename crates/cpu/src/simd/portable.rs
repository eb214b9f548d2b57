//! Plain arrays, which every compiler can turn into something.

use super::Simd;
use half::bf16;
use moeworks_ops::rounding;

/// Sixteen lanes in an array.
#[derive(Clone, Copy)]
pub struct Portable;

const LANES: usize = 16;

#[inline(always)]
fn map(a: [f32; LANES], f: impl Fn(f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|i| f(a[i]))
}

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// Nearest bf16, ties to even, as f32; NaN stays NaN.
#[inline(always)]
fn round_one(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { (bits & 0xffff_0000) | 0x0040_0000 } else { rounded })
}

// SAFETY: no instruction set is needed; every method touches only what its contract names.
unsafe impl Simd for Portable {
    type V = [f32; LANES];
    const LANES: usize = LANES;
    const REGISTERS: usize = 16;
    const VECTOR: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: valid for LANES elements by contract.
        unsafe { p.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: valid for LANES elements by contract.
        unsafe { p.cast::<Self::V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V {
        // SAFETY: only the first n elements are read.
        std::array::from_fn(|i| if i < n { unsafe { *p.add(i) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: Self::V, n: usize) {
        for (i, x) in v.into_iter().take(n).enumerate() {
            // SAFETY: only the first n elements are written.
            unsafe { *p.add(i) = x };
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self::V {
        // SAFETY: valid for LANES elements by contract.
        let narrow = unsafe { p.cast::<[u16; LANES]>().read_unaligned() };
        std::array::from_fn(|i| f32::from_bits(u32::from(narrow[i]) << 16))
    }
    #[inline(always)]
    unsafe fn store_bf16(p: *mut bf16, v: Self::V) {
        let narrow: [u16; LANES] = std::array::from_fn(|i| (round_one(v[i]).to_bits() >> 16) as u16);
        // SAFETY: valid for LANES elements by contract.
        unsafe { p.cast::<[u16; LANES]>().write_unaligned(narrow) }
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const bf16) -> (Self::V, Self::V) {
        // SAFETY: valid for LANES pairs by contract.
        let pairs = unsafe { p.cast::<[u32; LANES]>().read_unaligned() };
        (
            std::array::from_fn(|i| f32::from_bits(pairs[i] << 16)),
            std::array::from_fn(|i| f32::from_bits(pairs[i] & 0xffff_0000)),
        )
    }
    type Pairs = (Self::V, Self::V);
    #[inline(always)]
    unsafe fn load_dots(p: *const bf16) -> Self::Pairs {
        // SAFETY: the caller's.
        unsafe { Self::load_pairs(p) }
    }
    #[inline(always)]
    unsafe fn splat_dots(p: *const bf16) -> Self::Pairs {
        // SAFETY: the caller's.
        unsafe { (Self::splat((*p).to_f32()), Self::splat((*p.add(1)).to_f32())) }
    }
    #[inline(always)]
    unsafe fn dot(sum: Self::V, a: Self::Pairs, b: Self::Pairs) -> Self::V {
        // SAFETY: the caller's.
        unsafe { Self::fma(a.0, b.0, Self::fma(a.1, b.1, sum)) }
    }
    #[inline(always)]
    unsafe fn store_pairs(p: *mut bf16, even: Self::V, odd: Self::V) {
        let pairs: [u32; LANES] =
            std::array::from_fn(|i| round_one(even[i]).to_bits() >> 16 | round_one(odd[i]).to_bits());
        // SAFETY: valid for LANES pairs by contract.
        unsafe { p.cast::<[u32; LANES]>().write_unaligned(pairs) }
    }
    #[inline(always)]
    unsafe fn load_halves(upper: *const bf16, lower: *const u16) -> Self::V {
        // SAFETY: both are valid for LANES elements by contract.
        let (upper, lower) =
            unsafe { (upper.cast::<[u16; LANES]>().read_unaligned(), lower.cast::<[u16; LANES]>().read_unaligned()) };
        std::array::from_fn(|i| rounding::join(upper[i], lower[i]))
    }
    #[inline(always)]
    unsafe fn store_halves(upper: *mut bf16, lower: *mut u16, v: Self::V) {
        let halves = v.map(rounding::split);
        // SAFETY: both are valid for LANES elements by contract.
        unsafe {
            upper.cast::<[u16; LANES]>().write_unaligned(halves.map(|h| h.0));
            lower.cast::<[u16; LANES]>().write_unaligned(halves.map(|h| h.1));
        }
    }
    #[inline(always)]
    unsafe fn random_bits(seed: u32, first: u32) -> Self::V {
        std::array::from_fn(|i| f32::from_bits(rounding::mixed(first.wrapping_add(i as u32) ^ seed)))
    }
    #[inline(always)]
    unsafe fn upper_bits(v: Self::V) -> Self::V {
        map(v, |v| f32::from_bits(v.to_bits() >> 16))
    }
    #[inline(always)]
    unsafe fn round_randomly(v: Self::V, random: Self::V) -> Self::V {
        zip(v, random, |v, random| rounding::round_randomly(v, random.to_bits()))
    }
    #[inline(always)]
    unsafe fn round_bf16(v: Self::V) -> Self::V {
        map(v, round_one)
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::V) -> Self::V {
        map(a, f32::sqrt)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        // Adding and taking away 1.5 x 2^23 rounds what fits an f32's integers, without a call.
        const MAGIC: f32 = 12_582_912.0;
        map(a, |x| (x + MAGIC) - MAGIC)
    }
    #[inline(always)]
    unsafe fn pow2(n: Self::V) -> Self::V {
        map(n, |n| f32::from_bits(((n as i32 + 127) << 23) as u32))
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        let four: [f32; 4] = std::array::from_fn(|i| (v[i] + v[i + 8]) + (v[i + 4] + v[i + 12]));
        (four[0] + four[2]) + (four[1] + four[3])
    }
    #[inline(always)]
    unsafe fn largest(v: Self::V) -> f32 {
        v.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    unsafe fn exceeds(a: Self::V, b: Self::V) -> u32 {
        (0..LANES).fold(0, |bits, i| bits | u32::from(a[i].abs() > b[i]) << i)
    }
}
