//! Attention on vectors, in f32 whatever the activations are.

use super::{Layout, hide, visible};
use crate::epilogue::Target;
use crate::isa::Isa;
use crate::kernel::{Left, Right, multiply};
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::Rows;
use moeworks_ops::Heads;
use moeworks_ops::buffer::Buffer;
use std::ops::Range;

/// Queries of a block.
pub(crate) const QUERIES: usize = 48;
/// Keys of a block.
pub(crate) const KEYS: usize = 128;

/// Blocks of one thread: f32 whatever the activations are.
pub(crate) struct Blocks {
    buffer: Buffer,
    next: usize,
}

impl Blocks {
    /// Room for blocks of heads up to `width`.
    pub(crate) fn new(width: usize) -> Self {
        let width = width.next_multiple_of(PANEL);
        let floats = 6 * KEYS * width + 6 * QUERIES * width + 4 * QUERIES * KEYS + 4 * QUERIES;
        Blocks { buffer: Buffer::zeroed(4 * floats).expect("a thread's attention blocks fit"), next: 0 }
    }

    /// Takes everything back.
    pub(crate) fn clear(&mut self) {
        self.next = 0;
    }

    /// The next `n` floats.
    pub(crate) fn take(&mut self, n: usize) -> *mut f32 {
        let at = self.next;
        self.next += n.next_multiple_of(PANEL);
        assert!(4 * self.next <= self.buffer.len());
        // SAFETY: inside the buffer.
        unsafe { self.buffer.start().cast::<f32>().add(at) }
    }
}

/// Rows of one head as [rows][padded] f32, zero beyond the head's width.
///
/// # Safety
/// `out` has room; rows and columns are inside.
#[inline(always)]
pub(crate) unsafe fn copy_head<S: Simd>(
    from: &Rows,
    rows: Range<usize>,
    columns: Range<usize>,
    padded: usize,
    out: *mut f32,
) {
    // SAFETY: the caller's.
    unsafe {
        if columns.len() < padded {
            std::ptr::write_bytes(out, 0, rows.len() * padded);
        }
        from.copy_f32::<S>(rows, columns, false, out, padded);
    }
}

/// [rows][padded] as panels over rows: panel p is [padded][16], rows `16 p..16 p + 16` as columns. Rows past the last
/// are whatever lies there.
///
/// # Safety
/// Both have room for rows rounded up to whole panels.
#[inline(always)]
pub(crate) unsafe fn transpose_head<S: Simd>(from: *const f32, rows: usize, padded: usize, out: *mut f32) {
    for p in 0..rows.div_ceil(PANEL) {
        for c in (0..padded).step_by(PANEL) {
            // SAFETY: the caller's.
            unsafe {
                S::transpose(from.add(p * PANEL * padded + c), padded, out.add((p * padded + c) * PANEL), PANEL);
            }
        }
    }
}

/// Scores [queries][KEYS] of a block of queries (contiguous rows) and transposed keys.
///
/// # Safety
/// Blocks are as large as that.
#[inline(always)]
pub(crate) unsafe fn scores<S: Simd>(
    q: *const f32,
    keys_transposed: *const f32,
    queries: usize,
    keys: usize,
    padded: usize,
    out: *mut f32,
) {
    let a = Left { start: q, row_step: padded, k_step: 1 };
    let b = Right { start: keys_transposed, k_step: PANEL, panel_step: padded * PANEL };
    // SAFETY: the caller's.
    unsafe { multiply::<S>(queries, keys.div_ceil(PANEL), padded, a, b, out, KEYS, true) }
}

/// The op on vectors: `first` and the output's rows are as in [`super::attention`].
pub(super) fn run(pool: &mut Pool, isa: Isa, heads: Heads, qkv: Rows, first: &[i32], out: Target, lse: Shared<f32>) {
    let rows = first.len();
    let blocks = rows.div_ceil(QUERIES);
    pool.prepare(|scratch| scratch.grow_attention(heads.width));
    pool.run(blocks * heads.query, &|task, scratch| {
        // The longest blocks come first, so that the last task is a short one.
        let (block, head) = (blocks - 1 - task / heads.query, task % heads.query);
        let queries = block * QUERIES..((block + 1) * QUERIES).min(rows);
        let layout = Layout::new(heads);
        let kernel = Forward { layout, head, qkv, first, queries, out, lse, blocks: scratch.attention() };
        // SAFETY: every task has its own queries and head.
        unsafe { simd::run(isa.vector(), kernel) }
    });
}

struct Forward<'a> {
    layout: Layout,
    head: usize,
    qkv: Rows<'a>,
    first: &'a [i32],
    queries: Range<usize>,
    out: Target,
    lse: Shared<f32>,
    blocks: &'a mut Blocks,
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Forward { layout, head, qkv, first, queries, out, lse, blocks } = self;
        let (padded, width, group) = (layout.padded, layout.heads.width, layout.group(head));
        let (q, o) = (blocks.take(QUERIES * padded), blocks.take(QUERIES * padded));
        let (k, kt, v) = (blocks.take(KEYS * padded), blocks.take(KEYS * padded), blocks.take(KEYS * padded));
        let p = blocks.take(QUERIES * KEYS);
        let n = queries.len();
        let (mut most, mut sum) = ([f32::NEG_INFINITY; QUERIES], [0.0f32; QUERIES]);
        // SAFETY: blocks have room for QUERIES and KEYS rows; all rows and columns are inside `qkv` and `out`.
        unsafe {
            copy_head::<S>(&qkv, queries.clone(), layout.query(head), padded, q);
            scale_rows::<S>(q, n * padded, 1.0 / (width as f32).sqrt());
            std::ptr::write_bytes(o, 0, QUERIES * padded);
            for start in (first[queries.start] as usize..queries.end).step_by(KEYS) {
                let keys = start..(start + KEYS).min(queries.end);
                copy_head::<S>(&qkv, keys.clone(), layout.key(group), padded, k);
                transpose_head::<S>(k, keys.len(), padded, kt);
                copy_head::<S>(&qkv, keys.clone(), layout.value(group), padded, v);
                scores::<S>(q, kt, n, keys.len(), padded, p);
                for i in 0..n {
                    let t = queries.start + i;
                    let seen = visible(first[t] as usize, t, &keys);
                    let row = p.add(i * KEYS);
                    let factor = accumulate::<S>(row, seen, keys.len(), &mut most[i], &mut sum[i]);
                    if factor != 1.0 {
                        scale_rows::<S>(o.add(i * padded), padded, factor);
                    }
                }
                let a = Left { start: p, row_step: KEYS, k_step: 1 };
                let b = Right { start: v, k_step: padded, panel_step: PANEL };
                multiply::<S>(n, padded / PANEL, keys.len(), a, b, o, padded, false);
            }
            for i in 0..n {
                let t = queries.start + i;
                let scale = S::splat(1.0 / sum[i]);
                let to = (t * layout.heads.query + head) * width;
                for c in (0..width).step_by(S::LANES) {
                    let v = S::mul(S::load(o.add(i * padded + c)), scale);
                    out.store::<S>(to + c, v, (width - c).min(S::LANES));
                }
                *lse.at(t * layout.heads.query + head) = most[i] + sum[i].ln();
            }
        }
    }
}

/// Multiplies `n` floats (a multiple of 16) in place.
///
/// # Safety
/// `x` holds them.
#[inline(always)]
pub(crate) unsafe fn scale_rows<S: Simd>(x: *mut f32, n: usize, factor: f32) {
    // SAFETY: the caller's.
    unsafe {
        let f = S::splat(factor);
        for i in (0..n).step_by(S::LANES) {
            S::store(x.add(i), S::mul(S::load(x.add(i)), f));
        }
    }
}

/// Turns a row of scores into weights `e^(s - most)`, 0 outside `seen`, brings maximum and sum up to date, and returns
/// the factor for what was summed with the old maximum.
///
/// # Safety
/// `row` holds `keys` rounded up to whole panels.
#[inline(always)]
unsafe fn accumulate<S: Simd>(row: *mut f32, seen: Range<usize>, keys: usize, most: &mut f32, sum: &mut f32) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        hide::<S>(row, &seen, keys, f32::NEG_INFINITY);
        if seen.is_empty() {
            std::ptr::write_bytes(row, 0, keys);
            return 1.0;
        }
        let mut largest = S::splat(f32::NEG_INFINITY);
        for i in (0..keys).step_by(S::LANES) {
            largest = S::max(largest, S::load(row.add(i)));
        }
        let now = most.max(S::largest(largest));
        let factor = if *most == f32::NEG_INFINITY { 0.0 } else { (*most - now).exp() };
        let (m, mut total) = (S::splat(now), S::splat(0.0));
        for i in (0..keys).step_by(S::LANES) {
            let e = S::exp(S::sub(S::load(row.add(i)), m));
            S::store(row.add(i), e);
        }
        hide::<S>(row, &seen, keys, 0.0);
        for i in (0..keys).step_by(S::LANES) {
            total = S::add(total, S::load(row.add(i)));
        }
        *sum = *sum * factor + S::sum(total);
        *most = now;
        factor
    }
}
