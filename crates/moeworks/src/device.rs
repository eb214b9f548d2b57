//! Picking a device, and opening a model on it.

use crate::cli::{Compute, PrecisionFlag};
use anyhow::{Context, Result};
use moeworks_cpu::{Cpu, Isa};
use moeworks_infer::{Device, Engine};
use moeworks_model::{Checkpoint, Inference, Limits};
use moeworks_ops::Precision;
use moeworks_text::Tokenizer;
use std::path::Path;

/// The device of this process.
pub fn device(compute: &Compute) -> Result<Device> {
    let isa = Isa::from_environment()?;
    let threads = compute.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    Ok(Box::new(Cpu::new(threads, isa)))
}

/// The formats in which a checkpoint is run: as it is stored, unless something else is asked for.
pub fn precision(compute: &Compute, checkpoint: &Checkpoint) -> Precision {
    match compute.precision {
        PrecisionFlag::F32 => Precision::F32,
        PrecisionFlag::Bf16 => Precision::BF16,
        PrecisionFlag::Auto if checkpoint.is_f32() => Precision::F32,
        PrecisionFlag::Auto => Precision::BF16,
    }
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

/// Opens a model directory for so many sequences of so many positions (the model's own, if none is given).
pub fn open(dir: &Path, compute: &Compute, slots: usize, length: Option<usize>) -> Result<Opened> {
    let checkpoint = Checkpoint::open(dir)?;
    let tokenizer = Tokenizer::from_dir(dir)
        .with_context(|| format!("{} has no usable tokenizer beside its weights", dir.display()))?;
    let mut device = device(compute)?;
    let length = length.unwrap_or(checkpoint.config.max_seq_len).min(checkpoint.config.max_seq_len);
    let limits = Limits { slots, length, rows: length.clamp(slots, 512.max(slots)) };
    let model = Inference::open(&mut *device, &checkpoint, precision(compute, &checkpoint), limits)?;
    Ok(Opened { device, model, tokenizer })
}

impl Opened {
    /// The engine over it.
    pub fn engine(self) -> Result<Engine> {
        Ok(Engine::new(self.device, self.model, self.tokenizer)?)
    }
}
