//! The documents of a source as they were read: a snapshot that every later step works on.

use crate::{
    Counts, DataError, Progress, Source,
    batches::batches,
    documents::{self, Document, Found, Reject},
    json_lines::{finish_lines, json_lines, write_json_line},
    mds::{Compression, Dataset, Encoding, ReaderOptions, Value, Writer, WriterOptions},
    signals::detect_language,
};
use rayon::prelude::*;
use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

const TEXTS: &str = "texts";
const REJECTS: &str = "rejects.jsonl";

/// The read documents of one source.
#[derive(Debug)]
pub(crate) struct Stored {
    source: String,
    texts: Dataset,
    rejects: PathBuf,
}

/// Reads a source to its end into `folder`.
pub(super) fn read(
    source: &Source,
    folder: &Path,
    counts: &mut Counts,
    progress: &dyn Progress,
) -> Result<(), DataError> {
    let mut options = WriterOptions::new(columns());
    // Written once and read a few times: speed counts for more than size.
    options.compression = Some(Compression::Zstd(Some(1)));
    let mut texts = Writer::create(&folder.join(TEXTS), options)?;
    let path = folder.join(REJECTS);
    let mut rejects = BufWriter::new(File::create(&path).map_err(DataError::writing(&path))?);
    let bytes_of = |found: &Found| if let Found::Document(document) = found { document.text.len() } else { 0 };
    for batch in batches(documents::open(source)?, bytes_of) {
        let batch = batch?;
        if progress.update(counts).is_break() {
            return Err(DataError::interrupted());
        }
        for found in batch.into_par_iter().map(with_language).collect::<Vec<_>>() {
            match found {
                Found::Document(document) => {
                    counts.documents += 1;
                    counts.bytes += document.text.len() as u64;
                    texts.write(&row(document))?;
                }
                Found::Reject(reject) => write_json_line(&mut rejects, &path, &reject)?,
            }
        }
    }
    texts.finish()?;
    finish_lines(rejects, &path)
}

/// A document whose source does not state its language gets the one that its text is written in.
fn with_language(found: Found) -> Found {
    match found {
        Found::Document(document) if document.language.is_none() => {
            let language = detect_language(&document.text).map(str::to_owned);
            Found::Document(Document { language, ..document })
        }
        found => found,
    }
}

impl Stored {
    pub(super) fn open(source: &Source, folder: &Path) -> Result<Self, DataError> {
        // Read front to back: one shard in memory is enough.
        let options = ReaderOptions { cache_bytes: 0, ..ReaderOptions::default() };
        let texts = Dataset::open(&folder.join(TEXTS), options)?;
        Ok(Self { source: source.name(), texts, rejects: folder.join(REJECTS) })
    }

    /// Stands for all that was read.
    pub(crate) fn fingerprint(&self) -> &str {
        self.texts.fingerprint()
    }

    /// Bytes of all that was read, with the small columns beside the texts.
    pub(super) fn bytes(&self) -> u64 {
        self.texts.shards().map(|shard| shard.raw_data.bytes).sum()
    }

    pub(crate) fn len(&self) -> u64 {
        self.texts.len()
    }

    pub(crate) fn document(&self, number: u64) -> Result<Document, DataError> {
        let mut sample = self.texts.get(number)?;
        let mut text = |column| sample.take_text(column).unwrap_or_default();
        let stated = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Document {
            id: text("id").parse().map_err(|reason| self.texts.complain(number, reason))?,
            source: self.source.clone(),
            path: text("path"),
            licence: stated(text("licence")),
            language: stated(text("language")),
            text: text("text"),
        })
    }

    pub(crate) fn rejects(&self) -> Result<impl Iterator<Item = Result<Reject, DataError>> + Send + use<>, DataError> {
        let path = self.rejects.clone();
        let file = File::open(&path).map_err(|error| DataError::reading(&path, error))?;
        Ok(json_lines(BufReader::new(file), path))
    }
}

fn columns() -> Vec<(String, Encoding)> {
    ["id", "path", "licence", "language", "text"].map(|name| (name.to_owned(), Encoding::Str)).into()
}

fn row(document: Document) -> [Value; 5] {
    [
        Value::Str(document.id.to_string()),
        Value::Str(document.path),
        Value::Str(document.licence.unwrap_or_default()),
        Value::Str(document.language.unwrap_or_default()),
        Value::Str(document.text),
    ]
}
