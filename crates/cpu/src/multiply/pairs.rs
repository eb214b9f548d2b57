//! A block of results from bf16 operands in pairs: on AMX tiles, or by dot products of vectors. Both read the same
//! operands: rows on the left, packed panels on the right.

use super::dots::{self, LeftPairs};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::amx::Tiles;
use crate::isa::Isa;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::packed::TILE_DEPTH;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::scratch::PANEL;
use crate::simd::Simd;
use half::bf16;

/// What multiplies, made ready for this thread.
pub enum Pairs {
    /// Dot products of vectors.
    Dots,
    /// Tiles.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Tiles(Tiles),
}

impl Pairs {
    /// Makes this thread ready.
    ///
    /// # Safety
    /// The path is this machine's.
    #[inline(always)]
    pub unsafe fn ready(isa: Isa) -> Self {
        debug_assert!(isa.multiplies_bf16());
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if isa.has_tiles() {
            // SAFETY: such a path exists only where tiles are permitted, or emulated.
            return Pairs::Tiles(unsafe { Tiles::configure() });
        }
        Pairs::Dots
    }

    /// Rows that are read from the left operand for a block of `rows`.
    pub fn rows_read(isa: Isa, rows: usize) -> usize {
        if isa.has_tiles() { rows.next_multiple_of(32) } else { rows }
    }

    /// `c = a b`, or `c += a b` unless `fresh`: rows (`a_step` apart) times panels where `panel` says, over a depth
    /// that is a multiple of 32, into `c` (rows `step` apart). Two panels stay in the first-level cache while all rows
    /// pass. `panel` may be asked for two more panels, whose bytes need not be there.
    ///
    /// # Safety
    /// `a` and `c` have room for the rows, on tiles rounded up to 32; rows of `c` for an even number of panels; panels
    /// hold `depth` inputs.
    #[inline(always)]
    pub unsafe fn block<S: Simd>(
        &self,
        rows: usize,
        panels: usize,
        depth: usize,
        a: *const bf16,
        a_step: usize,
        panel: impl Fn(usize) -> *const bf16,
        c: *mut f32,
        step: usize,
        fresh: bool,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Pairs::Dots => {
                    let a = LeftPairs { start: a, row_step: a_step, pair_step: 2 };
                    dots::block::<S>(rows, panels, depth / 2, a, panel, c, step, fresh);
                }
                #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
                Pairs::Tiles(tiles) => {
                    on_tiles(tiles, rows, panels, depth, a, a_step, panel, c, step, fresh);
                }
            }
        }
    }
}

/// # Safety
/// As [`Pairs::block`].
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
unsafe fn on_tiles(
    tiles: &Tiles,
    rows: usize,
    panels: usize,
    depth: usize,
    a: *const bf16,
    a_step: usize,
    panel: impl Fn(usize) -> *const bf16,
    c: *mut f32,
    step: usize,
    fresh: bool,
) {
    // SAFETY: the caller's. Rows past the last one are stale numbers whose results nobody reads.
    unsafe {
        let steps = depth / TILE_DEPTH;
        for p in (0..panels).step_by(2) {
            for row in (0..rows).step_by(32) {
                let (a, c) = (a.add(row * a_step), c.add(row * step + p * PANEL));
                if p + 1 < panels {
                    // The next two panels come while all rows pass these, a part of them with each pair of tiles.
                    let part = row / 32 * steps * 64;
                    let coming = [p + 2, p + 3].map(|next| panel(next).wrapping_add(part));
                    tiles.two_by_two(steps, a, a_step, [panel(p), panel(p + 1)], coming, c, step, fresh);
                } else {
                    for i in [0, 16] {
                        tiles.one_by_one(steps, a.add(i * a_step), a_step, panel(p), c.add(i * step), step, fresh);
                    }
                }
            }
        }
    }
}
