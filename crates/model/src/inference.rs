//! A model that answers: weights without masters, a contiguous cache of keys and values, and scoring of given text.

use crate::activations::{Activations, Purpose};
use crate::batch::Batch;
use crate::config::Config;
use crate::error::ModelError;
use crate::forward::{Attend, forward};
use crate::huggingface::Checkpoint;
use crate::parameters::Parameter;
use crate::training::{Training, upload_batch, upload_rope};
use crate::weights::Weights;
use moeworks_ops::{DType, Ops, Plan, Precision, Rope, Tensor, transfer};

/// How much a model is prepared for; decides its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sequences that can be in the cache at once.
    pub slots: usize,
    /// Positions of each.
    pub length: usize,
    /// Rows of one pass.
    pub rows: usize,
}

/// One token to be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Token id.
    pub id: u32,
    /// Sequence in the cache.
    pub slot: usize,
    /// Position in the sequence.
    pub position: usize,
}

/// What scoring says of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Negative log-likelihood of its target in nats; 0 where there is none.
    pub nll: f64,
    /// The likeliest token.
    pub best: u32,
}

/// A model that answers.
#[derive(Debug)]
pub struct Inference {
    /// Its configuration.
    pub config: Config,
    /// Its formats.
    pub precision: Precision,
    /// What it is prepared for.
    pub limits: Limits,
    weights: Weights,
    activations: Activations,
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    rope: Rope,
    /// Rows of the residual stream picked out for logits (state [rows, D]), and which (I32 [rows]).
    picked_td: Tensor,
    picks_t: Tensor,
    logits_tv: Tensor,
    cache_bytes: usize,
}

/// Rows whose logits are computed at once.
const LOGIT_ROWS: usize = 64;

impl Inference {
    /// Loads a model's weights from a source of parameters and allocates all memory for its limits.
    pub fn load(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        limits: Limits,
        source: impl FnMut(Parameter) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        if limits.length > config.max_seq_len {
            return Err(ModelError::TooLong { tokens: limits.length, limit: config.max_seq_len });
        }
        let weights = Weights::load(ops, config, precision, source)?;
        Self::over(ops, config, precision, limits, weights)
    }

    /// A model in training that answers meanwhile: it shares the training's weights and follows every step.
    pub fn beside(ops: &mut dyn Ops, training: &Training, limits: Limits) -> Result<Self, ModelError> {
        let limits = Limits { length: limits.length.min(training.config.max_seq_len), ..limits };
        Self::over(ops, &training.config, training.precision, limits, training.weights().clone())
    }

    fn over(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        limits: Limits,
        weights: Weights,
    ) -> Result<Self, ModelError> {
        let activations = Activations::allocate(ops, config, precision, limits.rows, Purpose::Inference)?;
        let mut cache = Plan::new(ops.reserve());
        let dims = [limits.slots, limits.length, config.n_kv_heads * config.head_dim];
        let mut layers = |name| -> Vec<Tensor> {
            (0..config.n_layers).map(|_| cache.tensor(name, precision.compute, &dims)).collect()
        };
        let (keys, values) = (layers("keys"), layers("values"));
        ops.allocate(cache.region(), cache.bytes())?;
        let rope = upload_rope(ops, config, precision, limits.length)?;
        let mut plan = Plan::new(ops.reserve());
        let rows = limits.rows.min(LOGIT_ROWS);
        let picked_td = plan.tensor("logits", precision.state, &[rows, config.d_model]);
        let picks_t = plan.tensor("logits", DType::I32, &[rows]);
        let logits_tv = plan.tensor("logits", precision.state, &[rows, config.vocab_size]);
        ops.allocate(plan.region(), plan.bytes())?;
        Ok(Inference {
            config: config.clone(),
            precision,
            limits,
            weights,
            activations,
            keys,
            values,
            rope,
            picked_td,
            picks_t,
            logits_tv,
            cache_bytes: cache.bytes(),
        })
    }

    /// Loads a checked model directory; its length limit is the model's own where `limits` asks for more.
    pub fn open(
        ops: &mut dyn Ops,
        checkpoint: &Checkpoint,
        precision: Precision,
        limits: Limits,
    ) -> Result<Self, ModelError> {
        let limits = Limits { length: limits.length.min(checkpoint.config.max_seq_len), ..limits };
        Self::load(ops, &checkpoint.config, precision, limits, |p| checkpoint.parameter(p))
    }

    /// Bytes of the cache of keys and values.
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// Processes rows and returns the logits [wanted, V] of those whose numbers are in `wanted`. Rows of a sequence
    /// are neighbours, ascend, and continue what its slot holds (positions before them must have been processed).
    /// Errors on ids, slots or positions out of range; panics on more rows than planned.
    pub fn step(&mut self, ops: &mut dyn Ops, rows: &[Row], wanted: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.check(rows)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let numbers = |f: fn(&Row) -> usize| -> Vec<i32> { rows.iter().map(|r| f(r) as i32).collect() };
        let batch = Batch {
            ids: numbers(|r| r.id as usize),
            targets: vec![-1; rows.len()],
            positions: numbers(|r| r.position),
            first: numbers(|r| r.slot),
        };
        let a = self.activations.narrow(rows.len());
        upload_batch(ops, &self.config, &a, &batch);
        let attend = Attend::Cache { keys: &self.keys, values: &self.values };
        forward(ops, &self.config, &self.weights, &self.rope, &a, attend);
        Ok(self.logits(ops, &a, wanted))
    }

    /// Logits of the last pass's rows: picked from the residual stream first, so that only they are multiplied.
    fn logits(&self, ops: &mut dyn Ops, a: &Activations, wanted: &[usize]) -> Vec<f32> {
        let mut logits = Vec::with_capacity(wanted.len() * self.config.vocab_size);
        let x_td = &a.blocks[self.config.n_layers - 1].x_out_td;
        for chunk in wanted.chunks(self.picks_t.len()) {
            let n = chunk.len();
            let picks: Vec<i32> = chunk.iter().map(|w| *w as i32).collect();
            let (picks_t, picked) = (self.picks_t.rows(0..n), self.picked_td.rows(0..n));
            transfer::write(ops, &picks_t, &picks);
            ops.embed(&picks_t, x_td, &picked);
            let (normed, stats) = (a.normed_td.rows(0..n), a.last_stats_t2.rows(0..n));
            ops.norm(self.config.norm(), &picked, &self.weights.final_norm, &normed, &stats);
            let out = self.logits_tv.rows(0..n);
            ops.linear(&normed, &self.weights.head, None, &out);
            logits.extend(transfer::read_floats(ops, &out).into_iter().map(|v| v as f32));
        }
        logits
    }

    fn check(&self, rows: &[Row]) -> Result<(), ModelError> {
        assert!(rows.len() <= self.limits.rows, "{} rows, planned {}", rows.len(), self.limits.rows);
        for (i, row) in rows.iter().enumerate() {
            assert!(row.slot < self.limits.slots, "slot {} of {}", row.slot, self.limits.slots);
            if row.id as usize >= self.config.vocab_size {
                let (id, vocab_size) = (i64::from(row.id), self.config.vocab_size);
                return Err(ModelError::TokenOutOfRange { id, row: i, position: row.position, vocab_size });
            }
            if row.position >= self.limits.length {
                return Err(ModelError::TooLong { tokens: row.position + 1, limit: self.limits.length });
            }
        }
        Ok(())
    }

    /// Scores the targets of a batch of at most the planned rows, without touching the cache. Documents of any
    /// lengths may lie one after the other in it ([`Batch::first`] keeps them apart).
    pub fn score(&mut self, ops: &mut dyn Ops, batch: &Batch) -> Vec<Score> {
        assert!(batch.rows() <= self.limits.rows, "{} rows, planned {}", batch.rows(), self.limits.rows);
        if batch.rows() == 0 {
            return Vec::new();
        }
        let a = self.activations.narrow(batch.rows());
        upload_batch(ops, &self.config, &a, batch);
        forward(ops, &self.config, &self.weights, &self.rope, &a, Attend::Batch);
        ops.classifier(&a.normed_td, &self.weights.head, &a.inputs.targets_t, &a.nll_t, Some(&a.best_t), None);
        let nll = transfer::read_floats(ops, &a.nll_t);
        let best = transfer::read::<i32>(ops, &a.best_t);
        nll.into_iter().zip(best).map(|(nll, best)| Score { nll, best: best as u32 }).collect()
    }
}
