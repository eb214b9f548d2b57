//! AdamW and Lion, and masters in halves.

use super::{Reference, round};
use crate::dtype::DType;
use crate::ops::{AdamW, Halves, Lion, Master, Matrix, Update};
use crate::rounding::{join, random_bits, round_randomly, split};
use crate::tensor::{Shape, Tensor};
use crate::transfer;
use half::bf16;

pub(super) fn update(
    r: &mut Reference,
    update: &Update,
    parameters: Master,
    gradients: &Tensor,
    m: &Tensor,
    v: Option<&Tensor>,
) {
    let mut p = match parameters {
        Master::Alone(tensor) | Master::Followed(tensor, ..) => r.get(&tensor),
        Master::Halves(from) => halves(r, &from),
    };
    let (g, mut first, mut second) = (r.get(gradients), r.get(m), v.map_or(Vec::new(), |v| r.get(v)));
    match update {
        Update::AdamW(step) => adamw(step, &mut p, &g, &mut first, &mut second),
        Update::Lion(step) => lion(step, &mut p, &g, &mut first),
    }
    set_moment(r, m, &first, update.step(), 0);
    if let Some(v) = v {
        set_moment(r, v, &second, update.step(), 16);
    }
    match parameters {
        Master::Alone(tensor) => r.set(&tensor, &p),
        Master::Followed(tensor, matrix, source) => {
            r.set(&tensor, &p);
            let rounded = r.get(&tensor);
            r.set(&part(&matrix, source, rounded.len()), &rounded);
        }
        Master::Halves(to) => set_halves(r, &to, &p),
    }
}

fn adamw(s: &AdamW, p: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64]) {
    let (c1, c2) = (1.0 - s.beta1.powf(s.step as f64), 1.0 - s.beta2.powf(s.step as f64));
    for i in 0..p.len() {
        let g = g[i] * s.gradient_scale;
        m[i] = s.beta1 * m[i] + (1.0 - s.beta1) * g;
        v[i] = s.beta2 * v[i] + (1.0 - s.beta2) * g * g;
        p[i] -= s.lr * s.decay * p[i];
        p[i] -= s.lr * (m[i] / c1) / ((v[i] / c2).sqrt() + s.eps);
    }
}

fn lion(s: &Lion, p: &mut [f64], g: &[f64], m: &mut [f64]) {
    for i in 0..p.len() {
        let g = g[i] * s.gradient_scale;
        let direction = s.beta1 * m[i] + (1.0 - s.beta1) * g;
        p[i] -= s.lr * s.decay * p[i];
        if direction != 0.0 {
            p[i] -= s.lr * direction.signum();
        }
        m[i] = s.beta2 * m[i] + (1.0 - s.beta2) * g;
    }
}

/// Stores a moment; in bf16, rounded by the random bits from `shift` on.
fn set_moment(r: &mut Reference, to: &Tensor, values: &[f64], step: u64, shift: u32) {
    if to.dtype != DType::Bf16 {
        return r.set(to, values);
    }
    let randomly = |(i, v): (usize, &f64)| {
        bf16::from_f32(round_randomly(round(DType::F32, *v) as f32, random_bits(step, i as u32) >> shift))
    };
    let rounded: Vec<bf16> = values.iter().enumerate().map(randomly).collect();
    transfer::write(r, to, &rounded);
}

/// One source of a matrix.
fn part(matrix: &Matrix, source: usize, n: usize) -> Tensor {
    let dtype = matrix.shape.dtype;
    Tensor { dtype, offset: matrix.data.offset + source * n * dtype.size(), shape: Shape::new(&[n]), ..matrix.data }
}

/// The numbers of a master in halves.
pub(super) fn halves(r: &mut Reference, from: &Halves) -> Vec<f64> {
    let lower = transfer::read::<u16>(r, &from.lower);
    let upper = transfer::read::<bf16>(r, &part(&from.matrix, from.source, lower.len()));
    upper.iter().zip(lower).map(|(upper, lower)| f64::from(join(upper.to_bits(), lower))).collect()
}

/// Keeps numbers in halves, rounded to f32.
pub(super) fn set_halves(r: &mut Reference, to: &Halves, values: &[f64]) {
    let (upper, lower): (Vec<bf16>, Vec<u16>) =
        values.iter().map(|v| split(*v as f32)).map(|(upper, lower)| (bf16::from_bits(upper), lower)).unzip();
    transfer::write(r, &part(&to.matrix, to.source, values.len()), &upper);
    transfer::write(r, &to.lower, &lower);
}
