//! Ready models, each a function of its name: DBRX's public family, the shapes behind its studies, small ones down to
//! about a million parameters, and one dial for everything between.

use crate::config::{Architecture, Config};
use crate::error::ModelError;
use crate::parameters::count;

/// Rows of DBRX's embedding: GPT-4's vocabulary, padded.
pub const DBRX_VOCAB: usize = 100_352;

/// Names that [`preset`] knows, apart from sizes such as `4m` and the endings `-dense-active`, `-dense-total`.
pub const PRESETS: [&str; 13] =
    ["tiny", "s", "s100k", "w", "m", "moe-a", "moe-b", "dense-a", "9b", "18b", "35b", "73b", "132b"];

/// A model of DBRX's architecture: 16 experts, 4 of them per token.
fn dbrx(d_model: usize, n_layers: usize, head_dim: usize, n_kv_heads: usize, ffn_hidden: usize) -> Config {
    Config {
        architecture: Architecture::Dbrx,
        vocab_size: DBRX_VOCAB,
        d_model,
        n_layers,
        n_heads: d_model / head_dim,
        n_kv_heads,
        head_dim,
        ffn_hidden,
        n_experts: 16,
        top_k: 4,
        normalize_weights: true,
        norm_eps: 1e-5,
        clip_qkv: Some(8.0),
        rope_theta: 500_000.0,
        rope_scaling: None,
        max_seq_len: 4096,
        tie_embeddings: false,
        aux_coefficient: 0.05,
        initializer_range: 0.02,
        bos_token_id: None,
        eos_token_ids: Vec::new(),
    }
}

/// The scale-down rule of the public family (LLM Foundry, `dbrx-gauntlet`): heads of 128, 8 key-value heads, experts
/// of 1.75 times the model width.
fn family(d_model: usize, n_layers: usize) -> Config {
    dbrx(d_model, n_layers, 128, 8, d_model * 7 / 4)
}

/// The small rule: heads of 32, experts as wide as the model, a layer for every 32 of width, at most 16. Fine experts
/// and more depth than the family's rule would give: at this size the embedding is most of what is left.
fn small(d_model: usize, vocab_size: usize) -> Config {
    let heads = d_model / 32;
    let kv = if heads.is_multiple_of(4) { heads / 4 } else { 1 };
    let mut config = dbrx(d_model, (d_model / 32).min(16), 32, kv, d_model);
    (config.vocab_size, config.max_seq_len) = (vocab_size, 2048);
    config
}

/// The model of the small rule whose total is nearest to `parameters`.
pub fn sized(parameters: u64, vocab_size: usize) -> Config {
    let distance = |c: &Config| count(c).total.abs_diff(parameters);
    let all = (2..=64).map(|heads| small(32 * heads, vocab_size));
    all.min_by_key(distance).expect("the range is not empty")
}

/// A dense model with the same parameters per token: one expert as wide as the chosen ones together.
pub fn dense_active(config: &Config) -> Config {
    Config { ffn_hidden: config.ffn_hidden * config.top_k, n_experts: 1, top_k: 1, ..config.clone() }
}

/// A dense model with the same parameters in all: one expert as wide as all together.
pub fn dense_total(config: &Config) -> Config {
    Config { ffn_hidden: config.ffn_hidden * config.n_experts, n_experts: 1, top_k: 1, ..config.clone() }
}

/// Vocabulary of the small presets; a trained tokenizer's size takes its place.
const SMALL_VOCAB: usize = 4096;

/// A model by name: one of [`PRESETS`], or a size such as `800k`, `4m` or `0.5b`, either with the ending
/// `-dense-active` or `-dense-total` for its dense comparator.
pub fn preset(name: &str) -> Result<Config, ModelError> {
    let lower = name.to_ascii_lowercase();
    if let Some(base) = lower.strip_suffix("-dense-active") {
        return Ok(dense_active(&preset(base)?));
    }
    if let Some(base) = lower.strip_suffix("-dense-total") {
        return Ok(dense_total(&preset(base)?));
    }
    Ok(match lower.as_str() {
        "tiny" => small(64, SMALL_VOCAB),
        // The shapes of our comparisons with other trainers.
        "s" => Config { vocab_size: 8192, ..dbrx(512, 8, 64, 2, 512) },
        "s100k" => dbrx(512, 8, 64, 2, 512),
        "w" => Config { vocab_size: 8192, ..dbrx(1024, 4, 64, 4, 1792) },
        "m" => dbrx(1024, 16, 64, 4, 1792),
        // MoE-A and MoE-B were announced by size alone (7.7B and 23.5B, 2.2B and 6.6B active without the embedding):
        // these are the members of the family's rule that meet both figures.
        "moe-a" => family(2048, 20),
        "moe-b" => family(3072, 28),
        // Dense-A was announced as 6.7B: MPT-7B's width and depth, a feed-forward to fit.
        "dense-a" => Config { n_experts: 1, top_k: 1, ..dbrx(4096, 32, 128, 8, 11264) },
        "9b" => family(2048, 24),
        "18b" => family(3072, 22),
        "35b" => family(4096, 24),
        "73b" => family(5120, 32),
        "132b" => Config { max_seq_len: 32_768, ..family(6144, 40) },
        size => match parse_size(size) {
            Some(parameters) => sized(parameters, SMALL_VOCAB),
            None => return Err(unknown(name)),
        },
    })
}

/// `800k`, `4m`, `0.5b` as a number of parameters.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, factor) = match text.char_indices().next_back()? {
        (at, 'k') => (&text[..at], 1e3),
        (at, 'm') => (&text[..at], 1e6),
        (at, 'b') => (&text[..at], 1e9),
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * factor;
    (1e5..=1e12).contains(&value).then_some(value as u64)
}

fn unknown(name: &str) -> ModelError {
    let distance = |preset: &&&str| strsim::osa_distance(preset, name);
    let close = PRESETS.iter().min_by_key(distance).filter(|n| distance(n) <= n.len() / 2);
    ModelError::UnknownPreset {
        name: name.to_string(),
        hint: close.map_or(String::new(), |n| format!(" (did you mean {n:?}?)")),
        known: format!("{}, or a size such as 4m", PRESETS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_the_dial_is_monotone() {
        for name in PRESETS {
            preset(name).unwrap().validate(name).unwrap();
            for end in ["-dense-active", "-dense-total"] {
                preset(&format!("{name}{end}")).unwrap().validate(name).unwrap();
            }
        }
        let sizes: Vec<u64> =
            ["1m", "4m", "12m", "30m", "100m"].iter().map(|n| count(&preset(n).unwrap()).total).collect();
        assert!(sizes.windows(2).all(|w| w[0] < w[1]), "{sizes:?}");
        let tiny = count(&preset("tiny").unwrap()).total;
        assert!((800_000..1_300_000).contains(&tiny), "{tiny}");
    }

    #[test]
    fn dense_comparators_match_in_what_they_are_named_after() {
        let moe = preset("s").unwrap();
        let (m, active, total) = (count(&moe), count(&dense_active(&moe)), count(&dense_total(&moe)));
        let routers = (moe.n_layers * moe.d_model * (moe.n_experts - 1)) as u64;
        assert_eq!(active.active, m.active - routers);
        assert_eq!(total.total, m.total - routers);
    }

    #[test]
    fn unknown_names_get_a_hint() {
        assert!(preset("tyni").unwrap_err().to_string().contains("did you mean \"tiny\""));
        assert!(preset("").is_err());
        assert!(preset("1e400b").is_err());
        assert!(preset("4µ").is_err());
    }
}
