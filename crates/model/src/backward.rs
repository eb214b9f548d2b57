//! The backward pass: the forward read from its end.

use crate::activations::{Activations, Block, Gradients};
use crate::config::Config;
use crate::forward::again;
use crate::gradients::Added;
use crate::parameters::Parameter;
use crate::weights::{BlockWeights, Weights};
use moeworks_ops::{Ops, Rope};

/// From the gradient of the last norm's output (left in `dnormed_td` by the classifier) to the gradients of all
/// parameters, which are added to. `z` is the factor on the gradient of the sum of squared router denominators.
pub(crate) fn backward(
    ops: &mut dyn Ops,
    config: &Config,
    weights: &Weights,
    rope: &Rope,
    a: &Activations,
    gradients: Added,
    z: f64,
) {
    let g = a.gradients.as_ref().expect("activations planned for training");
    let last = &a.blocks[config.n_layers - 1].x_out_td;
    let (weight, stats, d) = (&weights.final_norm, &a.last_stats_t2, &gradients.of(ops, Parameter::FinalNorm));
    ops.zero(&g.dx_td);
    ops.norm_backward(config.norm(), &g.dnormed_td, last, weight, stats, &g.dx_td, d);
    for l in (0..config.n_layers).rev() {
        let (w, block) = (&weights.blocks[l], &a.blocks[l]);
        again(ops, config, w, rope, a, block, l);
        feed_forward(ops, config, w, a, block, g, gradients, l, z);
        attention(ops, config, w, rope, a, block, g, gradients, l);
    }
    // A tied embedding's gradient is the head's, which the classifier has added to.
    let dtable = match config.tie_embeddings {
        true => gradients.store.get(Parameter::Embedding),
        false => gradients.of(ops, Parameter::Embedding),
    };
    ops.embed_backward(&a.inputs.ids_t, &g.dx_td, &dtable);
}

fn feed_forward(
    ops: &mut dyn Ops,
    config: &Config,
    w: &BlockWeights,
    a: &Activations,
    b: &Block,
    g: &Gradients,
    gradients: Added,
    l: usize,
    z: f64,
) {
    let (gate, up) = b.kept.as_ref().expect("activations planned for training");
    let dispatch = &b.routing.dispatch;
    let (dweights, dx) = (&g.dweights_tk, &g.dnormed_td);
    let ddown = gradients.of(ops, Parameter::Down(l));
    ops.down_backward(&g.dx_td, &w.down, dispatch, gate, up, &a.hidden_rf, dweights, &ddown);
    let (dgate, dup) = (gradients.of(ops, Parameter::Gate(l)), gradients.of(ops, Parameter::Up(l)));
    let scratch = &g.scratch_rd;
    // Gate and up are their own gradients by now.
    ops.gate_up_backward(gate, up, &a.normed_td, &w.gate_up, dispatch, scratch, dx, &dgate, &dup);
    if let Some(router) = &w.router {
        let (normalize, x, balance) = (config.normalize_weights, &a.normed_td, &g.balance_e);
        let drouter = gradients.of(ops, Parameter::Router(l));
        ops.route_backward(normalize, dweights, x, router, &b.routing, balance, z, dx, &drouter);
    }
    let dnorm = gradients.of(ops, Parameter::FfnNorm(l));
    ops.norm_backward(config.norm(), dx, &b.x_mid_td, &w.ffn_norm, &b.ffn_stats_t2, &g.dx_td, &dnorm);
}

fn attention(
    ops: &mut dyn Ops,
    config: &Config,
    w: &BlockWeights,
    rope: &Rope,
    a: &Activations,
    b: &Block,
    g: &Gradients,
    gradients: Added,
    l: usize,
) {
    let (heads, inputs) = (config.heads(), &a.inputs);
    let doutput = gradients.of(ops, Parameter::Output(l));
    ops.linear_backward(&g.dx_td, &b.attention_out_tn, &w.output, &g.dattention_tn, &doutput);
    let (first, out, lse) = (&inputs.first_t, &b.attention_out_tn, &b.lse_th);
    ops.attention_backward(heads, &g.dattention_tn, &b.qkv_tn, first, out, lse, &g.dqkv_tn);
    ops.norm(config.norm(), &b.x_in_td, &w.attention_norm, &a.normed_td, &b.attention_stats_t2);
    let (x, dx, dqkv) = (&a.normed_td, &g.dnormed_td, gradients.of(ops, Parameter::Qkv(l)));
    let clipped = b.clipped_tb.as_ref();
    ops.qkv_backward(heads, &g.dqkv_tn, x, &w.qkv, rope, &inputs.positions_t, clipped, dx, &dqkv);
    let dnorm = gradients.of(ops, Parameter::AttentionNorm(l));
    ops.norm_backward(config.norm(), dx, &b.x_in_td, &w.attention_norm, &b.attention_stats_t2, &g.dx_td, &dnorm);
}
