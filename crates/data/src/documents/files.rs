//! The files of a source: listed in the order of their paths, and opened one after the other, wherever they lie.

use super::{Found, Reason, Reject, Step, Steps};
use crate::DataError;
use ignore::{DirEntry, WalkBuilder};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

#[cfg(feature = "remote")]
use super::remote::Bucket;

/// What tells whether a file is still the one that it was, without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// Path in the source with forward slashes, as in [`Document::path`](super::Document::path) without the row.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Which content it is.
    pub version: Version,
}

/// Which content a file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    /// Time of the last change in nanoseconds since 1970.
    Modified(i64),
    /// The entity tag that an object store gives.
    ETag(String),
}

/// A file that can be opened now.
pub(super) struct Readable {
    pub(super) stamp: FileStamp,
    pub(super) content: Content,
}

pub(super) enum Content {
    Local(PathBuf),
    /// A copy without a name, which is gone when it is closed.
    #[cfg(feature = "remote")]
    Spooled(File),
}

impl Content {
    pub(super) fn open(self) -> io::Result<File> {
        match self {
            Self::Local(path) => File::open(path),
            #[cfg(feature = "remote")]
            Self::Spooled(file) => Ok(file),
        }
    }

    /// Whether it holds a file open.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Local(_))
    }
}

/// Which files of a source are read. Hidden ones never are, nor what lies behind a link to a folder.
pub(super) struct Selection {
    /// Name of the source, for its rejects.
    pub(super) source: String,
    /// Only what lies below this folder; "": all.
    pub(super) folder: String,
    /// Whether `.gitignore` and `.ignore` files leave out what they name.
    pub(super) respect_ignore_files: bool,
    /// Whether links to files are read.
    pub(super) follow_links: bool,
    /// Whether the file at a path is wanted.
    pub(super) wanted: Box<dyn Fn(&str) -> bool + Send>,
}

/// Where the files of a source lie: a folder, or a single file.
#[derive(Clone)]
pub(super) enum Root {
    Local(PathBuf),
    #[cfg(feature = "remote")]
    Remote(Bucket),
}

impl Root {
    /// # Errors
    /// If there is nothing at the path, or the URL cannot be used.
    pub(super) fn at(path: &Path) -> Result<Self, DataError> {
        if let Some(url) = path.to_str().filter(|text| is_url(text)) {
            return Self::at_url(url);
        }
        fs::metadata(path).map_err(|error| DataError::reading(path, error))?;
        Ok(Self::Local(path.into()))
    }

    #[cfg(feature = "remote")]
    fn at_url(url: &str) -> Result<Self, DataError> {
        Bucket::open(url).map(Self::Remote)
    }

    #[cfg(not(feature = "remote"))]
    fn at_url(url: &str) -> Result<Self, DataError> {
        // The scheme alone: a URL may hold credentials, and they are not repeated.
        let scheme = url.split_once("://").map_or(url, |(scheme, _)| scheme);
        Err(DataError::Recipe {
            key: "path".into(),
            reason: format!(
                "reading {scheme}:// needs the object stores, which this program was built without; build it with \
                 `cargo build --release -p moeworks --features remote`"
            ),
        })
    }

    /// The files in the order of their paths, compared part by part.
    ///
    /// # Errors
    /// If an object store does not give its list. What the file system does not give is a reject.
    pub(super) fn list(&self, selection: Selection) -> Result<Steps<FileStamp>, DataError> {
        match self {
            Self::Local(root) => Ok(walk(root.clone(), selection)),
            #[cfg(feature = "remote")]
            Self::Remote(bucket) => Ok(Box::new(bucket.list(&selection)?.into_iter().map(Step::Work))),
        }
    }

    /// Brings the files of a listing to where they can be opened, in their order.
    pub(super) fn bring(&self, files: Steps<FileStamp>) -> Steps<Readable> {
        match self {
            Self::Local(root) => {
                let (root, is_folder) = (root.clone(), root.is_dir());
                Box::new(files.map(move |step| {
                    // A root that is a file lists itself by its name.
                    let place = |stamp: &FileStamp| if is_folder { root.join(&stamp.path) } else { root.clone() };
                    step.then(|stamp| Readable { content: Content::Local(place(&stamp)), stamp })
                }))
            }
            #[cfg(feature = "remote")]
            Self::Remote(bucket) => Box::new(bucket.fetch(files)),
        }
    }

    /// Names of the files in a folder of the source, sorted; none if it cannot be read.
    pub(super) fn names_in(&self, folder: &str) -> Vec<String> {
        match self {
            Self::Local(root) => {
                let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
                let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
                names.sort();
                names
            }
            #[cfg(feature = "remote")]
            Self::Remote(bucket) => bucket.names_in(folder),
        }
    }

    /// A small text file of the source; `None` if it cannot be read, is longer than `limit`, or is no text.
    pub(super) fn read_small(&self, path: &str, limit: u64) -> Option<String> {
        match self {
            Self::Local(root) => {
                let mut text = String::new();
                let file = File::open(root.join(path)).ok()?;
                let length = file.take(limit.saturating_add(1)).read_to_string(&mut text).ok()?;
                (length as u64 <= limit).then_some(text)
            }
            #[cfg(feature = "remote")]
            Self::Remote(bucket) => bucket.read_small(path, limit),
        }
    }
}

/// Whether a source's path is a URL and not a path: `scheme://`, with a scheme as RFC 3986 spells it.
fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn walk(root: PathBuf, selection: Selection) -> Steps<FileStamp> {
    // Only what lies in the tree decides: no ignore files above it, none of the user's, no need of a repository.
    let entries = WalkBuilder::new(if selection.folder.is_empty() { root.clone() } else { root.join(&selection.folder) })
        .standard_filters(false)
        .hidden(true)
        .ignore(selection.respect_ignore_files)
        .git_ignore(selection.respect_ignore_files)
        .require_git(false)
        .sort_by_file_name(OsStr::cmp)
        .build();
    Box::new(entries.filter_map(move |entry| {
        let reject = |path: String, detail: String| {
            let reject =
                Reject { source: selection.source.clone(), path, row: None, reason: Reason::Unreadable { detail } };
            Some(Step::Done(Ok(Found::Reject(reject))))
        };
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return reject(String::new(), error.to_string()),
        };
        match visit(&entry, &root, &selection) {
            Ok(stamp) => stamp.map(Step::Work),
            Err(error) => reject(entry.path().strip_prefix(&root).unwrap_or(entry.path()).display().to_string(), error),
        }
    }))
}

/// `None`: not a file, or none that is wanted.
fn visit(entry: &DirEntry, root: &Path, selection: &Selection) -> Result<Option<FileStamp>, String> {
    let is_link = entry.path_is_symlink() && entry.depth() > 0;
    if is_link && !selection.follow_links || entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return Ok(None);
    }
    let Some(path) = relative(entry.path(), root) else {
        return Err("its name is no UTF-8; rename it".into());
    };
    if !(selection.wanted)(&path) {
        return Ok(None);
    }
    let metadata = fs::metadata(entry.path()).map_err(|error| error.to_string())?;
    Ok(metadata.is_file().then(|| FileStamp { path, bytes: metadata.len(), version: modified(&metadata) }))
}

/// Path below `root` with forward slashes; of a root that is a file, its name.
fn relative(path: &Path, root: &Path) -> Option<String> {
    let below = path.strip_prefix(root).unwrap_or(path);
    if below.as_os_str().is_empty() {
        return Some(path.file_name().unwrap_or(path.as_os_str()).to_str()?.to_owned());
    }
    let parts: Option<Vec<&str>> = below.components().map(|part: Component| part.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}

fn modified(metadata: &Metadata) -> Version {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Version::Modified(since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_paths() {
        for (text, expected) in [
            ("s3://bucket/key", true),
            ("https://host/a", true),
            ("git+ssh://x", true),
            ("docs", false),
            ("C://docs", false),
            ("./s3://x", false),
            ("://x", false),
            ("a b://x", false),
        ] {
            assert_eq!(is_url(text), expected, "{text}");
        }
    }
}
