//! Files that may be compressed, told by their names.

use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

const BUFFER: usize = 1 << 18;

/// The name without `.gz`, `.zst` or `.zstd`, if it ends so.
pub(super) fn inner_name(name: &str) -> Option<&str> {
    [".gz", ".zst", ".zstd"].into_iter().find_map(|suffix| name.strip_suffix(suffix))
}

/// The uncompressed content. zstd streams may use windows up to 128 MiB (`zstd --long=27`).
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let extension = path.extension().and_then(|extension| extension.to_str());
    Ok(match extension {
        Some("gz") => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))),
        Some("zst" | "zstd") => Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(file)?)),
        _ => Box::new(file),
    })
}
