//! The optimizer's state and one step of it.

use crate::config::Config;
use crate::error::ModelError;
use crate::store::Store;
use crate::training::Training;
use moeworks_ops::{AdamW, Ops, Precision};

/// Which parameters weight decay touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// All of them, norms and embeddings too, as torch.optim.AdamW does with one group.
    All,
    /// Matrices only, not norms.
    Matrices,
}

/// First and second moments of all gradients.
#[derive(Debug)]
pub struct Moments {
    /// Running means of gradients.
    pub m: Store,
    /// Running means of their squares.
    pub v: Store,
}

impl Moments {
    /// Zeros.
    pub fn new(ops: &mut dyn Ops, config: &Config, precision: Precision) -> Result<Self, ModelError> {
        let mut store = || Store::allocate(ops, config, precision.state);
        Ok(Moments { m: store()?, v: store()? })
    }

    /// The norm of all gradients together.
    pub fn gradient_norm(ops: &mut dyn Ops, training: &Training) -> f64 {
        training.gradients.iter().map(|(_, g)| ops.sum_of_squares(&g)).sum::<f64>().sqrt()
    }

    /// One step over all parameters; the weights then follow the masters.
    pub fn step(&self, ops: &mut dyn Ops, training: &Training, step: &AdamW, decay: Decay) {
        for (parameter, master) in training.masters.iter() {
            let vector = master.shape.dims().len() == 1;
            let decays = decay == Decay::All || !vector;
            let step = AdamW { decay: if decays { step.decay } else { 0.0 }, ..*step };
            let gradient = training.gradients.get(parameter);
            ops.adamw(&step, &master, &gradient, &self.m.get(parameter), &self.v.get(parameter));
        }
        training.refresh(ops);
    }
}

/// The factor that brings a gradient norm down to `limit` (torch's clip_grad_norm_, whose 1e-6 it keeps).
pub fn clip_factor(norm: f64, limit: f64) -> f64 {
    (limit / (norm + 1e-6)).min(1.0)
}
