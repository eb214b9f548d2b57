//! Embedding and normalisation.

use super::Reference;
use crate::ops::{Norm, NormKind};
use crate::tensor::Tensor;

pub(super) fn embed(r: &mut Reference, ids_t: &Tensor, table_vd: &Tensor, x_td: &Tensor) {
    let (ids, table, d) = (r.indices(ids_t), r.get(table_vd), table_vd.dim(1));
    let x: Vec<f64> = ids.iter().flat_map(|&id| table[id * d..(id + 1) * d].to_vec()).collect();
    r.set(x_td, &x);
}

pub(super) fn embed_backward(r: &mut Reference, ids_t: &Tensor, dx_td: &Tensor, dtable_vd: &Tensor) {
    let (ids, dx, d) = (r.indices(ids_t), r.get(dx_td), dx_td.dim(1));
    let mut dtable = vec![0.0; dtable_vd.len()];
    for (t, &id) in ids.iter().enumerate() {
        for i in 0..d {
            dtable[id * d + i] += dx[t * d + i];
        }
    }
    r.add(dtable_vd, &dtable);
}

pub(super) fn norm(r: &mut Reference, norm: Norm, x_td: &Tensor, weight_d: &Tensor, y_td: &Tensor, stats_t2: &Tensor) {
    let (x, weight) = (r.get(x_td), r.get(weight_d));
    let d = weight.len();
    let (mut y, mut stats) = (Vec::new(), Vec::new());
    for row in x.chunks(d) {
        let mean = match norm.kind {
            NormKind::Layer => row.iter().sum::<f64>() / d as f64,
            NormKind::Rms => 0.0,
        };
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
        let scale = 1.0 / (variance + norm.eps).sqrt();
        y.extend(row.iter().zip(&weight).map(|(v, w)| (v - mean) * scale * w));
        stats.extend([mean, scale]);
    }
    r.set(y_td, &y);
    r.set(stats_t2, &stats);
}

pub(super) fn norm_backward(
    r: &mut Reference,
    norm: Norm,
    dy_td: &Tensor,
    x_td: &Tensor,
    weight_d: &Tensor,
    stats_t2: &Tensor,
    dx_td: &Tensor,
    dweight_d: &Tensor,
) {
    let (dy, x, weight, stats) = (r.get(dy_td), r.get(x_td), r.get(weight_d), r.get(stats_t2));
    let d = weight.len();
    let (mut dx, mut dweight) = (vec![0.0; x.len()], vec![0.0; d]);
    for t in 0..x.len() / d {
        let (mean, scale) = (stats[2 * t], stats[2 * t + 1]);
        let row = t * d..(t + 1) * d;
        // With n = (x - mean) scale and g = dy weight: dx = scale (g - mean(g) - n mean(g n)); RMS has no mean(g).
        let n: Vec<f64> = x[row.clone()].iter().map(|v| (v - mean) * scale).collect();
        let g: Vec<f64> = dy[row.clone()].iter().zip(&weight).map(|(a, b)| a * b).collect();
        let g_mean = match norm.kind {
            NormKind::Layer => g.iter().sum::<f64>() / d as f64,
            NormKind::Rms => 0.0,
        };
        let gn_mean = g.iter().zip(&n).map(|(a, b)| a * b).sum::<f64>() / d as f64;
        for i in 0..d {
            dx[row.start + i] = scale * (g[i] - g_mean - n[i] * gn_mean);
            dweight[i] += dy[row.start + i] * n[i];
        }
    }
    r.add(dx_td, &dx);
    r.add(dweight_d, &dweight);
}
