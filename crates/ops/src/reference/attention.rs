//! Attention, in training over the rows of a batch and in generation over a cache.

use super::Reference;
use crate::ops::Heads;
use crate::tensor::Tensor;
use std::ops::Range;

/// One head of one row of `qkv`.
fn query(heads: Heads, t: usize, h: usize) -> Range<usize> {
    let start = t * heads.row() + h * heads.width;
    start..start + heads.width
}
/// The key head that query head `h` shares, in row `t`.
fn key(heads: Heads, t: usize, h: usize) -> Range<usize> {
    query(heads, t, heads.query + h * heads.kv / heads.query)
}
/// The value head that query head `h` shares, in row `t`.
fn value(heads: Heads, t: usize, h: usize) -> Range<usize> {
    query(heads, t, heads.query + heads.kv + h * heads.kv / heads.query)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Softmax of scores and the logarithm of its denominator.
fn softmax(scores: &[f64]) -> (Vec<f64>, f64) {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
    let lse = most + sum.ln();
    (scores.iter().map(|s| (s - lse).exp()).collect(), lse)
}

pub(super) fn forward(
    r: &mut Reference,
    heads: Heads,
    qkv_tn: &Tensor,
    first_t: &Tensor,
    out_tn: &Tensor,
    lse_th: &Tensor,
) {
    let (qkv, first) = (r.get(qkv_tn), r.indices(first_t));
    let scale = 1.0 / (heads.width as f64).sqrt();
    let (mut out, mut lses) = (Vec::new(), Vec::new());
    for t in 0..first.len() {
        for h in 0..heads.query {
            let seen = first[t]..t + 1;
            let scores: Vec<f64> =
                seen.clone().map(|s| scale * dot(&qkv[query(heads, t, h)], &qkv[key(heads, s, h)])).collect();
            let (p, lse) = softmax(&scores);
            out.extend(
                (0..heads.width)
                    .map(|i| -> f64 { seen.clone().zip(&p).map(|(s, p)| p * qkv[value(heads, s, h)][i]).sum() }),
            );
            lses.push(lse);
        }
    }
    r.set(out_tn, &out);
    r.set(lse_th, &lses);
}

pub(super) fn backward(
    r: &mut Reference,
    heads: Heads,
    dout_tn: &Tensor,
    qkv_tn: &Tensor,
    first_t: &Tensor,
    out_tn: &Tensor,
    lse_th: &Tensor,
    dqkv_tn: &Tensor,
) {
    let (dout, qkv, out, lse) = (r.get(dout_tn), r.get(qkv_tn), r.get(out_tn), r.get(lse_th));
    let first = r.indices(first_t);
    let scale = 1.0 / (heads.width as f64).sqrt();
    let mut d = vec![0.0; qkv.len()];
    for t in 0..first.len() {
        for h in 0..heads.query {
            let row = (t * heads.query + h) * heads.width..(t * heads.query + h + 1) * heads.width;
            let (g, q) = (&dout[row.clone()], query(heads, t, h));
            let delta = dot(g, &out[row]);
            for s in first[t]..=t {
                let (k, v) = (key(heads, s, h), value(heads, s, h));
                let p = (scale * dot(&qkv[q.clone()], &qkv[k.clone()]) - lse[t * heads.query + h]).exp();
                let ds = scale * p * (dot(g, &qkv[v.clone()]) - delta);
                for i in 0..heads.width {
                    d[v.start + i] += p * g[i];
                    d[q.start + i] += ds * qkv[k.start + i];
                    d[k.start + i] += ds * qkv[q.start + i];
                }
            }
        }
    }
    r.set(dqkv_tn, &d);
}

pub(super) fn cached(
    r: &mut Reference,
    heads: Heads,
    qkv_tn: &Tensor,
    slots_t: &Tensor,
    positions_t: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    out_tn: &Tensor,
) {
    let (qkv, slots, positions) = (r.get(qkv_tn), r.indices(slots_t), r.indices(positions_t));
    let (mut k, mut v) = (r.get(keys), r.get(values));
    let width = heads.kv * heads.width;
    let at = |slot: usize, position: usize| (slot * keys.dim(1) + position) * width;
    for t in 0..slots.len() {
        let row = &qkv[t * heads.row() + heads.query * heads.width..(t + 1) * heads.row()];
        let place = at(slots[t], positions[t]);
        k[place..place + width].copy_from_slice(&row[..width]);
        v[place..place + width].copy_from_slice(&row[width..]);
    }
    let scale = 1.0 / (heads.width as f64).sqrt();
    let mut out = Vec::new();
    for t in 0..slots.len() {
        for h in 0..heads.query {
            let head = h * heads.kv / heads.query * heads.width;
            let cell = |s: usize| at(slots[t], s) + head..at(slots[t], s) + head + heads.width;
            let scores: Vec<f64> =
                (0..=positions[t]).map(|s| scale * dot(&qkv[query(heads, t, h)], &k[cell(s)])).collect();
            let (p, _) = softmax(&scores);
            out.extend(
                (0..heads.width).map(|i| -> f64 { p.iter().enumerate().map(|(s, p)| p * v[cell(s).start + i]).sum() }),
            );
        }
    }
    r.set(keys, &k);
    r.set(values, &v);
    r.set(out_tn, &out);
}
