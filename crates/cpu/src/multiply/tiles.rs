//! A block of results on AMX tiles.

use crate::amx::Tiles;
use crate::packed::TILE_DEPTH;
use crate::scratch::PANEL;
use half::bf16;

/// Rows (`a_step` apart) times panels where `panel` says, over a depth that is a multiple of 32, into `c` (rows `step`
/// apart). Two panels stay in the first-level cache while all rows pass.
///
/// # Safety
/// `a` and `c` have room for rows rounded up to 32, and panels hold `depth` inputs.
pub unsafe fn block(
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
                    let ahead = [p + 2, p + 3].map(|next| panel(next.min(panels - 1)).wrapping_add(part));
                    tiles.two_by_two(steps, a, a_step, [panel(p), panel(p + 1)], ahead, c, step, fresh);
                } else {
                    for i in [0, 16] {
                        tiles.one_by_one(steps, a.add(i * a_step), a_step, panel(p), c.add(i * step), step, fresh);
                    }
                }
            }
        }
    }
}
