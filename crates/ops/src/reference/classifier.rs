//! Logits, cross-entropy and their gradients.

use super::linear::{add_outer, times, times_transposed};
use super::{Reference, round};
use crate::ops::{ClassifierGradient, Matrix};
use crate::tensor::Tensor;

pub(super) fn classifier(
    r: &mut Reference,
    x_td: &Tensor,
    w: &Matrix,
    targets_t: &Tensor,
    nll_t: &Tensor,
    best_t: Option<&Tensor>,
    gradient: Option<&ClassifierGradient>,
) {
    let (v, d) = (w.shape.outputs, w.shape.inputs);
    let (x, weight, targets) = (r.get_as(w.shape.dtype, x_td), r.weight(w), r.integers(targets_t));
    let mut logits = times_transposed(&x, &weight, d);
    let (mut nll, mut best) = (Vec::new(), Vec::new());
    let scale = gradient.map_or(0.0, |g| g.scale);
    for (row, &target) in logits.chunks_mut(v).zip(&targets) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lse = most + row.iter().map(|l| (l - most).exp()).sum::<f64>().ln();
        best.push(row.iter().position(|&l| l == most).unwrap_or(0) as i32);
        nll.push(usize::try_from(target).map_or(0.0, |t| lse - row[t]));
        for (id, l) in row.iter_mut().enumerate() {
            let one = if id as i32 == target { 1.0 } else { 0.0 };
            let counted = if target < 0 { 0.0 } else { scale };
            *l = round(w.shape.dtype, counted * ((*l - lse).exp() - one));
        }
    }
    r.set(nll_t, &nll);
    if let Some(best_t) = best_t {
        r.set_integers(best_t, &best);
    }
    if let Some(g) = gradient {
        let mut dw = vec![0.0; v * d];
        add_outer(&mut dw, &logits, &x, v, d);
        r.set(&g.dx_td, &times(&logits, &weight, v, d));
        r.add(&g.dw_vd, &dw);
    }
}
