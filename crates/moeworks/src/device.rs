//! Picking a device, and opening a model on it.

use crate::cli::{Compute, PrecisionFlag};
use anyhow::{Context, Result};
use moeworks_cpu::{Cpu, Isa};
use moeworks_infer::{Device, Engine};
use moeworks_model::{Checkpoint, Config, Inference, Limits};
use moeworks_ops::Precision;
use moeworks_text::Tokenizer;
use std::path::Path;

/// The processor, with so many threads (all of the machine's, if none are given).
pub fn cpu(threads: Option<usize>) -> Result<Cpu> {
    let isa = Isa::from_environment()?;
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    Ok(Cpu::new(threads, isa))
}

/// The device of this process.
pub fn device(threads: Option<usize>) -> Result<Device> {
    Ok(Box::new(cpu(threads)?))
}

impl PrecisionFlag {
    /// The formats it asks for, or those that `auto` means here.
    pub fn or(self, auto: Precision) -> Precision {
        match self {
            PrecisionFlag::F32 => Precision::F32,
            PrecisionFlag::Bf16 => Precision::BF16,
            PrecisionFlag::Auto => auto,
        }
    }
}

/// The formats in which a checkpoint is stored.
pub fn stored(checkpoint: &Checkpoint) -> Precision {
    if checkpoint.is_f32() { Precision::F32 } else { Precision::BF16 }
}

/// A model directory on a device.
pub struct Opened {
    /// The device.
    pub device: Device,
    /// The model.
    pub model: Inference,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

/// Most rows of a step that answers: longer prompts come in parts, so that others need not wait for them.
const STEP_ROWS: usize = 512;

/// Most tokens of a window that is scored at once, unless more are asked for.
const WINDOW: usize = 4096;

/// Room for answering so many sequences of so many positions (the model's own, if none is given).
pub fn answering(slots: usize, length: Option<usize>) -> impl FnOnce(&Config) -> Limits {
    move |model| {
        let length = length.unwrap_or(model.max_seq_len).min(model.max_seq_len);
        Limits { slots, length, rows: length.clamp(slots, STEP_ROWS.max(slots)) }
    }
}

/// Room for scoring windows of so many tokens, whole.
pub fn scoring(length: Option<usize>) -> impl FnOnce(&Config) -> Limits {
    move |model| {
        let length = length.unwrap_or(WINDOW).min(model.max_seq_len);
        Limits { slots: 1, length, rows: length.max(STEP_ROWS) }
    }
}

/// Opens a model directory with the room that is wanted.
pub fn open(dir: &Path, compute: &Compute, room: impl FnOnce(&Config) -> Limits) -> Result<Opened> {
    let checkpoint = Checkpoint::open(dir)?;
    let tokenizer = Tokenizer::from_dir(dir)
        .with_context(|| format!("{} has no usable tokenizer beside its weights", dir.display()))?;
    let mut device = device(compute.threads)?;
    let precision = compute.precision.or(stored(&checkpoint));
    let limits = room(&checkpoint.config);
    let model = Inference::open(&mut *device, &checkpoint, precision, limits)?;
    Ok(Opened { device, model, tokenizer })
}

impl Opened {
    /// The engine over it.
    pub fn engine(self) -> Result<Engine> {
        Ok(Engine::new(self.device, self.model, self.tokenizer)?)
    }
}
