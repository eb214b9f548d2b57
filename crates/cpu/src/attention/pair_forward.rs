//! Attention in pairs of bf16: both products in bf16, the softmax between them in f32.

use super::operands::{Kind, Operands, Order, Shape, WIDEST, arrange};
use super::{Layout, hide, visible};
use crate::Bytes;
use crate::epilogue::Target;
use crate::isa::Isa;
use crate::multiply::Pairs;
use crate::pool::Pool;
use crate::scratch::{PANEL, Scratch};
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::Rows;
use half::bf16;
use moeworks_ops::Heads;
use std::ops::Range;

/// Queries of a block: two tiles, or two and two thirds blocks of dot products.
const QUERIES: usize = 32;
/// Keys of a block.
const KEYS: usize = 256;
/// From row to row of scores; not a power of two, whose rows would share too few cache sets.
const STEP: usize = KEYS + PANEL;

/// The op in pairs: as [`super::forward::run`].
pub(super) fn run(
    pool: &mut Pool,
    isa: Isa,
    heads: Heads,
    qkv: Rows,
    first: &[i32],
    out: Target,
    lse: Shared<f32>,
    arranged: &mut Bytes,
) {
    assert!(heads.width <= WIDEST, "heads of {}", heads.width);
    let (rows, layout) = (first.len(), Layout::new(heads));
    let shape = Shape::new(rows, heads.width);
    let order = |kind: Kind, columns: Range<usize>| Order { kind, rows: qkv, column: columns.start };
    let keys = (0..heads.kv).map(|g| order(Kind::Transposed, layout.key(g)));
    let values = (0..heads.kv).map(|g| order(Kind::Pairs, layout.value(g)));
    let orders: Vec<Order> = keys.chain(values).collect();
    let into = arranged.of(2 * orders.len() * shape.elements());
    let operands = arrange(pool, isa, shape, &orders, into);
    let blocks = rows.div_ceil(QUERIES);
    pool.run(blocks * heads.query, &|task, scratch| {
        // The longest blocks come first, so that the last task is a short one.
        let (block, head) = (blocks - 1 - task / heads.query, task % heads.query);
        let queries = block * QUERIES..((block + 1) * QUERIES).min(rows);
        let kernel = Forward { isa, layout, shape, head, qkv, first, queries, out, lse, operands, scratch };
        // SAFETY: every task has its own queries and head.
        unsafe { simd::run(isa.vector(), kernel) }
    });
}

struct Forward<'a> {
    isa: Isa,
    layout: Layout,
    shape: Shape,
    head: usize,
    qkv: Rows<'a>,
    first: &'a [i32],
    queries: Range<usize>,
    out: Target,
    lse: Shared<f32>,
    operands: Operands,
    scratch: &'a Scratch,
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Forward { isa, layout, shape, head, qkv, first, queries, out, lse, operands, scratch } = self;
        let Heads { query, kv, width } = layout.heads;
        let (group, n, depth) = (layout.group(head), queries.len(), shape.depth);
        let (o_step, scale) = (shape.panels * PANEL + PANEL, 1.0 / (width as f32).sqrt());
        let (mut most, mut sum) = ([f32::NEG_INFINITY; QUERIES], [0.0f32; QUERIES]);
        // SAFETY: scratch is larger than these blocks for the widest head; keys are whole tiles of the padded rows.
        unsafe {
            let pairs = Pairs::ready(isa);
            let (q, p) = (scratch.a_bf16(), scratch.a_bf16().add(QUERIES * depth));
            let (s, o) = (scratch.c(), scratch.b());
            qkv.copy_bf16::<S>(queries.clone(), layout.query(head), q, depth);
            let mut fresh = true;
            for start in (first[queries.start] as usize / 32 * 32..queries.end).step_by(KEYS) {
                let keys = start..(start + KEYS).min(queries.end);
                let padded = keys.len().next_multiple_of(32);
                let key = |panel: usize| operands.transposed(group, start + panel * PANEL).cast_const();
                pairs.block::<S>(n, padded / PANEL, depth, q, depth, key, s, STEP, true);
                for i in 0..n {
                    let t = queries.start + i;
                    let seen = visible(first[t] as usize, t, &keys);
                    let (row, weights) = (s.add(i * STEP), p.add(i * KEYS));
                    let factor = weigh::<S>(row, weights, seen, padded, scale, &mut most[i], &mut sum[i]);
                    if factor != 1.0 && !fresh {
                        super::forward::scale_rows::<S>(o.add(i * o_step), shape.panels * PANEL, factor);
                    }
                }
                let value = |panel: usize| operands.pairs(kv + group, panel, start).cast_const();
                pairs.block::<S>(n, shape.panels, padded, p, KEYS, value, o, o_step, fresh);
                fresh = false;
            }
            for i in 0..n {
                let t = queries.start + i;
                let inverse = S::splat(1.0 / sum[i]);
                let to = (t * query + head) * width;
                for c in (0..width).step_by(S::LANES) {
                    let v = S::mul(S::load(o.add(i * o_step + c)), inverse);
                    out.store::<S>(to + c, v, (width - c).min(S::LANES));
                }
                *lse.at(t * query + head) = most[i] + sum[i].ln();
            }
        }
    }
}

/// Turns a row of `keys` scores (a multiple of 32) into weights `e^(scale s - most)` in bf16, 0 outside `seen`, brings
/// maximum and sum up to date, and returns the factor for what was summed with the old maximum.
///
/// # Safety
/// `row` and `weights` hold the keys.
#[inline(always)]
unsafe fn weigh<S: Simd>(
    row: *mut f32,
    weights: *mut bf16,
    seen: Range<usize>,
    keys: usize,
    scale: f32,
    most: &mut f32,
    sum: &mut f32,
) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        if seen.is_empty() {
            std::ptr::write_bytes(weights, 0, keys);
            return 1.0;
        }
        hide::<S>(row, &seen, keys, f32::NEG_INFINITY);
        let mut largest = S::splat(f32::NEG_INFINITY);
        for i in (0..keys).step_by(S::LANES) {
            largest = S::max(largest, S::load(row.add(i)));
        }
        let now = most.max(scale * S::largest(largest));
        let factor = if *most == f32::NEG_INFINITY { 0.0 } else { (*most - now).exp() };
        let (factors, below, mut total) = (S::splat(scale), S::splat(-now), S::splat(0.0));
        for i in (0..keys).step_by(S::LANES) {
            let e = S::exp(S::fma(S::load(row.add(i)), factors, below));
            S::store_bf16(weights.add(i), e);
            // What is hidden adds nothing that an f32 beside 1 could hold.
            total = S::add(total, e);
        }
        clear_gaps(weights, &seen, keys);
        *sum = *sum * factor + S::sum(total);
        *most = now;
        factor
    }
}

/// Zeros what is not `seen` of a row of `keys` weights.
///
/// # Safety
/// `weights` holds them.
#[inline(always)]
pub(super) unsafe fn clear_gaps(weights: *mut bf16, seen: &Range<usize>, keys: usize) {
    // SAFETY: the caller's.
    unsafe {
        if seen.start > 0 {
            std::ptr::write_bytes(weights, 0, seen.start);
        }
        if seen.end < keys {
            std::ptr::write_bytes(weights.add(seen.end), 0, keys - seen.end);
        }
    }
}
