//! Where things come from and where they went: a phrase to its documents, a document to its shards.

use crate::{DataError, DataFolder, DocumentId, DocumentRecord, Drop};
use memchr::memmem::Finder;
use rayon::prelude::*;
use serde::Serialize;
use std::{collections::BTreeSet, ops::Range};

/// Documents that are searched at once.
const BATCH: u64 = 4096;

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Trace {
    /// It is trained on.
    Train {
        /// The document.
        document: DocumentRecord,
        /// The samples that hold its tokens; those behind the last whole sample are in none.
        samples: Range<u64>,
        /// The shard files that hold these samples.
        shards: Vec<String>,
    },
    /// It is held out.
    HeldOut {
        /// The document; its tokens are counted from 0.
        document: DocumentRecord,
    },
    /// It was read, and is not used.
    Dropped {
        /// Why.
        drop: Drop,
    },
}

/// A place where a phrase stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Occurrence {
    /// The document; of a held-out one the tokens are counted from 0.
    pub document: DocumentRecord,
    /// Whether it is trained on.
    pub held_out: bool,
    /// How often the phrase stands in it.
    pub times: usize,
    /// Bytes of its text before the first time.
    pub offset: usize,
}

impl DataFolder {
    /// What became of a document. `None` if it was never read.
    ///
    /// # Errors
    /// If a shard is damaged.
    pub fn trace(&self, id: &DocumentId) -> Result<Option<Trace>, DataError> {
        if let Some(document) = self.trained_on(&BTreeSet::from([*id]))?.pop() {
            let samples = self.samples_of(&document);
            let shards = self.shards_of(&samples);
            return Ok(Some(Trace::Train { document, samples, shards }));
        }
        for row in self.held_out_rows()? {
            let (document, tokens) = row?;
            if document.id == *id {
                return Ok(Some(Trace::HeldOut { document: DocumentRecord::of(&document, 0..tokens) }));
            }
        }
        for drop in self.dropped()? {
            let drop = drop?;
            if drop.id == *id {
                return Ok(Some(Trace::Dropped { drop }));
            }
        }
        Ok(None)
    }

    /// Those of some documents that are trained on, in the order of their tokens.
    ///
    /// # Errors
    /// If a shard is damaged.
    pub fn trained_on(&self, ids: &BTreeSet<DocumentId>) -> Result<Vec<DocumentRecord>, DataError> {
        self.documents().filter(|one| one.as_ref().map_or(true, |document| ids.contains(&document.id))).collect()
    }

    /// The samples that hold tokens of a document that is trained on.
    #[must_use]
    pub fn samples_of(&self, document: &DocumentRecord) -> Range<u64> {
        let (length, samples) = (self.summary().sequence_length as u64, self.summary().samples);
        (document.tokens.start / length).min(samples)..document.tokens.end.div_ceil(length).min(samples)
    }

    fn shards_of(&self, samples: &Range<u64>) -> Vec<String> {
        let mut first = 0;
        let mut names = Vec::new();
        for shard in self.train().shards() {
            let file = shard.zip_data.as_ref().unwrap_or(&shard.raw_data);
            if first < samples.end && first + shard.samples > samples.start {
                names.push(file.basename.clone());
            }
            first += shard.samples;
        }
        names
    }

    /// The documents in which a phrase stands, trained on or held out, in order. `bytes_of` gives the bytes of a token.
    /// What is behind the last whole sample is not searched, because its tokens are not kept.
    ///
    /// # Errors
    /// If a shard is damaged.
    pub fn find<'t>(
        &self,
        phrase: &str,
        bytes_of: impl Fn(u32) -> &'t [u8] + Sync,
    ) -> Result<Vec<Occurrence>, DataError> {
        let finder = Finder::new(phrase);
        let occurrence = |document: DocumentRecord, held_out: bool, text: &[u8]| {
            let offset = finder.find(text)?;
            Some(Occurrence { document, held_out, times: finder.find_iter(text).count(), offset })
        };
        let mut found = Vec::new();
        let documents = self.documents_stored();
        for first in (0..documents).step_by(BATCH as usize) {
            let batch: Vec<Option<Occurrence>> = (first..documents.min(first + BATCH))
                .into_par_iter()
                .map(|number| {
                    let document = self.document(number)?;
                    let text = self.bytes_of(&document, &bytes_of)?;
                    Ok(occurrence(document, false, &text))
                })
                .collect::<Result<_, DataError>>()?;
            found.extend(batch.into_iter().flatten());
        }
        for row in self.held_out_rows()? {
            let (document, tokens) = row?;
            found.extend(occurrence(DocumentRecord::of(&document, 0..tokens), true, document.text.as_bytes()));
        }
        Ok(found)
    }

    /// The bytes that a document's tokens stand for.
    fn bytes_of<'t>(
        &self,
        document: &DocumentRecord,
        bytes_of: &(impl Fn(u32) -> &'t [u8] + Sync),
    ) -> Result<Vec<u8>, DataError> {
        let length = self.summary().sequence_length as u64;
        let mut text = Vec::with_capacity(document.bytes as usize);
        for sample in self.samples_of(document) {
            let ids = self.sample(sample)?;
            let begin = sample * length;
            let inside = document.tokens.start.max(begin) - begin..document.tokens.end.min(begin + length) - begin;
            for &id in ids.get(inside.start as usize..inside.end as usize).unwrap_or_default() {
                text.extend_from_slice(bytes_of(id as u32));
            }
        }
        Ok(text)
    }
}
