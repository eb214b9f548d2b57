//! The optimizer: one pass over memory.

use crate::Cpu;
use crate::packed::{self, PackPanel};
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use moeworks_ops::{AdamW, Lion, Matrix, Tensor, Update};
use std::ops::Range;

/// Elements of one task.
const PIECE: usize = 1 << 15;

pub(crate) fn sum_of_squares(cpu: &mut Cpu, x: &Tensor) -> f64 {
    let isa = cpu.isa;
    let x = cpu.memory.access().read::<f32>(x);
    let pieces = x.len().div_ceil(PIECE);
    let partial = cpu.partial.of(2 * pieces);
    let sums = Shared::new(partial);
    cpu.pool.run(pieces, &|task, _| {
        let piece = &x[task * PIECE..((task + 1) * PIECE).min(x.len())];
        // SAFETY: every task has its own two floats, which hold the two halves of an f64.
        unsafe {
            let sum = simd::run(isa.vector(), Squares(piece));
            sums.slice(2 * task, 2).copy_from_slice(&bytemuck::cast::<f64, [f32; 2]>(sum));
        }
    });
    cpu.partial.of(2 * pieces).chunks(2).map(|c| bytemuck::cast::<[f32; 2], f64>([c[0], c[1]])).sum()
}

struct Squares<'a>(&'a [f32]);

impl Kernel for Squares<'_> {
    type Output = f64;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f64 {
        // Few enough terms in f32 that their rounding does not show.
        self.0
            .chunks(1024)
            .map(|part| {
                // SAFETY: loads stay inside the part.
                unsafe {
                    let mut sum = S::splat(0.0);
                    for i in (0..part.len()).step_by(S::LANES) {
                        let v = S::load_n(part.as_ptr().add(i), (part.len() - i).min(S::LANES));
                        sum = S::fma(v, v, sum);
                    }
                    f64::from(S::sum(sum))
                }
            })
            .sum()
    }
}

pub(crate) fn update(
    cpu: &mut Cpu,
    update: &Update,
    parameters: &Tensor,
    gradients: &Tensor,
    m: &Tensor,
    v: Option<&Tensor>,
    packed: Option<(&Matrix, usize)>,
) {
    let isa = cpu.isa;
    let mut access = cpu.memory.access();
    let g = access.read::<f32>(gradients);
    assert!(parameters.len() == g.len() && m.len() == g.len() && v.is_none_or(|v| v.len() == g.len()));
    assert_eq!(v.is_some(), matches!(update, Update::AdamW(_)), "AdamW has a second moment, Lion has none");
    let p = Shared::new(access.write::<f32>(parameters));
    let (m, v) = (Shared::new(access.write::<f32>(m)), v.map(|v| Shared::new(access.write::<f32>(v))));
    // SAFETY: callers move disjoint ranges, inside all tensors.
    let step = |range: Range<usize>| unsafe {
        let of = |x: Shared<f32>| x.slice(range.start, range.len());
        let (g, p, m) = (&g[range.clone()], of(p), of(m));
        match (update, v) {
            (Update::AdamW(step), Some(v)) => simd::run(isa.vector(), AdamWStep { step, g, p, m, v: of(v) }),
            (Update::Lion(step), _) => simd::run(isa.vector(), LionStep { step, g, p, m }),
            (Update::AdamW(_), None) => unreachable!("asserted above"),
        }
    };
    let Some((matrix, source)) = packed else {
        let n = g.len();
        cpu.pool.run(n.div_ceil(PIECE), &|task, _| step(task * PIECE..((task + 1) * PIECE).min(n)));
        return;
    };
    let (shape, out) = (&matrix.shape, Shared::new(access.write::<u8>(&matrix.data)));
    assert_eq!(g.len(), shape.experts * shape.outputs * shape.inputs);
    cpu.pool.run(packed::all_panels(shape), &|index, _| {
        let (from, range) = packed::origin(shape, index);
        if from != source {
            return;
        }
        step(range.clone());
        // SAFETY: the panel's rows are this task's own, and so is the panel.
        unsafe {
            let rows = &*p.slice(range.start, range.len());
            simd::run(isa.vector(), PackPanel { shape, rows, index, out });
        }
    });
}

struct LionStep<'a> {
    step: &'a Lion,
    g: &'a [f32],
    p: &'a mut [f32],
    m: &'a mut [f32],
}

impl Kernel for LionStep<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let s = self.step;
        // SAFETY: loads and stores stay inside the piece, which all three slices have in one length.
        unsafe {
            let f = |x: f64| S::splat(x as f32);
            let (beta1, rest1) = (f(s.beta1), f(1.0 - s.beta1));
            let (beta2, rest2) = (f(s.beta2), f(1.0 - s.beta2));
            let (keep, scale, rate) = (f(1.0 - s.lr * s.decay), f(s.gradient_scale), f(s.lr));
            let (huge, least) = (f(1e38), f(-s.lr));
            let n = self.g.len();
            for i in (0..n).step_by(S::LANES) {
                let k = (n - i).min(S::LANES);
                let (p, m) = (self.p.as_mut_ptr().add(i), self.m.as_mut_ptr().add(i));
                let g = S::mul(scale, S::load_n(self.g.as_ptr().add(i), k));
                let old = S::load_n(m, k);
                let direction = S::fma(beta1, old, S::mul(rest1, g));
                // The sign times the rate: anything that is not zero, made large, then cut.
                let large = S::mul(S::mul(direction, huge), huge);
                let move_by = S::max(least, S::min(rate, large));
                S::store_n(m, S::fma(beta2, old, S::mul(rest2, g)), k);
                S::store_n(p, S::sub(S::mul(keep, S::load_n(p, k)), move_by), k);
            }
        }
    }
}

struct AdamWStep<'a> {
    step: &'a AdamW,
    g: &'a [f32],
    p: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Kernel for AdamWStep<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let s = self.step;
        let t = s.step as f64;
        let (c1, c2) = (1.0 - s.beta1.powf(t), 1.0 - s.beta2.powf(t));
        // SAFETY: loads and stores stay inside the piece, which all four slices have in one length.
        unsafe {
            let f = |x: f64| S::splat(x as f32);
            let (beta1, rest1) = (f(s.beta1), f(1.0 - s.beta1));
            let (beta2, rest2) = (f(s.beta2), f(1.0 - s.beta2));
            let (keep, scale, eps) = (f(1.0 - s.lr * s.decay), f(s.gradient_scale), f(s.eps));
            // lr (m / c1) / (sqrt(v / c2) + eps)
            let (rate, root) = (f(s.lr / c1), f(1.0 / c2.sqrt()));
            let n = self.g.len();
            for i in (0..n).step_by(S::LANES) {
                let k = (n - i).min(S::LANES);
                let (p, m, v) = (self.p.as_mut_ptr().add(i), self.m.as_mut_ptr().add(i), self.v.as_mut_ptr().add(i));
                let g = S::mul(scale, S::load_n(self.g.as_ptr().add(i), k));
                let first = S::fma(beta1, S::load_n(m, k), S::mul(rest1, g));
                let second = S::fma(beta2, S::load_n(v, k), S::mul(rest2, S::mul(g, g)));
                let below = S::fma(S::sqrt(second), root, eps);
                let kept = S::mul(keep, S::load_n(p, k));
                S::store_n(m, first, k);
                S::store_n(v, second, k);
                S::store_n(p, S::sub(kept, S::div(S::mul(rate, first), below)), k);
            }
        }
    }
}
