//! Files of rows, told by their names.

use super::{
    Step, compressed,
    files::{Root, Selection},
};
use crate::{DataError, Source, Tree};
use std::path::Path;

/// A kind of file that holds many documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Jsonl,
    Parquet,
}

impl Format {
    /// What a path in a source says that it holds. Spark writes aside what begins with an underscore; folders such as
    /// `_key=value` are columns all the same.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let name = compressed::inner_name(path).unwrap_or(path);
        if name.ends_with(".jsonl") || name.ends_with(".ndjson") {
            Some(Self::Jsonl)
        } else if path.ends_with(".parquet") && !is_aside(path) {
            Some(Self::Parquet)
        } else {
            None
        }
    }
}

fn is_aside(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('_') && !part.contains('='))
}

/// The one format that all files at a path have; `None` where there is no file, or one of another kind.
pub(crate) fn format_of_all(path: &Path) -> Result<Option<Format>, DataError> {
    let selection = Selection {
        source: Source::Tree(Tree::new(path.into())).name(),
        folder: String::new(),
        respect_ignore_files: false,
        follow_links: true,
        wanted: Box::new(|_| true),
    };
    let (mut common, mut any_aside) = (None, false);
    for step in Root::at(path)?.list(selection)? {
        let Step::Work(stamp) = step else { return Ok(None) };
        match (Format::of(&stamp.path), common) {
            (None, _) if is_aside(&stamp.path) => any_aside = true,
            (None, _) => return Ok(None),
            (Some(format), Some(first)) if format != first => return Ok(None),
            (format, _) => common = format,
        }
    }
    // Beside Parquet files they are Spark's; beside others they are documents as any.
    Ok(common.filter(|&format| format == Format::Parquet || !any_aside))
}
