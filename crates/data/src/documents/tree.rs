//! A tree of text files: source code, Markdown, plain text. `.gitignore` files in it are honoured, hidden files skipped.

use super::{Document, DocumentId, Found, Reason, Reject, Stream, compressed, language, text_file};
use crate::{DataError, recipe::Tree};
use ignore::{DirEntry, WalkBuilder};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(super) fn open(source: String, tree: &Tree) -> Result<Stream, DataError> {
    fs::metadata(&tree.path).map_err(|error| DataError::reading(&tree.path, error))?;
    let walk = Walk {
        source,
        root: tree.path.clone(),
        below: String::new(),
        licence: tree.licence.clone(),
        extensions: tree.extensions.as_ref().map(|list| list.iter().cloned().collect()),
        limit: tree.max_file_bytes,
        respect_ignore_files: true,
    };
    Ok(Box::new(walk.start()))
}

/// A walk through the files below a folder (or through one file), in the order of their names.
pub(super) struct Walk {
    pub(super) source: String,
    pub(super) root: PathBuf,
    /// Put in front of every path, with its slash.
    pub(super) below: String,
    pub(super) licence: Option<String>,
    /// File extensions that are read, without the dot; `None`: all.
    pub(super) extensions: Option<BTreeSet<String>>,
    pub(super) limit: u64,
    pub(super) respect_ignore_files: bool,
}

impl Walk {
    pub(super) fn start(self) -> impl Iterator<Item = Found> + Send {
        // Only what lies in the tree decides: no ignore files above it, none of the user's, no need of a repository.
        let entries = WalkBuilder::new(&self.root)
            .standard_filters(false)
            .hidden(true)
            .ignore(self.respect_ignore_files)
            .git_ignore(self.respect_ignore_files)
            .require_git(false)
            .sort_by_file_name(std::ffi::OsStr::cmp)
            .build();
        entries.filter_map(move |entry| match entry {
            Ok(entry) => self.visit(&entry),
            Err(error) => {
                let detail = error.to_string();
                Some(Found::Reject(self.reject(self.below.clone(), Reason::Unreadable { detail })))
            }
        })
    }

    /// `None`: not a file, or none that is asked for.
    fn visit(&self, entry: &DirEntry) -> Option<Found> {
        if !entry.path().is_file() || entry.path_is_symlink() && entry.depth() > 0 {
            return None;
        }
        let name = entry.file_name().to_string_lossy();
        let name = compressed::inner_name(&name).unwrap_or(&name);
        if let Some(extensions) = &self.extensions {
            let extension = name.rsplit_once('.').map(|(_, extension)| extension)?;
            if !extensions.contains(extension) {
                return None;
            }
        }
        let path = self.below.clone() + &relative(entry.path(), &self.root);
        Some(match text_file::read(entry.path(), self.limit) {
            Ok(text) => Found::Document(Document {
                id: DocumentId::of(&text),
                text,
                source: self.source.clone(),
                path,
                licence: self.licence.clone(),
                language: language::of(name).map(str::to_owned),
            }),
            Err(reason) => Found::Reject(self.reject(path, reason)),
        })
    }

    fn reject(&self, path: String, reason: Reason) -> Reject {
        Reject { source: self.source.clone(), path, row: None, reason }
    }
}

/// Path below `root` with forward slashes; of a root that is a file, its name.
pub(super) fn relative(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let below = if below.as_os_str().is_empty() { path.file_name().map_or(path, Path::new) } else { below };
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
