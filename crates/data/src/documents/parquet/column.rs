//! The columns of strings in a file, page after page.

use super::{
    super::Reason,
    values::{PageValues, dictionary},
};
use bytes::Bytes;
use parquet::{
    basic::Type,
    column::page::{Page, PageReader},
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        serialized_reader::SerializedPageReader,
    },
};
use std::{fs::File, sync::Arc};

/// A column of strings in a row group.
pub(super) struct Column {
    pages: SerializedPageReader<File>,
    /// Definition level of a value that is there.
    present: i16,
    dictionary: Option<Arc<[Bytes]>>,
    page: Option<PageValues>,
}

impl Column {
    pub(super) fn open(file: &Arc<File>, group: &RowGroupMetaData, leaf: usize) -> Result<Self, String> {
        let column = group.column(leaf);
        let pages = SerializedPageReader::new(file.clone(), column, group.num_rows() as usize, None)
            .map_err(|error| error.to_string())?;
        Ok(Self { pages, present: column.column_descr().max_def_level(), dictionary: None, page: None })
    }

    /// The value of the next row; `None` where it is null.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(page) = self.page.as_mut().filter(|page| !page.is_over()) {
                return page.next();
            }
            let page = self.pages.get_next_page().map_err(|error| error.to_string())?;
            match page.ok_or("a column has fewer values than its row group has rows")? {
                page @ Page::DictionaryPage { .. } => self.dictionary = Some(dictionary(page)?),
                page => self.page = Some(PageValues::new(page, self.present, self.dictionary.as_ref())?),
            }
        }
    }
}

/// The column of strings with this name, with dots between the fields of structs. `None`: there is no such column.
pub(super) fn leaf(metadata: &ParquetMetaData, key: &str) -> Result<Option<usize>, Reason> {
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
pub(super) fn check(metadata: &ParquetMetaData, file_bytes: u64) -> Result<(), String> {
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
