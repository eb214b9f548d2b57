use super::*;
use crate::presets::preset;

#[test]
fn what_is_written_is_read_back() {
    for name in ["tiny", "132b", "dense-a"] {
        let mut config = preset(name).unwrap();
        config.eos_token_ids = vec![3];
        assert_eq!(parse(&write(&config, "float32"), "test").unwrap(), config, "{name}");
    }
    let mixtral =
        Config { architecture: Architecture::Mixtral, clip_qkv: None, rope_theta: 1e6, ..preset("tiny").unwrap() };
    let llama = Config {
        architecture: Architecture::Llama,
        n_experts: 1,
        top_k: 1,
        aux_coefficient: 0.0,
        tie_embeddings: true,
        rope_scaling: Some(RopeScaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        }),
        ..mixtral.clone()
    };
    for config in [mixtral, llama] {
        assert_eq!(parse(&write(&config, "bfloat16"), "test").unwrap(), config);
    }
}

#[test]
fn missing_keys_take_the_class_defaults() {
    let dbrx = parse(&json!({"model_type": "dbrx"}), "test").unwrap();
    assert_eq!((dbrx.d_model, dbrx.n_kv_heads, dbrx.n_experts, dbrx.top_k), (2048, 1, 4, 1));
    assert_eq!((dbrx.clip_qkv, dbrx.normalize_weights, dbrx.ffn_hidden), (None, true, 3584));
    let llama = parse(&json!({"model_type": "llama"}), "test").unwrap();
    assert_eq!((llama.n_kv_heads, llama.norm_eps, llama.rope_theta), (32, 1e-6, 1e4));
}

#[test]
fn transformers_5_rope_parameters_are_read() {
    let value = json!({"model_type": "mixtral", "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}});
    assert_eq!(parse(&value, "test").unwrap().rope_theta, 5e5);
}

#[test]
fn wrong_configurations_name_the_key() {
    let cases = [
        (json!([1]), "not a JSON object"),
        (json!({"architectures": ["GPT2LMHeadModel"]}), "GPT2LMHeadModel"),
        (json!({}), "(none)"),
        (json!({"model_type": "dbrx", "d_model": "big"}), "d_model"),
        (json!({"model_type": "dbrx", "d_model": 100, "n_heads": 16}), "100 is not divisible into 16 heads"),
        (json!({"model_type": "dbrx", "n_heads": 0}), "0 heads"),
        (json!({"model_type": "dbrx", "attn_config": 3}), "attn_config"),
        (json!({"model_type": "dbrx", "attn_config": {"kv_n_heads": 5}}), "kv_n_heads"),
        (json!({"model_type": "dbrx", "attn_config": {"clip_qkv": -1}}), "clip_qkv"),
        (json!({"model_type": "dbrx", "ffn_config": {"ffn_act_fn": {"name": "gelu"}}}), "ffn_config.ffn_act_fn"),
        (json!({"model_type": "dbrx", "ffn_config": {"moe_top_k": 9}}), "moe_top_k"),
        (json!({"model_type": "dbrx", "ffn_config": {"moe_jitter_eps": 0.1}}), "moe_jitter_eps"),
        (json!({"model_type": "dbrx", "ffn_config": {"moe_normalize_expert_weights": 2}}), "1 or null"),
        (json!({"model_type": "dbrx", "tie_word_embeddings": true}), "tie_word_embeddings"),
        (json!({"model_type": "dbrx", "resid_pdrop": 0.1}), "resid_pdrop"),
        (json!({"model_type": "llama", "attention_bias": true}), "attention_bias"),
        (json!({"model_type": "llama", "hidden_act": "gelu"}), "hidden_act"),
        (
            json!({"model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}),
            "rope_scaling.rope_type",
        ),
        (json!({"model_type": "llama", "rope_scaling": {"rope_type": "llama3"}}), "factor"),
        (json!({"model_type": "llama", "quantization_config": {}}), "quantization_config"),
        (json!({"model_type": "llama", "vocab_size": 99999999999u64}), "vocab_size"),
        (json!({"model_type": "llama", "eos_token_id": 99999}), "99999"),
        (json!({"model_type": "llama", "eos_token_id": "x"}), "eos_token_id"),
        (json!({"model_type": "mixtral", "sliding_window": 4096}), "sliding_window"),
        (json!({"model_type": "mixtral", "router_jitter_noise": 0.1}), "router_jitter_noise"),
    ];
    for (value, expected) in cases {
        let message = parse(&value, "dir/config.json").unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("dir/config.json"), "{value}: {message}");
    }
}
