//! What can end a training.

use crate::config::ConfigError;
use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model or a model directory.
    #[error(transparent)]
    Model(#[from] moeworks_model::ModelError),
    /// The data.
    #[error(transparent)]
    Data(#[from] moeworks_data::DataError),
    /// The tokenizer.
    #[error(transparent)]
    Text(#[from] moeworks_text::TextError),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] moeworks_ops::OutOfMemory),
    /// A file of the run.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else is training in this folder.
    #[error("{path} is in use by another training; wait for it, stop it, or give this run another run.name")]
    Locked {
        /// The run's folder.
        path: PathBuf,
    },
    /// A checkpoint that is damaged.
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Checkpoints are there, and none of them is whole.
    #[error(
        "{path} holds checkpoints, but none is whole:\n{reasons}\nrestore one of them, or start anew with --fresh \
         (which deletes them)"
    )]
    NoWholeCheckpoint {
        /// The folder of checkpoints.
        path: PathBuf,
        /// One line each.
        reasons: String,
    },
    /// The configuration differs from the checkpoint's in something that cannot change on the way.
    #[error(
        "{path} was trained with other settings: {differences}; put them back, give this run another run.name, or \
         start anew with --fresh"
    )]
    Changed {
        /// The checkpoint.
        path: PathBuf,
        /// Keys with both values.
        differences: String,
    },
    /// Tokenizer and data do not belong together.
    #[error(
        "{tokenizer} has fingerprint {found}, but {data} was made with a tokenizer of fingerprint {expected}; give \
         data.tokenizer the right one, or build the data anew"
    )]
    Tokenizer {
        /// The tokenizer's folder.
        tokenizer: PathBuf,
        /// The data folder.
        data: PathBuf,
        /// Its fingerprint.
        found: String,
        /// The data's.
        expected: String,
    },
    /// The model's vocabulary is smaller than the tokenizer's.
    #[error(
        "the model has {model} token ids, the tokenizer {tokenizer}; set model.vocab_size to {tokenizer} or more, or to 0"
    )]
    Vocabulary {
        /// Rows of the embedding.
        model: usize,
        /// Ids of the tokenizer.
        tokenizer: usize,
    },
    /// Numbers have run away.
    #[error(
        "training diverged at step {step}: loss {loss}, gradient norm {norm}; the last checkpoint is {last}; lower \
         optimizer.learning_rate ({learning_rate}) or lengthen schedule.warmup, then run the same command again"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// Its gradient norm.
        norm: f64,
        /// Folder or "none".
        last: String,
        /// Highest learning rate.
        learning_rate: f64,
    },
    /// What the caller does at validations and samples failed.
    #[error("{0}")]
    Watch(String),
}

impl TrainError {
    /// An I/O error with its path.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError + '_ {
        move |source| TrainError::Io { path: path.to_path_buf(), source }
    }
}
