//! The account of a built data set: what went in, what was left out and why, what came out, and what it hashes to.
//! Saved as `data.json`; the same recipe over the same documents gives the same account.

use crate::{
    DataError, DocumentRecord, Recipe, Side,
    card::CARD_NAME,
    corpus::Changes,
    decontaminate::ContaminationReport,
    documents::Reject,
    mds::{HashAlgorithm, replace_file, sync_folder},
    repair::Repairs,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs::File, path::Path};

/// Name of the account in the folder of a data set.
pub const SUMMARY_NAME: &str = "data.json";

/// Version of the account.
pub const SCHEMA: u32 = 2;

/// Name of the list of dropped documents.
pub const DROPPED_NAME: &str = "dropped.jsonl.zst";

/// Folder of the tokenizer in a data set.
pub const TOKENIZER: &str = "tokenizer";

/// Name of the list of rejects.
pub const REJECTS_NAME: &str = "rejects.jsonl";

/// Stands in the accounts for a licence or language that nobody stated.
pub const NOT_STATED: &str = "not stated";

/// The account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Version of this account, [`SCHEMA`].
    pub schema: u32,
    /// Fingerprint of the tokenizer.
    pub tokenizer: String,
    /// Token ids are below this number.
    pub vocab_size: usize,
    /// Tokens per sample.
    pub sequence_length: usize,
    /// Samples to train on.
    pub samples: u64,
    /// Tokens behind the last whole sample, which are not trained on.
    pub dropped_tokens: u64,
    /// Documents trained on. Tokens count the marks at their ends, and the dropped tail.
    pub train: Tally,
    /// Documents held out.
    pub held_out: Tally,
    /// Both sides of each source.
    pub sources: BTreeMap<String, Sides>,
    /// Both sides of each licence.
    pub licences: BTreeMap<String, Sides>,
    /// Both sides of each language.
    pub languages: BTreeMap<String, Sides>,
    /// Documents that were dropped, by step and reason; each of them is in `dropped.jsonl.zst`.
    pub dropped: BTreeMap<String, BTreeMap<String, Dropped>>,
    /// What was repaired in the documents that are used.
    #[serde(default, skip_serializing_if = "Repairs::is_nothing")]
    pub repairs: Repairs,
    /// How many times each kind of personal data was replaced in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redacted: BTreeMap<String, u64>,
    /// How the documents overlap with evaluation sets, where the recipe asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contamination: Option<ContaminationReport>,
    /// How many things were rejected, by reason; each of them is in `rejects.jsonl`.
    pub rejects: BTreeMap<String, u64>,
    /// Fingerprints of the samples before documents were removed, the oldest first: what earlier runs were trained on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
    /// What was asked for.
    pub recipe: Recipe,
    /// Files that stand for all others: the indices hold the hashes of the shards.
    pub files: Vec<FileRecord>,
}

/// An amount of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Number of documents.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// Their tokens, with the marks at their ends.
    pub tokens: u64,
}

/// An amount on each side of the split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sides {
    /// Trained on.
    pub train: Tally,
    /// Held out.
    pub held_out: Tally,
}

/// An amount that did not come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Number of documents.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
}

/// A file of the data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Path in the folder, with forward slashes.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    pub(crate) fn of(folder: &Path, path: &str) -> Result<Self, DataError> {
        let (bytes, sha256) = hash_file(&folder.join(path))?;
        Ok(Self { path: path.into(), bytes, sha256 })
    }
}

/// Length and SHA-256 of a file.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, String), DataError> {
    let mut hasher = HashAlgorithm::Sha256.start();
    let mut file = File::open(path).map_err(|error| DataError::reading(path, error))?;
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(|error| DataError::reading(path, error))?;
    Ok((bytes, hasher.finish()))
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: u64, tokens: u64) {
        self.documents += 1;
        self.bytes += bytes;
        self.tokens += tokens;
    }
}

impl Summary {
    /// Writes the account into the folder it speaks of, and the data card that says the same in words.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), DataError> {
        let card = folder.join(CARD_NAME);
        replace_file(&card, crate::card::card(self).as_bytes()).map_err(DataError::writing(&card))?;
        let path = folder.join(SUMMARY_NAME);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| DataError::Damaged { path: path.clone(), reason: error.to_string() })?;
        replace_file(&path, (text + "\n").as_bytes())
            .and_then(|()| sync_folder(folder))
            .map_err(DataError::writing(&path))
    }

    /// What a step dropped, for whatever reason.
    #[must_use]
    pub fn dropped_by(&self, step: &str) -> Dropped {
        let reasons = self.dropped.get(step).into_iter().flat_map(BTreeMap::values);
        reasons.fold(Dropped::default(), |sum, one| Dropped {
            documents: sum.documents + one.documents,
            bytes: sum.bytes + one.bytes,
        })
    }
}

impl Sides {
    /// One side.
    #[must_use]
    pub fn of(&self, side: Side) -> &Tally {
        match side {
            Side::Train => &self.train,
            Side::HeldOut => &self.held_out,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut Tally {
        match side {
            Side::Train => &mut self.train,
            Side::HeldOut => &mut self.held_out,
        }
    }
}

impl Dropped {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.documents += 1;
        self.bytes += bytes;
    }
}

/// The parts of the account that grow document by document.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) all: Sides,
    pub(crate) sources: BTreeMap<String, Sides>,
    pub(crate) licences: BTreeMap<String, Sides>,
    pub(crate) languages: BTreeMap<String, Sides>,
    pub(crate) dropped: BTreeMap<String, BTreeMap<String, Dropped>>,
    pub(crate) repairs: Repairs,
    pub(crate) redacted: BTreeMap<String, u64>,
    pub(crate) rejects: BTreeMap<String, u64>,
}

impl Ledger {
    /// Takes a document in; one that is held out has its tokens from 0 on.
    pub(crate) fn keep(&mut self, document: &DocumentRecord, side: Side) {
        let DocumentRecord { source, licence, language, bytes, tokens, .. } = document;
        let tokens = tokens.end - tokens.start;
        self.all.of_mut(side).add(*bytes, tokens);
        let stated = |text: &Option<String>| text.clone().unwrap_or_else(|| NOT_STATED.into());
        self.sources.entry(source.clone()).or_default().of_mut(side).add(*bytes, tokens);
        self.licences.entry(stated(licence)).or_default().of_mut(side).add(*bytes, tokens);
        self.languages.entry(stated(language)).or_default().of_mut(side).add(*bytes, tokens);
    }

    pub(crate) fn drop(&mut self, drop: &crate::corpus::Drop) {
        self.dropped.entry(drop.step.clone()).or_default().entry(drop.reason.clone()).or_default().add(drop.bytes);
    }

    pub(crate) fn change(&mut self, changes: &Changes) {
        self.repairs += changes.repairs;
        for kind in &changes.redacted {
            *self.redacted.entry(kind.name().into()).or_default() += 1;
        }
    }

    pub(crate) fn reject(&mut self, reject: &Reject) {
        *self.rejects.entry(reject.reason.name().into()).or_default() += 1;
    }
}
