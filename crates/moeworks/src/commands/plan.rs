//! `plan`: what a training would take, before it takes it.

use super::doctor::available_memory;
use super::train::load_config;
use crate::cli::Plan;
use crate::device::device;
use crate::probe::tokens_per_second;
use crate::show;
use anyhow::Result;
use moeworks_data::{Loader, LoaderOptions};
use moeworks_model::parameters::{count, training_flops};
use moeworks_model::{Config, Training, formats};
use moeworks_ops::DType;
use moeworks_text::Tokenizer;
use moeworks_train::config::{OptimizerChoice, RecomputeChoice};
use moeworks_train::{Duration, TrainConfig, layout, model_config, precision, stated};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    total: u64,
    active: u64,
    flops_per_token: f64,
    precision: &'static str,
    memory: Vec<(String, u64)>,
    memory_total: u64,
    memory_available: Option<u64>,
    fits: bool,
    /// Settings with which it would fit, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits_with: Option<String>,
    tokens_per_step: u64,
    steps: Option<u64>,
    tokens: Option<u64>,
    epochs: Option<f64>,
    tokens_per_second: Option<f64>,
    seconds: Option<f64>,
    checkpoint_bytes: u64,
}

pub fn run(flags: &Plan) -> Result<()> {
    let (config, _) = load_config(&flags.config, &flags.settings)?;
    let (_, length) = stated(&config.data.folders()[0])?;
    let tokenizer = Tokenizer::from_dir(&config.data.tokenizer_folder())?;
    let schedule = config.data.schedule(config.train.batch, length, &config.train.duration);
    let loader = Loader::open_schedule(&schedule, LoaderOptions::new(config.train.batch, tokenizer.vocab_size()))?;
    let samples = loader.samples_per_epoch();
    let model = model_config(&config, &tokenizer, length)?;
    let mut device = device(flags.threads)?;
    let precision = precision(config.train.precision, &*device);
    let micro = if config.train.micro_batch == 0 { config.train.batch } else { config.train.micro_batch };
    let moments = if config.optimizer.name == OptimizerChoice::AdamW { 2 } else { 1 };
    let parts = Training::memory(&*device, &model, precision, layout(&config, length), moments);
    let memory: Vec<(String, u64)> = parts.into_iter().map(|(name, bytes)| (name, bytes as u64)).collect();
    let memory_total = memory.iter().map(|(_, b)| b).sum();
    let available = available_memory();
    let fits_in = |bytes: u64| available.is_none_or(|a| bytes < a);
    let fits = fits_in(memory_total);
    let takes = |config: &TrainConfig| -> u64 {
        let parts = Training::memory(&*device, &model, precision, layout(config, length), moments);
        parts.into_iter().map(|(_, bytes)| bytes as u64).sum()
    };
    let fits_with = if fits { None } else { smaller(&config).find(|(_, c)| fits_in(takes(c))).map(|(how, _)| how) };
    let speed = if fits && !flags.no_probe {
        Some(tokens_per_second(&mut *device, &model, precision, micro, length)?)
    } else {
        None
    };
    let tokens_per_step = (config.train.batch * length) as u64;
    let steps = steps(&config, tokens_per_step, samples, speed);
    let counted = count(&model);
    let answer = Answer {
        total: counted.total,
        active: counted.active,
        flops_per_token: training_flops(&model, length),
        precision: if precision.compute == DType::Bf16 { "bf16" } else { "f32" },
        memory,
        memory_total,
        memory_available: available,
        fits,
        fits_with,
        tokens_per_step,
        steps,
        tokens: steps.map(|s| s * tokens_per_step),
        epochs: steps.map(|s| (s * config.train.batch as u64) as f64 / samples as f64),
        tokens_per_second: speed,
        seconds: speed.and_then(|v| Some((steps? * tokens_per_step) as f64 / v)),
        checkpoint_bytes: (4 + (moments * formats::moment(precision).size()) as u64)
            * counted.total
            * config.checkpoint.keep as u64,
    };
    if flags.json {
        show::result(&serde_json::to_string_pretty(&answer)?)?;
    } else {
        show::result(&text(&answer, &model, &device.describe()))?;
    }
    Ok(())
}

/// Ways to take less memory than a configuration does, with what to say on the command line: the fastest first.
fn smaller(config: &TrainConfig) -> impl Iterator<Item = (String, TrainConfig)> {
    let recomputes = [("experts", RecomputeChoice::Experts), ("blocks", RecomputeChoice::Blocks)];
    let batch = config.train.batch;
    let micros = (1..batch).rev().filter(move |n| batch.is_multiple_of(*n));
    recomputes.into_iter().map(|r| (r, 0)).chain(micros.map(move |n| (recomputes[1], n))).map(
        |((name, recompute), micro)| {
            let mut config = config.clone();
            (config.train.recompute, config.train.micro_batch) = (recompute, micro);
            let how = if micro == 0 { String::new() } else { format!(" train.micro_batch={micro}") };
            (format!("train.recompute={name}{how}"), config)
        },
    )
}

fn steps(config: &TrainConfig, tokens_per_step: u64, samples: u64, speed: Option<f64>) -> Option<u64> {
    match config.train.duration {
        Duration::Batches(n) => Some(n),
        Duration::Tokens(n) => Some(n.div_ceil(tokens_per_step)),
        Duration::Epochs(n) => Some((n * samples as f64 / config.train.batch as f64).ceil() as u64),
        Duration::Seconds(n) => speed.map(|v| (n * v / tokens_per_step as f64) as u64),
        Duration::Share(_) => None,
    }
}

fn text(a: &Answer, model: &Config, device: &str) -> String {
    let mut lines = vec![
        format!("model       {} parameters, {} met by a token", show::count(a.total), show::count(a.active)),
        format!(
            "            {} experts, {} a token; {} blocks, width {}, {} token ids",
            model.n_experts, model.top_k, model.n_layers, model.d_model, model.vocab_size
        ),
        format!("device      {device}; {}", a.precision),
    ];
    for (i, (name, bytes)) in a.memory.iter().enumerate() {
        let head = if i == 0 { "memory" } else { "" };
        lines.push(format!("{head:<11} {:>10}  {name}", show::bytes(*bytes)));
    }
    let available = a.memory_available.map_or(String::new(), |b| format!(" of {} free", show::bytes(b)));
    lines.push(format!("{:<11} {:>10}  in all{available}", "", show::bytes(a.memory_total)));
    if !a.fits {
        let how = a.fits_with.as_deref().unwrap_or("a smaller model.preset");
        lines.push(format!("            does not fit; {how} would"));
    }
    let steps = a.steps.map_or("as many as the time allows".into(), |s| s.to_string());
    lines.push(format!("steps       {steps}, {} tokens each", a.tokens_per_step));
    if let (Some(tokens), Some(epochs)) = (a.tokens, a.epochs) {
        lines.push(format!("            {} tokens, {epochs:.2} passes over the data", show::count(tokens)));
    }
    match (a.tokens_per_second, a.seconds) {
        (Some(speed), Some(seconds)) => {
            let rate = speed * a.flops_per_token / 1e9;
            lines.push(format!("time        {} at {speed:.0} tokens/s ({rate:.0} GFLOP/s)", show::time(seconds)));
        }
        _ => lines.push("time        not measured".into()),
    }
    lines.push(format!("disk        {} for checkpoints", show::bytes(a.checkpoint_bytes)));
    lines.join("\n")
}
