//! The recipe: which documents, how many of them, and what becomes of them. A recipe is a TOML file; the same recipe
//! over the same documents gives the same bytes. Paths in it are relative to the working directory.

use crate::{
    DataError,
    documents::{DocumentId, is_jsonl},
    mds::{Compression, DEFAULT_SIZE_LIMIT, HashAlgorithm},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

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
            exclude: Vec::new(),
            sources: Vec::new(),
        }
    }
}

/// A place that documents come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Source {
    /// A tree of text files.
    Tree(Tree),
    /// JSON lines.
    Jsonl(Jsonl),
    /// The crates that cargo has unpacked on this machine.
    CargoRegistry(CargoRegistry),
}

/// A folder of text files (source code, Markdown, plain text, each optionally .gz or .zst), or one such file.
/// `.gitignore` and `.ignore` files in it are honoured, hidden files and links are skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// The folder or file.
    pub path: PathBuf,
    /// Name in every account; the last part of the path unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Licence of all its documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Only files with these extensions (without the dot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<String>>,
    /// Larger files are rejected.
    #[serde(default = "Tree::default_max_file_bytes")]
    pub max_file_bytes: u64,
}

/// A file of JSON lines, or a folder of them (`.jsonl`, `.ndjson`, each optionally .gz or .zst).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jsonl {
    /// The file or folder.
    pub path: PathBuf,
    /// Name in every account; the last part of the path unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Licence of the documents whose row states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Key of the text.
    #[serde(default = "Jsonl::default_text_key")]
    pub text_key: String,
    /// Key of the licence.
    #[serde(default = "Jsonl::default_licence_key")]
    pub licence_key: String,
    /// Key of the language.
    #[serde(default = "Jsonl::default_language_key")]
    pub language_key: String,
    /// Longer rows are rejected.
    #[serde(default = "Jsonl::default_max_row_bytes")]
    pub max_row_bytes: u64,
}

/// Rust and Markdown files of the crates in cargo's registry. A crate without a readable licence is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CargoRegistry {
    /// Name in every account.
    pub name: String,
    /// Cargo's home; `CARGO_HOME` or `~/.cargo` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cargo_home: Option<PathBuf>,
    /// Extensions of the files that are read.
    pub extensions: Vec<String>,
    /// Larger files are rejected; they are generated as a rule.
    pub max_file_bytes: u64,
}

impl Tree {
    fn default_max_file_bytes() -> u64 {
        16 << 20
    }

    /// A tree with the defaults.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, name: None, licence: None, extensions: None, max_file_bytes: Self::default_max_file_bytes() }
    }
}

impl Jsonl {
    fn default_text_key() -> String {
        "text".into()
    }

    fn default_licence_key() -> String {
        "license".into()
    }

    fn default_language_key() -> String {
        "language".into()
    }

    fn default_max_row_bytes() -> u64 {
        64 << 20
    }

    /// JSON lines with the defaults.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            name: None,
            licence: None,
            text_key: Self::default_text_key(),
            licence_key: Self::default_licence_key(),
            language_key: Self::default_language_key(),
            max_row_bytes: Self::default_max_row_bytes(),
        }
    }
}

impl Default for CargoRegistry {
    fn default() -> Self {
        Self {
            name: "cargo-registry".into(),
            cargo_home: None,
            extensions: vec!["rs".into(), "md".into()],
            max_file_bytes: 1 << 20,
        }
    }
}

impl Source {
    /// What a path most likely is: JSON lines if it is such a file, or a folder whose files are all such; else a tree.
    ///
    /// # Errors
    /// If there is nothing at the path.
    pub fn at(path: &Path) -> Result<Self, DataError> {
        let failed = |error| DataError::reading(path, error);
        let files: Vec<String> = if fs::metadata(path).map_err(failed)?.is_dir() {
            let entries = fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
            let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.filter(|name| !name.starts_with('.')).collect()
        } else {
            vec![path.to_string_lossy().into_owned()]
        };
        Ok(if !files.is_empty() && files.iter().all(|name| is_jsonl(name)) {
            Self::Jsonl(Jsonl::new(path.into()))
        } else {
            Self::Tree(Tree::new(path.into()))
        })
    }

    /// Name in every account.
    #[must_use]
    pub fn name(&self) -> String {
        let (name, path) = match self {
            Self::Tree(tree) => (&tree.name, &tree.path),
            Self::Jsonl(jsonl) => (&jsonl.name, &jsonl.path),
            Self::CargoRegistry(registry) => return registry.name.clone(),
        };
        let last = || path.file_name().map_or("documents".into(), |last| last.to_string_lossy().into_owned());
        name.clone().unwrap_or_else(last)
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
