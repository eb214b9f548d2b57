//! Matrices, and the projection to queries, keys and values.

use super::Reference;
use crate::ops::{Heads, Matrix, Rope};
use crate::tensor::Tensor;

/// `x w^T` for x [m, k] and w [n, k].
pub(super) fn times_transposed(x: &[f64], w: &[f64], k: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
    x.chunks(k).flat_map(|row| w.chunks(k).map(move |column| dot(row, column))).collect()
}

/// `y w` for y [m, n] and w [n, k].
pub(super) fn times(y: &[f64], w: &[f64], n: usize, k: usize) -> Vec<f64> {
    let mut out = vec![0.0; y.len() / n * k];
    for (row, out) in y.chunks(n).zip(out.chunks_mut(k)) {
        for (value, w) in row.iter().zip(w.chunks(k)) {
            out.iter_mut().zip(w).for_each(|(o, w)| *o += value * w);
        }
    }
    out
}

/// `out += y^T x` for y [m, n] and x [m, k].
pub(super) fn add_outer(out: &mut [f64], y: &[f64], x: &[f64], n: usize, k: usize) {
    for (y, x) in y.chunks(n).zip(x.chunks(k)) {
        for (value, out) in y.iter().zip(out.chunks_mut(k)) {
            out.iter_mut().zip(x).for_each(|(o, x)| *o += value * x);
        }
    }
}

pub(super) fn forward(r: &mut Reference, x_tk: &Tensor, w: &Matrix, residual_tn: Option<&Tensor>, y_tn: &Tensor) {
    let (x, weight) = (r.get_as(w.shape.dtype, x_tk), r.weight(w));
    let mut y = times_transposed(&x, &weight, w.shape.inputs);
    if let Some(residual) = residual_tn {
        y.iter_mut().zip(r.get(residual)).for_each(|(y, r)| *y += r);
    }
    r.set(y_tn, &y);
}

pub(super) fn backward(r: &mut Reference, dy_tn: &Tensor, x_tk: &Tensor, w: &Matrix, dx_tk: &Tensor, dw_nk: &Tensor) {
    let (n, k) = (w.shape.outputs, w.shape.inputs);
    let (dy, x, weight) = (r.get_as(w.shape.dtype, dy_tn), r.get_as(w.shape.dtype, x_tk), r.weight(w));
    let mut dw = vec![0.0; n * k];
    add_outer(&mut dw, &dy, &x, n, k);
    r.set(dx_tk, &times(&dy, &weight, n, k));
    r.add(dw_nk, &dw);
}

/// Rotates every query and key head of every row by its position, forwards (`sign` 1) or back (-1).
fn rotate(r: &mut Reference, heads: Heads, rope: &Rope, positions_t: &Tensor, qkv: &mut [f64], sign: f64) {
    let (cos, sin, positions) = (r.get(&rope.cos_sc), r.get(&rope.sin_sc), r.indices(positions_t));
    let half = heads.width / 2;
    for (row, &position) in qkv.chunks_mut(heads.row()).zip(&positions) {
        for head in row[..(heads.query + heads.kv) * heads.width].chunks_mut(heads.width) {
            for i in 0..half {
                let (c, s) = (cos[position * half + i], sign * sin[position * half + i]);
                let (a, b) = (head[i], head[i + half]);
                head[i] = a * c - b * s;
                head[i + half] = b * c + a * s;
            }
        }
    }
}

pub(super) fn qkv(
    r: &mut Reference,
    heads: Heads,
    clip: Option<f64>,
    x_td: &Tensor,
    w: &Matrix,
    rope: &Rope,
    positions_t: &Tensor,
    qkv_tn: &Tensor,
    clipped_tb: Option<&Tensor>,
) {
    let (x, weight) = (r.get_as(w.shape.dtype, x_td), r.weight(w));
    let mut qkv = times_transposed(&x, &weight, w.shape.inputs);
    let row_bytes = heads.row().div_ceil(8);
    let mut clipped = vec![0u8; qkv.len() / heads.row() * row_bytes];
    if let Some(clip) = clip {
        for (i, v) in qkv.iter_mut().enumerate() {
            if v.abs() > clip {
                let (t, column) = (i / heads.row(), i % heads.row());
                clipped[t * row_bytes + column / 8] |= 1 << (column % 8);
            }
            *v = v.clamp(-clip, clip);
        }
    }
    rotate(r, heads, rope, positions_t, &mut qkv, 1.0);
    r.set(qkv_tn, &qkv);
    if let Some(mask) = clipped_tb {
        r.memory.access().write::<u8>(mask).copy_from_slice(&clipped);
    }
}

pub(super) fn qkv_backward(
    r: &mut Reference,
    heads: Heads,
    dqkv_tn: &Tensor,
    x_td: &Tensor,
    w: &Matrix,
    rope: &Rope,
    positions_t: &Tensor,
    clipped_tb: Option<&Tensor>,
    dx_td: &Tensor,
    dw_nd: &Tensor,
) {
    let mut d = r.get(dqkv_tn);
    rotate(r, heads, rope, positions_t, &mut d, -1.0);
    if let Some(mask) = clipped_tb {
        let mask = r.bytes(mask);
        let row_bytes = heads.row().div_ceil(8);
        for (i, v) in d.iter_mut().enumerate() {
            let (t, column) = (i / heads.row(), i % heads.row());
            if mask[t * row_bytes + column / 8] >> (column % 8) & 1 == 1 {
                *v = 0.0;
            }
        }
    }
    r.set(dqkv_tn, &d);
    backward(r, dqkv_tn, x_td, w, dx_td, dw_nd);
}
