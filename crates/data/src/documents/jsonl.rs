//! JSON lines: one object a row, its text under one key. A bad row is rejected with its number, the others go on.

use super::{
    Found, Reason, Reject, Step, Steps, Stream,
    ahead::Ahead,
    compressed,
    files::{FileStamp, Readable, Root},
    format::Format,
    rows::{self, Fields, Place, rejected},
};
use crate::{DataError, RowFiles};
use serde_json::{Map, Value};
use std::{
    io::{self, BufRead},
    sync::Arc,
};

pub(super) fn open(source: String, jsonl: &RowFiles, root: &Root) -> Result<Stream, DataError> {
    let rows = rows(&source, jsonl, root)?;
    let jsonl = jsonl.clone();
    Ok(Box::new(Ahead::new(rows, weight, move |row: Row| row.place.found(fields(&jsonl, &row.bytes)))))
}

fn rows(source: &str, jsonl: &RowFiles, root: &Root) -> Result<Steps<Row>, DataError> {
    let files = list(source, jsonl, root)?;
    let (source, limit): (Arc<str>, u64) = (source.into(), jsonl.max_row_bytes);
    Ok(Box::new(root.bring(files).flat_map(move |step| -> Steps<Row> {
        match step {
            Step::Work(file) => Box::new(Rows::open(source.clone(), limit, file)),
            Step::Done(found) => Box::new(std::iter::once(Step::Done(found))),
        }
    })))
}

/// A row as it stands in its file.
pub(crate) struct RawRow {
    pub(crate) path: Arc<str>,
    /// Counted from 1.
    pub(crate) row: Option<u64>,
    pub(crate) bytes: Vec<u8>,
}

/// The rows of a source before anything is made of them, without empty ones; what cannot be read is a reject.
pub(crate) fn raw_rows(
    source: &str,
    jsonl: &RowFiles,
) -> Result<impl Iterator<Item = Result<Result<RawRow, Reject>, DataError>>, DataError> {
    Ok(rows(source, jsonl, &Root::at(&jsonl.path)?)?.filter_map(|step| match step {
        Step::Work(Row { place, bytes }) => Some(Ok(Ok(RawRow { path: place.path, row: place.row, bytes }))),
        Step::Done(Ok(Found::Reject(reject))) => Some(Ok(Err(reject))),
        Step::Done(Ok(Found::Document(_))) => None, // nothing has been made of a row yet
        Step::Done(Err(error)) => Some(Err(error)),
    }))
}

pub(super) fn list(source: &str, jsonl: &RowFiles, root: &Root) -> Result<Steps<FileStamp>, DataError> {
    rows::list(source, root, &jsonl.path, Format::Jsonl)
}

/// A row that is to be parsed.
struct Row {
    place: Place,
    bytes: Vec<u8>,
}

fn weight(step: &Step<Row>) -> u64 {
    if let Step::Work(row) = step { row.bytes.len() as u64 } else { 0 }
}

/// The rows of one file.
struct Rows {
    /// The row that was read last.
    place: Place,
    limit: u64,
    reader: Result<Box<dyn BufRead + Send>, Option<io::Error>>,
}

impl Rows {
    fn open(source: Arc<str>, limit: u64, file: Readable) -> Self {
        let place = Place { source, path: file.stamp.path.into(), row: Some(0) };
        let reader = file.content.open().and_then(|file| compressed::open(&place.path, file)).map_err(Some);
        Self { place, limit, reader }
    }
}

impl Iterator for Rows {
    type Item = Step<Row>;

    fn next(&mut self) -> Option<Step<Row>> {
        loop {
            let mut bytes = Vec::new();
            let read = match &mut self.reader {
                Ok(reader) => read_row(reader, self.limit, &mut bytes),
                // Said once; then the file is over.
                Err(error) => Err(error.take()?),
            };
            let rows = self.place.row.unwrap_or(0);
            let length = match read {
                Ok(0) => return None,
                Ok(length) => length,
                Err(error) => {
                    self.reader = Err(None);
                    let detail = format!("{error} (after {rows} rows)");
                    return Some(rejected(&Place { row: None, ..self.place.clone() }, Reason::Unreadable { detail }));
                }
            };
            self.place.row = Some(rows + 1);
            if length > self.limit {
                return Some(rejected(&self.place, Reason::TooLarge { limit: self.limit }));
            }
            if !bytes.trim_ascii().is_empty() {
                return Some(Step::Work(Row { place: self.place.clone(), bytes }));
            }
        }
    }
}

fn fields(options: &RowFiles, row: &[u8]) -> Result<Fields, Reason> {
    let mut row = object(row)?;
    let key = &options.text_key;
    let text = match row.remove(key) {
        Some(Value::String(text)) => text,
        Some(other) => return Err(Reason::NoText { detail: format!("{key:?} holds {}", kind(&other)) }),
        None => {
            let keys: Vec<_> = row.keys().take(8).map(String::as_str).collect();
            return Err(Reason::NoText { detail: format!("no key {key:?} among {}", keys.join(", ")) });
        }
    };
    if json_string(&text).is_some() && text.contains('\\') {
        return Err(Reason::DoubleEscaped {
            detail: format!("{key:?} holds a string in quotation marks with escapes"),
        });
    }
    let mut take = |key: &str| match row.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        Some(Value::Array(list)) if !list.is_empty() => {
            list.iter().map(|item| item.as_str()).collect::<Option<Vec<_>>>().map(|list| list.join(", "))
        }
        _ => None,
    };
    Ok(Fields {
        path: take(&options.path_key),
        licence: take(&options.licence_key).or_else(|| options.licence.clone()),
        language: take(&options.language_key),
        text,
    })
}

/// Reads a row that has to be an object.
pub(crate) fn object(row: &[u8]) -> Result<Map<String, Value>, Reason> {
    let row = std::str::from_utf8(row).map_err(|error| Reason::InvalidUtf8 { offset: error.valid_up_to() as u64 })?;
    let row = row.strip_prefix('\u{feff}').unwrap_or(row);
    if row.trim_start().starts_with('"') && json_string(row).is_some_and(|inner| inner.trim_start().starts_with('{')) {
        return Err(Reason::DoubleEscaped { detail: "the row is a string that holds an object".into() });
    }
    serde_json::from_str(row).map_err(|error| Reason::InvalidJson { detail: error.to_string() })
}

/// The text that a JSON string stands for, if all of `text` is one.
fn json_string(text: &str) -> Option<String> {
    text.trim().starts_with('"').then(|| serde_json::from_str(text).ok())?
}

/// What a JSON value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
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
