//! The configuration of a training run: a flat TOML file, strict, every value with its origin.

mod data;
mod duration;
mod layers;

pub use data::{DataConfig, Documents, StageConfig, StreamConfig};
pub use duration::{Duration, Progress};
pub use layers::{ConfigError, Layered, Setting, resolve};

use moeworks_model::Recompute;
use serde::{Deserialize, Serialize};

/// Everything a run is made of. What is not in the file has these defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The run itself.
    pub run: RunConfig,
    /// The model.
    pub model: ModelConfig,
    /// What it learns from.
    pub data: DataConfig,
    /// How long, in which steps.
    pub train: StepConfig,
    /// AdamW.
    pub optimizer: OptimizerConfig,
    /// The learning rate's course.
    pub schedule: ScheduleConfig,
    /// Losses beside the language model's.
    pub loss: LossConfig,
    /// Saving.
    pub checkpoint: CheckpointConfig,
    /// Looking.
    pub evaluate: EvaluateConfig,
}

/// Name and place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Name; empty takes the configuration file's.
    pub name: String,
    /// Folder of runs; this one is `folder/name`.
    pub folder: String,
    /// Seed of parameters and data order.
    pub seed: u64,
}

impl Default for RunConfig {
    fn default() -> Self {
        RunConfig { name: String::new(), folder: "runs".into(), seed: 17 }
    }
}

/// Which model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// A preset or size, such as `tiny`, `4m` or `s`.
    pub preset: String,
    /// A Hugging Face directory to go on from; the preset is then not used.
    pub from: String,
    /// Rows of the embedding; 0 takes the tokenizer's, rounded up to 16.
    pub vocab_size: usize,
    /// Positions; 0 takes the model's, or the data's sequence length where that is more.
    pub max_seq_len: usize,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig { preset: "4m".into(), from: String::new(), vocab_size: 0, max_seq_len: 0 }
    }
}

/// Length and size of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepConfig {
    /// How long: `500ba` steps, `2ep` epochs, `5e6tok` tokens, `30min`, `90s` or `2h` of time.
    pub duration: Duration,
    /// Sequences of a step.
    pub batch: usize,
    /// Sequences computed at once; 0 takes the whole batch.
    pub micro_batch: usize,
    /// `bf16` (32-bit masters, bf16 moments), `f32`, or `auto` for what the device multiplies fastest.
    pub precision: PrecisionChoice,
    /// What the backward computes again to save memory: `nothing`, `experts` (gate and up) or `blocks` (all).
    pub recompute: RecomputeChoice,
}

/// What a backward computes again instead of keeping it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecomputeChoice {
    /// Nothing: the fastest.
    #[default]
    Nothing,
    /// The experts' gate and up.
    Experts,
    /// All of a block but its input.
    Blocks,
}

impl From<RecomputeChoice> for Recompute {
    fn from(choice: RecomputeChoice) -> Self {
        match choice {
            RecomputeChoice::Nothing => Recompute::Nothing,
            RecomputeChoice::Experts => Recompute::Experts,
            RecomputeChoice::Blocks => Recompute::Blocks,
        }
    }
}

/// Number format of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// What the device multiplies fastest.
    #[default]
    Auto,
    /// bf16 multiplications and moments, 32-bit masters.
    Bf16,
    /// f32 throughout.
    F32,
}

impl Default for StepConfig {
    fn default() -> Self {
        StepConfig {
            duration: Duration::Epochs(1.0),
            batch: 16,
            micro_batch: 0,
            precision: PrecisionChoice::Auto,
            recompute: RecomputeChoice::Nothing,
        }
    }
}

/// The optimizer and its constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// `adamw` or `lion`.
    pub name: OptimizerChoice,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// AdamW: decay of the first moment. Lion: share of the momentum in the direction.
    pub beta1: f64,
    /// AdamW: decay of the second moment. Lion: decay of the momentum (its authors take 0.99).
    pub beta2: f64,
    /// Added to the denominator (AdamW).
    pub eps: f64,
    /// Decoupled weight decay, times the learning rate.
    pub weight_decay: f64,
    /// `matrices` or `all`.
    pub decay: DecayChoice,
    /// Norm that gradients are cut to; 0 never cuts.
    pub clip: f64,
}

/// Which optimizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerChoice {
    /// Loshchilov and Hutter, arXiv 1711.05101.
    #[default]
    AdamW,
    /// Chen and others, arXiv 2302.06675: half of the state, and learning rates 3 to 10 times smaller.
    Lion,
}

/// What weight decay touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecayChoice {
    /// Matrices only.
    #[default]
    Matrices,
    /// Norms too.
    All,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            name: OptimizerChoice::AdamW,
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
            decay: DecayChoice::Matrices,
            clip: 1.0,
        }
    }
}

/// Warm-up from 0, then half a cosine down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Length of the linear warm-up; a duration, or a share of the run such as `5%`.
    pub warmup: Duration,
    /// Learning rate at the end, as a share of the highest.
    pub last: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig { warmup: Duration::Share(0.05), last: 0.1 }
    }
}

/// Coefficients of the router's losses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Load balancing; negative takes the model's own.
    pub aux: f64,
    /// Router z-loss.
    pub z: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig { aux: -1.0, z: 0.0 }
    }
}

/// Checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// How often; the end of a run and an interruption always save.
    pub every: Duration,
    /// Newest checkpoints that are kept.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig { every: Duration::Seconds(600.0), keep: 2 }
    }
}

/// Looking at the model during the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// How often held-out text is scored and samples are written.
    pub every: Duration,
    /// Bytes of held-out text that are scored then.
    pub bytes: usize,
    /// Beginnings that samples continue.
    pub prompts: Vec<String>,
    /// Tokens of a sample.
    pub sample_tokens: usize,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        EvaluateConfig { every: Duration::Share(0.25), bytes: 50_000, prompts: vec!["The ".into()], sample_tokens: 48 }
    }
}

impl Layered for TrainConfig {
    fn entries() -> Vec<(&'static str, toml::Table)> {
        DataConfig::entries()
    }
}

impl TrainConfig {
    /// Checks what types cannot; `place` is named in the error.
    pub fn validate(&self, place: &str) -> Result<(), ConfigError> {
        let fail = |key: &str, reason: String| {
            Err(ConfigError::Value { place: place.to_string(), key: key.to_string(), reason })
        };
        self.data.validate(place, &self.train.duration)?;
        if self.train.batch == 0 {
            return fail("train.batch", "is 0, must be at least 1".into());
        }
        let micro = self.train.micro_batch;
        if micro > 0 && !self.train.batch.is_multiple_of(micro) {
            let reason = format!("is {micro}, must divide the batch of {}", self.train.batch);
            return fail("train.micro_batch", reason);
        }
        if matches!(self.train.duration, Duration::Share(_)) {
            return fail("train.duration", "is a share, but of what? Give ba, ep, tok, min, s or h".into());
        }
        let o = &self.optimizer;
        for (key, value, most) in [
            ("optimizer.learning_rate", o.learning_rate, 1e3),
            ("optimizer.eps", o.eps, 1.0),
            ("optimizer.weight_decay", o.weight_decay, 1e3),
            ("optimizer.clip", o.clip, f64::MAX),
            ("schedule.last", self.schedule.last, 1.0),
            ("loss.z", self.loss.z, 1e3),
        ] {
            if !(0.0..=most).contains(&value) {
                return fail(key, format!("is {value}, must be between 0 and {most}"));
            }
        }
        for (key, value) in [("optimizer.beta1", o.beta1), ("optimizer.beta2", o.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return fail(key, format!("is {value}, must be at least 0 and less than 1"));
            }
        }
        if self.checkpoint.keep == 0 {
            return fail("checkpoint.keep", "is 0, must be at least 1".into());
        }
        Ok(())
    }
}
