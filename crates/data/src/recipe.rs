//! The recipe: which documents, how many of them, and what becomes of them. A recipe is a TOML file; the same recipe
//! over the same documents gives the same bytes. Paths in it are relative to the working directory.

use crate::{
    Clean, DataError, Source,
    documents::DocumentId,
    mds::{Compression, DEFAULT_SIZE_LIMIT, HashAlgorithm},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fs, path::Path};

/// What to build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Tokens per sample.
    pub sequence_length: usize,
    /// Share of the documents that is kept out of training, 0 to 1 (exclusive). 0 keeps none out.
    pub held_out: f64,
    /// Decides which documents are held out, and which are taken where `max_bytes` leaves some out.
    pub seed: u64,
    /// At most so many bytes of text, as an even sample over all documents. None: everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Compression of the shards of tokens, such as "zstd:3". None: they are read in any order at full speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Hashes of every shard file.
    pub hashes: Vec<String>,
    /// Size of a shard in bytes.
    pub shard_bytes: u64,
    /// What happens to documents before they are tokenised.
    #[serde(skip_serializing_if = "Clean::is_default")]
    pub clean: Clean,
    /// Documents that are left out, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<DocumentId>,
    /// Where the documents come from, in this order: `[[source]]` tables in TOML.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            sequence_length: 2048,
            held_out: 0.01,
            seed: 0,
            max_bytes: None,
            compression: None,
            hashes: vec![HashAlgorithm::Xxh3_64.to_string()],
            shard_bytes: DEFAULT_SIZE_LIMIT,
            clean: Clean::default(),
            exclude: Vec::new(),
            sources: Vec::new(),
        }
    }
}

impl Recipe {
    /// Reads and checks a recipe file.
    ///
    /// # Errors
    /// If it cannot be read, is no TOML, has a key that is not known, or a value that cannot be.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = fs::read_to_string(path).map_err(|error| DataError::reading(path, error))?;
        let recipe: Self = toml::from_str(&text)
            .map_err(|error| DataError::Recipe { key: path.display().to_string(), reason: error.to_string() })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Whether every value is one that can be worked with. [`crate::build`] asks this first.
    ///
    /// # Errors
    /// The first key whose value cannot be.
    pub fn check(&self) -> Result<(), DataError> {
        let wrong = |key: &str, reason: String| Err(DataError::Recipe { key: key.into(), reason });
        if self.sequence_length < 2 || self.sequence_length > 1 << 24 {
            return wrong("sequence_length", format!("{} is not between 2 and 16777216", self.sequence_length));
        }
        if !(0.0..1.0).contains(&self.held_out) {
            return wrong("held_out", format!("{} is not a share from 0 to below 1", self.held_out));
        }
        if self.max_bytes == Some(0) {
            return wrong("max_bytes", "0 leaves no document; leave the key out to take all".into());
        }
        if self.shard_bytes == 0 || self.shard_bytes > u32::MAX.into() {
            return wrong("shard_bytes", format!("{} is not between 1 and {}", self.shard_bytes, u32::MAX));
        }
        if let Err(error) = self.compression() {
            return wrong("compression", error.to_string());
        }
        if let Err(error) = self.hashes() {
            return wrong("hashes", error.to_string());
        }
        // Kept steps are told apart by the recipe's JSON.
        if let Err(error) = serde_json::to_vec(self) {
            return wrong("path", format!("{error}; rename what is not UTF-8"));
        }
        self.clean.check()?;
        if self.sources.is_empty() {
            return wrong("source", "there is none; add a [[source]] table with kind and path".into());
        }
        let mut names = BTreeSet::new();
        for source in &self.sources {
            let name = source.name();
            if name.is_empty() {
                return wrong("source.name", "is empty".into());
            }
            if !names.insert(name.clone()) {
                return wrong("source.name", format!("{name:?} is used twice; give one of them another name"));
            }
        }
        Ok(())
    }

    pub(crate) fn compression(&self) -> Result<Option<Compression>, DataError> {
        Ok(self.compression.as_deref().map(str::parse).transpose()?)
    }

    pub(crate) fn hashes(&self) -> Result<Vec<HashAlgorithm>, DataError> {
        Ok(self.hashes.iter().map(|name| name.parse()).collect::<Result<_, _>>()?)
    }
}
