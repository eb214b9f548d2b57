//! What can be wrong with a model directory, a configuration or a request.

use std::path::{Path, PathBuf};

/// An error of this crate. Every message names the place, the numbers that disagree, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of a model directory does not exist.
    #[error(
        "{path}: no such file; a model directory holds config.json and model.safetensors (or its index and shards)"
    )]
    Missing {
        /// The file looked for.
        path: PathBuf,
    },
    /// The system could not read or write a file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A JSON file that is none.
    #[error("{path}: not valid JSON: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and cause.
        reason: String,
    },
    /// A key with a value that cannot be.
    #[error("{place}: {key}: {reason}")]
    Config {
        /// File or preset.
        place: String,
        /// The key, dotted.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A model of another family.
    #[error(
        "{place}: architecture {found:?} is not supported; supported are DbrxForCausalLM, MixtralForCausalLM and \
         LlamaForCausalLM"
    )]
    Architecture {
        /// The file.
        place: String,
        /// What it says.
        found: String,
    },
    /// An option whose effect we do not compute.
    #[error("{place}: option {option} = {value} is not supported (supported: {supported})")]
    Unsupported {
        /// The file.
        place: String,
        /// The key, dotted.
        option: String,
        /// Its value.
        value: String,
        /// Values that are.
        supported: &'static str,
    },
    /// A safetensors file whose header or length is wrong.
    #[error("{path}: damaged safetensors file: {reason}; copy or download it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A tensor that the configuration asks for and no file has.
    #[error("{place}: tensor {name} is missing; config.json asks for it with shape {shape:?}")]
    MissingTensor {
        /// Directory or file.
        place: PathBuf,
        /// The tensor.
        name: String,
        /// The shape it should have.
        shape: Vec<usize>,
    },
    /// A tensor that the configuration has no place for.
    #[error(
        "{path}: tensor {name} has no place in the model that config.json describes; does config.json belong to it?"
    )]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape than the configuration says.
    #[error("{path}: tensor {name} has shape {found:?}, config.json asks for {expected:?}")]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape by the configuration.
        expected: Vec<usize>,
    },
    /// A tensor in a number format that is not read.
    #[error("{path}: tensor {name} has number format {found}; f32, f16 and bf16 are read")]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its format.
        found: String,
    },
    /// A weight that is not a number.
    #[error("{path}: tensor {name} holds {value} at element {element}; the weights are damaged or training diverged")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Row-major index.
        element: usize,
        /// NaN or infinity.
        value: f32,
    },
    /// Token ids that the model has no row for.
    #[error("token id {id} at row {row}, position {position} is not in the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The id.
        id: i64,
        /// Row of the batch.
        row: usize,
        /// Position in the row.
        position: usize,
        /// Ids of the model.
        vocab_size: usize,
    },
    /// More positions than the model has.
    #[error("{tokens} tokens are more than the model's {limit} positions")]
    TooLong {
        /// Asked for.
        tokens: usize,
        /// max_seq_len.
        limit: usize,
    },
    /// Memory.
    #[error(transparent)]
    OutOfMemory(#[from] moeworks_ops::OutOfMemory),
    /// A preset or size that does not exist.
    #[error("no model preset {name:?}{hint}; presets: {known}")]
    UnknownPreset {
        /// Asked for.
        name: String,
        /// Did you mean.
        hint: String,
        /// All of them.
        known: String,
    },
}

impl ModelError {
    /// An I/O error with its path.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => ModelError::Missing { path: path.to_path_buf() },
            _ => ModelError::Io { path: path.to_path_buf(), source },
        }
    }
}
