//! A small model with random weights and a small tokenizer, the same in every test.

use moeworks_infer::{Device, Engine, Request, Sampling};
use moeworks_model::{Config, Inference, Layout, Limits, Parameter, Training, preset};
use moeworks_ops::{Ops, Precision, Reference};
use moeworks_text::{Tokenizer, TrainOptions, train};

pub(crate) const LENGTH: usize = 96;

pub(crate) fn tokenizer() -> Tokenizer {
    let documents = ["the cat sat on the mat and the dog sat on the cat", "über den Wölken — 猫がいる 🙂🙂"];
    train(documents.iter(), &TrainOptions { vocab_size: 290, min_frequency: 2 }, |_| {}).unwrap()
}

pub(crate) fn config(tokenizer: &Tokenizer) -> Config {
    Config {
        vocab_size: tokenizer.vocab_size().next_multiple_of(8),
        d_model: 16,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        head_dim: 4,
        ffn_hidden: 8,
        n_experts: 4,
        top_k: 2,
        max_seq_len: LENGTH,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        ..preset("tiny").unwrap()
    }
}

/// A model of random weights on `device`; `change` may spoil parameters.
pub(crate) fn model_on(
    device: &mut dyn Ops,
    config: &Config,
    precision: Precision,
    slots: usize,
    rows: usize,
    mut change: impl FnMut(Parameter, &mut Vec<f32>),
) -> Inference {
    let mut source = Reference::new();
    let training = Training::new(&mut source, config, Precision::F32, Layout::of(1, 1), 5).unwrap();
    let limits = Limits { slots, length: LENGTH, rows };
    let model = Inference::load(device, config, precision, limits, |parameter| {
        let values = training.parameter(&mut source, parameter);
        let mut values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
        if parameter == Parameter::Head {
            values.iter_mut().for_each(|v| *v *= 2.0); // a model with opinions
        }
        change(parameter, &mut values);
        Ok(values)
    });
    model.unwrap()
}

/// The model on a reference device of its own.
pub(crate) fn model(slots: usize, rows: usize, change: impl FnMut(Parameter, &mut Vec<f32>)) -> (Device, Inference) {
    let mut device = Box::new(Reference::new());
    let model = model_on(&mut *device, &config(&tokenizer()), Precision::F32, slots, rows, change);
    (device, model)
}

/// An engine; `change` may spoil parameters.
pub(crate) fn engine_with(slots: usize, rows: usize, change: impl FnMut(Parameter, &mut Vec<f32>)) -> Engine {
    let (device, model) = model(slots, rows, change);
    Engine::new(device, model, tokenizer()).unwrap()
}

pub(crate) fn engine(slots: usize, rows: usize) -> Engine {
    engine_with(slots, rows, |_, _| {})
}

/// A sampled answer to `prompt`.
pub(crate) fn request(engine: &Engine, prompt: &str, seed: u64, max_tokens: usize) -> Request {
    Request {
        sampling: Sampling::default(),
        seed,
        max_tokens: Some(max_tokens),
        ..Request::new(engine.tokenizer().encode(prompt))
    }
}
