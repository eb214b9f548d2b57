//! What a model of the family is made of. One configuration serves DBRX, Mixtral and Llama; the architecture says
//! which norm, which names on disk, and whether there is a router.

use crate::error::ModelError;
use moeworks_ops::{Heads, Norm, NormKind};

/// The three relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// LayerNorm without bias, fused clamped Wqkv, router and experts.
    Dbrx,
    /// RMSNorm, router and experts.
    Mixtral,
    /// RMSNorm, one feed-forward for all tokens.
    Llama,
}

impl Architecture {
    /// The class in transformers.
    pub fn class(self) -> &'static str {
        match self {
            Architecture::Dbrx => "DbrxForCausalLM",
            Architecture::Mixtral => "MixtralForCausalLM",
            Architecture::Llama => "LlamaForCausalLM",
        }
    }

    /// `model_type` in transformers.
    pub fn model_type(self) -> &'static str {
        match self {
            Architecture::Dbrx => "dbrx",
            Architecture::Mixtral => "mixtral",
            Architecture::Llama => "llama",
        }
    }
}

/// Llama 3.1's stretching of rotary frequencies (transformers, `rope_type` "llama3").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeScaling {
    /// How far low frequencies are stretched.
    pub factor: f64,
    /// Below this many turns in the original length: stretched fully.
    pub low_freq_factor: f64,
    /// Above this many turns: left alone.
    pub high_freq_factor: f64,
    /// The original length.
    pub original_max_position_embeddings: usize,
}

/// Shape and constants of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Family.
    pub architecture: Architecture,
    /// Rows of the embedding (V).
    pub vocab_size: usize,
    /// Width of the residual stream (D).
    pub d_model: usize,
    /// Blocks (L).
    pub n_layers: usize,
    /// Query heads (H).
    pub n_heads: usize,
    /// Key-value heads (G).
    pub n_kv_heads: usize,
    /// Width of a head (C).
    pub head_dim: usize,
    /// Width of one expert (F).
    pub ffn_hidden: usize,
    /// Experts (E); 1 for a dense model.
    pub n_experts: usize,
    /// Experts a token goes to (K).
    pub top_k: usize,
    /// Whether the chosen experts' weights are divided by their sum.
    pub normalize_weights: bool,
    /// Epsilon of every norm.
    pub norm_eps: f64,
    /// Bound of queries, keys and values, if any.
    pub clip_qkv: Option<f64>,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Their stretching, if any.
    pub rope_scaling: Option<RopeScaling>,
    /// Positions (S).
    pub max_seq_len: usize,
    /// Whether the head is the embedding.
    pub tie_embeddings: bool,
    /// Coefficient of the load-balancing loss.
    pub aux_coefficient: f64,
    /// Deviation transformers would initialise with; carried through, see `initialize` for ours.
    pub initializer_range: f64,
    /// First token of a text, if the model has one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
}

impl Config {
    /// The attention's heads.
    pub fn heads(&self) -> Heads {
        Heads { query: self.n_heads, kv: self.n_kv_heads, width: self.head_dim }
    }

    /// The norm.
    pub fn norm(&self) -> Norm {
        let kind = if self.architecture == Architecture::Dbrx { NormKind::Layer } else { NormKind::Rms };
        Norm { kind, eps: self.norm_eps }
    }

    /// Whether there is a router. Llama has none; DBRX and Mixtral have one even over a single expert.
    pub fn has_router(&self) -> bool {
        self.architecture != Architecture::Llama
    }

    /// Checks that the numbers fit together; `place` is named in the error.
    pub fn validate(&self, place: &str) -> Result<(), ModelError> {
        let fail = |key: &str, reason: String| {
            Err(ModelError::Config { place: place.to_string(), key: key.to_string(), reason })
        };
        for (key, value, most) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("d_model", self.d_model, 1 << 17),
            ("n_layers", self.n_layers, 1 << 12),
            ("n_heads", self.n_heads, 1 << 12),
            ("kv_n_heads", self.n_kv_heads, 1 << 12),
            ("head_dim", self.head_dim, 1 << 12),
            ("ffn_hidden_size", self.ffn_hidden, 1 << 20),
            ("moe_num_experts", self.n_experts, 1 << 9), // a router's logits are one block of the kernels
            ("moe_top_k", self.top_k, 1 << 12),
            ("max_seq_len", self.max_seq_len, 1 << 26),
        ] {
            if value == 0 || value > most {
                return fail(key, format!("is {value}, must be between 1 and {most}"));
            }
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let (h, g) = (self.n_heads, self.n_kv_heads);
            return fail("kv_n_heads", format!("{h} query heads do not divide evenly over {g} key-value heads"));
        }
        // Rotary positions need even heads; the kernels take whole bytes of a bit mask, at most 256 columns at once.
        let unit = if self.head_dim <= 64 { 2 } else { 8 };
        if self.head_dim > 256 || !self.head_dim.is_multiple_of(unit) {
            return fail(
                "head_dim",
                format!("is {}, must be even up to 64, else a multiple of 8 up to 256", self.head_dim),
            );
        }
        if self.top_k > self.n_experts {
            return fail("moe_top_k", format!("is {}, but there are only {} experts", self.top_k, self.n_experts));
        }
        if self.architecture == Architecture::Llama && self.n_experts != 1 {
            return fail("moe_num_experts", format!("is {}, but a Llama has one feed-forward", self.n_experts));
        }
        if self.architecture == Architecture::Dbrx && self.tie_embeddings {
            return fail("tie_word_embeddings", "is true, but DBRX has an untied head".into());
        }
        for (key, value) in [("rope_theta", self.rope_theta), ("norm_eps", self.norm_eps)] {
            if !(value.is_finite() && value > 0.0) {
                return fail(key, format!("is {value}, must be a positive number"));
            }
        }
        if let Some(clip) = self.clip_qkv.filter(|c| !(c.is_finite() && *c > 0.0)) {
            return fail("clip_qkv", format!("is {clip}, must be a positive number or null"));
        }
        if !(self.aux_coefficient.is_finite() && self.aux_coefficient >= 0.0) {
            return fail("moe_loss_weight", format!("is {}, must be 0 or more", self.aux_coefficient));
        }
        let ids = self.eos_token_ids.iter().chain(&self.bos_token_id);
        if let Some(id) = ids.into_iter().find(|id| **id as usize >= self.vocab_size) {
            return fail("eos_token_id", format!("token {id} is outside the vocabulary of {}", self.vocab_size));
        }
        Ok(())
    }
}
