//! A tree of text files: source code, Markdown, plain text. `.gitignore` files in it are honoured, hidden files skipped.

use super::{
    Document, DocumentId, Found, Reason, Reject, Step, Steps, Stream,
    ahead::{Ahead, HEAVY},
    compressed,
    files::{FileStamp, Readable, Root, Selection},
    language,
    licence::{self, FolderLicences},
    text_file,
};
use crate::{DataError, Tree};
use std::{collections::BTreeSet, sync::Arc};

pub(super) fn open(source: String, tree: &Tree) -> Result<Stream, DataError> {
    let root = Root::at(&tree.path)?;
    Ok(read_all(Texts::of(source, tree).files(&root)?))
}

pub(super) fn list(source: String, tree: &Tree) -> Result<Steps<FileStamp>, DataError> {
    let texts = Texts::of(source, tree);
    let extensions = texts.extensions.clone();
    let is_text = move |path: &str| is_wanted(path, extensions.as_ref());
    let detects = tree.detect_licence;
    let wanted = move |path: &str| is_text(path) || detects && licence::is_licence_file(file_name(path));
    Root::at(&tree.path)?.list(texts.selection(Box::new(wanted)))
}

/// Which files of a tree are read, and what is known of all of them.
pub(super) struct Texts {
    pub(super) source: String,
    /// Only what lies below this folder; "": all.
    pub(super) folder: String,
    pub(super) licence: Option<String>,
    pub(super) detect_licence: bool,
    /// File extensions that are read, without the dot; `None`: all.
    pub(super) extensions: Option<BTreeSet<String>>,
    pub(super) limit: u64,
    pub(super) respect_ignore_files: bool,
}

/// A file that is to become a document.
pub(super) struct Text {
    source: Arc<str>,
    file: Readable,
    licence: Option<String>,
    detect_licence: bool,
    limit: u64,
}

impl Texts {
    fn of(source: String, tree: &Tree) -> Self {
        Self {
            source,
            folder: String::new(),
            licence: tree.licence.clone(),
            detect_licence: tree.detect_licence,
            extensions: tree.extensions.as_ref().map(|list| list.iter().cloned().collect()),
            limit: tree.max_file_bytes,
            respect_ignore_files: true,
        }
    }

    pub(super) fn selection(&self, wanted: Box<dyn Fn(&str) -> bool + Send>) -> Selection {
        Selection {
            source: self.source.clone(),
            folder: self.folder.clone(),
            respect_ignore_files: self.respect_ignore_files,
            follow_links: false,
            wanted,
        }
    }

    /// The files that will be read, in the order of their paths.
    pub(super) fn list(&self, root: &Root) -> Result<Steps<FileStamp>, DataError> {
        let extensions = self.extensions.clone();
        root.list(self.selection(Box::new(move |path| is_wanted(path, extensions.as_ref()))))
    }

    /// The files, brought to where they can be read. One that is too large is rejected before it is fetched.
    pub(super) fn files(self, root: &Root) -> Result<Steps<Text>, DataError> {
        let listing = self.list(root)?;
        let (source, limit) = (self.source.clone(), self.limit);
        let listing = listing.map(move |step| match step {
            Step::Work(stamp) if stamp.bytes > limit && !is_compressed(&stamp) => {
                let (source, reason) = (source.clone(), Reason::TooLarge { limit });
                Step::Done(Ok(Found::Reject(Reject { source, path: stamp.path, row: None, reason })))
            }
            step => step,
        });
        let source: Arc<str> = self.source.into();
        let mut folders = self.detect_licence.then(|| FolderLicences::new(root.clone()));
        Ok(Box::new(root.bring(Box::new(listing)).map(move |step| {
            step.then(|file| {
                let found = folders.as_mut().and_then(|folders| folders.of(&file.stamp.path));
                Text {
                    source: source.clone(),
                    licence: found.or_else(|| self.licence.clone()),
                    detect_licence: self.detect_licence,
                    limit,
                    file,
                }
            })
        })))
    }
}

/// Reads files in all threads.
pub(super) fn read_all(files: Steps<Text>) -> Stream {
    Box::new(Ahead::new(files, weight, Text::read))
}

/// What a file takes in memory, as far as that is known before it is read.
fn weight(step: &Step<Text>) -> u64 {
    match step {
        Step::Work(text) if is_compressed(&text.file.stamp) || text.file.content.is_open() => {
            text.file.stamp.bytes.max(HEAVY)
        }
        Step::Work(text) => text.file.stamp.bytes,
        Step::Done(_) => 0,
    }
}

impl Text {
    fn read(self) -> Found {
        let Self { source, file, licence, detect_licence, limit } = self;
        let (source, path) = (source.to_string(), file.stamp.path);
        let name = file_name(&path);
        match file.content.open().map_err(text_file::unreadable).and_then(|file| text_file::read(name, file, limit)) {
            Ok(text) => Found::Document(Document {
                id: DocumentId::of(&text),
                licence: detect_licence.then(|| licence::stated_in(&text)).flatten().or(licence),
                language: language::of(compressed::inner_name(name).unwrap_or(name)).map(str::to_owned),
                text,
                source,
                path,
            }),
            Err(reason) => Found::Reject(Reject { source, path, row: None, reason }),
        }
    }
}

fn is_wanted(path: &str, extensions: Option<&BTreeSet<String>>) -> bool {
    let name = file_name(path);
    let name = compressed::inner_name(name).unwrap_or(name);
    extensions.is_none_or(|extensions| name.rsplit_once('.').is_some_and(|(_, ending)| extensions.contains(ending)))
}

fn is_compressed(stamp: &FileStamp) -> bool {
    compressed::inner_name(file_name(&stamp.path)).is_some()
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
