//! AVX-512 (F, BW, DQ, VL, and where there is, BF16): sixteen lanes.

use super::registers::{self, Block};
use super::{Kernel, Simd};
use half::bf16;
use std::arch::x86_64::*;

/// Sixteen lanes; with BF16, the processor rounds to bf16 itself (and flushes what is subnormal).
#[derive(Clone, Copy)]
pub struct Avx512<const BF16: bool>;

/// Runs a kernel compiled for AVX-512.
///
/// # Safety
/// The processor has it; moreover whatever the kernel asks for.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    unsafe { kernel.run::<Avx512<false>>() }
}

/// Runs a kernel compiled for AVX-512 with BF16.
///
/// # Safety
/// The processor has both; moreover whatever the kernel asks for.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub unsafe fn run_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's.
    unsafe { kernel.run::<Avx512<true>>() }
}

/// Nearest bf16, ties to even, in the upper half of every lane; NaN stays NaN.
#[inline(always)]
unsafe fn rounded(v: __m512) -> __m512i {
    // SAFETY: register arithmetic only; the set is there by the trait's contract.
    unsafe {
        let bits = _mm512_castps_si512(v);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let sum = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
        let quiet = _mm512_mask_or_epi32(sum, nan, bits, _mm512_set1_epi32(0x0040_0000));
        _mm512_and_si512(quiet, _mm512_set1_epi32(0xffff_0000u32 as i32))
    }
}

// SAFETY: every method touches only what its contract names; the set is there by the trait's contract.
unsafe impl<const BF16: bool> Simd for Avx512<BF16> {
    type V = __m512;
    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps((1u32 << n).wrapping_sub(1) as u16, p) }
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: Self::V, n: usize) {
        // SAFETY: masked lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(p, (1u32 << n).wrapping_sub(1) as u16, v) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let narrow = _mm256_loadu_si256(p.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(narrow)))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(p: *mut bf16, v: Self::V) {
        // SAFETY: as above.
        unsafe {
            if BF16 {
                p.cast::<__m256bh>().write_unaligned(_mm512_cvtneps_pbh(v));
                return;
            }
            let narrow = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(v)));
            _mm256_storeu_si256(p.cast(), narrow);
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const bf16) -> (Self::V, Self::V) {
        // SAFETY: as above.
        unsafe {
            let pairs = _mm512_loadu_si512(p.cast());
            let high = _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000u32 as i32));
            (_mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)), _mm512_castsi512_ps(high))
        }
    }
    type Pairs = __m512i;
    #[inline(always)]
    unsafe fn load_dots(p: *const bf16) -> Self::Pairs {
        // SAFETY: as above.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat_dots(p: *const bf16) -> Self::Pairs {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn dot(sum: Self::V, a: Self::Pairs, b: Self::Pairs) -> Self::V {
        // SAFETY: as above.
        unsafe {
            if BF16 {
                let pairs = |v| std::mem::transmute::<__m512i, __m512bh>(v);
                return _mm512_dpbf16_ps(sum, pairs(a), pairs(b));
            }
            let even = |v| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(v));
            let odd = |v| _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(0xffff_0000u32 as i32)));
            _mm512_fmadd_ps(even(a), even(b), _mm512_fmadd_ps(odd(a), odd(b), sum))
        }
    }
    #[inline(always)]
    fn written_out<const DOT: bool>(rows: usize) -> Option<Block> {
        match (rows, DOT) {
            (12, true) if BF16 => Some(registers::dot_twelve),
            (8, true) if BF16 => Some(registers::dot_eight),
            (12, false) => Some(registers::fma_twelve),
            (8, false) => Some(registers::fma_eight),
            _ => None,
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(p: *mut bf16, even: Self::V, odd: Self::V) {
        // SAFETY: as above.
        unsafe {
            let pairs = _mm512_or_si512(_mm512_srli_epi32::<16>(rounded(even)), rounded(odd));
            _mm512_storeu_si512(p.cast(), pairs);
        }
    }
    #[inline(always)]
    unsafe fn stream_pairs(p: *mut bf16, even: Self::V, odd: Self::V) {
        // SAFETY: as above.
        unsafe {
            let pairs = _mm512_or_si512(_mm512_srli_epi32::<16>(rounded(even)), rounded(odd));
            _mm512_stream_si512(p.cast(), pairs);
        }
    }
    #[inline(always)]
    unsafe fn interleave(even: *const bf16, odd: *const bf16, to: *mut bf16) {
        // SAFETY: as above.
        unsafe {
            let wide = |p: *const bf16| _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_storeu_si512(to.cast(), _mm512_or_si512(wide(even), _mm512_slli_epi32::<16>(wide(odd))));
        }
    }
    #[inline(always)]
    unsafe fn interleave_two(even: *const bf16, odd: *const bf16, to: [*mut bf16; 2]) {
        // SAFETY: as above.
        unsafe {
            // Pair i of the first 16, then of the second: element i of `even`, and of `odd`, which counts from 32 on.
            let pairs = |first: i32| {
                let step = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
                _mm512_add_epi32(_mm512_mullo_epi32(step, _mm512_set1_epi32(0x0001_0001)), _mm512_set1_epi32(first))
            };
            let (a, b) = (_mm512_loadu_si512(even.cast()), _mm512_loadu_si512(odd.cast()));
            _mm512_storeu_si512(to[0].cast(), _mm512_permutex2var_epi16(a, pairs(0x0020_0000), b));
            _mm512_storeu_si512(to[1].cast(), _mm512_permutex2var_epi16(a, pairs(0x0030_0010), b));
        }
    }
    #[inline(always)]
    unsafe fn load_halves(upper: *const bf16, lower: *const u16) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let upper = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(upper.cast())));
            let lower = _mm512_cvtepi16_epi32(_mm256_loadu_si256(lower.cast()));
            _mm512_castsi512_ps(_mm512_add_epi32(upper, lower))
        }
    }
    #[inline(always)]
    unsafe fn store_halves(upper: *mut bf16, lower: *mut u16, v: Self::V) {
        // SAFETY: as above.
        unsafe {
            let bits = _mm512_castps_si512(v);
            let high = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, _mm512_set1_epi32(0x8000)));
            _mm256_storeu_si256(upper.cast(), _mm512_cvtepi32_epi16(high));
            _mm256_storeu_si256(lower.cast(), _mm512_cvtepi32_epi16(bits));
        }
    }
    #[inline(always)]
    unsafe fn random_bits(seed: u32, first: u32) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
            let element = _mm512_add_epi32(_mm512_set1_epi32(first as i32), lanes);
            let x = _mm512_xor_si512(element, _mm512_set1_epi32(seed as i32));
            let x = _mm512_xor_si512(x, _mm512_srli_epi32::<16>(x));
            let x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7feb_352d));
            let x = _mm512_xor_si512(x, _mm512_srli_epi32::<15>(x));
            let x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x846c_a68bu32 as i32));
            _mm512_castsi512_ps(_mm512_xor_si512(x, _mm512_srli_epi32::<16>(x)))
        }
    }
    #[inline(always)]
    unsafe fn upper_bits(v: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_castsi512_ps(_mm512_srli_epi32::<16>(_mm512_castps_si512(v))) }
    }
    #[inline(always)]
    unsafe fn round_randomly(v: Self::V, random: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let random = _mm512_and_si512(_mm512_castps_si512(random), _mm512_set1_epi32(0xffff));
            let sum = _mm512_add_epi32(_mm512_castps_si512(v), random);
            _mm512_castsi512_ps(_mm512_and_si512(sum, _mm512_set1_epi32(0xffff_0000u32 as i32)))
        }
    }
    #[inline(always)]
    unsafe fn round_bf16(v: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_castsi512_ps(rounded(v)) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn pow2(n: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }
    #[inline(always)]
    unsafe fn times_pow2(v: Self::V, n: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_scalef_ps(v, n) }
    }
    #[inline(always)]
    unsafe fn reciprocal(a: Self::V) -> Self::V {
        // SAFETY: as above. Newton's step squares the error of 2^-14.
        unsafe {
            let y = _mm512_rcp14_ps(a);
            let rest = _mm512_fnmadd_ps(a, y, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(y, rest, y)
        }
    }
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: Self::V) {
        // SAFETY: as above.
        unsafe { _mm512_stream_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn stream_bf16(p: *mut bf16, a: Self::V, b: Self::V) {
        // SAFETY: as above.
        unsafe {
            let both = if BF16 {
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(b, a))
            } else {
                let a = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(a)));
                let b = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(b)));
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b)
            };
            _mm512_stream_si512(p.cast(), both);
        }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        // SAFETY: as above.
        unsafe {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    unsafe fn largest(v: Self::V) -> f32 {
        // SAFETY: as above.
        unsafe { _mm512_reduce_max_ps(v) }
    }
    #[inline(always)]
    unsafe fn exceeds(a: Self::V, b: Self::V) -> u32 {
        // SAFETY: as above.
        unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(_mm512_abs_ps(a), b)) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        // SAFETY: both blocks are the caller's.
        unsafe {
            for block in 0..4 {
                // Register i holds columns 4 block.. of rows i, 4 + i, 8 + i, 12 + i: loads from memory into quarters
                // need no shuffle. A 4 x 4 transpose inside the quarters then leaves whole columns.
                let mut rows = [_mm512_setzero_ps(); 4];
                for i in 0..4 {
                    let quarter = |q: usize| from.add((4 * q + i) * from_step + 4 * block);
                    let first = _mm512_castps128_ps512(_mm_loadu_ps(quarter(0)));
                    let second = _mm512_insertf32x4::<1>(first, _mm_loadu_ps(quarter(1)));
                    let third = _mm512_insertf32x4::<2>(second, _mm_loadu_ps(quarter(2)));
                    rows[i] = _mm512_insertf32x4::<3>(third, _mm_loadu_ps(quarter(3)));
                }
                let [a, b, c, d] = rows;
                let (ab0, ab1) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd0, cd1) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let to = to.add(4 * block * to_step);
                _mm512_storeu_ps(to, _mm512_shuffle_ps::<0b0100_0100>(ab0, cd0));
                _mm512_storeu_ps(to.add(to_step), _mm512_shuffle_ps::<0b1110_1110>(ab0, cd0));
                _mm512_storeu_ps(to.add(2 * to_step), _mm512_shuffle_ps::<0b0100_0100>(ab1, cd1));
                _mm512_storeu_ps(to.add(3 * to_step), _mm512_shuffle_ps::<0b1110_1110>(ab1, cd1));
            }
        }
    }
}
