//! Evaluation sets as files: JSON lines in which every string counts, whatever its key.

use crate::{DataError, documents::is_jsonl};
use flate2::bufread::MultiGzDecoder;
use ignore::WalkBuilder;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// The files below the paths with their names: the path below the given folder without the ending, or the file's name.
pub(super) fn list(paths: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let mut files = BTreeMap::new();
    for path in paths {
        let is_folder = fs::metadata(path).map_err(|error| DataError::reading(path, error))?.is_dir();
        let root = if is_folder { path.as_path() } else { path.parent().unwrap_or(Path::new("")) };
        let before = files.len();
        for entry in WalkBuilder::new(path).standard_filters(false).sort_by_file_name(Ord::cmp).build() {
            let file = entry.map_err(|error| DataError::reading(path, io::Error::other(error)))?.into_path();
            if !file.is_file() || !is_jsonl(&file.to_string_lossy()) {
                continue;
            }
            let below = file.strip_prefix(root).unwrap_or(&file);
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            let name = parts.join("/");
            let name = [".gz", ".zst", ".zstd", ".jsonl", ".ndjson"]
                .iter()
                .fold(name.as_str(), |name, ending| name.strip_suffix(ending).unwrap_or(name));
            if let Some(other) = files.insert(name.to_string(), file.clone()) {
                let (other, file) = (other.display(), file.display());
                let reason = format!("{other} and {file} would both be called {name:?}; rename one of them");
                return Err(DataError::Recipe { key: "evaluation sets".into(), reason });
            }
        }
        if files.len() == before {
            let fix = "it holds no .jsonl or .ndjson file (plain, .gz or .zst)".into();
            return Err(DataError::Missing { path: path.clone(), fix });
        }
    }
    Ok(files)
}

/// Calls `take` with the strings of each row that is not empty, in order. A row that cannot be read is an error: a set
/// of which a part is missing must not look as if it were not in the corpus.
pub(super) fn for_each_row(path: &Path, mut take: impl FnMut(&[String])) -> Result<(), DataError> {
    let failed = |error| DataError::reading(path, error);
    let file = BufReader::new(File::open(path).map_err(failed)?);
    let reader: Box<dyn BufRead> = match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        Some("zst" | "zstd") => Box::new(BufReader::new(zstd::Decoder::with_buffer(file).map_err(failed)?)),
        _ => Box::new(file),
    };
    let mut texts = Vec::new();
    for (row, line) in reader.split(b'\n').enumerate() {
        let damaged =
            |reason: String| DataError::Damaged { path: path.into(), reason: format!("row {}: {reason}", row + 1) };
        let line = line.map_err(|error| damaged(error.to_string()))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value = strings(&line, &mut texts).map_err(damaged);
        value?;
        take(&texts);
    }
    Ok(())
}

/// All strings of a JSON value, however deep.
pub(super) fn strings(row: &[u8], texts: &mut Vec<String>) -> Result<(), String> {
    texts.clear();
    let row = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row);
    let mut values = vec![serde_json::from_slice::<Value>(row).map_err(|error| error.to_string())?];
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) => texts.push(text),
            Value::Array(list) => values.extend(list.into_iter().rev()),
            Value::Object(fields) => values.extend(fields.into_iter().map(|(_, value)| value).rev()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(())
}
