//! Files of rows: what JSON lines and Parquet have in common.

use super::{
    Document, DocumentId, Found, Reason, Reject, Step, Steps,
    files::{FileStamp, Root, Selection},
    format::Format,
};
use crate::DataError;
use std::{path::Path, sync::Arc};

/// The files of one format below a root, which `path` names. There must be one.
pub(super) fn list(source: &str, root: &Root, path: &Path, format: Format) -> Result<Steps<FileStamp>, DataError> {
    let selection = Selection {
        source: source.into(),
        folder: String::new(),
        respect_ignore_files: false,
        follow_links: true,
        // A single file is what its source says, whatever its name.
        wanted: if root.is_file() {
            Box::new(|_| true)
        } else {
            Box::new(move |path| Format::of(path) == Some(format))
        },
    };
    let mut files = root.list(selection)?.peekable();
    if files.peek().is_none() {
        return Err(DataError::Missing {
            path: path.into(),
            fix: match format {
                Format::Jsonl => "it holds no .jsonl or .ndjson file (plain, .gz or .zst)",
                Format::Parquet => "it holds no .parquet file",
            }
            .to_owned()
                + "; `data build` reads other texts as kind = \"tree\"",
        });
    }
    Ok(Box::new(files))
}

/// Where a row stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) source: Arc<str>,
    pub(super) path: Arc<str>,
    /// Counted from 1. `None`: the whole file.
    pub(super) row: Option<u64>,
}

/// What a row says.
pub(super) struct Fields {
    pub(super) text: String,
    pub(super) path: Option<String>,
    pub(super) licence: Option<String>,
    pub(super) language: Option<String>,
}

impl Place {
    pub(super) fn reject(&self, reason: Reason) -> Found {
        Found::Reject(Reject { source: self.source.to_string(), path: self.path.to_string(), row: self.row, reason })
    }

    pub(super) fn found(&self, fields: Result<Fields, Reason>) -> Found {
        let Fields { text, path: own, licence, language } = match fields {
            Ok(fields) => fields,
            Err(reason) => return self.reject(reason),
        };
        if text.trim().is_empty() {
            return self.reject(Reason::Empty);
        }
        let mut path = self.path.to_string();
        if let Some(row) = self.row {
            path += &format!("#{row}");
        }
        // A longer one is no path.
        if let Some(own) = own.filter(|own| own.len() <= 1024) {
            path += &format!(" {own}");
        }
        let source = self.source.to_string();
        Found::Document(Document { id: DocumentId::of(&text), text, source, path, licence, language })
    }
}

/// A step that is a reject already.
pub(super) fn rejected<T>(place: &Place, reason: Reason) -> Step<T> {
    Step::Done(Ok(place.reject(reason)))
}
