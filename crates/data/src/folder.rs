//! A built data set, looked at: its account, its samples, and the documents behind them.

use crate::{
    DataError, Document, DocumentId, Drop, Reject, Summary,
    account::{DROPPED_NAME, REJECTS_NAME, SCHEMA, SUMMARY_NAME, Tally, hash_file},
    json_lines::json_lines,
    mds::{Dataset, ReaderOptions, Sample, Value},
    pack::{DOCUMENTS, HELD_OUT, TOKENS, TRAIN},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, ErrorKind},
    ops::Range,
    path::{Path, PathBuf},
};

/// A folder that [`crate::build`] has written.
#[derive(Debug)]
pub struct DataFolder {
    folder: PathBuf,
    summary: Summary,
    train: Dataset,
    documents: Dataset,
}

/// A document that was trained on, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocumentRecord {
    /// Hash of the text.
    pub id: DocumentId,
    /// Name of the source in the recipe.
    pub source: String,
    /// Where in the source it was found.
    pub path: String,
    /// Licence, where one is stated.
    pub licence: Option<String>,
    /// Language, where it is known.
    pub language: Option<String>,
    /// Bytes of its text.
    pub bytes: u64,
    /// Its place in the row of all tokens; sample k holds the tokens from k x sequence length on.
    pub tokens: Range<u64>,
}

/// A document in a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The document.
    pub document: DocumentRecord,
    /// Its place in the sample.
    pub positions: Range<usize>,
}

/// Documents that belong together: a package, or a folder directly below a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Name of the source in the recipe.
    pub source: String,
    /// First part of the documents' path.
    pub name: String,
    /// Licence, where one is stated.
    pub licence: Option<String>,
    /// How much of it was trained on.
    pub amount: Tally,
}

impl DocumentRecord {
    pub(crate) fn of(document: &Document, tokens: Range<u64>) -> Self {
        let Document { id, source, path, licence, language, text } = document.clone();
        Self { id, source, path, licence, language, bytes: text.len() as u64, tokens }
    }
}

impl DataFolder {
    /// Opens a folder, and checks that its account and its indices belong together.
    ///
    /// # Errors
    /// If there is no account in it, or something does not agree.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(SUMMARY_NAME);
        let text = fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => DataError::Missing {
                path: path.clone(),
                fix: "this folder was not built here; build one with `moeworks data build`".into(),
            },
            _ => DataError::Read { path: path.clone(), source: error },
        })?;
        let damaged = |reason| DataError::Damaged { path: path.clone(), reason };
        let summary: Summary =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("is no account of a data set: {error}")))?;
        if summary.schema != SCHEMA {
            return Err(damaged(format!("version {}, this program knows {SCHEMA}: build it again", summary.schema)));
        }
        for file in summary.files.iter().filter(|file| ![REJECTS_NAME, DROPPED_NAME].contains(&file.path.as_str())) {
            check_file(folder, &file.path, file.bytes, &file.sha256)?;
        }
        let open = |name: &str| Dataset::open(&folder.join(name), ReaderOptions::default());
        let (train, documents) = (open(TRAIN)?, open(DOCUMENTS)?);
        for (what, found, stated) in
            [("samples", train.len(), summary.samples), ("documents", documents.len(), summary.train.documents)]
        {
            if found != stated {
                return Err(damaged(format!("{stated} {what}, but the shards hold {found}")));
            }
        }
        Ok(Self { folder: folder.into(), summary, train, documents })
    }

    /// The account.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The samples to train on.
    #[must_use]
    pub fn train(&self) -> &Dataset {
        &self.train
    }

    /// The token ids of a sample.
    ///
    /// # Errors
    /// If there is no such sample or its shard is damaged.
    pub fn sample(&self, sample: u64) -> Result<Vec<i32>, DataError> {
        let mut buffer = Vec::new();
        let array = self.train.array(sample, TOKENS, &mut buffer)?;
        let ids: Option<Vec<i32>> =
            array.integers().and_then(|ids| ids.map(|id| i32::try_from(id).ok()).collect::<Option<_>>());
        Ok(ids.ok_or_else(|| self.train.complain(sample, "its tokens are no 32-bit integers".into()))?)
    }

    /// The documents in a sample, in order.
    ///
    /// # Errors
    /// If there is no such sample or a shard is damaged.
    pub fn documents_in(&self, sample: u64) -> Result<Vec<Span>, DataError> {
        self.train.locate(sample)?;
        let length = self.summary.sequence_length as u64;
        let (begin, end) = (sample * length, (sample + 1) * length);
        let mut spans = Vec::new();
        for number in self.number_at(begin)?..self.documents.len() {
            let document = self.document(number)?;
            if document.tokens.start >= end {
                break;
            }
            let positions = document.tokens.start.max(begin) - begin..document.tokens.end.min(end) - begin;
            spans.push(Span { document, positions: positions.start as usize..positions.end as usize });
        }
        Ok(spans)
    }

    /// The document at a position in the row of all tokens.
    ///
    /// # Errors
    /// If there is no such position or a shard is damaged.
    pub fn document_at(&self, token: u64) -> Result<DocumentRecord, DataError> {
        let tokens = self.summary.train.tokens;
        if token >= tokens {
            let reason = format!("token {token} asked for, but there are {tokens}");
            return Err(DataError::Damaged { path: self.folder.clone(), reason });
        }
        self.document(self.number_at(token)?)
    }

    /// The documents trained on, in order.
    pub fn documents(&self) -> impl Iterator<Item = Result<DocumentRecord, DataError>> {
        (0..self.documents.len()).map(|number| self.document(number))
    }

    /// The held-out documents with their texts, in order; none if the recipe held none out.
    ///
    /// # Errors
    /// If their index is missing or contradicts itself.
    pub fn held_out(&self) -> Result<impl Iterator<Item = Result<Document, DataError>> + use<>, DataError> {
        Ok(self.held_out_rows()?.map(|row| row.map(|(document, _)| document)))
    }

    /// The held-out documents and the numbers of their tokens.
    pub(crate) fn held_out_rows(
        &self,
    ) -> Result<impl Iterator<Item = Result<(Document, u64), DataError>> + use<>, DataError> {
        let dataset = match self.summary.held_out.documents {
            0 => None,
            _ => Some(Dataset::open(&self.folder.join(HELD_OUT), ReaderOptions::default())?),
        };
        Ok(dataset.into_iter().flat_map(|dataset| {
            (0..dataset.len()).map(move |number| {
                let mut sample = dataset.get(number)?;
                let mut fields = Fields { dataset: &dataset, number, sample: &mut sample };
                let document = Document {
                    id: fields.id()?,
                    text: fields.text("text")?,
                    source: fields.text("source")?,
                    path: fields.text("path")?,
                    licence: fields.stated("licence")?,
                    language: fields.stated("language")?,
                };
                Ok((document, fields.number("tokens")?))
            })
        }))
    }

    /// What was rejected while building.
    ///
    /// # Errors
    /// If the list is missing.
    pub fn rejects(&self) -> Result<impl Iterator<Item = Result<Reject, DataError>> + use<>, DataError> {
        let path = self.folder.join(REJECTS_NAME);
        let file = File::open(&path).map_err(|error| DataError::reading(&path, error))?;
        Ok(json_lines(BufReader::new(file), path))
    }

    /// The documents that were dropped while building.
    ///
    /// # Errors
    /// If the list is missing.
    pub fn dropped(&self) -> Result<impl Iterator<Item = Result<Drop, DataError>> + use<>, DataError> {
        let path = self.folder.join(DROPPED_NAME);
        let file = File::open(&path).and_then(zstd::Decoder::new).map_err(|error| DataError::reading(&path, error))?;
        Ok(json_lines(BufReader::new(file), path))
    }

    /// What was trained on by package or folder, with licences: the list that attribution needs.
    ///
    /// # Errors
    /// If a shard is damaged.
    pub fn works(&self) -> Result<Vec<Work>, DataError> {
        let mut works: BTreeMap<(String, String, Option<String>), Tally> = BTreeMap::new();
        for document in self.documents() {
            let DocumentRecord { source, path, licence, bytes, tokens, .. } = document?;
            let name = path.split(['/', '#']).next().unwrap_or_default().to_owned();
            works.entry((source, name, licence)).or_default().add(bytes, tokens.end - tokens.start);
        }
        Ok(works.into_iter().map(|((source, name, licence), amount)| Work { source, name, licence, amount }).collect())
    }

    /// Checks every file of the data set against the account: sizes, offsets, hashes, and that every value can be
    /// decoded. `each` is told the bytes of every shard that has passed.
    ///
    /// # Errors
    /// What is wrong with the first file that fails.
    pub fn verify(&self, mut each: impl FnMut(u64)) -> Result<(), DataError> {
        for file in &self.summary.files {
            check_file(&self.folder, &file.path, file.bytes, &file.sha256)?;
        }
        self.train.verify(&mut each)?;
        self.documents.verify(&mut each)?;
        if self.summary.held_out.documents > 0 {
            Dataset::open(&self.folder.join(HELD_OUT), ReaderOptions::default())?.verify(&mut each)?;
        }
        Ok(())
    }

    /// Number of the last document that begins at or before a token.
    fn number_at(&self, token: u64) -> Result<u64, DataError> {
        let (mut low, mut high) = (0, self.documents.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.document(middle)?.tokens.start <= token { low = middle } else { high = middle }
        }
        Ok(low)
    }

    pub(crate) fn documents_stored(&self) -> u64 {
        self.documents.len()
    }

    pub(crate) fn document(&self, number: u64) -> Result<DocumentRecord, DataError> {
        let mut sample = self.documents.get(number)?;
        let mut fields = Fields { dataset: &self.documents, number, sample: &mut sample };
        let (start, tokens) = (fields.number("start")?, fields.number("tokens")?);
        Ok(DocumentRecord {
            id: fields.id()?,
            source: fields.text("source")?,
            path: fields.text("path")?,
            licence: fields.stated("licence")?,
            language: fields.stated("language")?,
            bytes: fields.number("bytes")?,
            tokens: start
                ..start
                    .checked_add(tokens)
                    .ok_or_else(|| self.documents.complain(number, format!("{tokens} tokens from {start} on")))?,
        })
    }
}

fn check_file(folder: &Path, name: &str, bytes: u64, sha256: &str) -> Result<(), DataError> {
    let path = folder.join(name);
    let (found_bytes, found) = hash_file(&path)?;
    if (found_bytes, found.as_str()) != (bytes, sha256) {
        let reason = format!(
            "{found_bytes} bytes with SHA-256 {found}, but {SUMMARY_NAME} says {bytes} bytes with {sha256}: \
             the file has changed; restore it from a copy, or build the data set again"
        );
        return Err(DataError::Damaged { path, reason });
    }
    Ok(())
}

/// The columns of a row, with errors that name its place.
struct Fields<'a> {
    dataset: &'a Dataset,
    number: u64,
    sample: &'a mut Sample,
}

impl Fields<'_> {
    /// Can be had once.
    fn text(&mut self, column: &str) -> Result<String, DataError> {
        self.sample.take_text(column).ok_or_else(|| self.wrong(format!("no text in column {column:?}")))
    }

    /// `None` where the column is empty.
    fn stated(&mut self, column: &str) -> Result<Option<String>, DataError> {
        self.text(column).map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    fn number(&self, column: &str) -> Result<u64, DataError> {
        match self.sample.get(column) {
            Some(Value::UInt64(number)) => Ok(*number),
            _ => Err(self.wrong(format!("no number in column {column:?}"))),
        }
    }

    fn id(&mut self) -> Result<DocumentId, DataError> {
        self.text("id")?.parse().map_err(|error| self.wrong(error))
    }

    fn wrong(&self, reason: String) -> DataError {
        self.dataset.complain(self.number, reason).into()
    }
}
