//! Gradients of attention in pairs of bf16, in the same two passes as on vectors: each block of queries gathers its gradient
//! over keys, each block of keys its own over queries. The second computes scores with keys as rows, so that weights
//! come out as the left operands of the products that sum over queries.

use super::operands::{Kind, Operands, Order, Shape, WIDEST, arrange};
use super::pair_forward::clear_gaps;
use super::{Layout, Pass, visible};
use crate::isa::Isa;
use crate::multiply::Pairs;
use crate::pool::Pool;
use crate::scratch::{PANEL, Scratch};
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::{Bytes, Floats};
use half::bf16;
use std::ops::Range;

/// Rows of a block whose gradient is gathered: two tiles.
const ROWS: usize = 32;
/// Rows on the other side of a block.
const OTHERS: usize = 256;
/// From row to row of scores; not a power of two, whose rows would share too few cache sets.
const STEP: usize = OTHERS + PANEL;
/// Rows of one task that sums `dout out`.
const SUMS: usize = 64;

/// Places of the arranged heads of one group: its key and value, and the queries that see them, counted from the
/// group's first.
#[derive(Clone, Copy)]
struct Places {
    first: usize,
    each: usize,
}

impl Places {
    const KEY_TRANSPOSED: usize = 0;
    const VALUE_TRANSPOSED: usize = 1;
    const KEY_PAIRS: usize = 2;

    fn query_transposed(self, head: usize) -> usize {
        3 + head - self.first
    }
    fn query_pairs(self, head: usize) -> usize {
        3 + self.each + head - self.first
    }
    fn dout_transposed(self, head: usize) -> usize {
        3 + 2 * self.each + head - self.first
    }
    fn dout_pairs(self, head: usize) -> usize {
        3 + 3 * self.each + head - self.first
    }
}

/// Per head, the denominators' logarithms and `sum(dout out)` of every padded row.
#[derive(Clone, Copy)]
struct Denominators {
    lse: Shared<f32>,
    delta: Shared<f32>,
}

/// What all tasks of a group read.
struct Context<'a> {
    isa: Isa,
    pass: &'a Pass<'a>,
    shape: Shape,
    places: Places,
    operands: Operands,
    denominators: Denominators,
}

/// The op in pairs.
pub(super) fn run(pool: &mut Pool, isa: Isa, pass: &Pass, arranged: &mut Bytes, sums: &mut Floats) {
    let (rows, layout) = (pass.first.len(), pass.layout);
    let heads = layout.heads;
    assert!(heads.width <= WIDEST, "heads of {}", heads.width);
    let shape = Shape::new(rows, heads.width);
    let of = |kind: Kind, columns: Range<usize>| Order { kind, rows: pass.qkv, column: columns.start };
    let dout = |kind: Kind, head: usize| Order { kind, rows: pass.dout, column: head * heads.width };
    let (lse, delta) = sums.of(2 * heads.query * shape.padded_rows).split_at_mut(heads.query * shape.padded_rows);
    let denominators = Denominators { lse: Shared::new(lse), delta: Shared::new(delta) };
    pool.run(shape.padded_rows.div_ceil(SUMS), &|task, _| {
        let rows = task * SUMS..((task + 1) * SUMS).min(shape.padded_rows);
        // SAFETY: rows of different tasks differ.
        unsafe { simd::run(isa.vector(), Sums { pass, shape, denominators, rows }) }
    });
    let (blocks, each) = (rows.div_ceil(ROWS), heads.query / heads.kv);
    // Group by group: what is arranged then stays in the last cache, and takes little memory.
    for group in 0..heads.kv {
        let own = group * each..(group + 1) * each;
        let mut orders = vec![
            of(Kind::Transposed, layout.key(group)),
            of(Kind::Transposed, layout.value(group)),
            of(Kind::Pairs, layout.key(group)),
        ];
        orders.extend(own.clone().map(|h| of(Kind::Transposed, layout.query(h))));
        orders.extend(own.clone().map(|h| of(Kind::Pairs, layout.query(h))));
        orders.extend(own.clone().map(|h| dout(Kind::Transposed, h)));
        orders.extend(own.clone().map(|h| dout(Kind::Pairs, h)));
        let operands = arrange(pool, isa, shape, &orders, arranged.of(2 * orders.len() * shape.elements()));
        let places = Places { first: own.start, each };
        let context = Context { isa, pass, shape, places, operands, denominators };
        pool.run(blocks * each, &|task, scratch| {
            let (block, head) = (blocks - 1 - task / each, own.start + task % each);
            let queries = block * ROWS..((block + 1) * ROWS).min(rows);
            // SAFETY: every task has its own queries and head.
            unsafe { simd::run(isa.vector(), OfQueries { context: &context, head, queries, scratch }) }
        });
        pool.run(blocks, &|block, scratch| {
            let keys = block * ROWS..((block + 1) * ROWS).min(rows);
            // SAFETY: every task has its own keys.
            unsafe { simd::run(isa.vector(), OfKeys { context: &context, group, keys, scratch }) }
        });
    }
}

struct Sums<'a> {
    pass: &'a Pass<'a>,
    shape: Shape,
    denominators: Denominators,
    rows: Range<usize>,
}

impl Kernel for Sums<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Sums { pass, shape, denominators: Denominators { lse, delta }, rows } = self;
        let heads = pass.layout.heads;
        // SAFETY: rows that are there are inside; every padded row has its place in both results.
        unsafe {
            for t in rows {
                for head in 0..heads.query {
                    let at = head * shape.padded_rows + t;
                    if t >= pass.first.len() {
                        (*lse.at(at), *delta.at(at)) = (f32::MAX, 0.0);
                        continue;
                    }
                    let start = (t * heads.query + head) * heads.width;
                    let mut sum = S::splat(0.0);
                    for c in (0..heads.width).step_by(S::LANES) {
                        let n = (heads.width - c).min(S::LANES);
                        let (out, dout) = (pass.out.data, pass.dout.data);
                        sum = S::fma(out.load_n::<S>(start + c, n), dout.load_n::<S>(start + c, n), sum);
                    }
                    (*lse.at(at), *delta.at(at)) = (pass.lse[t * heads.query + head], S::sum(sum));
                }
            }
        }
    }
}

/// Blocks of one task: rows of both left operands, scores and their gradients, and the same in bf16.
struct Blocks {
    left: [*mut bf16; 2],
    s: *mut f32,
    ds: *mut f32,
    weights: *mut bf16,
    dweights: *mut bf16,
    sums: [*mut f32; 2],
    sum_step: usize,
}

impl Blocks {
    /// # Safety
    /// Scratch is larger than all of them for the widest head.
    unsafe fn new(scratch: &Scratch, shape: &Shape) -> Self {
        let sum_step = shape.panels * PANEL + PANEL;
        let (a, b, c) = (scratch.a_bf16(), scratch.b(), scratch.c());
        // SAFETY: the caller's.
        unsafe {
            let weights = a.add(2 * ROWS * WIDEST);
            Blocks {
                left: [a, a.add(ROWS * WIDEST)],
                s: c,
                ds: c.add(ROWS * STEP),
                weights,
                dweights: weights.add(ROWS * OTHERS),
                sums: [b, b.add(ROWS * sum_step)],
                sum_step,
            }
        }
    }
}

struct OfQueries<'a> {
    context: &'a Context<'a>,
    head: usize,
    queries: Range<usize>,
    scratch: &'a Scratch,
}

impl Kernel for OfQueries<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let OfQueries { context, head, queries, scratch } = self;
        let Context { isa, pass, shape, operands, denominators, .. } = context;
        let (layout, n, depth) = (pass.layout, queries.len(), shape.depth);
        // SAFETY: scratch is large enough; keys are whole tiles of the padded rows.
        unsafe {
            let pairs = Pairs::ready(*isa);
            let b = Blocks::new(scratch, shape);
            pass.qkv.copy_bf16::<S>(queries.clone(), layout.query(head), b.left[0], depth);
            pass.dout.copy_bf16::<S>(queries.clone(), layout.query(head), b.left[1], depth);
            let mut fresh = true;
            for start in (pass.first[queries.start] as usize / 32 * 32..queries.end).step_by(OTHERS) {
                let keys = start..(start + OTHERS).min(queries.end);
                let padded = keys.len().next_multiple_of(32);
                let key = |p: usize| operands.transposed(Places::KEY_TRANSPOSED, start + p * PANEL).cast_const();
                let value = |p: usize| operands.transposed(Places::VALUE_TRANSPOSED, start + p * PANEL).cast_const();
                pairs.block::<S>(n, padded / PANEL, depth, b.left[0], depth, key, b.s, STEP, true);
                pairs.block::<S>(n, padded / PANEL, depth, b.left[1], depth, value, b.ds, STEP, true);
                for (i, t) in queries.clone().enumerate() {
                    let at = head * shape.padded_rows + t;
                    let (scale, lse) = (S::splat(pass.scale()), S::splat(-*denominators.lse.at(at)));
                    let delta = S::splat(*denominators.delta.at(at));
                    let out = b.dweights.add(i * OTHERS);
                    for j in (0..padded).step_by(S::LANES) {
                        let at = i * STEP + j;
                        let weight = S::exp(S::fma(S::load(b.s.add(at)), scale, lse));
                        let d = S::mul(S::sub(S::load(b.ds.add(at)), delta), scale);
                        S::store_bf16(out.add(j), S::mul(weight, d));
                    }
                    clear_gaps(out, &visible(pass.first[t] as usize, t, &keys), padded);
                }
                let key = |p: usize| operands.pairs(Places::KEY_PAIRS, p, start).cast_const();
                pairs.block::<S>(n, shape.panels, padded, b.dweights, OTHERS, key, b.sums[0], b.sum_step, fresh);
                fresh = false;
            }
            pass.store::<S>(b.sums[0], b.sum_step, queries, layout.query(head), 1.0);
        }
    }
}

struct OfKeys<'a> {
    context: &'a Context<'a>,
    group: usize,
    keys: Range<usize>,
    scratch: &'a Scratch,
}

impl Kernel for OfKeys<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let OfKeys { context, group, keys, scratch } = self;
        let Context { isa, pass, shape, places, operands, denominators } = context;
        let (layout, n, depth): (Layout, _, _) = (pass.layout, keys.len(), shape.depth);
        // A key is seen from its own row on, to the last row of its document.
        let mut ends = [0; ROWS];
        for (end, key) in ends.iter_mut().zip(keys.clone()) {
            *end = key + pass.first[key..].partition_point(|first| *first as usize <= key);
        }
        let end = ends.into_iter().max().unwrap_or(0);
        let each = layout.heads.query / layout.heads.kv;
        // SAFETY: scratch is large enough; queries are whole tiles of the padded rows.
        unsafe {
            let pairs = Pairs::ready(*isa);
            let b = Blocks::new(scratch, shape);
            pass.qkv.copy_bf16::<S>(keys.clone(), layout.key(group), b.left[0], depth);
            pass.qkv.copy_bf16::<S>(keys.clone(), layout.value(group), b.left[1], depth);
            let scale = S::splat(pass.scale());
            let mut fresh = true;
            for start in (keys.start..end).step_by(OTHERS) {
                let queries = start..(start + OTHERS).min(end);
                let padded = queries.len().next_multiple_of(32);
                for head in group * each..(group + 1) * each {
                    let panel = |order: usize, p: usize| operands.transposed(order, start + p * PANEL).cast_const();
                    let query = |p: usize| panel(places.query_transposed(head), p);
                    let dout = |p: usize| panel(places.dout_transposed(head), p);
                    pairs.block::<S>(n, padded / PANEL, depth, b.left[0], depth, query, b.s, STEP, true);
                    pairs.block::<S>(n, padded / PANEL, depth, b.left[1], depth, dout, b.ds, STEP, true);
                    let (lse, delta) = (
                        denominators.lse.at(head * shape.padded_rows + start),
                        denominators.delta.at(head * shape.padded_rows + start),
                    );
                    for (i, key) in keys.clone().enumerate() {
                        let (weights, dweights) = (b.weights.add(i * OTHERS), b.dweights.add(i * OTHERS));
                        for j in (0..padded).step_by(S::LANES) {
                            let at = i * STEP + j;
                            let scaled = S::mul(S::load(b.s.add(at)), scale);
                            let weight = S::exp(S::sub(scaled, S::load(lse.add(j))));
                            let d = S::mul(S::sub(S::load(b.ds.add(at)), S::load(delta.add(j))), scale);
                            S::store_bf16(weights.add(j), weight);
                            S::store_bf16(dweights.add(j), S::mul(weight, d));
                        }
                        let seen = key.clamp(start, queries.end) - start..ends[i].clamp(start, queries.end) - start;
                        clear_gaps(weights, &seen, padded);
                        clear_gaps(dweights, &seen, padded);
                    }
                    let dout = |p: usize| operands.pairs(places.dout_pairs(head), p, start).cast_const();
                    let query = |p: usize| operands.pairs(places.query_pairs(head), p, start).cast_const();
                    let [dk, dv] = b.sums;
                    pairs.block::<S>(n, shape.panels, padded, b.weights, OTHERS, dout, dv, b.sum_step, fresh);
                    pairs.block::<S>(n, shape.panels, padded, b.dweights, OTHERS, query, dk, b.sum_step, fresh);
                    fresh = false;
                }
            }
            let [dk, dv] = b.sums;
            pass.store::<S>(dk, b.sum_step, keys.clone(), layout.key(group), 1.0);
            pass.store::<S>(dv, b.sum_step, keys, layout.value(group), 1.0);
        }
    }
}
