//! Files that may be compressed, told by their names.

use crate::error::EvalError;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A file's name without `.gz` or `.zst`.
pub(crate) fn plain_name(name: &str) -> &str {
    [".gz", ".zst"].into_iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The uncompressed content of a file.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead>, EvalError> {
    let failed = |source| EvalError::reading(path, source);
    if path.is_dir() {
        return Err(failed(std::io::Error::other("it is a folder; name a file in it")));
    }
    let file = BufReader::new(File::open(path).map_err(failed)?);
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        Some("zst") => Box::new(BufReader::new(zstd::Decoder::with_buffer(file).map_err(failed)?)),
        _ => Box::new(file),
    })
}
