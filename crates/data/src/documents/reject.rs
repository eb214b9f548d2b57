use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that could have been a document, and why it is none. One line of `rejects.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Name of the source in the recipe.
    pub source: String,
    /// File in the source, or folder if all of it was passed over.
    pub path: String,
    /// Row of the file, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub row: Option<u64>,
    /// What is wrong.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why something is no document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// A NUL byte: not text.
    Binary {
        /// Where in the file.
        offset: u64,
    },
    /// UTF-16 text, by its first two bytes.
    Utf16,
    /// Bytes that are no UTF-8.
    InvalidUtf8 {
        /// Where in the file, or in the row.
        offset: u64,
    },
    /// Larger than the source allows.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The system, or a decompressor, would not give it.
    Unreadable {
        /// Its words.
        detail: String,
    },
    /// A row that is no JSON object.
    InvalidJson {
        /// The parser's words.
        detail: String,
    },
    /// JSON written into a JSON string: what reads it gets the escapes for the text.
    DoubleEscaped {
        /// Where the string stands.
        detail: String,
    },
    /// A row without a text where one is expected.
    NoText {
        /// What was found.
        detail: String,
    },
    /// Nothing but white space.
    Empty,
    /// A package without a licence that can be read.
    NoLicence {
        /// What was found.
        detail: String,
    },
}

impl Reason {
    /// Short name, for counting.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Binary { .. } => "binary",
            Self::Utf16 => "utf16",
            Self::InvalidUtf8 { .. } => "invalid-utf8",
            Self::TooLarge { .. } => "too-large",
            Self::Unreadable { .. } => "unreadable",
            Self::InvalidJson { .. } => "invalid-json",
            Self::DoubleEscaped { .. } => "double-escaped",
            Self::NoText { .. } => "no-text",
            Self::Empty => "empty",
            Self::NoLicence { .. } => "no-licence",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary { offset } => write!(f, "binary: a NUL byte at offset {offset}"),
            Self::Utf16 => f.write_str("UTF-16 text; convert it with `iconv -t UTF-8`"),
            Self::InvalidUtf8 { offset } => write!(f, "invalid UTF-8 at byte {offset}"),
            Self::TooLarge { limit } => write!(f, "larger than the {limit} bytes which the source allows"),
            Self::Unreadable { detail } => write!(f, "cannot be read: {detail}"),
            Self::InvalidJson { detail } => write!(f, "no JSON object: {detail}"),
            Self::DoubleEscaped { detail } => write!(f, "JSON inside a JSON string: {detail}; unescape it once"),
            Self::NoText { detail } => write!(f, "no text: {detail}"),
            Self::Empty => f.write_str("nothing but white space"),
            Self::NoLicence { detail } => write!(f, "no licence: {detail}"),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.path)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
