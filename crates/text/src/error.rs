//! What can go wrong, and what to do about it.

use std::path::{Path, PathBuf};

/// Every failure of this crate. The messages name the place, the figures that disagree and the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done: `read` or `write`.
        action: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file is not JSON at all.
    #[error("{} is not valid JSON: {source}; it is truncated or damaged: copy or export it again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// A file is JSON, but one of its keys does not hold what it must.
    #[error("{}: `{key}` {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Path of the key inside the file, such as `model.merges[17]`.
        key: String,
        /// What is wrong with it, and the fix.
        problem: String,
    },
    /// The chat template cannot be parsed or failed while it was rendered.
    #[error("chat template `{name}`{}: {message}", at_line(*.line))]
    Template {
        /// Name of the template, `default` for the usual one.
        name: String,
        /// Line in the template, when known.
        line: Option<usize>,
        /// The template engine's reason.
        message: String,
    },
    /// The chat template itself refused the conversation with `raise_exception`.
    #[error("the chat template refuses this conversation: {0}")]
    Refused(String),
    /// The chat template cuts or rewrites message text, so that it cannot be told apart from the template's own text.
    #[error(
        "chat template `{name}` {problem}, so message text cannot be told from the template's own text and could become \
         special tokens; use a template that inserts message text whole (trimming, splitting at white space and changing \
         case are fine)"
    )]
    Untraceable {
        /// Name of the template.
        name: String,
        /// What it did.
        problem: &'static str,
    },
    /// The tokenizer has no chat template and is not a ChatML one.
    #[error(
        "this tokenizer has no chat template: put a `chat_template` into its tokenizer_config.json, or prompt the model \
         with plain text"
    )]
    NoTemplate,
    /// A tokenizer cannot be trained as asked.
    #[error("cannot train the tokenizer: {0}")]
    Train(String),
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

impl TextError {
    pub(crate) fn key(path: &Path, key: impl Into<String>, problem: impl Into<String>) -> Self {
        TextError::Key { path: path.to_owned(), key: key.into(), problem: problem.into() }
    }
}
