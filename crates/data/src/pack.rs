//! Documents become samples: their ids one after the other, cut every N tokens, the tail dropped (as LLM Foundry does).

use crate::{
    DataError, DocumentId, DocumentRecord, Recipe,
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
        let samples = samples_writer(&folder.join(TRAIN), recipe)?;
        let documents = documents_writer(folder, recipe)?;
        Ok(Self { length: recipe.sequence_length, pending: Vec::new(), samples, documents, tokens: 0 })
    }

    pub(crate) fn push(&mut self, document: &Document, ids: &[i32]) -> Result<(), DataError> {
        let tokens = self.tokens..self.tokens + ids.len() as u64;
        self.tokens = tokens.end;
        self.documents.write(&record_row(&DocumentRecord::of(document, tokens)))?;
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

/// Writes samples of token ids.
pub(crate) fn samples_writer(folder: &Path, recipe: &Recipe) -> Result<Writer, DataError> {
    let mut options = WriterOptions::new(vec![(TOKENS.into(), Encoding::tokens())]);
    options.compression = recipe.compression()?;
    options.hashes = recipe.hashes()?;
    options.size_limit = Some(recipe.shard_bytes);
    Ok(Writer::create(folder, options)?)
}

/// Writes [`record_row`]s.
pub(crate) fn documents_writer(folder: &Path, recipe: &Recipe) -> Result<Writer, DataError> {
    let mut columns = origin_columns();
    columns.extend(["bytes", "tokens", "start"].map(number_column));
    Ok(Writer::create(&folder.join(DOCUMENTS), side_options(columns, recipe)?)?)
}

/// The row of a document that is trained on.
pub(crate) fn record_row(document: &DocumentRecord) -> Vec<Value> {
    let DocumentRecord { id, source, path, licence, language, bytes, tokens } = document;
    let mut row = origin(id, source, path, licence, language);
    row.extend([*bytes, tokens.end - tokens.start, tokens.start].map(Value::UInt64));
    row
}

/// Writes the held-out documents as they are: evaluation needs their bytes.
pub(crate) fn held_out_writer(folder: &Path, recipe: &Recipe) -> Result<Writer, DataError> {
    let mut columns = origin_columns();
    columns.extend([("text".into(), Encoding::Str), number_column("tokens")]);
    Ok(Writer::create(&folder.join(HELD_OUT), side_options(columns, recipe)?)?)
}

pub(crate) fn held_out_row(document: Document, tokens: u64) -> Vec<Value> {
    let Document { id, text, source, path, licence, language } = document;
    let mut row = origin(&id, &source, &path, &licence, &language);
    row.extend([Value::Str(text), Value::UInt64(tokens)]);
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

fn number_column(name: &str) -> (String, Encoding) {
    (name.into(), Encoding::Scalar(Dtype::UInt64))
}

fn origin_columns() -> Vec<(String, Encoding)> {
    ["id", "source", "path", "licence", "language"].map(|name| (name.to_owned(), Encoding::Str)).into()
}

/// Values for [`origin_columns`]; what is not known is empty.
fn origin(
    id: &DocumentId,
    source: &str,
    path: &str,
    licence: &Option<String>,
    language: &Option<String>,
) -> Vec<Value> {
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    [id.to_string(), source.into(), path.into(), or_empty(licence), or_empty(language)].map(Value::Str).into()
}
