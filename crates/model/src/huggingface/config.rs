//! config.json of the three families, read strictly where an option changes the computation, and written as
//! transformers 4.57 reads it. Keys that are missing take the defaults of transformers' classes.

use crate::config::{Architecture, Config, RopeScaling};
use crate::error::ModelError;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Reads `config.json` of a model directory, and the end-of-text ids of `generation_config.json` where it has them.
pub fn read(dir: &Path) -> Result<Config, ModelError> {
    let path = dir.join("config.json");
    let value = read_json(&path)?;
    let mut config = parse(&value, &path.display().to_string())?;
    let generation = dir.join("generation_config.json");
    if generation.exists() {
        let place = generation.display().to_string();
        let value = read_json(&generation)?;
        let eos = Fields::of(&value, &place)?.token_ids("eos_token_id")?;
        if !eos.is_empty() {
            config.eos_token_ids = eos;
            config.validate(&place)?;
        }
    }
    Ok(config)
}

fn read_json(path: &Path) -> Result<Value, ModelError> {
    let text = std::fs::read_to_string(path).map_err(|e| ModelError::io(path, e))?;
    serde_json::from_str(&text).map_err(|e| ModelError::Json { path: path.to_path_buf(), reason: e.to_string() })
}

/// A JSON object whose errors say where they are.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    place: &'a str,
    prefix: String,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, place: &'a str) -> Result<Self, ModelError> {
        let object = value.as_object().ok_or_else(|| ModelError::Config {
            place: place.to_string(),
            key: "(top level)".into(),
            reason: "is not a JSON object".into(),
        })?;
        Ok(Fields { object, place, prefix: String::new() })
    }

    fn fail<T>(&self, key: &str, reason: impl Into<String>) -> Result<T, ModelError> {
        let key = format!("{}{key}", self.prefix);
        Err(ModelError::Config { place: self.place.to_string(), key, reason: reason.into() })
    }

    fn unsupported<T>(&self, key: &str, supported: &'static str) -> Result<T, ModelError> {
        Err(ModelError::Unsupported {
            place: self.place.to_string(),
            option: format!("{}{key}", self.prefix),
            value: self.object.get(key).unwrap_or(&Value::Null).to_string(),
            supported,
        })
    }

    /// The value, absent and null alike.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|v| !v.is_null())
    }

    fn inner(&self, key: &str) -> Result<Option<Fields<'a>>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => {
                Ok(Some(Fields { object, place: self.place, prefix: format!("{}{key}.", self.prefix) }))
            }
            Some(other) => self.fail(key, format!("is {other}, must be an object")),
        }
    }

    fn size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => match v.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(n) => Ok(Some(n)),
                None => self.fail(key, format!("is {v}, must be a whole number of 0 or more")),
            },
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => match v.as_f64() {
                Some(n) => Ok(Some(n)),
                None => self.fail(key, format!("is {v}, must be a number")),
            },
        }
    }

    fn flag(&self, key: &str) -> Result<bool, ModelError> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(v) => self.fail(key, format!("is {v}, must be true or false")),
        }
    }

    /// One id or a list of ids.
    fn token_ids(&self, key: &str) -> Result<Vec<u32>, ModelError> {
        let id = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        let ids = match self.get(key) {
            None => Some(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(one) => id(one).map(|id| vec![id]),
        };
        match ids {
            Some(ids) => Ok(ids),
            None => self.fail(key, "must be a token id or a list of token ids"),
        }
    }

    fn must_be_off(&self, key: &str) -> Result<(), ModelError> {
        if self.flag(key)? { self.unsupported(key, "false") } else { Ok(()) }
    }

    fn must_be_zero(&self, key: &str) -> Result<(), ModelError> {
        if self.number(key)?.unwrap_or(0.0) == 0.0 { Ok(()) } else { self.unsupported(key, "0") }
    }
}

/// Reads the object of a config.json; `place` is named in errors.
pub fn parse(value: &Value, place: &str) -> Result<Config, ModelError> {
    let top = Fields::of(value, place)?;
    let class = top.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
    let model_type = top.get("model_type").and_then(Value::as_str);
    let found = class.or(model_type).unwrap_or("(none)");
    let known = [Architecture::Dbrx, Architecture::Mixtral, Architecture::Llama];
    let architecture = known.into_iter().find(|a| match class {
        Some(class) => a.class() == class,
        None => Some(a.model_type()) == model_type,
    });
    let Some(architecture) = architecture else {
        return Err(ModelError::Architecture { place: place.to_string(), found: found.to_string() });
    };
    if top.get("quantization_config").is_some() {
        return top.unsupported("quantization_config", "none: weights in f32, f16 or bf16");
    }
    let mut config = match architecture {
        Architecture::Dbrx => dbrx(&top)?,
        Architecture::Mixtral => mixtral(&top)?,
        Architecture::Llama => llama(&top)?,
    };
    config.bos_token_id = top.token_ids("bos_token_id")?.first().copied();
    config.eos_token_ids = top.token_ids("eos_token_id")?;
    config.initializer_range = top.number("initializer_range")?.unwrap_or(0.02);
    config.validate(place)?;
    Ok(config)
}

fn dbrx(top: &Fields) -> Result<Config, ModelError> {
    let empty = Map::new();
    let nothing = |prefix: &str| Fields { object: &empty, place: top.place, prefix: prefix.into() };
    let attn = top.inner("attn_config")?.unwrap_or(nothing("attn_config."));
    let ffn = top.inner("ffn_config")?.unwrap_or(nothing("ffn_config."));
    for key in ["emb_pdrop", "resid_pdrop"] {
        top.must_be_zero(key)?;
    }
    attn.must_be_zero("attn_pdrop")?;
    ffn.must_be_zero("moe_jitter_eps")?;
    ffn.must_be_off("uniform_expert_assignment")?;
    if let Some(activation) = ffn.inner("ffn_act_fn")?
        && activation.get("name").and_then(Value::as_str) != Some("silu")
    {
        return ffn.unsupported("ffn_act_fn", r#"{"name": "silu"}"#);
    }
    // Absent means the class's default 1; an explicit null means no normalisation.
    let normalize = match ffn.object.get("moe_normalize_expert_weights") {
        None => true,
        Some(Value::Null) => false,
        Some(v) if v.as_f64() == Some(1.0) => true,
        Some(_) => return ffn.unsupported("moe_normalize_expert_weights", "1 or null"),
    };
    let (d_model, n_heads) = (top.size("d_model")?.unwrap_or(2048), top.size("n_heads")?.unwrap_or(16));
    Ok(Config {
        architecture: Architecture::Dbrx,
        vocab_size: top.size("vocab_size")?.unwrap_or(32000),
        d_model,
        n_layers: top.size("n_layers")?.unwrap_or(24),
        n_heads,
        n_kv_heads: attn.size("kv_n_heads")?.unwrap_or(1),
        head_dim: head_width(top, "d_model", d_model, n_heads)?,
        ffn_hidden: ffn.size("ffn_hidden_size")?.unwrap_or(3584),
        n_experts: ffn.size("moe_num_experts")?.unwrap_or(4),
        top_k: ffn.size("moe_top_k")?.unwrap_or(1),
        normalize_weights: normalize,
        norm_eps: 1e-5,
        clip_qkv: attn.number("clip_qkv")?,
        rope_theta: attn.number("rope_theta")?.unwrap_or(10000.0),
        rope_scaling: None,
        max_seq_len: top.size("max_seq_len")?.unwrap_or(2048),
        tie_embeddings: top.flag("tie_word_embeddings")?,
        aux_coefficient: ffn.number("moe_loss_weight")?.unwrap_or(0.01),
        initializer_range: 0.0,
        bos_token_id: None,
        eos_token_ids: Vec::new(),
    })
}

fn head_width(top: &Fields, key: &str, d_model: usize, n_heads: usize) -> Result<usize, ModelError> {
    if n_heads == 0 || !d_model.is_multiple_of(n_heads) {
        return top.fail(key, format!("{d_model} is not divisible into {n_heads} heads"));
    }
    Ok(d_model / n_heads)
}

/// What Mixtral and Llama share.
fn llama_like(top: &Fields, architecture: Architecture) -> Result<Config, ModelError> {
    top.must_be_zero("attention_dropout")?;
    for key in ["attention_bias", "mlp_bias"] {
        top.must_be_off(key)?;
    }
    if top.get("hidden_act").is_some_and(|v| v.as_str() != Some("silu")) {
        return top.unsupported("hidden_act", "\"silu\"");
    }
    let mixtral = architecture == Architecture::Mixtral;
    let d_model = top.size("hidden_size")?.unwrap_or(4096);
    let n_heads = top.size("num_attention_heads")?.unwrap_or(32);
    let max_seq_len = top.size("max_position_embeddings")?.unwrap_or(if mixtral { 131_072 } else { 2048 });
    if top.size("sliding_window")?.is_some_and(|w| w < max_seq_len) {
        return top.unsupported("sliding_window", "null, or at least max_position_embeddings");
    }
    let head_dim = match top.size("head_dim")? {
        Some(width) => width,
        None => head_width(top, "hidden_size", d_model, n_heads)?,
    };
    // transformers 5 moved theta and scaling into one object.
    let parameters = top.inner("rope_parameters")?;
    let rope = match &parameters {
        Some(p) => p.number("rope_theta")?,
        None => top.number("rope_theta")?,
    };
    let scaling = match parameters {
        Some(p) => Some(p),
        None => top.inner("rope_scaling")?,
    };
    Ok(Config {
        architecture,
        vocab_size: top.size("vocab_size")?.unwrap_or(32000),
        d_model,
        n_layers: top.size("num_hidden_layers")?.unwrap_or(32),
        n_heads,
        n_kv_heads: top.size("num_key_value_heads")?.unwrap_or(if mixtral { 8 } else { n_heads }),
        head_dim,
        ffn_hidden: top.size("intermediate_size")?.unwrap_or(if mixtral { 14336 } else { 11008 }),
        n_experts: 1,
        top_k: 1,
        normalize_weights: true,
        norm_eps: top.number("rms_norm_eps")?.unwrap_or(if mixtral { 1e-5 } else { 1e-6 }),
        clip_qkv: None,
        rope_theta: rope.unwrap_or(if mixtral { 1e6 } else { 1e4 }),
        rope_scaling: scaling.map(|s| rope_scaling(&s)).transpose()?.flatten(),
        max_seq_len,
        tie_embeddings: top.flag("tie_word_embeddings")?,
        aux_coefficient: 0.0,
        initializer_range: 0.0,
        bos_token_id: None,
        eos_token_ids: Vec::new(),
    })
}

fn mixtral(top: &Fields) -> Result<Config, ModelError> {
    top.must_be_zero("router_jitter_noise")?;
    Ok(Config {
        n_experts: top.size("num_local_experts")?.unwrap_or(8),
        top_k: top.size("num_experts_per_tok")?.unwrap_or(2),
        aux_coefficient: top.number("router_aux_loss_coef")?.unwrap_or(0.001),
        ..llama_like(top, Architecture::Mixtral)?
    })
}

fn llama(top: &Fields) -> Result<Config, ModelError> {
    llama_like(top, Architecture::Llama)
}

fn rope_scaling(fields: &Fields) -> Result<Option<RopeScaling>, ModelError> {
    let kind = fields.get("rope_type").or(fields.get("type")).and_then(Value::as_str);
    match kind {
        None | Some("default") => Ok(None),
        Some("llama3") => {
            let need = |key: &str| match fields.number(key)? {
                Some(v) if v.is_finite() && v > 0.0 => Ok(v),
                _ => fields.fail(key, "is needed by rope_type \"llama3\", as a positive number"),
            };
            Ok(Some(RopeScaling {
                factor: need("factor")?,
                low_freq_factor: need("low_freq_factor")?,
                high_freq_factor: need("high_freq_factor")?,
                original_max_position_embeddings: need("original_max_position_embeddings")? as usize,
            }))
        }
        Some(_) => fields.unsupported(
            if fields.object.contains_key("rope_type") { "rope_type" } else { "type" },
            "\"default\" and \"llama3\"",
        ),
    }
}

/// config.json of a model, as transformers 4.57 writes it. `dtype` is the number format on disk.
pub fn write(config: &Config, dtype: &str) -> Value {
    let eos = match config.eos_token_ids.as_slice() {
        [] => Value::Null,
        [first, ..] => json!(first),
    };
    let mut value = json!({
        "architectures": [config.architecture.class()],
        "model_type": config.architecture.model_type(),
        "torch_dtype": dtype,
        "transformers_version": "4.57.6",
        "use_cache": true,
        "vocab_size": config.vocab_size,
        "initializer_range": config.initializer_range,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": eos,
    });
    let own = match config.architecture {
        Architecture::Dbrx => json!({
            "d_model": config.d_model,
            "n_heads": config.n_heads,
            "n_layers": config.n_layers,
            "max_seq_len": config.max_seq_len,
            "emb_pdrop": 0.0,
            "resid_pdrop": 0.0,
            "output_router_logits": false,
            "router_aux_loss_coef": config.aux_coefficient,
            "attn_config": {
                "attn_pdrop": 0.0,
                // transformers 4.57 cannot do without a bound; the largest f32 clamps nothing.
                "clip_qkv": config.clip_qkv.unwrap_or(f64::from(f32::MAX)),
                "kv_n_heads": config.n_kv_heads,
                "rope_theta": config.rope_theta,
            },
            "ffn_config": {
                "ffn_act_fn": {"name": "silu"},
                "ffn_hidden_size": config.ffn_hidden,
                "moe_jitter_eps": null,
                "moe_loss_weight": config.aux_coefficient,
                "moe_normalize_expert_weights": config.normalize_weights.then_some(1.0),
                "moe_num_experts": config.n_experts,
                "moe_top_k": config.top_k,
            },
        }),
        Architecture::Mixtral | Architecture::Llama => json!({
            "hidden_size": config.d_model,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_kv_heads,
            "head_dim": config.head_dim,
            "intermediate_size": config.ffn_hidden,
            "hidden_act": "silu",
            "rms_norm_eps": config.norm_eps,
            "rope_theta": config.rope_theta,
            "rope_scaling": config.rope_scaling.map(|s| json!({
                "rope_type": "llama3",
                "factor": s.factor,
                "low_freq_factor": s.low_freq_factor,
                "high_freq_factor": s.high_freq_factor,
                "original_max_position_embeddings": s.original_max_position_embeddings,
            })),
            "max_position_embeddings": config.max_seq_len,
            "attention_dropout": 0.0,
        }),
    };
    let extra = match config.architecture {
        Architecture::Dbrx => json!({}),
        Architecture::Mixtral => json!({
            "num_local_experts": config.n_experts,
            "num_experts_per_tok": config.top_k,
            "router_aux_loss_coef": config.aux_coefficient,
            "router_jitter_noise": 0.0,
            "sliding_window": null,
            "output_router_logits": false,
        }),
        Architecture::Llama => json!({"attention_bias": false, "mlp_bias": false}),
    };
    let object = value.as_object_mut().expect("made as an object");
    for part in [own, extra] {
        object.extend(part.as_object().expect("made as an object").clone());
    }
    value
}

#[cfg(test)]
mod tests;
