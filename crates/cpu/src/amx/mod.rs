//! AMX: permission, and blocks of bf16 products on tiles.
//!
//! Stable Rust has no AMX intrinsics; the tile instructions are written as `asm!`, the whole loop over k in one block,
//! so that no tile lives across Rust code. Tiles 0 to 3 hold results, 4 and 5 rows on the left, 6 and 7 panels on the
//! right. A tile holds 16 rows of 64 bytes: 16 x 32 bf16, or 16 x 16 f32.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

pub mod emulator;
#[cfg(tile_timing)]
mod timing;

use half::bf16;
#[cfg(not(tile_timing))]
use std::arch::asm;
use std::sync::OnceLock;

/// Whether the processor has AMX with bf16 and the system lets this process use it. Asked once, for all threads.
pub fn permitted() -> bool {
    if cfg!(tile_timing) {
        return true;
    }
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let leaf = std::arch::x86_64::__cpuid_count(7, 0);
        let (bf16, tile) = (leaf.edx >> 22 & 1 == 1, leaf.edx >> 24 & 1 == 1);
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        // SAFETY: the call asks for permission and touches no memory.
        bf16 && tile && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) } == 0
    })
}

/// The configuration of eight full tiles (palette 1).
#[repr(C, align(64))]
#[cfg(not(tile_timing))]
struct Configuration([u8; 64]);

#[cfg(not(tile_timing))]
const FULL: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64; // bytes of a row
        bytes[48 + tile] = 16; // rows
        tile += 1;
    }
    Configuration(bytes)
};

/// Tiles made ready for this thread; given back when dropped, so that the system need not save them.
pub struct Tiles(());

impl Tiles {
    /// Configures this thread's tiles.
    ///
    /// # Safety
    /// Tiles are permitted, or emulated.
    pub unsafe fn configure() -> Self {
        #[cfg(not(tile_timing))]
        // SAFETY: reads 64 bytes of a constant; the caller answers for the instruction.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &FULL, options(nostack))
        };
        Tiles(())
    }

    /// `c += a b` (or `c = a b` if `fresh`) for 32 rows and two panels: `a` is bf16 rows `a_step` apart, `b` packed
    /// panels, `c` f32 rows `c_step` apart, the panels side by side. `depth` counts in steps of 32, at least one. On the
    /// way, 128 bytes a step from each place of `ahead` on are brought to the second-level cache, wherever they are.
    ///
    /// # Safety
    /// All operands are as large as that.
    #[cfg_attr(tile_timing, allow(unused_variables))]
    pub unsafe fn two_by_two(
        &self,
        depth: usize,
        a: *const bf16,
        a_step: usize,
        b: [*const bf16; 2],
        ahead: [*const bf16; 2],
        c: *mut f32,
        c_step: usize,
        fresh: bool,
    ) {
        #[cfg(tile_timing)]
        // SAFETY: the caller's.
        return unsafe { timing::two_by_two(depth, a, a_step, b, ahead, c, c_step) };
        // SAFETY: the caller's; every tile instruction stays inside 32 rows and two panels.
        #[cfg(not(tile_timing))]
        unsafe {
            asm!(
                "test {fresh}, {fresh}",
                "jnz 3f",
                "tileloadd tmm0, [{c0} + {cs}]",
                "tileloadd tmm1, [{c0} + {cs} + 64]",
                "tileloadd tmm2, [{c1} + {cs}]",
                "tileloadd tmm3, [{c1} + {cs} + 64]",
                "jmp 2f",
                "3:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{a0} + {as_}]",
                "tileloadd tmm6, [{b0} + {bs}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetcht1 [{p0}]",
                "prefetcht1 [{p0} + 64]",
                "tileloadd tmm5, [{a1} + {as_}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "prefetcht1 [{p1}]",
                "prefetcht1 [{p1} + 64]",
                "tileloadd tmm7, [{b1} + {bs}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a0}, 64",
                "add {a1}, 64",
                "add {b0}, 1024",
                "add {b1}, 1024",
                "add {p0}, 128",
                "add {p1}, 128",
                "dec {n}",
                "jnz 2b",
                "tilestored [{c0} + {cs}], tmm0",
                "tilestored [{c0} + {cs} + 64], tmm1",
                "tilestored [{c1} + {cs}], tmm2",
                "tilestored [{c1} + {cs} + 64], tmm3",
                fresh = in(reg) usize::from(fresh),
                c0 = in(reg) c,
                c1 = in(reg) c.add(16 * c_step),
                cs = in(reg) 4 * c_step,
                a0 = inout(reg) a => _,
                a1 = inout(reg) a.add(16 * a_step) => _,
                as_ = in(reg) 2 * a_step,
                b0 = inout(reg) b[0] => _,
                b1 = inout(reg) b[1] => _,
                p0 = inout(reg) ahead[0] => _,
                p1 = inout(reg) ahead[1] => _,
                bs = in(reg) 64usize,
                n = inout(reg) depth => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// As [`Tiles::two_by_two`] for 16 rows and one panel.
    ///
    /// # Safety
    /// All operands are as large as that.
    #[cfg_attr(tile_timing, allow(unused_variables))]
    pub unsafe fn one_by_one(
        &self,
        depth: usize,
        a: *const bf16,
        a_step: usize,
        b: *const bf16,
        c: *mut f32,
        c_step: usize,
        fresh: bool,
    ) {
        #[cfg(tile_timing)]
        // SAFETY: the caller's.
        return unsafe { timing::one_by_one(depth, a, a_step, b, c, c_step) };
        // SAFETY: the caller's; every tile instruction stays inside 16 rows and one panel.
        #[cfg(not(tile_timing))]
        unsafe {
            asm!(
                "tilezero tmm0",
                "test {fresh}, {fresh}",
                "jnz 2f",
                "tileloadd tmm0, [{c} + {cs}]",
                "2:",
                "tileloadd tmm4, [{a} + {as_}]",
                "tileloadd tmm6, [{b} + {bs}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "add {a}, 64",
                "add {b}, 1024",
                "dec {n}",
                "jnz 2b",
                "tilestored [{c} + {cs}], tmm0",
                fresh = in(reg) usize::from(fresh),
                c = in(reg) c,
                cs = in(reg) 4 * c_step,
                a = inout(reg) a => _,
                as_ = in(reg) 2 * a_step,
                b = inout(reg) b => _,
                bs = in(reg) 64usize,
                n = inout(reg) depth => _,
                out("tmm0") _, out("tmm4") _, out("tmm6") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        #[cfg(not(tile_timing))]
        // SAFETY: a Tiles exists only where tile instructions run.
        unsafe {
            asm!("tilerelease", options(nomem, nostack))
        };
    }
}
