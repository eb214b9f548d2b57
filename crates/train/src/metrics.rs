//! metrics.jsonl: one JSON object a line, `kind` says which. It is the truth of a run; everything shown is drawn from it.

use crate::error::TrainError;
use moeworks_data::mds::replace_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// A run starts, or goes on.
    Start(Box<Start>),
    /// A step.
    Step(Step),
    /// Held-out text was scored.
    Validation(Validation),
    /// A continuation was written.
    Sample(Sample),
    /// Something happened.
    Event(Event),
}

/// The conditions of everything that follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// UTC, RFC 3339.
    pub time: String,
    /// The run's name.
    pub run: String,
    /// The model.
    pub model: ModelFacts,
    /// The device.
    pub device: String,
    /// `bf16` or `f32`.
    pub precision: String,
    /// Tokens of a step.
    pub tokens_per_step: u64,
    /// Steps of the run, where they are known beforehand.
    pub steps: Option<u64>,
    /// This program's version.
    pub version: String,
}

/// What a model is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Class in transformers.
    pub architecture: String,
    /// Parameters.
    pub total: u64,
    /// Parameters that a token meets.
    pub active: u64,
    /// Blocks.
    pub layers: usize,
    /// Experts.
    pub experts: usize,
    /// Experts of a token.
    pub top_k: usize,
    /// Width.
    pub d_model: usize,
    /// Token ids.
    pub vocab_size: usize,
}

/// A step. Losses are in nats a token, before their coefficients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Steps taken with this one.
    pub step: u64,
    /// Tokens seen with this one.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Cross-entropy of the language model alone.
    pub loss: f64,
    /// Load balancing.
    pub aux: f64,
    /// Router z.
    pub z: f64,
    /// Learning rate.
    pub lr: f64,
    /// Norm of all gradients before clipping.
    pub grad_norm: f64,
    /// Speed of this step.
    pub tokens_per_second: f64,
    /// Share of the rows that each expert of each block got, [L][E]; empty without routers.
    pub load: Vec<Vec<f32>>,
    /// Tokens seen of each stream, where there are several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, u64>,
}

/// A look at held-out text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps taken.
    pub step: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Nats a token.
    pub loss: f64,
    /// Bits a byte.
    pub bits_per_byte: f64,
}

/// A continuation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Steps taken.
    pub step: u64,
    /// Its beginning.
    pub prompt: String,
    /// What the model wrote.
    pub text: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Steps taken.
    pub step: u64,
    /// `checkpoint`, `resumed`, `interrupted`, `finished`.
    pub event: String,
    /// In words.
    pub detail: String,
}

/// The open file.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file of a run that stands at `step`. Lines of later steps, which will be taken anew, and a torn last
    /// line are dropped; all others stay as they are.
    pub fn open(path: &Path, step: u64) -> Result<Self, TrainError> {
        if path.exists() {
            let text = std::fs::read(path).map_err(TrainError::io(path))?;
            let stays = |line: &&[u8]| line.ends_with(b"\n") && step_of(line).is_none_or(|s| s <= step);
            let kept: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').filter(stays).collect();
            replace_file(path, &kept.concat()).map_err(TrainError::io(path))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(TrainError::io(path))?;
        Ok(Metrics { path: path.to_path_buf(), file })
    }

    /// Appends a line.
    pub fn write(&mut self, record: &Record) -> Result<(), TrainError> {
        let line = serde_json::to_string(record).expect("plain JSON") + "\n";
        self.file.write_all(line.as_bytes()).map_err(TrainError::io(&self.path))
    }
}

/// The step a line belongs to; none for a start, and for what a later version may write.
fn step_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(line).ok()?.get("step")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continued_run_drops_what_it_will_do_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let event = |step| Record::Event(Event { step, event: "checkpoint".into(), detail: String::new() });
        let mut metrics = Metrics::open(&path, 0).unwrap();
        (1..=5).for_each(|s| metrics.write(&event(s)).unwrap());
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"step\",\"st").unwrap();
        let mut metrics = Metrics::open(&path, 3).unwrap();
        metrics.write(&event(4)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text.lines().filter_map(|l| step_of(l.as_bytes())).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }
}
