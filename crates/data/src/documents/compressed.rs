//! Files that may be compressed, told by their names.

use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

const BUFFER: usize = 1 << 18;

/// The name without `.gz`, `.zst` or `.zstd`, if it ends so.
pub(super) fn inner_name(name: &str) -> Option<&str> {
    [".gz", ".zst", ".zstd"].into_iter().find_map(|suffix| name.strip_suffix(suffix))
}

/// The uncompressed content of a file with this name. zstd streams may use windows up to 128 MiB (`zstd --long=27`).
pub(super) fn open(name: &str, file: File) -> io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::with_capacity(BUFFER, file);
    Ok(match name.rsplit_once('.') {
        Some((_, "gz")) => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))),
        Some((_, "zst" | "zstd")) => Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(file)?)),
        _ => Box::new(file),
    })
}
