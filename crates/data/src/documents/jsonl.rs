//! JSON lines: one object a row, its text under one key. A bad row is rejected with its number, the others go on.

use super::{Document, DocumentId, Found, Reason, Reject, Stream, compressed, tree::relative};
use crate::{DataError, recipe::Jsonl};
use ignore::WalkBuilder;
use serde_json::{Map, Value};
use std::{
    fs,
    io::{self, BufRead},
    path::{Path, PathBuf},
};

/// Whether a file's name says that it holds JSON lines.
pub(crate) fn is_jsonl(name: &str) -> bool {
    let name = compressed::inner_name(name).unwrap_or(name);
    name.ends_with(".jsonl") || name.ends_with(".ndjson")
}

pub(super) fn open(source: String, jsonl: &Jsonl) -> Result<Stream, DataError> {
    let metadata = fs::metadata(&jsonl.path).map_err(|error| DataError::reading(&jsonl.path, error))?;
    let files = if metadata.is_dir() { list(&jsonl.path)? } else { vec![jsonl.path.clone()] };
    if files.is_empty() {
        return Err(DataError::Missing {
            path: jsonl.path.clone(),
            fix: "it holds no .jsonl or .ndjson file (plain, .gz or .zst); for other texts use kind = \"tree\"".into(),
        });
    }
    let jsonl = jsonl.clone();
    Ok(Box::new(files.into_iter().flat_map(move |file| Rows::open(source.clone(), jsonl.clone(), &file))))
}

/// The files of a folder in the order of their names.
fn list(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for entry in WalkBuilder::new(folder).standard_filters(false).hidden(true).sort_by_file_name(Ord::cmp).build() {
        let entry = entry.map_err(|error| DataError::reading(folder, io::Error::other(error)))?;
        if entry.path().is_file() && is_jsonl(&entry.file_name().to_string_lossy()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// The rows of one file.
struct Rows {
    source: String,
    options: Jsonl,
    path: String,
    reader: Result<Box<dyn BufRead + Send>, Option<io::Error>>,
    row: u64,
}

impl Rows {
    fn open(source: String, options: Jsonl, file: &Path) -> Self {
        let path = relative(file, &options.path);
        Self { source, options, path, reader: compressed::open(file).map_err(Some), row: 0 }
    }

    fn reject(&self, row: Option<u64>, reason: Reason) -> Found {
        Found::Reject(Reject { source: self.source.clone(), path: self.path.clone(), row, reason })
    }

    fn parse(&self, row: &[u8]) -> Result<Document, Reason> {
        let row =
            std::str::from_utf8(row).map_err(|error| Reason::InvalidUtf8 { offset: error.valid_up_to() as u64 })?;
        let row = row.strip_prefix('\u{feff}').unwrap_or(row);
        let mut row: Map<String, Value> =
            serde_json::from_str(row).map_err(|error| Reason::InvalidJson { detail: error.to_string() })?;
        let key = &self.options.text_key;
        let text = match row.remove(key) {
            Some(Value::String(text)) => text,
            Some(other) => return Err(Reason::NoText { detail: format!("{key:?} holds {}", kind(&other)) }),
            None => {
                let keys: Vec<_> = row.keys().take(8).map(String::as_str).collect();
                return Err(Reason::NoText { detail: format!("no key {key:?} among {}", keys.join(", ")) });
            }
        };
        if text.trim().is_empty() {
            return Err(Reason::Empty);
        }
        let mut take = |key: &str| match row.remove(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            Some(Value::Array(list)) if !list.is_empty() => {
                list.iter().map(|item| item.as_str()).collect::<Option<Vec<_>>>().map(|list| list.join(", "))
            }
            _ => None,
        };
        Ok(Document {
            id: DocumentId::of(&text),
            licence: take(&self.options.licence_key).or_else(|| self.options.licence.clone()),
            language: take(&self.options.language_key),
            text,
            source: self.source.clone(),
            path: format!("{}#{}", self.path, self.row),
        })
    }
}

impl Iterator for Rows {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let limit = self.options.max_row_bytes;
            let mut row = Vec::new();
            let read = match &mut self.reader {
                Ok(reader) => read_row(reader, limit, &mut row),
                // Said once; then the file is over.
                Err(error) => Err(error.take()?),
            };
            let length = match read {
                Ok(0) => return None,
                Ok(length) => length,
                Err(error) => {
                    self.reader = Err(None);
                    let detail = format!("{error} (after {} rows)", self.row);
                    return Some(self.reject(None, Reason::Unreadable { detail }));
                }
            };
            self.row += 1;
            if length > limit {
                return Some(self.reject(Some(self.row), Reason::TooLarge { limit }));
            }
            if row.trim_ascii().is_empty() {
                continue;
            }
            return Some(match self.parse(&row) {
                Ok(document) => Found::Document(document),
                Err(reason) => self.reject(Some(self.row), reason),
            });
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads up to and with the next line feed. Of a row longer than `limit` no more than that is kept. Returns the length
/// of the row with its line feed, 0 at the end of the file.
fn read_row(reader: &mut dyn BufRead, limit: u64, row: &mut Vec<u8>) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(length);
        }
        let (part, ended) = match available.iter().position(|&byte| byte == b'\n') {
            Some(at) => (&available[..=at], true),
            None => (available, false),
        };
        let room = limit.saturating_sub(row.len() as u64).min(part.len() as u64) as usize;
        row.extend_from_slice(&part[..room]);
        length += part.len() as u64;
        let used = part.len();
        reader.consume(used);
        if ended {
            return Ok(length);
        }
    }
}
