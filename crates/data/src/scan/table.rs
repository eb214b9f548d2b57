//! The Parquet file: a row for each document, every signal a column, PII as a list of spans.
//!
//! DuckDB, pandas and pyarrow read it as it is: strings are UTF-8, `pii` is `list<struct<kind, start, end>>` whose offsets
//! count bytes of the text.

use crate::{
    documents::Document,
    signals::{Signal, Signals},
};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};
use std::{io::Write, sync::Arc};

/// Rows, and spans, of a row group: it is kept in memory until it is full, some ten megabytes.
const ROWS: usize = 1 << 14;
const SPANS: usize = 1 << 17;

/// Writes the file, a row group at a time.
pub struct ScanWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Rows,
}

/// The rows of one group, by column.
#[derive(Default)]
struct Rows {
    count: usize,
    id: Vec<ByteArray>,
    source: Vec<ByteArray>,
    path: Vec<ByteArray>,
    licence: Optional,
    stated_language: Optional,
    language: Vec<ByteArray>,
    is_code: Vec<bool>,
    /// In the order of [`Signals::NUMERIC`].
    numbers: Vec<Vec<f64>>,
    pii: Spans,
}

/// A column of strings that may be missing: a level of 1 says that there is a value.
#[derive(Default)]
struct Optional {
    values: Vec<ByteArray>,
    definition: Vec<i16>,
}

/// Lists of spans. An empty list is one entry that is not defined; a repetition level of 1 goes on with a list.
#[derive(Default)]
struct Spans {
    kinds: Vec<ByteArray>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

fn schema() -> String {
    let number = |signal: &Signal| {
        let kind = if signal.whole { "INT64" } else { "DOUBLE" };
        format!("REQUIRED {kind} {};", signal.name)
    };
    let numbers: String = Signals::NUMERIC.iter().map(number).collect();
    format!(
        "message document {{
            REQUIRED BYTE_ARRAY id (STRING);
            REQUIRED BYTE_ARRAY source (STRING);
            REQUIRED BYTE_ARRAY path (STRING);
            OPTIONAL BYTE_ARRAY licence (STRING);
            OPTIONAL BYTE_ARRAY stated_language (STRING);
            REQUIRED BYTE_ARRAY language (STRING);
            REQUIRED BOOLEAN is_code;
            {numbers}
            REQUIRED group pii (LIST) {{
                REPEATED group list {{
                    REQUIRED group element {{
                        REQUIRED BYTE_ARRAY kind (STRING);
                        REQUIRED INT64 start;
                        REQUIRED INT64 end;
                    }}
                }}
            }}
        }}"
    )
}

fn string(text: &str) -> ByteArray {
    ByteArray::from(text.as_bytes().to_vec())
}

impl Optional {
    fn push(&mut self, text: Option<&str>) {
        self.definition.push(text.is_some().into());
        self.values.extend(text.map(string));
    }
}

impl<W: Write + Send> ScanWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// If its head cannot be written.
    pub fn new(out: W) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(concat!("moeworks ", env!("CARGO_PKG_VERSION")).into())
            .build();
        let schema = Arc::new(parse_message_type(&schema())?);
        Ok(Self { file: SerializedFileWriter::new(out, schema, Arc::new(properties))?, rows: Rows::default() })
    }

    /// Adds a document.
    ///
    /// # Errors
    /// If a full group cannot be written.
    pub fn push(&mut self, document: &Document, signals: &Signals) -> Result<()> {
        self.rows.push(document, signals);
        if self.rows.count >= ROWS || self.rows.pii.definition.len() >= SPANS {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left, and the file's foot; gives back what it was written to.
    ///
    /// # Errors
    /// If that fails.
    pub fn finish(mut self) -> Result<W> {
        self.flush()?;
        self.file.into_inner()
    }

    fn flush(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.count == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        rows.write(&mut group)?;
        group.close()?;
        Ok(())
    }
}

impl Rows {
    fn push(&mut self, document: &Document, signals: &Signals) {
        self.count += 1;
        self.id.push(string(&document.id.to_string()));
        self.source.push(string(&document.source));
        self.path.push(string(&document.path));
        self.licence.push(document.licence.as_deref());
        self.stated_language.push(document.language.as_deref());
        self.language.push(string(signals.language));
        self.is_code.push(signals.is_code);
        self.numbers.resize_with(Signals::NUMERIC.len(), Vec::new);
        for (column, signal) in self.numbers.iter_mut().zip(Signals::NUMERIC) {
            column.push(signal.of(signals));
        }
        let pii = &mut self.pii;
        if signals.pii.is_empty() {
            pii.definition.push(0);
            pii.repetition.push(0);
        }
        for (at, span) in signals.pii.iter().enumerate() {
            pii.kinds.push(string(span.kind.name()));
            pii.starts.push(span.start as i64);
            pii.ends.push(span.end as i64);
            pii.definition.push(1);
            pii.repetition.push((at > 0).into());
        }
    }

    /// Writes the columns in the order of the schema.
    fn write<W: Write + Send>(&self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<()> {
        for strings in [&self.id, &self.source, &self.path] {
            column::<W, ByteArrayType>(group, strings, None, None)?;
        }
        for strings in [&self.licence, &self.stated_language] {
            column::<W, ByteArrayType>(group, &strings.values, Some(&strings.definition), None)?;
        }
        column::<W, ByteArrayType>(group, &self.language, None, None)?;
        column::<W, BoolType>(group, &self.is_code, None, None)?;
        for (values, signal) in self.numbers.iter().zip(Signals::NUMERIC) {
            if signal.whole {
                let values: Vec<i64> = values.iter().map(|value| *value as i64).collect();
                column::<W, Int64Type>(group, &values, None, None)?;
            } else {
                column::<W, DoubleType>(group, values, None, None)?;
            }
        }
        let levels = (Some(self.pii.definition.as_slice()), Some(self.pii.repetition.as_slice()));
        column::<W, ByteArrayType>(group, &self.pii.kinds, levels.0, levels.1)?;
        column::<W, Int64Type>(group, &self.pii.starts, levels.0, levels.1)?;
        column::<W, Int64Type>(group, &self.pii.ends, levels.0, levels.1)
    }
}

/// Writes the next column: its values, and the levels that place them.
fn column<W: Write + Send, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    definition: Option<&[i16]>,
    repetition: Option<&[i16]>,
) -> Result<()> {
    let end = || ParquetError::General("more columns than the schema has".into());
    let mut column = group.next_column()?.ok_or_else(end)?;
    column.typed::<T>().write_batch(values, definition, repetition)?;
    column.close()
}
