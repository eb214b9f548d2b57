//! A model's weights as its device multiplies from them.

use crate::config::Config;
use crate::error::ModelError;
use crate::masters::Masters;
use crate::parameters::{Parameter, parameters};
use crate::store::Store;
use moeworks_ops::{Master, Matrix, MatrixKind, MatrixShape, Ops, Plan, Precision, Region, Tensor, transfer};
use std::collections::HashMap;

/// Weights of one block.
#[derive(Clone, Debug)]
pub struct BlockWeights {
    /// [D]
    pub attention_norm: Tensor,
    /// [(H + 2 G) C, D]
    pub qkv: Matrix,
    /// [D, H C]
    pub output: Matrix,
    /// [D]
    pub ffn_norm: Tensor,
    /// [E, D], where there is one.
    pub router: Option<Tensor>,
    /// E times twice [F, D]
    pub gate_up: Matrix,
    /// E times [D, F]
    pub down: Matrix,
}

/// Weights of a whole model.
#[derive(Clone, Debug)]
pub struct Weights {
    /// [V, D]
    pub embedding: Tensor,
    /// The blocks.
    pub blocks: Vec<BlockWeights>,
    /// [D]
    pub final_norm: Tensor,
    /// [V, D]
    pub head: Matrix,
}

/// The parameters that a matrix is packed from.
fn sources(config: &Config, weights: &Weights) -> Vec<(Matrix, Vec<Parameter>)> {
    let mut all = Vec::new();
    for (l, block) in weights.blocks.iter().enumerate() {
        all.push((block.qkv, vec![Parameter::Qkv(l)]));
        all.push((block.output, vec![Parameter::Output(l)]));
        all.push((block.gate_up, vec![Parameter::Gate(l), Parameter::Up(l)]));
        all.push((block.down, vec![Parameter::Down(l)]));
    }
    all.push((weights.head, vec![if config.tie_embeddings { Parameter::Embedding } else { Parameter::Head }]));
    all
}

/// Lays out all matrices in a plan; vectors and the embedding come from `plain`.
fn lay_out(
    ops: &dyn Ops,
    config: &Config,
    precision: Precision,
    plan: &mut Plan,
    mut plain: impl FnMut(&mut Plan, Parameter) -> Tensor,
) -> Weights {
    let Config { d_model: d, ffn_hidden: f, n_experts: e, vocab_size: v, .. } = *config;
    let heads = config.heads();
    let matrix = |plan: &mut Plan, kind, experts, outputs, inputs| {
        let shape = MatrixShape { kind, dtype: precision.compute, experts, outputs, inputs };
        let bytes = ops.matrix_bytes(&shape);
        Matrix { shape, data: plan.tensor("weights", moeworks_ops::DType::U8, &[bytes]) }
    };
    let embedding = plain(plan, Parameter::Embedding);
    let blocks = (0..config.n_layers)
        .map(|l| BlockWeights {
            attention_norm: plain(plan, Parameter::AttentionNorm(l)),
            qkv: matrix(plan, MatrixKind::Plain, 1, heads.row(), d),
            output: matrix(plan, MatrixKind::Plain, 1, d, heads.query * heads.width),
            ffn_norm: plain(plan, Parameter::FfnNorm(l)),
            router: config.has_router().then(|| plain(plan, Parameter::Router(l))),
            gate_up: matrix(plan, MatrixKind::GateUp, e, f, d),
            down: matrix(plan, MatrixKind::Plain, e, d, f),
        })
        .collect();
    Weights {
        embedding,
        blocks,
        final_norm: plain(plan, Parameter::FinalNorm),
        head: matrix(plan, MatrixKind::Plain, 1, v, d),
    }
}

impl Weights {
    /// Room for weights beside the masters of a training: matrices have a region of their own, embedding, norms and
    /// routers are the masters themselves.
    pub fn beside(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        masters: &Store,
    ) -> Result<Self, ModelError> {
        let mut plan = Plan::new(ops.reserve());
        let weights = lay_out(ops, config, precision, &mut plan, |_, parameter| masters.get(parameter));
        ops.allocate(plan.region(), plan.bytes())?;
        Ok(weights)
    }

    /// The region of the packed matrices.
    pub fn region(&self) -> Region {
        self.head.data.region
    }

    /// Bytes of all packed matrices.
    pub fn bytes(ops: &dyn Ops, config: &Config, precision: Precision) -> usize {
        let mut plan = Plan::new(Region(0));
        let nothing = Plan::new(Region(0)).tensor("none", precision.state, &[0]);
        lay_out(ops, config, precision, &mut plan, |_, _| nothing);
        plan.bytes()
    }

    /// The matrix that follows each master, and which of its sources that is.
    pub fn followers(&self, config: &Config) -> HashMap<Parameter, (Matrix, usize)> {
        let all = sources(config, self).into_iter();
        all.flat_map(|(matrix, from)| {
            from.into_iter().enumerate().map(move |(source, parameter)| (parameter, (matrix, source)))
        })
        .collect()
    }

    /// Packs all matrices that follow masters; those that are halves of masters need no packing.
    pub fn follow(&self, ops: &mut dyn Ops, config: &Config, masters: &Masters) {
        for (matrix, parameters) in sources(config, self) {
            let whole = |p: &Parameter| match masters.get(*p) {
                Master::Followed(tensor, ..) => Some(tensor),
                _ => None,
            };
            if let Some(tensors) = parameters.iter().map(whole).collect::<Option<Vec<Tensor>>>() {
                ops.pack(&tensors, &matrix);
            }
        }
    }

    /// Weights for use without training, from a source of parameters; no more than one matrix is held twice.
    pub fn load(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        mut source: impl FnMut(Parameter) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        let shapes: HashMap<Parameter, Vec<usize>> = parameters(config).into_iter().collect();
        let mut plan = Plan::new(ops.reserve());
        let mut plain = Vec::new();
        let weights = lay_out(ops, config, precision, &mut plan, |plan, parameter| {
            // A table row is only copied: it can stay in the narrow format. Norms and routers keep the wide one.
            let dtype = if parameter == Parameter::Embedding { precision.compute } else { precision.state };
            let tensor = plan.tensor("weights", dtype, &shapes[&parameter]);
            plain.push((parameter, tensor));
            tensor
        });
        ops.allocate(plan.region(), plan.bytes())?;
        let write = |ops: &mut dyn Ops, tensor: &Tensor, values: Vec<f32>| {
            let wide: Vec<f64> = values.into_iter().map(f64::from).collect();
            transfer::write_floats(ops, tensor, &wide);
        };
        for (parameter, tensor) in plain {
            let values = source(parameter)?;
            write(ops, &tensor, values);
        }
        for (matrix, parameters) in sources(config, &weights) {
            let mut staging = Plan::new(ops.reserve());
            let tensors: Vec<Tensor> =
                parameters.iter().map(|p| staging.tensor("staging", precision.state, &shapes[p])).collect();
            ops.allocate(staging.region(), staging.bytes())?;
            for (parameter, tensor) in parameters.iter().zip(&tensors) {
                let values = source(*parameter)?;
                write(ops, tensor, values);
            }
            ops.pack(&tensors, &matrix);
            ops.release(staging.region());
        }
        Ok(weights)
    }
}
