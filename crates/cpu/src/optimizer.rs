//! The optimizer: one pass over memory.

use crate::Cpu;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use moeworks_ops::{AdamW, Tensor};

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

pub(crate) fn adamw(cpu: &mut Cpu, step: &AdamW, parameters: &Tensor, gradients: &Tensor, m: &Tensor, v: &Tensor) {
    let isa = cpu.isa;
    let mut access = cpu.memory.access();
    let g = access.read::<f32>(gradients);
    let p = Shared::new(access.write::<f32>(parameters));
    let (m, v) = (Shared::new(access.write::<f32>(m)), Shared::new(access.write::<f32>(v)));
    assert!(parameters.len() == g.len());
    let n = g.len();
    cpu.pool.run(n.div_ceil(PIECE), &|task, _| {
        let start = task * PIECE;
        let len = PIECE.min(n - start);
        // SAFETY: pieces of different tasks differ.
        unsafe {
            let (p, m, v) = (p.slice(start, len), m.slice(start, len), v.slice(start, len));
            simd::run(isa.vector(), Step { step, g: &g[start..start + len], p, m, v });
        }
    });
}

struct Step<'a> {
    step: &'a AdamW,
    g: &'a [f32],
    p: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Kernel for Step<'_> {
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
