//! Logits and cross-entropy, a few rows at a time: the gradient is taken while the logits are still there.

use crate::Cpu;
use crate::epilogue::{Addend, Store, Target};
use crate::multiply::{Groups, forward, weight_gradient};
use crate::packed::{self, Packed};
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use crate::source::{Data, Rows};
use moeworks_ops::{ClassifierGradient, DType, Matrix, Tensor};

/// Logits held at once (8 MiB of f32).
const LOGITS: usize = 2 << 20;

pub(crate) fn classifier(
    cpu: &mut Cpu,
    x_td: &Tensor,
    w: &Matrix,
    targets_t: &Tensor,
    nll_t: &Tensor,
    best_t: Option<&Tensor>,
    gradient: Option<&ClassifierGradient>,
) {
    let (v, d, rows) = (w.shape.outputs, w.shape.inputs, targets_t.len());
    let (isa, rounded) = (cpu.isa, w.shape.dtype == DType::Bf16);
    assert_eq!((x_td.len(), nll_t.len()), (rows * d, rows));
    let mut access = cpu.memory.access();
    let matrix = Packed::new(&w.shape, access.read::<u8>(&w.data));
    let x = Rows::plain(Data::read(&mut access, x_td), d);
    let targets = access.read::<i32>(targets_t);
    let nll = Shared::new(access.write::<f32>(nll_t));
    let best = best_t.map(|t| {
        assert_eq!(t.len(), rows);
        Shared::new(access.write::<i32>(t))
    });
    let gradient = gradient.map(|g| {
        assert_eq!((g.dx_td.len(), g.dw_vd.len()), (rows * d, v * d));
        (g.scale as f32, Target::write(&mut access, &g.dx_td), Target::write(&mut access, &g.dw_vd))
    });
    let turned = cpu.arranged.of(if gradient.is_some() { packed::transposed_bytes(&w.shape) } else { 0 });
    let turned = gradient.is_some().then(|| packed::transpose(&mut cpu.pool, isa, &w.shape, matrix, 0, turned));
    let chunk = (LOGITS / v).clamp(1, rows);
    let logits = cpu.logits.of(chunk * v);
    for start in (0..rows).step_by(chunk) {
        let n = chunk.min(rows - start);
        let here = x.from(start);
        let to = Target::F32(Shared::new(logits));
        let store = Store { to, width: v, expert_step: 0, on: Addend::None };
        forward(&mut cpu.pool, isa, &[(here, matrix)], Groups::One(n), v, PANEL, &store);
        let all = Shared::new(logits);
        let scale = gradient.as_ref().map(|g| g.0);
        cpu.pool.run(n, &|row, _| {
            // SAFETY: every task has its own row.
            unsafe {
                let logits = all.slice(row * v, v);
                let target = targets[start + row];
                let (loss, likeliest) = simd::run(isa.vector(), Loss { logits, target, scale, best: best.is_some() });
                *nll.at(start + row) = loss;
                if let Some(best) = best {
                    *best.at(start + row) = likeliest;
                }
            }
        });
        if let (Some((_, dx, dw)), Some(turned)) = (gradient, turned) {
            let dlogits = Rows::plain(Data::F32(&logits[..n * v]), v);
            let groups = Groups::One(n);
            // SAFETY: the rows from `start` on are inside the tensor.
            let to = unsafe { dx.from(start * d) };
            let store = Store { to, width: d, expert_step: 0, on: Addend::None };
            forward(&mut cpu.pool, isa, &[(dlogits, turned)], groups, d, PANEL, &store);
            let store = Store { to: dw, width: d, expert_step: 0, on: Addend::Present };
            weight_gradient(&mut cpu.pool, isa, &[dlogits], here, rounded, v, d, groups, &store);
        }
    }
}

/// One row: its loss, and its likeliest id if that is wanted; logits become their gradient if there is a scale, else
/// their exponentials.
struct Loss<'a> {
    logits: &'a mut [f32],
    target: i32,
    scale: Option<f32>,
    best: bool,
}

impl Kernel for Loss<'_> {
    type Output = (f32, i32);
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> (f32, i32) {
        let v = self.logits.len();
        let at = self.logits.as_mut_ptr();
        let whole = v / S::LANES * S::LANES;
        let target = usize::try_from(self.target).ok();
        // SAFETY: loads and stores stay inside the row.
        unsafe {
            let mut largest = S::splat(f32::NEG_INFINITY);
            for i in (0..whole).step_by(S::LANES) {
                largest = S::max(largest, S::load(at.add(i)));
            }
            let mut most = S::largest(largest);
            self.logits[whole..].iter().for_each(|l| most = most.max(*l));
            let best = if self.best { self.logits.iter().position(|l| *l == most).unwrap_or(0) } else { 0 };
            let target_logit = target.map_or(0.0, |t| self.logits[t]);
            let m = S::splat(most);
            let mut sums = S::splat(0.0);
            for i in (0..whole).step_by(S::LANES) {
                let e = S::exp(S::sub(S::load(at.add(i)), m));
                S::store(at.add(i), e);
                sums = S::add(sums, e);
            }
            let mut sum = S::sum(sums);
            for l in &mut self.logits[whole..] {
                *l = (*l - most).exp();
                sum += *l;
            }
            let loss = target.map_or(0.0, |_| most + sum.ln() - target_logit);
            if let Some(scale) = self.scale {
                let factor = if target.is_some() { scale / sum } else { 0.0 };
                let f = S::splat(factor);
                for i in (0..whole).step_by(S::LANES) {
                    S::store(at.add(i), S::mul(f, S::load(at.add(i))));
                }
                self.logits[whole..].iter_mut().for_each(|l| *l *= factor);
                if let Some(t) = target {
                    self.logits[t] -= scale;
                }
            }
            (loss, best as i32)
        }
    }
}
