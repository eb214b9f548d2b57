//! The optimizer: one pass over memory.

mod rules;

use crate::Cpu;
use crate::epilogue::Target;
use crate::halves::{self, InHalves, Values};
use crate::packed::{self, PackPanel};
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::Data;
use bytemuck::Pod;
use half::bf16;
use moeworks_ops::{Master, Tensor, Update, rounding};
use rules::{AdamWRule, LionRule, Rule};
use std::ops::Range;

/// Elements of one task.
const PIECE: usize = 1 << 15;

pub(crate) fn sum_of_squares(cpu: &mut Cpu, x: &Tensor) -> f64 {
    let isa = cpu.isa;
    let x = Data::read(&mut cpu.memory.access(), x);
    let pieces = x.len().div_ceil(PIECE);
    let partial = cpu.partial.of(2 * pieces);
    let sums = Shared::new(partial);
    cpu.pool.run(pieces, &|task, _| {
        let piece = task * PIECE..((task + 1) * PIECE).min(x.len());
        // SAFETY: every task has its own two floats, which hold the two halves of an f64.
        unsafe {
            let sum = simd::run(isa.vector(), Squares(x, piece));
            sums.slice(2 * task, 2).copy_from_slice(&bytemuck::cast::<f64, [f32; 2]>(sum));
        }
    });
    cpu.partial.of(2 * pieces).chunks(2).map(|c| bytemuck::cast::<[f32; 2], f64>([c[0], c[1]])).sum()
}

struct Squares<'a>(Data<'a>, Range<usize>);

impl Kernel for Squares<'_> {
    type Output = f64;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f64 {
        let Squares(x, range) = self;
        // Few enough terms in f32 that their rounding does not show.
        const TERMS: usize = 1024;
        let mut all = 0.0;
        for start in range.clone().step_by(TERMS) {
            let end = (start + TERMS).min(range.end);
            // SAFETY: loads stay inside the part.
            unsafe {
                let mut sum = S::splat(0.0);
                for i in (start..end).step_by(S::LANES) {
                    let v = x.load_n::<S>(i, (end - i).min(S::LANES));
                    sum = S::fma(v, v, sum);
                }
                all += f64::from(S::sum(sum));
            }
        }
        all
    }
}

/// Moves all elements of a parameter.
pub(crate) fn update(
    cpu: &mut Cpu,
    update: &Update,
    parameters: Master,
    gradients: &Tensor,
    m: &Tensor,
    v: Option<&Tensor>,
) {
    let (isa, n) = (cpu.isa, parameters.tensor().len());
    let mut access = cpu.memory.access();
    assert!(gradients.len() == n && m.len() == n && v.is_none_or(|v| v.len() == n));
    assert_eq!(v.is_some(), matches!(update, Update::AdamW(_)), "AdamW has a second moment, Lion has none");
    let step = Step {
        update,
        g: Data::read(&mut access, gradients),
        m: Target::write(&mut access, m),
        v: v.map(|v| Target::write(&mut access, v)),
        seed: rounding::seed(update.step()),
    };
    match parameters {
        Master::Alone(p) => {
            let p = Shared::new(access.write::<f32>(&p));
            cpu.pool.run(n.div_ceil(PIECE), &|task, _| {
                let (start, len) = (task * PIECE, PIECE.min(n - task * PIECE));
                // SAFETY: pieces of different tasks differ.
                unsafe { simd::run(isa.vector(), Whole { step, p, start, len }) }
            });
        }
        Master::Followed(p, matrix, source) => {
            let (shape, p) = (&matrix.shape, Shared::new(access.write::<f32>(&p)));
            let out = Shared::new(access.write::<u8>(&matrix.data));
            assert_eq!(n, shape.experts * shape.outputs * shape.inputs);
            cpu.pool.run(packed::all_panels(shape), &|index, _| {
                let (from, range) = packed::origin(shape, index);
                if from != source {
                    return;
                }
                // SAFETY: the panel's rows are this task's own, and so is the panel.
                unsafe {
                    simd::run(isa.vector(), Whole { step, p, start: range.start, len: range.len() });
                    let rows = &*p.slice(range.start, range.len());
                    simd::run(isa.vector(), PackPanel { shape, rows, index, out });
                }
            });
        }
        Master::Halves(halves) => halves::visit(&mut cpu.pool, isa, &mut access, &halves, &step),
    }
}

/// A step over the elements of a parameter.
#[derive(Clone, Copy)]
struct Step<'a> {
    update: &'a Update,
    g: Data<'a>,
    m: Target,
    v: Option<Target>,
    /// Of random rounding.
    seed: u32,
}

/// A piece of a parameter by itself.
struct Whole<'a> {
    step: Step<'a>,
    p: Shared<f32>,
    start: usize,
    len: usize,
}

impl Kernel for Whole<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the elements are inside, and this task's own.
        unsafe { self.step.over::<S>(Plain(self.p), self.start, self.len) }
    }
}

impl halves::Visit for Step<'_> {
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, values: InHalves, first: usize, n: usize) {
        // SAFETY: the caller's.
        unsafe { self.over::<S>(values, first, n) }
    }
}

impl Step<'_> {
    /// Moves `n` elements from `first` on, whose values are in `values`.
    ///
    /// # Safety
    /// They are inside, and the caller's own.
    #[inline(always)]
    unsafe fn over<S: Simd>(&self, values: impl Values, first: usize, n: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self.update {
                Update::AdamW(step) => self.by::<S>(values, first, n, AdamWRule::<S>::new(step)),
                Update::Lion(step) => self.by::<S>(values, first, n, LionRule::<S>::new(step)),
            }
        }
    }

    /// # Safety
    /// As `over`.
    #[inline(always)]
    unsafe fn by<S: Simd>(&self, values: impl Values, first: usize, n: usize, rule: impl Rule<S>) {
        let (seed, v) = (self.seed, self.v.unwrap_or(self.m));
        // SAFETY: the caller's.
        unsafe {
            match (self.g, self.m, v) {
                (Data::F32(g), Target::F32(m), Target::F32(v)) => {
                    Stream { seed, g, m, v, first }.each::<S, _>(values, n, rule)
                }
                (Data::F32(g), Target::Bf16(m), Target::Bf16(v)) => {
                    Stream { seed, g, m, v, first }.each::<S, _>(values, n, rule)
                }
                (Data::Bf16(g), Target::F32(m), Target::F32(v)) => {
                    Stream { seed, g, m, v, first }.each::<S, _>(values, n, rule)
                }
                (Data::Bf16(g), Target::Bf16(m), Target::Bf16(v)) => {
                    Stream { seed, g, m, v, first }.each::<S, _>(values, n, rule)
                }
                _ => unreachable!("both moments have one format"),
            }
        }
    }
}

/// Gradients and moments from one element on.
#[derive(Clone, Copy)]
struct Stream<'a, G, M> {
    seed: u32,
    g: &'a [G],
    m: Shared<M>,
    /// Where there is no second moment, the first again; never touched.
    v: Shared<M>,
    first: usize,
}

impl<G: Number, M: Number> Stream<'_, G, M> {
    /// # Safety
    /// `n` elements are inside, and the caller's own.
    #[inline(always)]
    unsafe fn each<S: Simd, R: Rule<S>>(&self, values: impl Values, n: usize, rule: R) {
        let whole = n / S::LANES * S::LANES;
        // SAFETY: the caller's; the rest, less than a vector, goes through arrays of whole ones.
        unsafe {
            for i in (self.first..self.first + whole).step_by(S::LANES) {
                let g = self.g.as_ptr().add(i);
                let v = if R::SECOND { self.v.at(i) } else { std::ptr::null_mut() };
                self.one::<S, R>(values, i, S::LANES, rule, g, self.m.at(i), v);
            }
            if whole < n {
                let (at, rest) = (self.first + whole, n - whole);
                let (mut g, mut m, mut v) = ([G::zeroed(); 16], [M::zeroed(); 16], [M::zeroed(); 16]);
                g[..rest].copy_from_slice(&self.g[at..at + rest]);
                m[..rest].copy_from_slice(self.m.slice(at, rest));
                if R::SECOND {
                    v[..rest].copy_from_slice(self.v.slice(at, rest));
                }
                self.one::<S, R>(values, at, rest, rule, g.as_ptr(), m.as_mut_ptr(), v.as_mut_ptr());
                self.m.slice(at, rest).copy_from_slice(&m[..rest]);
                if R::SECOND {
                    self.v.slice(at, rest).copy_from_slice(&v[..rest]);
                }
            }
        }
    }

    /// Moves the first `n` lanes from element `i` on.
    ///
    /// # Safety
    /// They are inside, and the caller's own; gradients and moments are there for whole vectors.
    #[inline(always)]
    unsafe fn one<S: Simd, R: Rule<S>>(
        &self,
        values: impl Values,
        i: usize,
        n: usize,
        rule: R,
        g: *const G,
        m: *mut M,
        v: *mut M,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let second = if R::SECOND { M::load::<S>(v) } else { S::splat(0.0) };
            let (p, first, second) = rule.moved(values.load::<S>(i, n), G::load::<S>(g), M::load::<S>(m), second);
            values.store::<S>(i, p, n);
            let random = if M::ROUNDED { S::random_bits(self.seed, i as u32) } else { S::splat(0.0) };
            M::store::<S>(m, first, random);
            if R::SECOND {
                M::store::<S>(v, second, S::upper_bits(random));
            }
        }
    }
}

/// A format of gradients and moments.
trait Number: Pod {
    /// Whether storing rounds.
    const ROUNDED: bool;
    /// LANES elements.
    ///
    /// # Safety
    /// They are there.
    unsafe fn load<S: Simd>(p: *const Self) -> S::V;
    /// Stores LANES elements, rounded by random bits.
    ///
    /// # Safety
    /// They are there.
    unsafe fn store<S: Simd>(p: *mut Self, v: S::V, random: S::V);
}

impl Number for f32 {
    const ROUNDED: bool = false;
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const Self) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::load(p) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(p: *mut Self, v: S::V, _: S::V) {
        // SAFETY: the caller's.
        unsafe { S::store(p, v) }
    }
}

impl Number for bf16 {
    const ROUNDED: bool = true;
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const Self) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::load_bf16(p) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(p: *mut Self, v: S::V, random: S::V) {
        // SAFETY: the caller's.
        unsafe { S::store_bf16(p, S::round_randomly(v, random)) }
    }
}

/// Parameters by themselves.
#[derive(Clone, Copy)]
struct Plain(Shared<f32>);

impl Values for Plain {
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, i: usize, n: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::load_n(self.0.at(i), n) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, i: usize, v: S::V, n: usize) {
        // SAFETY: the caller's.
        unsafe { S::store_n(self.0.at(i), v, n) }
    }
}
