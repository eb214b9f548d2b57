//! Parquet files: the columns of text, path, licence and language, of which a page each is in memory.

mod column;
mod values;

use super::{
    Reason, Step, Steps, Stream,
    ahead::Ahead,
    files::{FileStamp, Readable, Root, percent_decoded},
    format::Format,
    rows::{self, Fields, Place, rejected},
};
use crate::{DataError, RowFiles};
use bytes::Bytes;
use column::{Column, check, leaf};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::{fs::File, sync::Arc};

/// A key without a value in the name of a folder, as Hive and Spark write it.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

pub(super) fn open(source: String, parquet: &RowFiles, root: &Root) -> Result<Stream, DataError> {
    let files = list(&source, parquet, root)?;
    let (source, options): (Arc<str>, _) = (source.into(), Arc::new(parquet.clone()));
    let rows = root.bring(files).flat_map(move |step| -> Steps<Row> {
        let file = match step {
            Step::Work(file) => file,
            Step::Done(found) => return Box::new(std::iter::once(Step::Done(found))),
        };
        let place = Place { source: source.clone(), path: file.stamp.path.as_str().into(), row: None };
        match Rows::open(&options, file, place.clone()) {
            Ok(rows) => Box::new(rows),
            Err(reason) => Box::new(std::iter::once(rejected(&place, reason))),
        }
    });
    Ok(Box::new(Ahead::new(rows, weight, |row: Row| {
        let fields = row.fields();
        row.place.found(fields)
    })))
}

pub(super) fn list(source: &str, parquet: &RowFiles, root: &Root) -> Result<Steps<FileStamp>, DataError> {
    rows::list(source, root, &parquet.path, Format::Parquet)
}

/// A row whose texts are still bytes of a page.
struct Row {
    place: Place,
    text: Option<Bytes>,
    path: Value,
    licence: Value,
    language: Value,
    options: Arc<RowFiles>,
}

/// What a row, or the folder of its file, has in a column.
enum Value {
    Bytes(Option<Bytes>),
    Same(Option<Arc<str>>),
}

fn weight(step: &Step<Row>) -> u64 {
    match step {
        Step::Work(row) => row.text.as_ref().map_or(0, Bytes::len) as u64,
        Step::Done(_) => 0,
    }
}

impl Row {
    fn fields(&self) -> Result<Fields, Reason> {
        let key = &self.options.text_key;
        let text = self.text.as_ref().ok_or_else(|| Reason::NoText { detail: format!("{key:?} is null") })?;
        if text.len() as u64 > self.options.max_row_bytes {
            return Err(Reason::TooLarge { limit: self.options.max_row_bytes });
        }
        let text =
            std::str::from_utf8(text).map_err(|error| Reason::InvalidUtf8 { offset: error.valid_up_to() as u64 })?;
        Ok(Fields {
            text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
            path: self.path.text(),
            licence: self.licence.text().or_else(|| self.options.licence.clone()),
            language: self.language.text(),
        })
    }
}

impl Value {
    fn text(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes.as_ref()?).ok()?;
                (!text.is_empty()).then(|| text.to_owned())
            }
            Self::Same(text) => text.as_deref().map(str::to_owned),
        }
    }
}

/// Where a column comes from.
enum Origin {
    /// The leaf with this number.
    Leaf(usize),
    /// The folder's name, or nowhere.
    Same(Option<Arc<str>>),
}

/// The rows of one file.
struct Rows {
    file: Arc<File>,
    metadata: ParquetMetaData,
    options: Arc<RowFiles>,
    place: Place,
    text: usize,
    path: Origin,
    licence: Origin,
    language: Origin,
    /// The row group that is read after the current one.
    next_group: usize,
    group: Option<Group>,
    rows: u64,
    /// Said once; then the file is over.
    failed: bool,
}

impl Rows {
    fn open(options: &Arc<RowFiles>, file: Readable, place: Place) -> Result<Self, Reason> {
        let unreadable = |detail: String| Reason::Unreadable { detail };
        let file = file.content.open().map_err(|error| unreadable(error.to_string()))?;
        let bytes = file.metadata().map_err(|error| unreadable(error.to_string()))?.len();
        let metadata =
            ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| unreadable(error.to_string()))?;
        check(&metadata, bytes).map_err(unreadable)?;
        let text = leaf(&metadata, &options.text_key)?;
        let text = text.ok_or_else(|| {
            let columns = metadata.file_metadata().schema_descr().columns();
            let names: Vec<_> = columns.iter().take(8).map(|column| column.path().string()).collect();
            Reason::NoText { detail: format!("no column {:?} among {}", options.text_key, names.join(", ")) }
        })?;
        // Of no use for a path, licence or language: numbers, lists.
        let origin = |key: &str| match leaf(&metadata, key) {
            Ok(Some(leaf)) => Origin::Leaf(leaf),
            _ => Origin::Same(partition(&place.path, key).map(Into::into)),
        };
        Ok(Self {
            path: origin(&options.path_key),
            licence: origin(&options.licence_key),
            language: origin(&options.language_key),
            file: Arc::new(file),
            options: options.clone(),
            place,
            text,
            metadata,
            next_group: 0,
            group: None,
            rows: 0,
            failed: false,
        })
    }

    /// `None`: there are no more.
    fn read(&mut self) -> Result<Option<Row>, String> {
        loop {
            let group = match &mut self.group {
                Some(group) if group.left > 0 => group,
                _ if self.next_group == self.metadata.num_row_groups() => return Ok(None),
                group => {
                    let metadata = self.metadata.row_group(self.next_group);
                    self.next_group += 1;
                    let open = |origin: &Origin| match origin {
                        Origin::Leaf(leaf) => {
                            Column::open(&self.file, metadata, *leaf).map(|column| Cells::Column(Box::new(column)))
                        }
                        Origin::Same(text) => Ok(Cells::Same(text.clone())),
                    };
                    *group = Some(Group {
                        left: metadata.num_rows() as u64,
                        text: Column::open(&self.file, metadata, self.text)?,
                        path: open(&self.path)?,
                        licence: open(&self.licence)?,
                        language: open(&self.language)?,
                    });
                    continue;
                }
            };
            let (text, path) = (group.text.next()?, group.path.next()?);
            let (licence, language) = (group.licence.next()?, group.language.next()?);
            group.left -= 1;
            self.rows += 1;
            let place = Place { row: Some(self.rows), ..self.place.clone() };
            return Ok(Some(Row { place, text, path, licence, language, options: self.options.clone() }));
        }
    }
}

impl Iterator for Rows {
    type Item = Step<Row>;

    fn next(&mut self) -> Option<Step<Row>> {
        if self.failed {
            return None;
        }
        match self.read() {
            Ok(row) => row.map(Step::Work),
            Err(error) => {
                self.failed = true;
                let detail = format!("{error} (after {} rows)", self.rows);
                Some(rejected(&self.place, Reason::Unreadable { detail }))
            }
        }
    }
}

/// A row group under way.
struct Group {
    /// Rows that are not read yet.
    left: u64,
    text: Column,
    path: Cells,
    licence: Cells,
    language: Cells,
}

enum Cells {
    Column(Box<Column>),
    Same(Option<Arc<str>>),
}

impl Cells {
    fn next(&mut self) -> Result<Value, String> {
        match self {
            Self::Column(column) => column.next().map(Value::Bytes),
            Self::Same(text) => Ok(Value::Same(text.clone())),
        }
    }
}

/// The value of a folder `key=value` above a file. Spark writes characters that file systems do not like as `%XX`.
fn partition(path: &str, key: &str) -> Option<String> {
    let (folders, _) = path.rsplit_once('/')?;
    let value = folders.split('/').rev().find_map(|folder| folder.strip_prefix(key)?.strip_prefix('='))?;
    if value == HIVE_NULL || value.is_empty() {
        return None;
    }
    percent_decoded(value)
}
