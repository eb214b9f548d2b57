//! What an optimizer does to a vector of parameters.

use crate::simd::Simd;
use moeworks_ops::{AdamW, Lion};

/// A rule's constants, and what it makes of parameters, gradients and moments.
pub trait Rule<S: Simd>: Copy {
    /// Whether it has a second moment.
    const SECOND: bool;
    /// New parameters and moments.
    ///
    /// # Safety
    /// As [`Simd`]'s methods.
    unsafe fn moved(&self, p: S::V, g: S::V, m: S::V, v: S::V) -> (S::V, S::V, S::V);
}

/// AdamW, of `moeworks_ops::AdamW`.
#[derive(Clone, Copy)]
pub struct AdamWRule<S: Simd> {
    scale: S::V,
    beta: [S::V; 2],
    rest: [S::V; 2],
    keep: S::V,
    eps: S::V,
    /// lr / c1
    rate: S::V,
    /// 1 / sqrt(c2)
    root: S::V,
}

impl<S: Simd> AdamWRule<S> {
    /// The rule of one step.
    ///
    /// # Safety
    /// As [`Simd`]'s methods.
    #[inline(always)]
    pub unsafe fn new(s: &AdamW) -> Self {
        let t = s.step as f64;
        let (c1, c2) = (1.0 - s.beta1.powf(t), 1.0 - s.beta2.powf(t));
        // SAFETY: the caller's.
        let f = |x: f64| unsafe { S::splat(x as f32) };
        AdamWRule {
            scale: f(s.gradient_scale),
            beta: [f(s.beta1), f(s.beta2)],
            rest: [f(1.0 - s.beta1), f(1.0 - s.beta2)],
            keep: f(1.0 - s.lr * s.decay),
            eps: f(s.eps),
            rate: f(s.lr / c1),
            root: f(1.0 / c2.sqrt()),
        }
    }
}

impl<S: Simd> Rule<S> for AdamWRule<S> {
    const SECOND: bool = true;
    #[inline(always)]
    unsafe fn moved(&self, p: S::V, g: S::V, m: S::V, v: S::V) -> (S::V, S::V, S::V) {
        // SAFETY: the caller's.
        unsafe {
            let g = S::mul(self.scale, g);
            let m = S::fma(self.beta[0], m, S::mul(self.rest[0], g));
            let v = S::fma(self.beta[1], v, S::mul(self.rest[1], S::mul(g, g)));
            let below = S::fma(S::sqrt(v), self.root, self.eps);
            (S::sub(S::mul(self.keep, p), S::div(S::mul(self.rate, m), below)), m, v)
        }
    }
}

/// Lion, of `moeworks_ops::Lion`.
#[derive(Clone, Copy)]
pub struct LionRule<S: Simd> {
    scale: S::V,
    beta: [S::V; 2],
    rest: [S::V; 2],
    keep: S::V,
    rate: S::V,
    /// -lr
    least: S::V,
    huge: S::V,
}

impl<S: Simd> LionRule<S> {
    /// The rule of one step.
    ///
    /// # Safety
    /// As [`Simd`]'s methods.
    #[inline(always)]
    pub unsafe fn new(s: &Lion) -> Self {
        // SAFETY: the caller's.
        let f = |x: f64| unsafe { S::splat(x as f32) };
        LionRule {
            scale: f(s.gradient_scale),
            beta: [f(s.beta1), f(s.beta2)],
            rest: [f(1.0 - s.beta1), f(1.0 - s.beta2)],
            keep: f(1.0 - s.lr * s.decay),
            rate: f(s.lr),
            least: f(-s.lr),
            huge: f(1e38),
        }
    }
}

impl<S: Simd> Rule<S> for LionRule<S> {
    const SECOND: bool = false;
    #[inline(always)]
    unsafe fn moved(&self, p: S::V, g: S::V, m: S::V, v: S::V) -> (S::V, S::V, S::V) {
        // SAFETY: the caller's.
        unsafe {
            let g = S::mul(self.scale, g);
            let direction = S::fma(self.beta[0], m, S::mul(self.rest[0], g));
            // The sign times the rate: anything that is not zero, made large, then cut.
            let large = S::mul(S::mul(direction, self.huge), self.huge);
            let by = S::max(self.least, S::min(self.rate, large));
            (S::sub(S::mul(self.keep, p), by), S::fma(self.beta[1], m, S::mul(self.rest[1], g)), v)
        }
    }
}
