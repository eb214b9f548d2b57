//! The optimizer's state and one step of it.

use crate::config::Config;
use crate::error::ModelError;
use crate::formats;
use crate::store::Store;
use crate::training::Training;
use moeworks_ops::{AdamW, Lion, Ops, Precision, Update};

/// Which parameters weight decay touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// All of them, norms and embeddings too, as torch.optim.AdamW does with one group.
    All,
    /// Matrices only, not norms.
    Matrices,
}

/// Moments of all gradients.
#[derive(Debug)]
pub struct Moments {
    /// Running means of gradients.
    pub m: Store,
    /// Running means of their squares, where the optimizer has them (AdamW).
    pub v: Option<Store>,
}

impl Moments {
    /// Zeros: one moment, or with `second` two.
    pub fn new(ops: &mut dyn Ops, config: &Config, precision: Precision, second: bool) -> Result<Self, ModelError> {
        let mut store = || Store::allocate(ops, config, |_| formats::moment(precision));
        Ok(Moments { m: store()?, v: if second { Some(store()?) } else { None } })
    }

    /// Frees them.
    pub fn release(self, ops: &mut dyn Ops) {
        self.m.release(ops);
        if let Some(v) = self.v {
            v.release(ops);
        }
    }

    /// The norm of all gradients together.
    pub fn gradient_norm(ops: &mut dyn Ops, training: &Training) -> f64 {
        training.gradients.iter().map(|(_, g)| ops.sum_of_squares(&g)).sum::<f64>().sqrt()
    }

    /// One step over all parameters; the weights follow the masters.
    pub fn step(&self, ops: &mut dyn Ops, training: &Training, update: &Update, decay: Decay) {
        for (parameter, master) in training.masters().iter() {
            let vector = master.tensor().shape.dims().len() == 1;
            let kept = |own: f64| if decay == Decay::All || !vector { own } else { 0.0 };
            let update = match *update {
                Update::AdamW(step) => Update::AdamW(AdamW { decay: kept(step.decay), ..step }),
                Update::Lion(step) => Update::Lion(Lion { decay: kept(step.decay), ..step }),
            };
            let (gradient, v) = (training.gradients.get(parameter), self.v.as_ref().map(|v| v.get(parameter)));
            ops.update(&update, master, &gradient, &self.m.get(parameter), v.as_ref());
        }
    }
}

/// The factor that brings a gradient norm down to `limit` (torch's clip_grad_norm_, whose 1e-6 it keeps).
pub fn clip_factor(norm: f64, limit: f64) -> f64 {
    (limit / (norm + 1e-6)).min(1.0)
}
