//! Documents become samples: their ids one after the other, cut every N tokens, the tail dropped (as LLM Foundry does).

use crate::{
    DataError, Recipe,
    documents::Document,
    mds::{Compression, Dtype, Encoding, NdArray, Value, Writer, WriterOptions},
};
use std::path::Path;

/// Folders of a built data set.
pub(crate) const TRAIN: &str = "train";
pub(crate) const DOCUMENTS: &str = "documents";
pub(crate) const HELD_OUT: &str = "held-out";

/// The column of the token ids.
pub(crate) const TOKENS: &str = "tokens";

/// Writes the samples, and beside them a row for every document that says where in the row of all tokens it begins.
pub(crate) struct Packer {
    length: usize,
    pending: Vec<i32>,
    samples: Writer,
    documents: Writer,
    tokens: u64,
}

impl Packer {
    pub(crate) fn create(folder: &Path, recipe: &Recipe) -> Result<Self, DataError> {
        let mut options = WriterOptions::new(vec![(TOKENS.into(), Encoding::tokens())]);
        options.compression = recipe.compression()?;
        options.hashes = recipe.hashes()?;
        options.size_limit = Some(recipe.shard_bytes);
        let samples = Writer::create(&folder.join(TRAIN), options)?;
        let number = Encoding::Scalar(Dtype::UInt64);
        let mut columns = origin_columns();
        columns.extend(["bytes", "tokens", "start"].map(|name| (name.to_owned(), number.clone())));
        let documents = Writer::create(&folder.join(DOCUMENTS), side_options(columns, recipe)?)?;
        Ok(Self { length: recipe.sequence_length, pending: Vec::new(), samples, documents, tokens: 0 })
    }

    pub(crate) fn push(&mut self, document: &Document, ids: &[i32]) -> Result<(), DataError> {
        let mut row = origin(document);
        row.extend([document.text.len() as u64, ids.len() as u64, self.tokens].map(Value::UInt64));
        self.documents.write(&row)?;
        self.tokens += ids.len() as u64;
        self.pending.extend_from_slice(ids);
        let mut chunks = self.pending.chunks_exact(self.length);
        for chunk in &mut chunks {
            self.samples.write(&[Value::NdArray(NdArray::from_i32(chunk))])?;
        }
        let rest = chunks.remainder().len();
        self.pending.drain(..self.pending.len() - rest);
        Ok(())
    }

    /// Number of samples and of the tokens behind the last of them.
    pub(crate) fn finish(self) -> Result<(u64, u64), DataError> {
        let samples = self.samples.len();
        self.samples.finish()?;
        self.documents.finish()?;
        Ok((samples, self.pending.len() as u64))
    }
}

/// Writes the held-out documents as they are: evaluation needs their bytes.
pub(crate) fn held_out_writer(folder: &Path, recipe: &Recipe) -> Result<Writer, DataError> {
    let mut columns = origin_columns();
    columns.push(("text".into(), Encoding::Str));
    Ok(Writer::create(&folder.join(HELD_OUT), side_options(columns, recipe)?)?)
}

pub(crate) fn held_out_row(document: Document) -> Vec<Value> {
    let mut row = origin(&document);
    row.push(Value::Str(document.text));
    row
}

/// Text compresses well and is read from front to back.
fn side_options(columns: Vec<(String, Encoding)>, recipe: &Recipe) -> Result<WriterOptions, DataError> {
    let mut options = WriterOptions::new(columns);
    options.compression = Some(Compression::Zstd(None));
    options.hashes = recipe.hashes()?;
    options.size_limit = Some(recipe.shard_bytes);
    Ok(options)
}

fn origin_columns() -> Vec<(String, Encoding)> {
    ["id", "source", "path", "licence", "language"].map(|name| (name.to_owned(), Encoding::Str)).into()
}

/// Values for [`origin_columns`]; what is not known is empty.
fn origin(document: &Document) -> Vec<Value> {
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        Value::Str(document.id.to_string()),
        Value::Str(document.source.clone()),
        Value::Str(document.path.clone()),
        Value::Str(or_empty(&document.licence)),
        Value::Str(or_empty(&document.language)),
    ]
}
