//! Documents: where they come from and what they carry with them.
//!
//! Every source is a stream of [`Found`]: documents, and the things that could have been documents but are not, each
//! with its reason. A source never stops because one file or row is bad.

mod ahead;
mod compressed;
mod files;
mod format;
mod id;
mod jsonl;
mod language;
mod licence;
mod parquet;
mod registry;
mod reject;
#[cfg(feature = "remote")]
mod remote;
mod rows;
mod text_file;
mod tree;

use crate::{DataError, Source};
use files::Root;
pub use files::{FileStamp, Version};
pub(crate) use format::{Format, format_of_all};
pub use id::DocumentId;
pub(crate) use jsonl::{RawRow, kind, object, raw_rows};
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
    /// Where in the source it was found, with forward slashes; rows of a file as `file#row`, and behind it
    /// the path that the row itself states, if any.
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

/// A source under way. An error ends it: an object store does not answer, or files change while they are read.
pub type Stream = Box<dyn Iterator<Item = Result<Found, DataError>> + Send>;

/// What a source comes to next: something to be worked on, or what is already known.
enum Step<T> {
    Work(T),
    Done(Result<Found, DataError>),
}

type Steps<T> = Box<dyn Iterator<Item = Step<T>> + Send>;

impl<T> Step<T> {
    fn then<U>(self, work: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Self::Work(thing) => Step::Work(work(thing)),
            Self::Done(found) => Step::Done(found),
        }
    }
}

/// Opens a source. Its order is the same on every machine that holds the same files. Documents are decoded and hashed
/// in rayon's pool, some ahead of the one that is asked for.
///
/// # Errors
/// If the place it names does not exist or holds nothing of the kind.
pub fn open(source: &Source) -> Result<Stream, DataError> {
    let name = source.name();
    match source {
        Source::Tree(tree) => tree::open(name, tree, &Root::at(&tree.path)?),
        Source::Jsonl(jsonl) => jsonl::open(name, jsonl, &Root::at(&jsonl.path)?),
        Source::Parquet(parquet) => parquet::open(name, parquet, &Root::at(&parquet.path)?),
        Source::CargoRegistry(registry) => registry::open(name, registry),
    }
}

/// Every file that [`open`] would read, in that order, without reading any: documents and, where licences come from
/// files, those. Two equal lists promise equal documents. Of what the file system does not give, nothing is listed.
///
/// # Errors
/// As [`open`].
pub fn stamp(source: &Source) -> Result<Vec<FileStamp>, DataError> {
    let name = source.name();
    let steps = match source {
        Source::Tree(tree) => tree::list(name, tree, &Root::at(&tree.path)?)?,
        Source::Jsonl(jsonl) => jsonl::list(&name, jsonl, &Root::at(&jsonl.path)?)?,
        Source::Parquet(parquet) => parquet::list(&name, parquet, &Root::at(&parquet.path)?)?,
        Source::CargoRegistry(registry) => registry::list(name, registry)?,
    };
    steps
        .filter_map(|step| match step {
            Step::Work(stamp) => Some(Ok(stamp)),
            Step::Done(Err(error)) => Some(Err(error)),
            Step::Done(Ok(_)) => None,
        })
        .collect()
}
