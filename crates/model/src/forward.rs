//! The forward pass, block by block, the same for training, scoring and generation.

use crate::activations::{Activations, Block, Recompute};
use crate::config::Config;
use crate::weights::{BlockWeights, Weights};
use moeworks_ops::{Ops, Rope, Tensor};

/// What rows attend to.
#[derive(Clone, Copy, Debug)]
pub enum Attend<'a> {
    /// The earlier rows of their own document in this batch.
    Batch,
    /// The positions of their sequence in a cache: keys and values [slots, S, G C] of every block.
    Cache {
        /// One tensor a block.
        keys: &'a [Tensor],
        /// One tensor a block.
        values: &'a [Tensor],
    },
}

/// Runs all blocks and the last norm over rows whose inputs have been uploaded.
pub fn forward(ops: &mut dyn Ops, config: &Config, weights: &Weights, rope: &Rope, a: &Activations, attend: Attend) {
    ops.embed(&a.inputs.ids_t, &weights.embedding, &a.blocks[0].x_in_td);
    for (l, (w, block)) in weights.blocks.iter().zip(&a.blocks).enumerate() {
        attention(ops, config, w, rope, a, block, attend, l);
        feed_forward(ops, config, w, a, block);
    }
    let x_td = &a.blocks[config.n_layers - 1].x_out_td;
    ops.norm(config.norm(), x_td, &weights.final_norm, &a.normed_td, &a.last_stats_t2);
}

/// Computes again what the backward of a block needs and did not keep; the experts' normed input is then there. Of the
/// last block nothing else has been overwritten since.
pub(crate) fn again(
    ops: &mut dyn Ops,
    config: &Config,
    w: &BlockWeights,
    rope: &Rope,
    a: &Activations,
    b: &Block,
    l: usize,
) {
    match a.recompute {
        Recompute::Blocks if l + 1 < config.n_layers => {
            attention(ops, config, w, rope, a, b, Attend::Batch, l);
            choose(ops, config, w, a, b);
            hidden(ops, w, a, b);
        }
        recompute => {
            ops.norm(config.norm(), &b.x_mid_td, &w.ffn_norm, &a.normed_td, &b.ffn_stats_t2);
            if recompute == Recompute::Experts && l + 1 < config.n_layers {
                hidden(ops, w, a, b);
            }
        }
    }
}

/// `x_mid = x_in + output(attention(norm(x_in)))`
fn attention(
    ops: &mut dyn Ops,
    config: &Config,
    w: &BlockWeights,
    rope: &Rope,
    a: &Activations,
    b: &Block,
    attend: Attend,
    l: usize,
) {
    let (heads, inputs) = (config.heads(), &a.inputs);
    ops.norm(config.norm(), &b.x_in_td, &w.attention_norm, &a.normed_td, &b.attention_stats_t2);
    let clipped = b.clipped_tb.as_ref();
    ops.qkv(heads, config.clip_qkv, &a.normed_td, &w.qkv, rope, &inputs.positions_t, &b.qkv_tn, clipped);
    match attend {
        Attend::Batch => ops.attention(heads, &b.qkv_tn, &inputs.first_t, &b.attention_out_tn, &b.lse_th),
        Attend::Cache { keys, values } => {
            let (slots, positions) = (&inputs.first_t, &inputs.positions_t);
            ops.attend_cache(heads, &b.qkv_tn, slots, positions, &keys[l], &values[l], &b.attention_out_tn);
        }
    }
    ops.linear(&b.attention_out_tn, &w.output, Some(&b.x_in_td), &b.x_mid_td);
}

/// `x_out = x_mid + experts(norm(x_mid))`
fn feed_forward(ops: &mut dyn Ops, config: &Config, w: &BlockWeights, a: &Activations, b: &Block) {
    choose(ops, config, w, a, b);
    hidden(ops, w, a, b);
    ops.down(&a.hidden_rf, &w.down, &b.routing.dispatch, &b.x_mid_td, &a.scratch_rd, &b.x_out_td);
}

/// The norm before the experts, and who goes to which.
fn choose(ops: &mut dyn Ops, config: &Config, w: &BlockWeights, a: &Activations, b: &Block) {
    ops.norm(config.norm(), &b.x_mid_td, &w.ffn_norm, &a.normed_td, &b.ffn_stats_t2);
    if let Some(router) = &w.router {
        ops.route(config.normalize_weights, &a.normed_td, router, &b.routing);
    }
}

/// The experts' hidden rows.
fn hidden(ops: &mut dyn Ops, w: &BlockWeights, a: &Activations, b: &Block) {
    let kept = b.kept.as_ref().map(|(g, u)| (g, u));
    ops.gate_up(&a.normed_td, &w.gate_up, &b.routing.dispatch, kept, &a.hidden_rf);
}
