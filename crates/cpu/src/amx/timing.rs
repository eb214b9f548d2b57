//! Stands in for tile instructions on a machine without them: touches the same memory in the same order and takes at
//! least as long as a core with AMX would (a tdpbf16ps every 16 cycles), but computes nothing: results are noise of
//! usual magnitude. Compiled only with `RUSTFLAGS="--cfg tile_timing"`, to find and shorten what surrounds the tiles.
//! Loads of vectors wait for the second-level cache where tile loads run ahead, so products come out slower than on
//! silicon (a pair of tile rows from the first level takes 22 ns, from the second 32 ns a step of 32, here).

use half::bf16;
use std::arch::asm;
use std::cell::Cell;

/// Small numbers in no order: what results are replaced by, so that the rest of a step sees usual magnitudes.
struct Noise([f32; 4096 + 64]);

static NOISE: Noise = {
    let mut noise = [0.0f32; 4096 + 64];
    let (mut state, mut i) = (0x2545_f491_u32, 0);
    while i < noise.len() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        noise[i] = (state as i32 as f32) / 2147483648.0 * 0.1;
        i += 1;
    }
    Noise(noise)
};

thread_local! {
    /// Counts results, so that they differ.
    static PLACE: Cell<usize> = const { Cell::new(0) };
}

/// Operands of the chain of multiply-adds: zeros, which never slow it down. The chain itself goes on from call to call.
///
/// # Safety
/// The processor has AVX-512.
unsafe fn quiet() {
    // SAFETY: registers only.
    unsafe {
        asm!(
            "vpxorq zmm21, zmm21, zmm21",
            "vpxorq zmm22, zmm22, zmm22",
            "vandps zmm20, zmm20, zmm21",
            out("zmm20") _, out("zmm21") _, out("zmm22") _,
            options(nostack, nomem),
        );
    }
}

/// Stores tiles of noise: 16 rows of `panels` lines at `c`.
///
/// # Safety
/// `c` has room for them.
unsafe fn results(panels: usize, c: *mut f32, c_step: usize) {
    let start = PLACE.get().wrapping_mul(769).wrapping_add(c as usize / 64) & 511;
    PLACE.set(start + 1);
    for panel in 0..panels {
        let from = NOISE.0.as_ptr().wrapping_add((start * 8 + panel * 16) & 2047);
        // SAFETY: reads stay inside the noise, writes inside the caller's block.
        unsafe {
            asm!(
                ".irp r, 16, 17, 18, 19, 24, 25, 26, 27",
                "vmovups zmm\\r, [{f}]",
                "add {f}, 212",
                ".endr",
                ".rept 2",
                ".irp r, 16, 17, 18, 19, 24, 25, 26, 27",
                "vmovups [{t}], zmm\\r",
                "add {t}, {s}",
                ".endr",
                ".endr",
                f = inout(reg) from => _,
                t = inout(reg) c.add(panel * 16) => _,
                s = in(reg) 4 * c_step,
                out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _,
                out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _,
                options(nostack),
            );
        }
    }
}

/// As [`super::Tiles::two_by_two`], in time only.
///
/// # Safety
/// As there.
pub unsafe fn two_by_two(
    depth: usize,
    a: *const bf16,
    a_step: usize,
    b: [*const bf16; 2],
    ahead: [*const bf16; 2],
    c: *mut f32,
    c_step: usize,
) {
    // SAFETY: reads what tiles would read, writes what they would write.
    unsafe {
        quiet();
        let ([mut b0, mut b1], [mut p0, mut p1]) = (b, ahead);
        for k in 0..depth {
            let a0 = a.add(k * 32);
            asm!(
                "prefetcht1 [{p0}]",
                "prefetcht1 [{p0} + 64]",
                "prefetcht1 [{p1}]",
                "prefetcht1 [{p1} + 64]",
                ".rept 16",
                "vmovups zmm16, [{a0}]",
                "vmovups zmm17, [{a1}]",
                "vmovups zmm18, [{b0}]",
                "vmovups zmm19, [{b1}]",
                "vfmadd231ps zmm20, zmm21, zmm22",
                "add {a0}, {s}",
                "add {a1}, {s}",
                "add {b0}, 64",
                "add {b1}, 64",
                ".endr",
                p0 = in(reg) p0,
                p1 = in(reg) p1,
                a0 = inout(reg) a0 => _,
                a1 = inout(reg) a0.add(16 * a_step) => _,
                b0 = inout(reg) b0,
                b1 = inout(reg) b1,
                s = in(reg) 2 * a_step,
                out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _, out("zmm20") _,
                options(nostack),
            );
            (p0, p1) = (p0.wrapping_add(64), p1.wrapping_add(64));
        }
        results(2, c, c_step);
        results(2, c.add(16 * c_step), c_step);
    }
}

/// As [`super::Tiles::one_by_one`], in time only.
///
/// # Safety
/// As there.
pub unsafe fn one_by_one(depth: usize, a: *const bf16, a_step: usize, b: *const bf16, c: *mut f32, c_step: usize) {
    // SAFETY: as above.
    unsafe {
        quiet();
        let mut b0 = b;
        for k in 0..depth {
            asm!(
                ".rept 16",
                "vmovups zmm16, [{a0}]",
                "vmovups zmm18, [{b0}]",
                "vfmadd231ps zmm20, zmm21, zmm22",
                "add {a0}, {s}",
                "add {b0}, 64",
                ".endr",
                a0 = inout(reg) a.add(k * 32) => _,
                b0 = inout(reg) b0,
                s = in(reg) 2 * a_step,
                out("zmm16") _, out("zmm18") _, out("zmm20") _,
                options(nostack),
            );
        }
        results(1, c, c_step);
    }
}
