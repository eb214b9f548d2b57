//! AdamW and Lion.

use super::Reference;
use crate::ops::{AdamW, Lion};
use crate::tensor::Tensor;

pub(super) fn adamw(r: &mut Reference, s: &AdamW, parameters: &Tensor, gradients: &Tensor, m: &Tensor, v: &Tensor) {
    let (mut p, g) = (r.get(parameters), r.get(gradients));
    let (mut first, mut second) = (r.get(m), r.get(v));
    let (c1, c2) = (1.0 - s.beta1.powf(s.step as f64), 1.0 - s.beta2.powf(s.step as f64));
    for i in 0..p.len() {
        let g = g[i] * s.gradient_scale;
        first[i] = s.beta1 * first[i] + (1.0 - s.beta1) * g;
        second[i] = s.beta2 * second[i] + (1.0 - s.beta2) * g * g;
        p[i] -= s.lr * s.decay * p[i];
        p[i] -= s.lr * (first[i] / c1) / ((second[i] / c2).sqrt() + s.eps);
    }
    r.set(parameters, &p);
    r.set(m, &first);
    r.set(v, &second);
}

pub(super) fn lion(r: &mut Reference, s: &Lion, parameters: &Tensor, gradients: &Tensor, m: &Tensor) {
    let (mut p, g, mut momentum) = (r.get(parameters), r.get(gradients), r.get(m));
    for i in 0..p.len() {
        let g = g[i] * s.gradient_scale;
        let direction = s.beta1 * momentum[i] + (1.0 - s.beta1) * g;
        p[i] -= s.lr * s.decay * p[i];
        if direction != 0.0 {
            p[i] -= s.lr * direction.signum();
        }
        momentum[i] = s.beta2 * momentum[i] + (1.0 - s.beta2) * g;
    }
    r.set(parameters, &p);
    r.set(m, &momentum);
}
