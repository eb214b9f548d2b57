//! The parameters of a model: what there is, in which shape, and in which order.

use crate::config::Config;

/// Which parameter. Every matrix is [outputs, inputs]; experts are stacked in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// [V, D]
    Embedding,
    /// Norm before attention, [D].
    AttentionNorm(usize),
    /// Queries, keys, values, [(H + 2 G) C, D].
    Qkv(usize),
    /// [D, H C]
    Output(usize),
    /// Norm before the feed-forward, [D].
    FfnNorm(usize),
    /// [E, D]
    Router(usize),
    /// [E, F, D]
    Gate(usize),
    /// [E, F, D]
    Up(usize),
    /// [E, D, F]
    Down(usize),
    /// [D]
    FinalNorm,
    /// [V, D]
    Head,
}

impl Parameter {
    /// The block it belongs to.
    pub fn block(self) -> Option<usize> {
        match self {
            Parameter::AttentionNorm(l)
            | Parameter::Qkv(l)
            | Parameter::Output(l)
            | Parameter::FfnNorm(l)
            | Parameter::Router(l)
            | Parameter::Gate(l)
            | Parameter::Up(l)
            | Parameter::Down(l) => Some(l),
            Parameter::Embedding | Parameter::FinalNorm | Parameter::Head => None,
        }
    }
}

/// All parameters of a model with their shapes, in the order of the forward pass.
pub fn parameters(config: &Config) -> Vec<(Parameter, Vec<usize>)> {
    let Config { vocab_size: v, d_model: d, n_experts: e, ffn_hidden: f, .. } = *config;
    let heads = config.heads();
    let mut all = vec![(Parameter::Embedding, vec![v, d])];
    for l in 0..config.n_layers {
        all.push((Parameter::AttentionNorm(l), vec![d]));
        all.push((Parameter::Qkv(l), vec![heads.row(), d]));
        all.push((Parameter::Output(l), vec![d, heads.query * heads.width]));
        all.push((Parameter::FfnNorm(l), vec![d]));
        if config.has_router() {
            all.push((Parameter::Router(l), vec![e, d]));
        }
        all.push((Parameter::Gate(l), vec![e, f, d]));
        all.push((Parameter::Up(l), vec![e, f, d]));
        all.push((Parameter::Down(l), vec![e, d, f]));
    }
    all.push((Parameter::FinalNorm, vec![d]));
    if !config.tie_embeddings {
        all.push((Parameter::Head, vec![v, d]));
    }
    all
}

/// Parameters of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub total: u64,
    /// Those that a token meets, the embedding table included (as DBRX's 36B are counted).
    pub active: u64,
    /// Those that multiply for a token: active without the embedding table, with the head.
    pub multiplied: u64,
}

/// Counts a model's parameters.
pub fn count(config: &Config) -> Count {
    let size = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
    let (mut total, mut active, mut vectors) = (0, 0, 0);
    for (parameter, shape) in parameters(config) {
        let n = size(&shape);
        total += n;
        active += match parameter {
            Parameter::Gate(_) | Parameter::Up(_) | Parameter::Down(_) => {
                n / config.n_experts as u64 * config.top_k as u64
            }
            _ => n,
        };
        vectors += if shape.len() == 1 { n } else { 0 };
    }
    let table = (config.vocab_size * config.d_model) as u64;
    let multiplied = active - vectors - if config.tie_embeddings { 0 } else { table };
    Count { total, active, multiplied }
}

/// Floating-point operations of one token's training step: 6 for every multiplied parameter, and causal attention
/// over a sequence of `length` (as in PaLM's appendix B, halved for the mask).
pub fn training_flops(config: &Config, length: usize) -> f64 {
    let attention = 6 * length * config.n_heads * config.head_dim * config.n_layers;
    6.0 * count(config).multiplied as f64 + attention as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::preset;

    #[test]
    fn the_public_family_has_the_published_sizes() {
        // 131,596,523,520 and 36,469,708,800 are DBRX's exact counts; the others are published rounded.
        let dbrx = count(&preset("132b").unwrap());
        assert_eq!((dbrx.total, dbrx.active), (131_596_523_520, 36_469_708_800));
        for (name, total, active) in
            [("9b", 9.17, 2.83), ("18b", 18.61, 5.53), ("35b", 35.65, 10.29), ("73b", 73.51, 20.66)]
        {
            let c = count(&preset(name).unwrap());
            assert!((c.total as f64 / 1e9 - total).abs() < 0.01, "{name}: {c:?}");
            assert!((c.active as f64 / 1e9 - active).abs() < 0.01, "{name}: {c:?}");
        }
        for (name, total, active) in [("moe-a", 7.7, 2.2), ("moe-b", 23.5, 6.6)] {
            let (config, c) = (preset(name).unwrap(), count(&preset(name).unwrap()));
            let without_table = c.active - (config.vocab_size * config.d_model) as u64;
            assert!((c.total as f64 / 1e9 - total).abs() < 0.05, "{name}: {c:?}");
            assert!((without_table as f64 / 1e9 - active).abs() < 0.05, "{name}: {c:?}");
        }
    }
}
