//! A block of results on AMX tiles.

use crate::amx::Tiles;
use crate::packed::TILE_DEPTH;
use crate::scratch::PANEL;
use half::bf16;

/// Rows in scratch (`depth` apart, a multiple of 32) times panels where `panel` says, into `c` (rows `step` apart).
///
/// # Safety
/// Scratch has room for rows rounded up to 16 in `a` and `c`, tiles are there, and panels hold `depth` inputs.
pub unsafe fn block(
    rows: usize,
    panels: usize,
    depth: usize,
    a: *const bf16,
    panel: impl Fn(usize) -> *const bf16,
    c: *mut f32,
    step: usize,
    fresh: bool,
) {
    // SAFETY: the caller's. Rows past the last one are stale numbers whose results nobody reads.
    unsafe {
        let tiles = Tiles::configure();
        let steps = depth / TILE_DEPTH;
        let (tall, wide) = (rows.div_ceil(16), panels);
        for p in (0..wide).step_by(2) {
            for t in (0..tall).step_by(2) {
                let (a, c) = (a.add(16 * t * depth), c.add(16 * t * step + p * PANEL));
                if t + 1 < tall && p + 1 < wide {
                    tiles.two_by_two(steps, a, depth, [panel(p), panel(p + 1)], c, step, fresh);
                    continue;
                }
                for i in 0..(tall - t).min(2) {
                    for j in 0..(wide - p).min(2) {
                        let (a, c) = (a.add(16 * i * depth), c.add(16 * i * step + j * PANEL));
                        tiles.one_by_one(steps, a, depth, panel(p + j), c, step, fresh);
                    }
                }
            }
        }
    }
}
