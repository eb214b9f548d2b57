//! Where documents come from: the `[[source]]` tables of a recipe.
//!
//! Every `path` is a local path or a URL of an object store (`s3://`, `gs://`, `az://`, `http://`, `https://`, and
//! `file://`), which only a program with the feature `remote` can read.

use crate::{
    DataError,
    documents::{Format, format_of_all},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A place that documents come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Source {
    /// A tree of text files.
    Tree(Tree),
    /// JSON lines.
    Jsonl(RowFiles),
    /// Parquet files.
    Parquet(RowFiles),
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
    /// Licence of all its documents; with `detect_licence`, of those where none is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Whether to look for the licence of each file: its `SPDX-License-Identifier` line, else the licence file of the
    /// nearest folder above it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detect_licence: bool,
    /// Only files with these extensions (without the dot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<String>>,
    /// Larger files are rejected.
    #[serde(default = "Tree::default_max_file_bytes")]
    pub max_file_bytes: u64,
}

/// Files that hold a document a row: JSON lines (`.jsonl`, `.ndjson`, each optionally .gz or .zst), or Parquet as Spark
/// leaves it (files that end in `.parquet` at any depth, names that begin with `_` or `.` passed over, folders `key=value`
/// giving every row below them that column).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowFiles {
    /// The file or folder.
    pub path: PathBuf,
    /// Name in every account; the last part of the path unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Licence of the documents whose row states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Key or column of the text, a string; of Parquet also a field of a struct, as `struct.field`.
    #[serde(default = "RowFiles::default_text_key")]
    pub text_key: String,
    /// Key or column of the document's own path or name, which is put behind the place of its row.
    #[serde(default = "RowFiles::default_path_key")]
    pub path_key: String,
    /// Key or column of the licence, or key of a `key=value` folder.
    #[serde(default = "RowFiles::default_licence_key")]
    pub licence_key: String,
    /// Key or column of the language, or key of a `key=value` folder.
    #[serde(default = "RowFiles::default_language_key")]
    pub language_key: String,
    /// Longer rows of JSON, or rows of Parquet with longer texts, are rejected.
    #[serde(default = "RowFiles::default_max_row_bytes")]
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
        Self {
            path,
            name: None,
            licence: None,
            detect_licence: false,
            extensions: None,
            max_file_bytes: Self::default_max_file_bytes(),
        }
    }
}

impl RowFiles {
    fn default_text_key() -> String {
        "text".into()
    }

    fn default_path_key() -> String {
        "path".into()
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

    /// Files of rows with the defaults.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            name: None,
            licence: None,
            text_key: Self::default_text_key(),
            path_key: Self::default_path_key(),
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
    /// What a path or URL most likely is: Parquet or JSON lines if it is such a file, or a folder whose files are all
    /// such; else a tree.
    ///
    /// # Errors
    /// If there is nothing at the path, or it cannot be listed.
    pub fn at(path: &Path) -> Result<Self, DataError> {
        Ok(match format_of_all(path)? {
            Some(Format::Jsonl) => Self::Jsonl(RowFiles::new(path.into())),
            Some(Format::Parquet) => Self::Parquet(RowFiles::new(path.into())),
            None => Self::Tree(Tree::new(path.into())),
        })
    }

    /// Name in every account.
    #[must_use]
    pub fn name(&self) -> String {
        let (name, path) = match self {
            Self::Tree(tree) => (&tree.name, &tree.path),
            Self::Jsonl(rows) | Self::Parquet(rows) => (&rows.name, &rows.path),
            Self::CargoRegistry(registry) => return registry.name.clone(),
        };
        let last = || path.file_name().map_or("documents".into(), |last| last.to_string_lossy().into_owned());
        name.clone().unwrap_or_else(last)
    }
}
