//! Parquet files: the columns of text, licence and language, read page by page and a few rows at a time.

use super::{
    Reason, Step, Steps, Stream,
    ahead::Ahead,
    files::{FileStamp, Readable, Root},
    format::Format,
    rows::{self, Fields, Place, rejected},
};
use crate::{DataError, Parquet};
use parquet::{
    basic::Type,
    column::reader::ColumnReaderImpl,
    data_type::{ByteArray, ByteArrayType},
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        serialized_reader::SerializedPageReader,
    },
};
use std::{collections::VecDeque, fs::File, sync::Arc};

/// Text that is decoded at once, as far as the file's own figures tell.
const CHUNK_BYTES: u64 = 4 << 20;
const CHUNK_ROWS: u64 = 1024;
/// A key without a value in the name of a folder, as Hive and Spark write it.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

pub(super) fn open(source: String, parquet: &Parquet) -> Result<Stream, DataError> {
    let (root, files) = list(&source, parquet)?;
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

pub(super) fn list(source: &str, parquet: &Parquet) -> Result<(Root, Steps<FileStamp>), DataError> {
    rows::list(source, &parquet.path, Format::Parquet)
}

/// A row whose texts are still bytes of a page.
struct Row {
    place: Place,
    text: Option<ByteArray>,
    licence: Value,
    language: Value,
    options: Arc<Parquet>,
}

/// What a row, or the folder of its file, has in a column.
#[derive(Clone)]
enum Value {
    Bytes(Option<ByteArray>),
    Same(Option<Arc<str>>),
}

fn weight(step: &Step<Row>) -> u64 {
    match step {
        Step::Work(row) => row.text.as_ref().map_or(0, ByteArray::len) as u64,
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
        let text = std::str::from_utf8(text.data())
            .map_err(|error| Reason::InvalidUtf8 { offset: error.valid_up_to() as u64 })?;
        Ok(Fields {
            text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
            licence: self.licence.text().or_else(|| self.options.licence.clone()),
            language: self.language.text(),
        })
    }
}

impl Value {
    fn text(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes.as_ref()?.data()).ok()?;
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
    options: Arc<Parquet>,
    place: Place,
    text: usize,
    licence: Origin,
    language: Origin,
    /// The row group that is read after the current one.
    next_group: usize,
    group: Option<Group>,
    ready: VecDeque<Row>,
    rows: u64,
    /// Said once; then the file is over.
    failed: bool,
}

impl Rows {
    fn open(options: &Arc<Parquet>, file: Readable, place: Place) -> Result<Self, Reason> {
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
        // Of no use for a licence or language: numbers, lists.
        let origin = |key: &str| match leaf(&metadata, key) {
            Ok(Some(leaf)) => Origin::Leaf(leaf),
            _ => Origin::Same(partition(&place.path, key).map(Into::into)),
        };
        Ok(Self {
            licence: origin(&options.licence_key),
            language: origin(&options.language_key),
            file: Arc::new(file),
            options: options.clone(),
            place,
            text,
            metadata,
            next_group: 0,
            group: None,
            ready: VecDeque::new(),
            rows: 0,
            failed: false,
        })
    }

    /// Decodes some more rows. `false`: there are none.
    fn refill(&mut self) -> Result<bool, String> {
        loop {
            let group = match &mut self.group {
                Some(group) if group.left > 0 => group,
                _ if self.next_group == self.metadata.num_row_groups() => return Ok(false),
                group => {
                    let metadata = self.metadata.row_group(self.next_group);
                    self.next_group += 1;
                    let open = |origin: &Origin| match origin {
                        Origin::Leaf(leaf) => Column::open(&self.file, metadata, *leaf).map(Cells::Column),
                        Origin::Same(text) => Ok(Cells::Same(text.clone())),
                    };
                    *group = Some(Group {
                        left: metadata.num_rows() as u64,
                        chunk: chunk(metadata, self.text),
                        text: Column::open(&self.file, metadata, self.text)?,
                        licence: open(&self.licence)?,
                        language: open(&self.language)?,
                    });
                    continue;
                }
            };
            let count = group.chunk.min(group.left) as usize;
            let texts = group.text.read(count)?;
            let licences = group.licence.read(count)?;
            let languages = group.language.read(count)?;
            group.left -= count as u64;
            for ((text, licence), language) in texts.into_iter().zip(licences).zip(languages) {
                self.rows += 1;
                let place = Place { row: Some(self.rows), ..self.place.clone() };
                self.ready.push_back(Row { place, text, licence, language, options: self.options.clone() });
            }
            return Ok(true);
        }
    }
}

impl Iterator for Rows {
    type Item = Step<Row>;

    fn next(&mut self) -> Option<Step<Row>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(Step::Work(row));
            }
            if self.failed {
                return None;
            }
            match self.refill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.failed = true;
                    let detail = format!("{error} (after {} rows)", self.rows);
                    return Some(rejected(&self.place, Reason::Unreadable { detail }));
                }
            }
        }
    }
}

/// A row group under way.
struct Group {
    /// Rows that are not read yet.
    left: u64,
    /// Rows that are read at once.
    chunk: u64,
    text: Column,
    licence: Cells,
    language: Cells,
}

enum Cells {
    Column(Column),
    Same(Option<Arc<str>>),
}

impl Cells {
    fn read(&mut self, count: usize) -> Result<Vec<Value>, String> {
        match self {
            Self::Column(column) => Ok(column.read(count)?.into_iter().map(Value::Bytes).collect()),
            Self::Same(text) => Ok(vec![Value::Same(text.clone()); count]),
        }
    }
}

/// A column of strings in a row group.
struct Column {
    reader: ColumnReaderImpl<ByteArrayType>,
    /// Definition level of a value that is there.
    present: i16,
}

impl Column {
    fn open(file: &Arc<File>, group: &RowGroupMetaData, leaf: usize) -> Result<Self, String> {
        let column = group.column(leaf);
        let pages = SerializedPageReader::new(file.clone(), column, group.num_rows() as usize, None)
            .map_err(|error| error.to_string())?;
        let descriptor = column.column_descr_ptr();
        Ok(Self { present: descriptor.max_def_level(), reader: ColumnReaderImpl::new(descriptor, Box::new(pages)) })
    }

    /// The next `count` rows, of which there must be so many.
    fn read(&mut self, count: usize) -> Result<Vec<Option<ByteArray>>, String> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut rows = 0;
        while rows < count {
            let (read, ..) = self
                .reader
                .read_records(count - rows, Some(&mut levels), None, &mut values)
                .map_err(|error| error.to_string())?;
            if read == 0 {
                return Err(format!("a column ends {} rows before its row group does", count - rows));
            }
            rows += read;
        }
        if self.present == 0 {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        Ok(levels.iter().map(|&level| if level == self.present { values.next() } else { None }).collect())
    }
}

/// The column of strings with this name, with dots between the fields of structs. `None`: there is no such column.
fn leaf(metadata: &ParquetMetaData, key: &str) -> Result<Option<usize>, Reason> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let Some(at) = columns.iter().position(|column| column.path().string() == key) else { return Ok(None) };
    let column = &columns[at];
    let detail = if column.max_rep_level() > 0 {
        format!("column {key:?} is a list")
    } else if column.physical_type() != Type::BYTE_ARRAY {
        format!("column {key:?} holds {}, no strings", column.physical_type())
    } else {
        return Ok(Some(at));
    };
    Err(Reason::NoText { detail })
}

/// What the library takes on trust: where columns lie, how long they are, and how many rows there are.
fn check(metadata: &ParquetMetaData, file_bytes: u64) -> Result<(), String> {
    let leaves = metadata.file_metadata().schema_descr().num_columns();
    for (at, group) in metadata.row_groups().iter().enumerate() {
        if group.num_rows() < 0 || group.num_columns() != leaves {
            return Err(format!(
                "row group {at} states {} rows and {} columns; the schema has {leaves} columns",
                group.num_rows(),
                group.num_columns()
            ));
        }
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            let fits = end.is_some_and(|end| end as u64 <= file_bytes);
            if start < 0 || column.compressed_size() < 0 || !fits {
                return Err(format!(
                    "row group {at}, column {:?}: {} bytes at {start} do not lie in the {file_bytes} bytes of the file",
                    column.column_path().string(),
                    column.compressed_size()
                ));
            }
        }
    }
    Ok(())
}

/// How many rows make about [`CHUNK_BYTES`] of text.
fn chunk(group: &RowGroupMetaData, text: usize) -> u64 {
    let bytes = group.column(text).uncompressed_size().max(1) as u64;
    let rows = (group.num_rows() as u64).saturating_mul(CHUNK_BYTES) / bytes;
    rows.clamp(1, CHUNK_ROWS)
}

/// The value of a folder `key=value` above a file. Spark writes characters that file systems do not like as `%XX`.
fn partition(path: &str, key: &str) -> Option<String> {
    let (folders, _) = path.rsplit_once('/')?;
    let value = folders.split('/').rev().find_map(|folder| folder.strip_prefix(key)?.strip_prefix('='))?;
    if value == HIVE_NULL || value.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [a, b, ..] if *first == b'%' => std::str::from_utf8(&[*a, *b]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}
