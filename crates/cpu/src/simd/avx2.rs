//! AVX2 and FMA: eight lanes.

use super::registers::{self, Block};
use super::{Kernel, Simd};
use half::bf16;
use std::arch::x86_64::*;

/// Eight lanes.
#[derive(Clone, Copy)]
pub struct Avx2;

/// Runs a kernel compiled for AVX2 and FMA.
///
/// # Safety
/// The processor has both; moreover whatever the kernel asks for.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    unsafe { kernel.run::<Avx2>() }
}

/// Lanes below `n`, as a mask of masked loads and stores.
#[inline(always)]
unsafe fn below(n: usize) -> __m256i {
    // SAFETY: register arithmetic only; the set is there by the trait's contract.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// Nearest bf16, ties to even, in the upper half of every lane; NaN stays NaN.
#[inline(always)]
unsafe fn rounded(v: __m256) -> __m256i {
    // SAFETY: register arithmetic only.
    unsafe {
        let bits = _mm256_castps_si256(v);
        let odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        let sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
        _mm256_and_si256(_mm256_blendv_epi8(sum, quiet, nan), _mm256_set1_epi32(0xffff_0000u32 as i32))
    }
}

// SAFETY: every method touches only what its contract names; the set is there by the trait's contract.
unsafe impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm256_maskload_ps(p, below(n)) }
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: Self::V, n: usize) {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm256_maskstore_ps(p, below(n), v) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let narrow = _mm_loadu_si128(p.cast());
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(narrow)))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(p: *mut bf16, v: Self::V) {
        // SAFETY: as above.
        unsafe {
            let high = _mm256_srli_epi32::<16>(rounded(v));
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(high, high));
            _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(packed));
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const bf16) -> (Self::V, Self::V) {
        // SAFETY: as above.
        unsafe {
            let pairs = _mm256_loadu_si256(p.cast());
            let high = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff_0000u32 as i32));
            (_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)), _mm256_castsi256_ps(high))
        }
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
    fn written_out<const DOT: bool>(rows: usize) -> Option<Block> {
        (rows == 6 && !DOT).then_some(registers::fma_six)
    }
    #[inline(always)]
    unsafe fn store_pairs(p: *mut bf16, even: Self::V, odd: Self::V) {
        // SAFETY: as above.
        unsafe {
            let pairs = _mm256_or_si256(_mm256_srli_epi32::<16>(rounded(even)), rounded(odd));
            _mm256_storeu_si256(p.cast(), pairs);
        }
    }
    #[inline(always)]
    unsafe fn load_halves(upper: *const bf16, lower: *const u16) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let upper = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(upper.cast())));
            let lower = _mm256_cvtepi16_epi32(_mm_loadu_si128(lower.cast()));
            _mm256_castsi256_ps(_mm256_add_epi32(upper, lower))
        }
    }
    #[inline(always)]
    unsafe fn store_halves(upper: *mut bf16, lower: *mut u16, v: Self::V) {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_castps_si256(v);
            let high = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, _mm256_set1_epi32(0x8000)));
            let low = _mm256_and_si256(bits, _mm256_set1_epi32(0xffff));
            // Packing works in halves of the register: upper and lower ones lie alternately then.
            let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(high, low));
            _mm_storeu_si128(upper.cast(), _mm256_castsi256_si128(both));
            _mm_storeu_si128(lower.cast(), _mm256_extracti128_si256::<1>(both));
        }
    }
    #[inline(always)]
    unsafe fn random_bits(seed: u32, first: u32) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let element = _mm256_add_epi32(_mm256_set1_epi32(first as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            let x = _mm256_xor_si256(element, _mm256_set1_epi32(seed as i32));
            let x = _mm256_xor_si256(x, _mm256_srli_epi32::<16>(x));
            let x = _mm256_mullo_epi32(x, _mm256_set1_epi32(0x7feb_352d));
            let x = _mm256_xor_si256(x, _mm256_srli_epi32::<15>(x));
            let x = _mm256_mullo_epi32(x, _mm256_set1_epi32(0x846c_a68bu32 as i32));
            _mm256_castsi256_ps(_mm256_xor_si256(x, _mm256_srli_epi32::<16>(x)))
        }
    }
    #[inline(always)]
    unsafe fn upper_bits(v: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_castsi256_ps(_mm256_srli_epi32::<16>(_mm256_castps_si256(v))) }
    }
    #[inline(always)]
    unsafe fn round_randomly(v: Self::V, random: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let random = _mm256_and_si256(_mm256_castps_si256(random), _mm256_set1_epi32(0xffff));
            let sum = _mm256_add_epi32(_mm256_castps_si256(v), random);
            _mm256_castsi256_ps(_mm256_and_si256(sum, _mm256_set1_epi32(0xffff_0000u32 as i32)))
        }
    }
    #[inline(always)]
    unsafe fn round_bf16(v: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_castsi256_ps(rounded(v)) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn pow2(n: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        // SAFETY: as above.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    unsafe fn largest(v: Self::V) -> f32 {
        // SAFETY: as above.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    unsafe fn exceeds(a: Self::V, b: Self::V) -> u32 {
        // SAFETY: as above.
        unsafe {
            let absolute = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(absolute, b)) as u32
        }
    }
}
