//! The fields that both kinds of requests have.

use crate::error::ApiError;
use crate::fields::Fields;
use moeworks_infer::Sampling;
use serde_json::{Value, json};

/// Most answers to one prompt.
pub(crate) const CHOICES: i64 = 8;
/// Most stop strings, and characters of each.
const STOPS: usize = 4;
const STOP_CHARS: usize = 256;
/// Most biased tokens.
const BIASES: usize = 1024;
/// Most of the likeliest tokens that are shown.
pub(crate) const TOP_LOGPROBS: i64 = 20;
/// Larger than any context; answers end with the context anyway.
pub(crate) const MOST_TOKENS: i64 = 1 << 30;

/// What is asked for beside the prompt.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) choices: usize,
    pub(crate) sampling: Sampling,
    pub(crate) seed: u64,
    pub(crate) stop: Vec<String>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

impl Options {
    /// Reads them, for the model served as `model` with `vocab_size` tokens.
    pub(crate) fn read(fields: &mut Fields, model: &str, vocab_size: usize) -> Result<Self, ApiError> {
        match fields.text("model", 1024)? {
            None => return Err(ApiError::field("model", "`model` is required; GET /v1/models lists it")),
            Some(asked) if asked != model => return Err(ApiError::model(&asked, model)),
            Some(_) => {}
        }
        let sampling = Sampling {
            temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(1.0),
            // 0 is taken by OpenAI and means the likeliest token alone.
            top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(1.0).max(f64::MIN_POSITIVE),
            // -1 is how vLLM's clients say that there is no limit.
            top_k: fields.integer("top_k", -1..=1 << 24)?.unwrap_or(0).max(0) as usize,
            repetition_penalty: fields.number("repetition_penalty", 0.01..=10.0)?.unwrap_or(1.0),
            presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
            frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
            logit_bias: logit_bias(fields.take("logit_bias"), vocab_size)?,
        };
        let seed = match fields.integer("seed", i64::MIN..=i64::MAX)? {
            Some(seed) => seed as u64,
            None => getrandom::u64().map_err(|_| ApiError::engine("the system has no random numbers"))?,
        };
        let choices = fields.integer("n", 1..=CHOICES)?.unwrap_or(1) as usize;
        let stop = stop(fields.take("stop"))?;
        let stream = fields.boolean("stream")?;
        let include_usage = match fields.take("stream_options") {
            None => false,
            Some(_) if !stream => {
                return Err(ApiError::field("stream_options", "`stream_options` is only for `stream`: true"));
            }
            Some(options) => {
                let mut options = Fields::inside(options, "stream_options")?;
                let include_usage = options.boolean("include_usage")?;
                options.refuse("include_obfuscation", &[json!(false)])?;
                options.finish()?;
                include_usage
            }
        };
        accept_labels(fields)?;
        Ok(Options { choices, sampling, seed, stop, stream, include_usage })
    }
}

/// Labels of the client's own, and what asks for nothing this server would do otherwise.
fn accept_labels(fields: &mut Fields) -> Result<(), ApiError> {
    for name in ["user", "safety_identifier", "prompt_cache_key"] {
        fields.text(name, 512)?;
    }
    if let Some(metadata) = fields.take("metadata") {
        let is_label = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= 512);
        let fits = metadata.as_object().is_some_and(|map| map.len() <= 16 && map.values().all(is_label));
        if !fits {
            let message = "`metadata` must be an object of at most 16 strings of at most 512 characters";
            return Err(ApiError::field("metadata", message));
        }
    }
    fields.refuse("store", &[json!(false)])?;
    fields.refuse("service_tier", &[json!("auto"), json!("default")])
}

fn stop(value: Option<Value>) -> Result<Vec<String>, ApiError> {
    let list = match value {
        None => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    let fits = |text: &str| !text.is_empty() && text.chars().count() <= STOP_CHARS;
    let texts: Option<Vec<String>> =
        list.iter().map(|stop| stop.as_str().filter(|text| fits(text)).map(str::to_owned)).collect();
    texts.filter(|texts| texts.len() <= STOPS).ok_or_else(|| {
        let must = format!("a string of 1 to {STOP_CHARS} characters or a list of at most {STOPS} of them");
        ApiError::field("stop", format!("`stop` must be {must}"))
    })
}

fn logit_bias(value: Option<Value>, vocab_size: usize) -> Result<Vec<(u32, f64)>, ApiError> {
    let error = |message: String| ApiError::field("logit_bias", message);
    let map = match value {
        None => return Ok(Vec::new()),
        Some(Value::Object(map)) if map.len() <= BIASES => map,
        Some(_) => return Err(error(format!("`logit_bias` must be an object of at most {BIASES} token ids"))),
    };
    let mut biases = Vec::with_capacity(map.len());
    for (token, bias) in &map {
        let id = token.parse::<u32>().ok().filter(|id| (*id as usize) < vocab_size);
        let bias = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias));
        let (Some(id), Some(bias)) = (id, bias) else {
            let must = format!("token ids below {vocab_size} as keys and numbers from -100 to 100 as values");
            return Err(error(format!("`logit_bias` must have {must}")));
        };
        biases.push((id, bias));
    }
    Ok(biases)
}
