//! `metrics.jsonl`: one JSON object a line, `kind` says which.
//!
//! Reading is forgiving, since the file of a crashed run is the one that most needs looking at: a torn last line,
//! records of later versions and fields that are missing are no errors. A run continued from a checkpoint may repeat
//! steps; the later record then stands.

use super::{ReportError, lenient};
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

/// Name of the metrics in a run directory.
pub const METRICS_NAME: &str = "metrics.jsonl";

/// What a run has recorded, in order of steps.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// One for each time the run was started or continued.
    pub starts: Vec<Start>,
    /// Steps logged, strictly rising.
    pub steps: Vec<Step>,
    /// Validations.
    pub validations: Vec<Validation>,
    /// Texts written during training.
    pub samples: Vec<Sample>,
    /// Checkpoints, interruptions and the like.
    pub events: Vec<Event>,
    /// Lines in the file.
    pub lines: usize,
    /// Numbers, from 1, of lines that are no record; a torn last line is not among them.
    pub unreadable: Vec<usize>,
    /// Logged steps that were done again after the run was continued from an earlier checkpoint.
    pub repeated: usize,
    /// Added to the seconds of a continued run whose clock began anew.
    earlier_seconds: f64,
}

/// The conditions of a run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Start {
    /// RFC 3339.
    pub time: Option<String>,
    /// Name of the run.
    pub run: Option<String>,
    /// What is trained.
    pub model: Model,
    /// What it is trained on, in words.
    pub device: Option<String>,
    /// Number format of the multiplications.
    pub precision: Option<String>,
    /// Tokens of one step.
    pub tokens_per_step: Option<u64>,
    /// Steps planned.
    pub steps: Option<u64>,
    /// Commit of the program.
    pub commit: Option<String>,
    /// Version of the program.
    pub version: Option<String>,
}

/// The size and shape of a model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Name of its class in Hugging Face's config.json.
    pub architecture: Option<String>,
    /// Parameters.
    pub total: Option<u64>,
    /// Parameters that one token uses.
    pub active: Option<u64>,
    /// Blocks.
    pub layers: Option<u64>,
    /// Experts of a block.
    pub experts: Option<u64>,
    /// Experts of a token.
    pub top_k: Option<u64>,
    /// Width.
    pub d_model: Option<u64>,
    /// Size of the vocabulary.
    pub vocab_size: Option<u64>,
}

/// A logged step.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// Its number, from 1.
    pub step: u64,
    /// Tokens trained on so far.
    pub tokens: Option<u64>,
    /// Time spent so far.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub seconds: Option<f64>,
    /// Cross-entropy, nats per token; may be no number.
    #[serde(deserialize_with = "lenient::number")]
    pub loss: f64,
    /// Load-balancing loss before its coefficient.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub aux: Option<f64>,
    /// Router z loss before its coefficient.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub z: Option<f64>,
    /// Learning rate.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub lr: Option<f64>,
    /// Norm of the gradient before clipping.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub grad_norm: Option<f64>,
    /// Throughput.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub tokens_per_second: Option<f64>,
    /// Share of the routed rows that each expert of each layer got, [L][E].
    #[serde(default, deserialize_with = "lenient::load")]
    pub load: Option<Vec<Vec<f32>>>,
}

/// Losses on documents that are not trained on.
#[derive(Clone, Debug, Deserialize)]
pub struct Validation {
    /// After this step.
    pub step: u64,
    /// Nats per token.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub loss: Option<f64>,
    /// Bits per byte of text.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub bits_per_byte: Option<f64>,
}

/// A text the model wrote during training.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample {
    /// After this step.
    pub step: u64,
    /// What it was given.
    pub prompt: String,
    /// How it went on.
    pub text: String,
}

/// Something that happened.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// After this step.
    pub step: u64,
    /// `checkpoint`, `resumed`, `interrupted`, `finished` or another word.
    pub event: String,
    /// More about it.
    #[serde(default)]
    pub detail: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Record {
    Start(Start),
    Step(Step),
    Validation(Validation),
    Sample(Sample),
    Event(Event),
    #[serde(other)]
    Unknown,
}

impl Metrics {
    /// Reads the file of a run.
    ///
    /// # Errors
    /// If it cannot be read, or holds no step.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        let reading = |error| ReportError::reading(path, error);
        let metrics = Self::read(BufReader::new(File::open(path).map_err(reading)?)).map_err(reading)?;
        if metrics.steps.is_empty() {
            let run = path.parent().unwrap_or(Path::new(".")).display().to_string();
            let (lines, unreadable) = (metrics.lines, metrics.unreadable.len());
            return Err(ReportError::NoSteps { path: path.into(), run, lines, unreadable });
        }
        Ok(metrics)
    }

    /// Reads records, however few.
    ///
    /// # Errors
    /// Whatever the reader reports.
    pub fn read(mut reader: impl BufRead) -> io::Result<Self> {
        let mut metrics = Self::default();
        let mut line = Vec::new();
        while {
            line.clear();
            reader.read_until(b'\n', &mut line)?
        } > 0
        {
            metrics.lines += 1;
            let whole = line.ends_with(b"\n");
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(record) => metrics.push(record),
                Err(_) if whole => metrics.unreadable.push(metrics.lines),
                Err(_) => {} // torn by a crash
            }
        }
        Ok(metrics)
    }

    fn push(&mut self, record: Record) {
        match record {
            Record::Start(start) => self.starts.push(start),
            Record::Step(step) => self.push_step(step),
            Record::Validation(validation) => self.validations.push(validation),
            Record::Sample(sample) => self.samples.push(sample),
            Record::Event(event) => {
                if event.event == "resumed" {
                    self.forget_from(event.step.saturating_add(1));
                }
                self.events.push(event);
            }
            Record::Unknown => {}
        }
    }

    fn push_step(&mut self, mut step: Step) {
        self.forget_from(step.step);
        if let Some(seconds) = &mut step.seconds {
            let before = self.seconds().unwrap_or(0.0);
            if before > *seconds + self.earlier_seconds {
                self.earlier_seconds = before;
            }
            *seconds += self.earlier_seconds;
        }
        self.steps.push(step);
    }

    /// What a continued run does again.
    fn forget_from(&mut self, step: u64) {
        let keep = self.steps.partition_point(|old| old.step < step);
        if keep < self.steps.len() {
            self.repeated += self.steps.len() - keep;
            self.steps.truncate(keep);
            self.validations.retain(|old| old.step < step);
            self.samples.retain(|old| old.step < step);
        }
    }

    /// The conditions the run was last started under.
    #[must_use]
    pub fn start(&self) -> Option<&Start> {
        self.starts.last()
    }

    /// Time spent on the steps that stand.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.steps.iter().rev().find_map(|step| step.seconds)
    }

    /// Tokens trained on.
    #[must_use]
    pub fn tokens(&self) -> Option<u64> {
        self.steps.iter().rev().find_map(|step| step.tokens)
    }

    /// Whether all of the planned steps were made, or the run says that it is done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let last = self.steps.last().map_or(0, |step| step.step);
        let planned = self.start().and_then(|start| start.steps);
        let said = self.events.last().is_some_and(|event| event.event == "finished");
        said || planned.is_some_and(|planned| last >= planned)
    }
}
