//! What can be wrong with evaluation data, a suite, or a model that is evaluated.

use crate::rows::Place;
use std::path::{Path, PathBuf};

/// An error of this crate. Every message names the place, the numbers that disagree, and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file does not exist.
    #[error("{path}: no such file; check the path of the evaluation data")]
    Missing {
        /// The file looked for.
        path: PathBuf,
    },
    /// The system could not read a file, or its compression is damaged.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Text that is not UTF-8.
    #[error("{place}: byte {offset} is not UTF-8; convert the file to UTF-8")]
    NotUtf8 {
        /// File, and row where it has rows.
        place: Place,
        /// Bytes of the row, or of the file, before the bad one.
        offset: usize,
    },
    /// A row that is not a JSON object.
    #[error("{place}: not a JSON object: {reason}")]
    Json {
        /// File and row.
        place: Place,
        /// Column and cause.
        reason: String,
    },
    /// A row whose key is missing or has a value that cannot be.
    #[error("{place}: `{key}` {problem}")]
    Key {
        /// File and row.
        place: Place,
        /// The key.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A file without rows.
    #[error("{path}: has no rows; expected one JSON object a line")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Nothing to score.
    #[error("{name}: no text to score: all {documents} documents are empty")]
    NoText {
        /// What was evaluated.
        name: String,
        /// Documents seen.
        documents: usize,
    },
    /// A file whose first row has the keys of no task type, or of several.
    #[error(
        "{path}: cannot tell the task type from the keys {keys}: {candidates}; a row needs query, choices, gold \
         (multiple choice), context, continuation (language modelling) or context_options, continuation, gold (schema)"
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// Keys of its first row.
        keys: String,
        /// What they could be.
        candidates: String,
    },
    /// A task type that this version cannot run.
    #[error("task {task}: {kind} tasks are not supported yet; multiple choice, language modelling and schema are")]
    Unsupported {
        /// The task.
        task: String,
        /// Its type.
        kind: String,
    },
    /// A continuation that leaves no room for context.
    #[error(
        "{place}: the continuation has {tokens} tokens, but the model takes {context} at once and needs at least one \
         before it; shorten the row or evaluate with a longer context"
    )]
    TooLong {
        /// File and row.
        place: Place,
        /// Tokens of the continuation.
        tokens: usize,
        /// Tokens of a pass over one sequence.
        context: usize,
    },
    /// A continuation of no tokens, which no model can be right or wrong about.
    #[error("{place}: {what} is empty: there is nothing to predict")]
    NothingToPredict {
        /// File and row.
        place: Place,
        /// The continuation or choice.
        what: String,
    },
    /// A first token that nothing stands before.
    #[error(
        "{place}: nothing stands before the first token, and the tokenizer has neither a bos nor an eos token to \
         predict it from; add a bos_token or eos_token to tokenizer_config.json, or give the task a prompt_string"
    )]
    NoStart {
        /// File and row, or document.
        place: Place,
    },
    /// A tokenizer of another model.
    #[error(
        "the tokenizer has ids up to {highest}, but the model has {rows} embedding rows; evaluate with the tokenizer \
         that the model was trained with"
    )]
    Vocabulary {
        /// Highest id.
        highest: usize,
        /// vocab_size of the model.
        rows: usize,
    },
    /// A model prepared for so little that nothing can be scored.
    #[error("the model is prepared for {rows} rows of {length} positions; scoring needs at least 2 of each")]
    Limits {
        /// Rows of one pass.
        rows: usize,
        /// Positions of a sequence.
        length: usize,
    },
    /// A model whose answer is not a number.
    #[error("{place}: the model gives a loss of {nll}; its weights are damaged or its training diverged")]
    NotFinite {
        /// File and row, or document.
        place: Place,
        /// What it gave.
        nll: f64,
    },
    /// A description of a task or text run that cannot be.
    #[error("{place}: {key}: {problem}")]
    Description {
        /// Suite file, task or option.
        place: String,
        /// The key.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A suite that does not exist.
    #[error("no suite {name:?}; suites: {known}; or give the path of a suite file ending in .toml")]
    UnknownSuite {
        /// Asked for.
        name: String,
        /// All of them.
        known: String,
    },
    /// Several files that could be a task's.
    #[error("task {task}: {first} and {second} could both be its file; leave one of them, or name a smaller folder")]
    TwoFiles {
        /// The task.
        task: String,
        /// One of them.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// The caller asked to stop.
    #[error("{name}: interrupted after {done} prompts")]
    Interrupted {
        /// What was evaluated.
        name: String,
        /// Prompts scored.
        done: usize,
    },
}

impl EvalError {
    /// A failure to read, with its path.
    pub(crate) fn reading(path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => EvalError::Missing { path: path.to_path_buf() },
            _ => EvalError::Read { path: path.to_path_buf(), source },
        }
    }
}
