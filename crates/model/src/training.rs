//! A model in training: masters, gradients, weights and activations, and one pass over a batch.

use crate::activations::{Activations, Purpose, Recompute};
use crate::backward::backward;
use crate::batch::Batch;
use crate::config::Config;
use crate::error::ModelError;
use crate::formats;
use crate::forward::{Attend, forward};
use crate::gradients::{Added, plan_gradients};
use crate::huggingface::{SaveFormat, save};
use crate::initialize::initial;
use crate::masters::Masters;
use crate::parameters::{Parameter, parameters};
use crate::rope;
use crate::store::Store;
use crate::weights::Weights;
use moeworks_ops::{ClassifierGradient, DType, Ops, Plan, Precision, Region, Rope, transfer};
use std::path::Path;

/// How the losses of a batch are weighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    /// Targets of the whole step: the language-model loss is their mean, over all micro-batches.
    pub targets: usize,
    /// Share of this micro-batch in the step, for the means that are over tokens or routers (1 for a single one).
    pub share: f64,
    /// Coefficient of the load-balancing loss.
    pub aux: f64,
    /// Coefficient of the mean squared router denominator (router z-loss, arXiv 2202.08906).
    pub z: f64,
}

/// What a batch cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    /// Cross-entropy summed over the targets, in nats.
    pub nll: f64,
    /// Targets.
    pub targets: usize,
    /// Load-balancing loss before its coefficient: `E sum_e f_e p_e` over the tokens of all layers together, where
    /// f_e is the rows expert e got per token and p_e its mean probability (transformers 4.57; K when balanced).
    pub aux: f64,
    /// Mean squared router denominator before its coefficient.
    pub z: f64,
    /// Rows each expert of each block got, [L][E]; empty without routers.
    pub load: Vec<Vec<f64>>,
}

/// What a training makes room for.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Rows of a batch.
    pub rows: usize,
    /// Most positions of a document.
    pub length: usize,
    /// Batches that a step adds up. With one, gradients of the blocks' matrices are as narrow as their weights and lie
    /// over spent activations.
    pub micro_batches: usize,
    /// What is computed again.
    pub recompute: Recompute,
}

impl Layout {
    /// Steps of one batch, nothing computed again.
    pub fn of(rows: usize, length: usize) -> Self {
        Layout { rows, length, micro_batches: 1, recompute: Recompute::Nothing }
    }
}

/// A model that learns.
#[derive(Debug)]
pub struct Training {
    /// Its configuration.
    pub config: Config,
    /// Its formats.
    pub precision: Precision,
    /// Its room.
    pub layout: Layout,
    /// Gradients of a step. With one batch a step they are gone with the next batch's forward.
    pub gradients: Store,
    masters: Masters,
    weights: Weights,
    activations: Activations,
    rope: Rope,
}

/// Cosines and sines of all positions a batch can have, on the device.
pub(crate) fn upload_rope(
    ops: &mut dyn Ops,
    config: &Config,
    precision: Precision,
    positions: usize,
) -> Result<Rope, ModelError> {
    let mut plan = Plan::new(ops.reserve());
    let dims = [positions, config.head_dim / 2];
    let rope = Rope {
        cos_sc: plan.tensor("rope", precision.state, &dims),
        sin_sc: plan.tensor("rope", precision.state, &dims),
    };
    ops.allocate(plan.region(), plan.bytes())?;
    let (cos, sin) = rope::tables(config, positions);
    transfer::write_floats(ops, &rope.cos_sc, &cos);
    transfer::write_floats(ops, &rope.sin_sc, &sin);
    Ok(rope)
}

/// Uploads a batch's rows, and where there is no router, the dispatch of every row to the one expert.
pub(crate) fn upload_batch(ops: &mut dyn Ops, config: &Config, a: &Activations, batch: &Batch) {
    assert_eq!(batch.rows(), a.rows, "a batch has as many rows as were planned");
    transfer::write(ops, &a.inputs.ids_t, &batch.ids);
    transfer::write(ops, &a.inputs.targets_t, &batch.targets);
    transfer::write(ops, &a.inputs.positions_t, &batch.positions);
    transfer::write(ops, &a.inputs.first_t, &batch.first);
    if !config.has_router() {
        let rows: Vec<i32> = (0..a.rows as i32).collect();
        for block in &a.blocks {
            let dispatch = &block.routing.dispatch;
            transfer::write(ops, &dispatch.offsets_e, &[0, a.rows as i32]);
            transfer::write(ops, &dispatch.token_r, &rows);
            transfer::write(ops, &dispatch.row_tk, &rows);
            transfer::write_floats(ops, &dispatch.weights_tk, &vec![1.0; a.rows]);
        }
    }
}

/// Logits of all rows of a forward pass, [T, V], a few rows at a time.
pub(crate) fn logits(
    ops: &mut dyn Ops,
    config: &Config,
    precision: Precision,
    weights: &Weights,
    a: &Activations,
) -> Vec<f64> {
    const ROWS: usize = 64;
    let region = ops.reserve();
    let chunk = Plan::new(region).tensor("logits", precision.state, &[ROWS, config.vocab_size]);
    ops.allocate(region, chunk.bytes()).expect("64 rows of logits fit");
    let mut all = Vec::with_capacity(a.rows * config.vocab_size);
    for start in (0..a.rows).step_by(ROWS) {
        let rows = start..(start + ROWS).min(a.rows);
        let out = chunk.rows(0..rows.len());
        ops.linear(&a.normed_td.rows(rows), &weights.head, None, &out);
        all.extend(transfer::read_floats(ops, &out));
    }
    ops.release(region);
    all
}

impl Training {
    /// A model with fresh parameters.
    pub fn new(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        layout: Layout,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let all = parameters(config);
        let fresh = |parameter| {
            let index = all.iter().position(|(p, _)| *p == parameter).expect("a parameter of the model");
            Ok(initial(config, seed, index, parameter, &all[index].1))
        };
        Self::filled(ops, config, precision, layout, fresh)
    }

    /// A model with parameters from a source.
    pub fn load(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        layout: Layout,
        mut source: impl FnMut(Parameter) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        let wide = |parameter| Ok(source(parameter)?.into_iter().map(f64::from).collect());
        Self::filled(ops, config, precision, layout, wide)
    }

    fn filled(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        layout: Layout,
        mut source: impl FnMut(Parameter) -> Result<Vec<f64>, ModelError>,
    ) -> Result<Self, ModelError> {
        let store = Store::allocate(ops, config, |parameter| formats::master(precision, parameter))?;
        let weights = Weights::beside(ops, config, precision, &store)?;
        let masters = Masters::new(config, store, weights.followers(config));
        for (parameter, _) in masters.iter() {
            let values = source(parameter)?;
            masters.write(ops, parameter, &values)?;
        }
        weights.follow(ops, config, &masters);
        let purpose = Purpose::Training(layout.recompute);
        let activations = Activations::allocate(ops, config, precision, layout.rows, purpose)?;
        let mut plan = Plan::new(ops.reserve());
        let gradients = plan_gradients(&mut plan, config, precision, layout.micro_batches, &activations);
        ops.allocate(plan.region(), plan.bytes())?;
        let rope = upload_rope(ops, config, precision, layout.length)?;
        Ok(Training { config: config.clone(), precision, layout, masters, gradients, weights, activations, rope })
    }

    /// Bytes a training takes, by part, without allocating any of it: with so many moments.
    pub fn memory(
        ops: &dyn Ops,
        config: &Config,
        precision: Precision,
        layout: Layout,
        moments: usize,
    ) -> Vec<(String, usize)> {
        let all = parameters(config);
        let bytes = |dtype: &dyn Fn(Parameter) -> DType| -> usize {
            all.iter().map(|(p, shape)| dtype(*p).size() * shape.iter().product::<usize>()).sum()
        };
        let mut plan = Plan::new(Region(0));
        let activations =
            Activations::plan(&mut plan, config, precision, layout.rows, Purpose::Training(layout.recompute));
        let mut gradients = Plan::new(Region(1));
        plan_gradients(&mut gradients, config, precision, layout.micro_batches, &activations);
        vec![
            ("parameters".into(), bytes(&|p| formats::master(precision, p))),
            ("gradients".into(), gradients.bytes()),
            ("optimizer moments".into(), moments * bytes(&|_| formats::moment(precision))),
            ("packed weights".into(), Weights::bytes(ops, config, precision)),
            ("activations".into(), plan.bytes()),
        ]
    }

    /// Frees everything.
    pub fn release(self, ops: &mut dyn Ops) {
        self.masters.release(ops);
        self.gradients.release(ops);
        ops.release(self.weights.region());
        ops.release(self.activations.region());
        ops.release(self.rope.cos_sc.region);
    }

    /// The weights that follow the masters.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The parameters themselves.
    pub fn masters(&self) -> &Masters {
        &self.masters
    }

    /// A parameter's numbers.
    pub fn parameter(&self, ops: &mut dyn Ops, parameter: Parameter) -> Vec<f64> {
        let mut reader = self.masters.reader();
        let values = reader.read(ops, parameter, 0..self.masters.get(parameter).tensor().len());
        reader.release(ops);
        values
    }

    /// The activations of the last batch.
    pub fn activations(&self) -> &Activations {
        &self.activations
    }

    /// Forward and backward of a step's first batch, whose gradients replace the last step's, or of another, whose
    /// gradients are added. Panics at another where room was made for one.
    pub fn step(&self, ops: &mut dyn Ops, batch: &Batch, scale: LossScale, first: bool) -> Losses {
        assert!(first || self.layout.micro_batches > 1, "gradients of one batch a step cannot be added to");
        let gradients = Added { store: &self.gradients, first };
        let (a, g) = (&self.activations, self.activations.gradients.as_ref().expect("planned for training"));
        self.forward(ops, batch);
        let head = if self.config.tie_embeddings { Parameter::Embedding } else { Parameter::Head };
        let gradient = ClassifierGradient {
            scale: 1.0 / scale.targets as f64,
            dx_td: g.dnormed_td,
            dw_vd: gradients.of(ops, head),
        };
        let head = &self.weights.head;
        ops.classifier(&a.normed_td, head, &a.inputs.targets_t, &a.nll_t, None, Some(&gradient));
        let (losses, balance) = self.losses(ops, batch);
        let balance: Vec<f64> = balance.into_iter().map(|b| scale.share * scale.aux * b).collect();
        transfer::write_floats(ops, &g.balance_e, &balance);
        let z = scale.share * scale.z / (self.config.n_layers * a.rows) as f64;
        backward(ops, &self.config, &self.weights, &self.rope, a, gradients, z);
        losses
    }

    /// Forward only: the loss of every row, in nats (0 where none is counted), and the batch's losses.
    pub fn evaluate(&self, ops: &mut dyn Ops, batch: &Batch) -> (Vec<f64>, Losses) {
        let a = &self.activations;
        self.forward(ops, batch);
        ops.classifier(&a.normed_td, &self.weights.head, &a.inputs.targets_t, &a.nll_t, None, None);
        let nll = transfer::read_floats(ops, &a.nll_t);
        (nll, self.losses(ops, batch).0)
    }

    /// Forward only: all logits [T, V]. For comparisons; a vocabulary of 100,352 makes this large.
    pub fn logits(&self, ops: &mut dyn Ops, batch: &Batch) -> Vec<f64> {
        self.forward(ops, batch);
        logits(ops, &self.config, self.precision, &self.weights, &self.activations)
    }

    /// Writes the model as a Hugging Face directory (which must exist) that transformers opens.
    pub fn save(&self, ops: &mut dyn Ops, dir: &Path, format: SaveFormat) -> Result<(), ModelError> {
        const SHARD: usize = 5 << 30;
        let mut reader = self.masters.reader();
        let mut source = |parameter, range: std::ops::Range<usize>| -> Vec<f32> {
            reader.read(ops, parameter, range).into_iter().map(|v| v as f32).collect()
        };
        let saved = save(dir, &self.config, format, SHARD, &mut source);
        reader.release(ops);
        saved
    }

    fn forward(&self, ops: &mut dyn Ops, batch: &Batch) {
        upload_batch(ops, &self.config, &self.activations, batch);
        forward(ops, &self.config, &self.weights, &self.rope, &self.activations, Attend::Batch);
    }

    /// The losses of a forward pass, and the derivative of the balance loss by the probability of each expert in any
    /// row: `E f_e / (L T)`.
    fn losses(&self, ops: &mut dyn Ops, batch: &Batch) -> (Losses, Vec<f64>) {
        let a = &self.activations;
        let nll = transfer::read_floats(ops, &a.nll_t).iter().sum();
        let mut losses = Losses { nll, targets: batch.counted(), aux: 0.0, z: 0.0, load: Vec::new() };
        let experts = self.config.n_experts;
        if !self.config.has_router() {
            return (losses, vec![0.0; experts]);
        }
        let rows = (self.config.n_layers * a.rows) as f64;
        let (mut share, mut mass) = (vec![0.0; experts], vec![0.0; experts]);
        for block in &a.blocks {
            let load = transfer::read_floats(ops, &block.routing.load_e);
            let p = transfer::read_floats(ops, &block.routing.mass_e);
            for e in 0..experts {
                share[e] += load[e] / rows;
                mass[e] += p[e] / rows;
            }
            let lse = transfer::read_floats(ops, &block.routing.lse_t);
            losses.z += lse.iter().map(|l| l * l).sum::<f64>() / rows;
            losses.load.push(load);
        }
        losses.aux = experts as f64 * share.iter().zip(&mass).map(|(f, p)| f * p).sum::<f64>();
        (losses, share.iter().map(|f| experts as f64 * f / rows).collect())
    }
}
