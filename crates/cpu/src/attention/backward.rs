//! Gradients of attention on vectors, in two passes over the same blocks: one gathers the gradient of each block of queries, the
//! other those of each block of keys and values. Both compute the weights anew from the kept denominators, so nothing
//! of size T x T is kept, and no two tasks add to one place.

use super::forward::{Blocks, KEYS, QUERIES, copy_head, scale_rows, scores, transpose_head};
use super::{Pass, hide, visible};
use crate::isa::Isa;
use crate::kernel::{Left, Right, multiply};
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::simd::{self, Kernel, Simd};
use std::ops::Range;

/// The op on vectors.
pub(super) fn run(pool: &mut Pool, isa: Isa, pass: &Pass) {
    let (rows, heads) = (pass.first.len(), pass.layout.heads);
    let blocks = rows.div_ceil(QUERIES);
    pool.prepare(|scratch| scratch.grow_attention(heads.width));
    pool.run(blocks * heads.query, &|task, scratch| {
        let (block, head) = (blocks - 1 - task / heads.query, task % heads.query);
        let queries = block * QUERIES..((block + 1) * QUERIES).min(rows);
        let blocks = scratch.attention();
        // SAFETY: every task has its own queries and head.
        unsafe { simd::run(isa.vector(), OfQueries { pass, head, queries, blocks }) }
    });
    pool.run(rows.div_ceil(KEYS) * heads.kv, &|task, scratch| {
        let (block, group) = (task / heads.kv, task % heads.kv);
        let keys = block * KEYS..((block + 1) * KEYS).min(rows);
        let blocks = scratch.attention();
        // SAFETY: every task has its own keys and head.
        unsafe { simd::run(isa.vector(), OfKeys { pass, group, keys, blocks }) }
    });
}

/// Queries of one head, brought in once a block.
struct Queries {
    /// Scaled queries [QUERIES][padded].
    q: *mut f32,
    /// Gradient of their outputs [QUERIES][padded].
    dout: *mut f32,
    /// `sum(dout out)` of each.
    delta: [f32; QUERIES],
}

impl Pass<'_> {
    /// # Safety
    /// `q` and `dout` have room for QUERIES rows.
    #[inline(always)]
    unsafe fn queries<S: Simd>(&self, head: usize, rows: Range<usize>, q: *mut f32, dout: *mut f32) -> Queries {
        let (padded, columns) = (self.layout.padded, self.layout.query(head));
        let mut delta = [0.0; QUERIES];
        // SAFETY: the caller's.
        unsafe {
            copy_head::<S>(&self.qkv, rows.clone(), columns.clone(), padded, q);
            scale_rows::<S>(q, rows.len() * padded, self.scale());
            copy_head::<S>(&self.dout, rows.clone(), columns.clone(), padded, dout);
            for (i, t) in rows.enumerate() {
                let mut sum = S::splat(0.0);
                for c in (0..columns.len()).step_by(S::LANES) {
                    let n = (columns.len() - c).min(S::LANES);
                    let out = self.out.data.load_n::<S>(t * self.out.width + columns.start + c, n);
                    sum = S::fma(out, S::load(dout.add(i * padded + c)), sum);
                }
                delta[i] = S::sum(sum);
            }
        }
        Queries { q, dout, delta }
    }

    /// Turns scores into weights `p`, and products with values into gradients of scores `ds = p (dp - delta)`; both 0
    /// where a query does not see a key.
    ///
    /// # Safety
    /// `p` and `dp` hold the rows, KEYS apart.
    #[inline(always)]
    unsafe fn weights<S: Simd>(
        &self,
        head: usize,
        rows: &Range<usize>,
        keys: &Range<usize>,
        delta: &[f32; QUERIES],
        p: *mut f32,
        dp: *mut f32,
    ) {
        // SAFETY: the caller's.
        unsafe {
            for (i, t) in rows.clone().enumerate() {
                let lse = S::splat(self.lse[t * self.layout.heads.query + head]);
                let (p, dp, delta) = (p.add(i * KEYS), dp.add(i * KEYS), S::splat(delta[i]));
                for j in (0..keys.len()).step_by(S::LANES) {
                    let weight = S::exp(S::sub(S::load(p.add(j)), lse));
                    S::store(p.add(j), weight);
                    S::store(dp.add(j), S::mul(weight, S::sub(S::load(dp.add(j)), delta)));
                }
                let seen = visible(self.first[t] as usize, t, keys);
                hide::<S>(p, &seen, keys.len(), 0.0);
                hide::<S>(dp, &seen, keys.len(), 0.0);
            }
        }
    }
}

struct OfQueries<'a> {
    pass: &'a Pass<'a>,
    head: usize,
    queries: Range<usize>,
    blocks: &'a mut Blocks,
}

impl Kernel for OfQueries<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let OfQueries { pass, head, queries, blocks } = self;
        let (layout, padded, n) = (pass.layout, pass.layout.padded, queries.len());
        let group = layout.group(head);
        let mut room = |rows: usize| blocks.take(rows * padded);
        let (q, dout, dq) = (room(QUERIES), room(QUERIES), room(QUERIES));
        let (k, kt, v, vt) = (room(KEYS), room(KEYS), room(KEYS), room(KEYS));
        let (p, dp) = (blocks.take(QUERIES * KEYS), blocks.take(QUERIES * KEYS));
        // SAFETY: blocks have room; rows and columns are inside.
        unsafe {
            let block = pass.queries::<S>(head, queries.clone(), q, dout);
            let mut fresh = true;
            for start in (pass.first[queries.start] as usize..queries.end).step_by(KEYS) {
                let keys = start..(start + KEYS).min(queries.end);
                copy_head::<S>(&pass.qkv, keys.clone(), layout.key(group), padded, k);
                copy_head::<S>(&pass.qkv, keys.clone(), layout.value(group), padded, v);
                transpose_head::<S>(k, keys.len(), padded, kt);
                transpose_head::<S>(v, keys.len(), padded, vt);
                scores::<S>(block.q, kt, n, keys.len(), padded, p);
                scores::<S>(block.dout, vt, n, keys.len(), padded, dp);
                pass.weights::<S>(head, &queries, &keys, &block.delta, p, dp);
                let a = Left { start: dp, row_step: KEYS, k_step: 1 };
                let b = Right { start: k, k_step: padded, panel_step: PANEL };
                multiply::<S>(n, padded / PANEL, keys.len(), a, b, dq, padded, fresh);
                fresh = false;
            }
            pass.store::<S>(dq, padded, queries, layout.query(head), pass.scale());
        }
    }
}

struct OfKeys<'a> {
    pass: &'a Pass<'a>,
    group: usize,
    keys: Range<usize>,
    blocks: &'a mut Blocks,
}

impl Kernel for OfKeys<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let OfKeys { pass, group, keys, blocks } = self;
        let (layout, padded) = (pass.layout, pass.layout.padded);
        let mut room = |rows: usize| blocks.take(rows * padded);
        let (q, dout) = (room(QUERIES), room(QUERIES));
        let (k, kt, v, vt) = (room(KEYS), room(KEYS), room(KEYS), room(KEYS));
        let (dk, dv) = (room(KEYS), room(KEYS));
        let (p, dp) = (blocks.take(QUERIES * KEYS), blocks.take(QUERIES * KEYS));
        // Queries from the first key's own row on, to the last row of the last key's document.
        let end = keys.start + pass.first[keys.start..].partition_point(|first| (*first as usize) < keys.end);
        let each = layout.heads.query / layout.heads.kv;
        // SAFETY: blocks have room; rows and columns are inside.
        unsafe {
            copy_head::<S>(&pass.qkv, keys.clone(), layout.key(group), padded, k);
            copy_head::<S>(&pass.qkv, keys.clone(), layout.value(group), padded, v);
            transpose_head::<S>(k, keys.len(), padded, kt);
            transpose_head::<S>(v, keys.len(), padded, vt);
            let mut fresh = true;
            for start in (keys.start..end).step_by(QUERIES) {
                let queries = start..(start + QUERIES).min(end);
                for head in group * each..(group + 1) * each {
                    let n = queries.len();
                    let block = pass.queries::<S>(head, queries.clone(), q, dout);
                    scores::<S>(block.q, kt, n, keys.len(), padded, p);
                    scores::<S>(block.dout, vt, n, keys.len(), padded, dp);
                    pass.weights::<S>(head, &queries, &keys, &block.delta, p, dp);
                    for (weights, of, to) in [(p, block.dout, dv), (dp, block.q, dk)] {
                        let a = Left { start: weights, row_step: 1, k_step: KEYS };
                        let b = Right { start: of, k_step: padded, panel_step: PANEL };
                        multiply::<S>(keys.len(), padded / PANEL, n, a, b, to, padded, fresh);
                    }
                    fresh = false;
                }
            }
            // The scale is in the queries already.
            pass.store::<S>(dk, padded, keys.clone(), layout.key(group), 1.0);
            pass.store::<S>(dv, padded, keys, layout.value(group), 1.0);
        }
    }
}
