//! Documents: where they come from and what they carry with them.
//!
//! Every source is a stream of [`Found`]: documents, and the things that could have been documents but are not, each
//! with its reason. A source never stops because one file or row is bad.

mod compressed;
mod id;
mod jsonl;
mod language;
mod registry;
mod reject;
mod text_file;
mod tree;

use crate::{DataError, recipe::Source};
pub use id::DocumentId;
pub(crate) use jsonl::is_jsonl;
pub use reject::{Reason, Reject};

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Hash of the text.
    pub id: DocumentId,
    /// The text, never empty.
    pub text: String,
    /// Name of the source in the recipe.
    pub source: String,
    /// Where in the source it was found, with forward slashes; rows of a file as `file#row`.
    pub path: String,
    /// Licence, where one is stated: an SPDX expression as a rule.
    pub licence: Option<String>,
    /// Language, where it is known: a programming language by the file's name, or what a row says of itself.
    pub language: Option<String>,
}

impl AsRef<str> for Document {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// What a source yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A document.
    Document(Document),
    /// Something that cannot be one.
    Reject(Reject),
}

/// A source under way.
pub type Stream = Box<dyn Iterator<Item = Found> + Send>;

/// Opens a source. Its order is the same on every machine that holds the same files.
///
/// # Errors
/// If the place it names does not exist or holds nothing of the kind.
pub fn open(source: &Source) -> Result<Stream, DataError> {
    let name = source.name();
    match source {
        Source::Tree(tree) => tree::open(name, tree),
        Source::Jsonl(jsonl) => jsonl::open(name, jsonl),
        Source::CargoRegistry(registry) => registry::open(name, registry),
    }
}

/// What a source holds now.
pub(crate) fn stamp(source: &Source) -> Result<Vec<String>, DataError> {
    Ok(open(source)?
        .map(|found| match found {
            Found::Document(document) => document.path + &document.id.to_string(),
            Found::Reject(reject) => reject.to_string(),
        })
        .collect())
}
