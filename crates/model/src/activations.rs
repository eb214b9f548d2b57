//! The memory plan of a forward pass: what a backward needs is kept for every block, or computed again from less;
//! without a backward, all blocks share the same tensors and the residual stream is updated in place.

use crate::config::Config;
use crate::error::ModelError;
use moeworks_ops::buffer::ALIGNMENT;
use moeworks_ops::{DType, Dispatch, Ops, Plan, Precision, Region, Routing, Tensor};
use std::ops::Range;

/// What the activations are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Forward and backward.
    Training(Recompute),
    /// Forward only.
    Inference,
}

/// What a backward computes again instead of keeping it for every block. Gradients are the same to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// Nothing: the fastest.
    #[default]
    Nothing,
    /// Gate and up of the experts, the largest: one of the three products of the experts' forward more.
    Experts,
    /// All of a block but its input: a whole forward more.
    Blocks,
}

/// The rows' own numbers.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Token ids (I32 [T]).
    pub ids_t: Tensor,
    /// Targets (I32 [T]).
    pub targets_t: Tensor,
    /// Positions (I32 [T]).
    pub positions_t: Tensor,
    /// First row of the document (I32 [T]), or the cache slot in generation.
    pub first_t: Tensor,
}

/// Activations of one block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Residual stream before the block (state [T, D]).
    pub x_in_td: Tensor,
    /// Statistics of its norm (state [T, 2]).
    pub attention_stats_t2: Tensor,
    /// Queries, keys, values (compute [T, (H + 2 G) C]).
    pub qkv_tn: Tensor,
    /// Bits of what the clamp cut, kept for a backward.
    pub clipped_tb: Option<Tensor>,
    /// Heads' outputs (compute [T, H C]).
    pub attention_out_tn: Tensor,
    /// Softmax denominators (state [T, H]).
    pub lse_th: Tensor,
    /// Residual stream after the attention (state [T, D]).
    pub x_mid_td: Tensor,
    /// Statistics of its norm (state [T, 2]).
    pub ffn_stats_t2: Tensor,
    /// What the router decided. Without a router only `dispatch` is used: every row to the one expert.
    pub routing: Routing,
    /// Gate and up before the activation (compute [R, F]), kept for a backward.
    pub kept: Option<(Tensor, Tensor)>,
    /// Residual stream after the block (state [T, D]).
    pub x_out_td: Tensor,
}

/// Gradients of activations, reused from block to block.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Of the residual stream (state [T, D]).
    pub dx_td: Tensor,
    /// Of a norm's output (compute [T, D]).
    pub dnormed_td: Tensor,
    /// Of the heads' outputs (compute [T, H C]); over the hidden rows, as the next.
    pub dattention_tn: Tensor,
    /// Of queries, keys, values (compute [T, (H + 2 G) C]).
    pub dqkv_tn: Tensor,
    /// Of the chosen experts' weights (state [T, K]).
    pub dweights_tk: Tensor,
    /// Of every expert's probability, by the balance loss (state [E]).
    pub balance_e: Tensor,
    /// Of the chosen experts' inputs before they are added up (compute [R, D]), over the hidden rows.
    pub scratch_rd: Tensor,
}

/// All tensors of a pass over `rows` rows.
#[derive(Clone, Debug)]
pub struct Activations {
    /// T.
    pub rows: usize,
    /// The rows' own numbers.
    pub inputs: Inputs,
    /// One entry a block.
    pub blocks: Vec<Block>,
    /// Hidden rows of the experts (compute [R, F]).
    pub hidden_rf: Tensor,
    /// Their outputs before they are combined (compute [R, D]); over gradients, which a forward does not know.
    pub scratch_rd: Tensor,
    /// What the last norm gave (compute [T, D]): after a forward, the last block's. A backward computes it again for
    /// each of its products: that costs less than keeping two for every block.
    pub normed_td: Tensor,
    /// Statistics of the last block's norm (state [T, 2]).
    pub last_stats_t2: Tensor,
    /// Loss of every row (state [T]).
    pub nll_t: Tensor,
    /// Likeliest token of every row (I32 [T]).
    pub best_t: Tensor,
    /// For a backward.
    pub gradients: Option<Gradients>,
    /// What that computes again.
    pub recompute: Recompute,
    /// Bytes of all of it, by name.
    pub bytes: Vec<(String, usize)>,
}

impl Activations {
    /// Lays out and allocates the activations of `rows` rows.
    pub fn allocate(
        ops: &mut dyn Ops,
        config: &Config,
        precision: Precision,
        rows: usize,
        purpose: Purpose,
    ) -> Result<Self, ModelError> {
        let mut plan = Plan::new(ops.reserve());
        let activations = Self::plan(&mut plan, config, precision, rows, purpose);
        ops.allocate(plan.region(), plan.bytes())?;
        Ok(activations)
    }

    /// Bytes of the region that a backward no longer reads when it comes to a block: from the block's output, which the
    /// next block has read, to the end of the last block. After all blocks (none given), those of all.
    pub(crate) fn spent(&self, block: Option<usize>) -> Range<usize> {
        let last = &self.blocks[self.blocks.len() - 1].x_out_td;
        let start = block.map_or(self.blocks[0].attention_stats_t2, |l| self.blocks[l].x_out_td).offset;
        start..(last.offset + last.bytes()).next_multiple_of(ALIGNMENT)
    }

    /// The region that holds them all.
    pub fn region(&self) -> Region {
        self.nll_t.region
    }

    /// Lays out the activations without allocating: how much memory a pass takes is known before it runs.
    pub fn plan(plan: &mut Plan, config: &Config, precision: Precision, rows: usize, purpose: Purpose) -> Self {
        let Precision { compute, state } = precision;
        let Config { d_model: d, n_experts: e, top_k: k, ffn_hidden: f, .. } = *config;
        let heads = config.heads();
        let (t, r, wide) = (rows, rows * k, heads.query * heads.width);
        let training = purpose != Purpose::Inference;
        let recompute = if let Purpose::Training(recompute) = purpose { recompute } else { Recompute::Nothing };
        let i32s = |plan: &mut Plan, dims: &[usize]| plan.tensor("rows", DType::I32, dims);

        let inputs = Inputs {
            ids_t: i32s(plan, &[t]),
            targets_t: i32s(plan, &[t]),
            positions_t: i32s(plan, &[t]),
            first_t: i32s(plan, &[t]),
        };
        let mut x_in_td = plan.tensor("residual stream", state, &[t, d]);
        let mut shared_gates = None;
        let mut block = |plan: &mut Plan| {
            let residual = |plan: &mut Plan| {
                if training { plan.tensor("residual stream", state, &[t, d]) } else { x_in_td }
            };
            let mut block = Block {
                x_in_td,
                attention_stats_t2: plan.tensor("statistics", state, &[t, 2]),
                qkv_tn: plan.tensor("queries, keys, values", compute, &[t, heads.row()]),
                clipped_tb: (training && config.clip_qkv.is_some())
                    .then(|| plan.tensor("statistics", DType::U8, &[t, heads.row().div_ceil(8)])),
                attention_out_tn: plan.tensor("attention outputs", compute, &[t, wide]),
                lse_th: plan.tensor("statistics", state, &[t, heads.query]),
                x_mid_td: residual(plan),
                ffn_stats_t2: plan.tensor("statistics", state, &[t, 2]),
                routing: Routing {
                    dispatch: Dispatch {
                        offsets_e: plan.tensor("routing", DType::I32, &[e + 1]),
                        token_r: plan.tensor("routing", DType::I32, &[r]),
                        row_tk: plan.tensor("routing", DType::I32, &[t, k]),
                        weights_tk: plan.tensor("routing", state, &[t, k]),
                    },
                    probs_te: plan.tensor("routing", state, &[t, e]),
                    lse_t: plan.tensor("routing", state, &[t]),
                    chosen_tk: plan.tensor("routing", DType::I32, &[t, k]),
                    load_e: plan.tensor("routing", state, &[e]),
                    mass_e: plan.tensor("routing", state, &[e]),
                },
                kept: training.then(|| {
                    let mut gates = || [0, 1].map(|_| plan.tensor("experts", compute, &[r, f]));
                    let [gate, up] = match recompute {
                        Recompute::Nothing => gates(),
                        _ => *shared_gates.get_or_insert_with(gates),
                    };
                    (gate, up)
                }),
                x_out_td: x_in_td,
            };
            // The last of a block: see `Activations::spent`.
            block.x_out_td = residual(plan);
            x_in_td = block.x_out_td;
            block
        };
        let blocks: Vec<Block> = match purpose {
            Purpose::Inference => vec![block(plan); config.n_layers],
            Purpose::Training(Recompute::Nothing | Recompute::Experts) => {
                (0..config.n_layers).map(|_| block(plan)).collect()
            }
            Purpose::Training(Recompute::Blocks) => {
                let mut last = block(plan);
                let mut blocks = vec![last.clone()];
                for _ in 1..config.n_layers {
                    // Inputs and what the losses ask for are each block's own.
                    last.x_in_td = last.x_out_td;
                    last.routing.lse_t = plan.tensor("routing", state, &[t]);
                    last.routing.load_e = plan.tensor("routing", state, &[e]);
                    last.routing.mass_e = plan.tensor("routing", state, &[e]);
                    last.x_out_td = plan.tensor("residual stream", state, &[t, d]);
                    blocks.push(last.clone());
                }
                blocks
            }
        };
        let hidden = |plan: &mut Plan| plan.tensor("experts", compute, &[r, f]);
        let scratch = |plan: &mut Plan| plan.tensor("experts", compute, &[r, d]);
        let (hidden_rf, scratch_rd, gradients) = if training {
            let of_attention = |plan: &mut Plan| {
                [wide, heads.row()].map(|width| plan.tensor("gradients of activations", compute, &[t, width]))
            };
            let (hidden_rf, (backward_scratch_rd, [dattention_tn, dqkv_tn])) =
                plan.either(hidden, |plan| plan.either(scratch, of_attention));
            let of_activations = |plan: &mut Plan| Gradients {
                dx_td: plan.tensor("gradients of activations", state, &[t, d]),
                dnormed_td: plan.tensor("gradients of activations", compute, &[t, d]),
                dattention_tn,
                dqkv_tn,
                dweights_tk: plan.tensor("gradients of activations", state, &[t, k]),
                balance_e: plan.tensor("gradients of activations", state, &[e]),
                scratch_rd: backward_scratch_rd,
            };
            let (gradients, scratch_rd) = plan.either(of_activations, scratch);
            (hidden_rf, scratch_rd, Some(gradients))
        } else {
            (hidden(plan), scratch(plan), None)
        };
        Activations {
            rows,
            inputs,
            blocks,
            hidden_rf,
            scratch_rd,
            normed_td: plan.tensor("normed inputs", compute, &[t, d]),
            last_stats_t2: plan.tensor("statistics", state, &[t, 2]),
            nll_t: plan.tensor("statistics", state, &[t]),
            best_t: plan.tensor("rows", DType::I32, &[t]),
            gradients,
            recompute,
            bytes: plan.entries().to_vec(),
        }
    }

    /// The same memory for a pass over fewer rows. For inference only: its blocks share their tensors.
    pub fn narrow(&self, rows: usize) -> Self {
        assert!(self.gradients.is_none() && rows <= self.rows, "{rows} of {} rows", self.rows);
        let routed = rows * (self.scratch_rd.dim(0) / self.rows);
        let t = |x: &Tensor| x.rows(0..rows);
        let r = |x: &Tensor| x.rows(0..routed);
        let block = |b: &Block| Block {
            x_in_td: t(&b.x_in_td),
            attention_stats_t2: t(&b.attention_stats_t2),
            qkv_tn: t(&b.qkv_tn),
            clipped_tb: None,
            attention_out_tn: t(&b.attention_out_tn),
            lse_th: t(&b.lse_th),
            x_mid_td: t(&b.x_mid_td),
            ffn_stats_t2: t(&b.ffn_stats_t2),
            routing: Routing {
                dispatch: Dispatch {
                    offsets_e: b.routing.dispatch.offsets_e,
                    token_r: r(&b.routing.dispatch.token_r),
                    row_tk: t(&b.routing.dispatch.row_tk),
                    weights_tk: t(&b.routing.dispatch.weights_tk),
                },
                probs_te: t(&b.routing.probs_te),
                lse_t: t(&b.routing.lse_t),
                chosen_tk: t(&b.routing.chosen_tk),
                load_e: b.routing.load_e,
                mass_e: b.routing.mass_e,
            },
            kept: None,
            x_out_td: t(&b.x_out_td),
        };
        Activations {
            rows,
            inputs: Inputs {
                ids_t: t(&self.inputs.ids_t),
                targets_t: t(&self.inputs.targets_t),
                positions_t: t(&self.inputs.positions_t),
                first_t: t(&self.inputs.first_t),
            },
            blocks: vec![block(&self.blocks[0]); self.blocks.len()],
            hidden_rf: r(&self.hidden_rf),
            scratch_rd: r(&self.scratch_rd),
            normed_td: t(&self.normed_td),
            last_stats_t2: t(&self.last_stats_t2),
            nll_t: t(&self.nll_t),
            best_t: t(&self.best_t),
            gradients: None,
            recompute: Recompute::Nothing,
            bytes: Vec::new(),
        }
    }
}
