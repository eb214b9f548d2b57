//! Blocks of registers, written out: compilers spill sums, or chain the addresses of rows one behind the
//! other, and either is slower than the multiply-adds.

use std::arch::asm;
use std::arch::x86_64::*;

/// Operands of a block: rows on the left, one number (or pair of bf16) in all lanes, and two vectors on the right.
#[derive(Clone, Copy)]
pub struct Operands {
    /// Row 0, step 0.
    pub a: *const u8,
    /// Bytes from row to row.
    pub row: usize,
    /// Bytes from step to step, on the left.
    pub a_step: usize,
    /// Step 0 of each vector.
    pub b: [*const u8; 2],
    /// Bytes from step to step, on the right.
    pub b_step: usize,
    /// What later blocks read, fetched into the second-level cache meanwhile: a cache line a step. It need not be there.
    pub coming: *const u8,
}

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Steps, operands, results and the elements from row to row of them, and whether they are overwritten.
pub type Block = unsafe fn(usize, Operands, *mut f32, usize, bool);

/// A row of a step: the left number to all lanes, times both vectors.
macro_rules! row {
    ($op:literal, $at:literal, $right:tt $second:tt, $left:literal, $one:tt, $two:tt) => {
        concat!(
            concat!("vbroadcastss ", $left, ", dword ptr [", $at, "]\n"),
            concat!($op, " ", $one, ", ", $left, ", ", $right, "\n"),
            concat!($op, " ", $two, ", ", $left, ", ", $second, "\n"),
        )
    };
}

/// A function that adds the products of `steps` steps (at least 1) to `c`, or overwrites it if `fresh`: some rows of two
/// vectors, `c_step` apart. Rows of the left operand are reached from every third one.
macro_rules! block {
    ($name:ident, $rows:literal, $op:literal, $set:literal [$zero:ident $load:ident $store:ident $lanes:literal],
     [$($base:ident $third:literal)*], [$right:tt $second:tt $($temporary:tt)*],
     [$($i:literal $at:literal $left:literal $one:tt $two:tt)*]) => {
        /// # Safety
        /// The processor has the instructions; operands are there for all rows and steps.
        #[target_feature(enable = $set)]
        pub unsafe fn $name(steps: usize, o: Operands, c: *mut f32, c_step: usize, fresh: bool) {
            let mut sums = [[$zero(); 2]; $rows];
            // SAFETY: the caller's; the assembly writes nothing but registers.
            unsafe {
                if !fresh {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        *sums = [0, $lanes].map(|at| $load(c.add(i * c_step + at)));
                    }
                }
                asm!(
                    "2:",
                    concat!("vmovups ", $right, ", [{b0}]"),
                    concat!("vmovups ", $second, ", [{b1}]"),
                    "prefetcht1 [{coming}]",
                    $(row!($op, $at, $right $second, $left, $one, $two),)*
                    $(concat!("add {", stringify!($base), "}, {step}"),)*
                    "add {b0}, {bs}",
                    "add {b1}, {bs}",
                    "add {coming}, {line}",
                    "dec {n}",
                    "jnz 2b",
                    $($base = inout(reg) o.a.wrapping_add($third * o.row) => _,)*
                    row = in(reg) o.row,
                    step = in(reg) o.a_step,
                    b0 = inout(reg) o.b[0] => _,
                    b1 = inout(reg) o.b[1] => _,
                    bs = in(reg) o.b_step,
                    coming = inout(reg) o.coming => _,
                    line = const LINE,
                    n = inout(reg) steps => _,
                    $(inout($one) sums[$i][0], inout($two) sums[$i][1],)*
                    out($right) _, out($second) _, $(out($temporary) _,)*
                    options(nostack, readonly),
                );
                for (i, sums) in sums.iter().enumerate() {
                    $store(c.add(i * c_step), sums[0]);
                    $store(c.add(i * c_step + $lanes), sums[1]);
                }
            }
        }
    };
}

macro_rules! twelve {
    ($name:ident, $op:literal) => {
        block!($name, 12, $op, "avx512f" [_mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps 16],
            [a0 0 a3 3 a6 6 a9 9], ["zmm24" "zmm25" "zmm26" "zmm27" "zmm28" "zmm29"], [
            0 "{a0}" "zmm26" "zmm0" "zmm1"
            1 "{a0} + {row}" "zmm27" "zmm2" "zmm3"
            2 "{a0} + 2 * {row}" "zmm28" "zmm4" "zmm5"
            3 "{a3}" "zmm29" "zmm6" "zmm7"
            4 "{a3} + {row}" "zmm26" "zmm8" "zmm9"
            5 "{a3} + 2 * {row}" "zmm27" "zmm10" "zmm11"
            6 "{a6}" "zmm28" "zmm12" "zmm13"
            7 "{a6} + {row}" "zmm29" "zmm14" "zmm15"
            8 "{a6} + 2 * {row}" "zmm26" "zmm16" "zmm17"
            9 "{a9}" "zmm27" "zmm18" "zmm19"
            10 "{a9} + {row}" "zmm28" "zmm20" "zmm21"
            11 "{a9} + 2 * {row}" "zmm29" "zmm22" "zmm23"
        ]);
    };
}

macro_rules! eight {
    ($name:ident, $op:literal) => {
        block!($name, 8, $op, "avx512f" [_mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps 16],
            [a0 0 a3 3 a6 6], ["zmm24" "zmm25" "zmm26" "zmm27" "zmm28" "zmm29"], [
            0 "{a0}" "zmm26" "zmm0" "zmm1"
            1 "{a0} + {row}" "zmm27" "zmm2" "zmm3"
            2 "{a0} + 2 * {row}" "zmm28" "zmm4" "zmm5"
            3 "{a3}" "zmm29" "zmm6" "zmm7"
            4 "{a3} + {row}" "zmm26" "zmm8" "zmm9"
            5 "{a3} + 2 * {row}" "zmm27" "zmm10" "zmm11"
            6 "{a6}" "zmm28" "zmm12" "zmm13"
            7 "{a6} + {row}" "zmm29" "zmm14" "zmm15"
        ]);
    };
}

block!(fma_six, 6, "vfmadd231ps", "avx2,fma" [_mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps 8],
    [a0 0 a3 3], ["ymm12" "ymm13" "ymm14" "ymm15"], [
    0 "{a0}" "ymm14" "ymm0" "ymm1"
    1 "{a0} + {row}" "ymm15" "ymm2" "ymm3"
    2 "{a0} + 2 * {row}" "ymm14" "ymm4" "ymm5"
    3 "{a3}" "ymm15" "ymm6" "ymm7"
    4 "{a3} + {row}" "ymm14" "ymm8" "ymm9"
    5 "{a3} + 2 * {row}" "ymm15" "ymm10" "ymm11"
]);
twelve!(fma_twelve, "vfmadd231ps");
eight!(fma_eight, "vfmadd231ps");
twelve!(dot_twelve, "vdpbf16ps");
eight!(dot_eight, "vdpbf16ps");
