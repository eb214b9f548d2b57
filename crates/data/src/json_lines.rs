//! Lists that grow with a data set, such as rejects: a JSON object a line.

use crate::DataError;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{BufRead, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Reads a list; `path` is named in errors.
pub(crate) fn json_lines<T: DeserializeOwned>(
    lines: impl BufRead,
    path: PathBuf,
) -> impl Iterator<Item = Result<T, DataError>> {
    lines.lines().enumerate().map(move |(number, line)| {
        let line = line.map_err(|error| DataError::reading(&path, error))?;
        serde_json::from_str(&line)
            .map_err(|error| DataError::Damaged { path: path.clone(), reason: format!("line {}: {error}", number + 1) })
    })
}

/// One line of a list in JSON.
pub(crate) fn write_json_line(out: &mut impl Write, path: &Path, value: &impl Serialize) -> Result<(), DataError> {
    let line = serde_json::to_string(value)
        .map_err(|error| DataError::Damaged { path: path.into(), reason: error.to_string() })?;
    writeln!(out, "{line}").map_err(DataError::writing(path))
}

/// Makes a list durable.
pub(crate) fn finish_lines(lines: BufWriter<File>, path: &Path) -> Result<(), DataError> {
    lines
        .into_inner()
        .map_err(|error| error.into_error())
        .and_then(|file| file.sync_all())
        .map_err(DataError::writing(path))
}
