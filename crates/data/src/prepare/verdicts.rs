//! Decisions about single documents, found in all threads and kept as a list of those that are dropped.

use crate::{
    Counts, DataError, Document, Progress,
    batches::batches,
    corpus::Reading,
    documents::Found,
    json_lines::{finish_lines, json_lines, write_json_line},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, BufWriter},
    path::Path,
};

const NAME: &str = "dropped.jsonl";

/// Why a document is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// For counting.
    pub(crate) reason: String,
    /// The figures.
    pub(crate) detail: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// Number of the document in the order of reading, counted from 0.
    document: u64,
    #[serde(flatten)]
    verdict: Verdict,
}

/// The documents that one step drops.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(HashMap<u64, Verdict>);

impl Verdicts {
    pub(super) fn of(&self, document: u64) -> Option<&Verdict> {
        self.0.get(&document)
    }

    pub(super) fn read(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(NAME);
        let file = File::open(&path).map_err(|error| DataError::reading(&path, error))?;
        let lines = json_lines(BufReader::new(file), path);
        Ok(Self(
            lines
                .map(|line: Result<Line, _>| line.map(|line| (line.document, line.verdict)))
                .collect::<Result<_, _>>()?,
        ))
    }
}

/// Looks at every document and writes the list.
pub(super) fn judge(
    reading: Reading<'_>,
    folder: &Path,
    counts: &mut Counts,
    progress: &dyn Progress,
    verdict: impl Fn(Document) -> Option<Verdict> + Sync,
) -> Result<(), DataError> {
    let path = folder.join(NAME);
    let mut list = BufWriter::new(File::create(&path).map_err(DataError::writing(&path))?);
    let mut number = 0;
    let documents = reading.filter_map(document);
    for batch in batches(documents, |document| document.text.len()) {
        let batch = batch?;
        if progress.update(counts).is_break() {
            return Err(DataError::interrupted());
        }
        counts.documents += batch.len() as u64;
        counts.bytes += batch.iter().map(|document| document.text.len() as u64).sum::<u64>();
        let verdicts: Vec<Option<Verdict>> = batch.into_par_iter().map(&verdict).collect();
        for verdict in verdicts {
            if let Some(verdict) = verdict {
                write_json_line(&mut list, &path, &Line { document: number, verdict })?;
            }
            number += 1;
        }
    }
    finish_lines(list, &path)
}

fn document(found: Result<Found, DataError>) -> Option<Result<Document, DataError>> {
    match found {
        Ok(Found::Document(document)) => Some(Ok(document)),
        Ok(Found::Reject(_)) => None,
        Err(error) => Some(Err(error)),
    }
}
