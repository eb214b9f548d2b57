//! Compression of whole shard files.

use super::MdsError;
use flate2::{bufread::MultiGzDecoder, write::GzEncoder};
use std::{
    fmt,
    io::{self, BufRead, Read, Write},
    str::FromStr,
};

/// How a shard is compressed: the whole file at once, one frame. Written `name` or `name:level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard, level 1 to 22 (3 where none is given).
    Zstd(Option<u8>),
    /// gzip, level 0 to 9 (9 where none is given).
    Gz(Option<u8>),
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::Zstd(_) => "zstd",
            Self::Gz(_) => "gz",
        }
    }

    fn level(self) -> Option<u8> {
        match self {
            Self::Zstd(level) | Self::Gz(level) => level,
        }
    }

    /// What is appended to a file's name after a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        self.name()
    }

    pub(crate) fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(level) => zstd::bulk::compress(bytes, i32::from(level.unwrap_or(3))),
            Self::Gz(level) => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level.unwrap_or(9).into()));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }

    /// Decompresses at most `limit` bytes; a stream that holds more is an error. Memory grows with what really
    /// comes out, never with what a header promises.
    pub(crate) fn decompress(self, input: impl BufRead, limit: u64) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        match self {
            Self::Zstd(_) => zstd::Decoder::with_buffer(input)?.take(limit + 1).read_to_end(&mut output)?,
            Self::Gz(_) => MultiGzDecoder::new(input).take(limit + 1).read_to_end(&mut output)?,
        };
        if output.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it decompresses to more than the {limit} bytes which the index states"),
            ));
        }
        Ok(output)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level() {
            Some(level) => write!(f, "{}:{level}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl FromStr for Compression {
    type Err = MdsError;

    fn from_str(text: &str) -> Result<Self, MdsError> {
        let unsupported =
            |fix: &str| MdsError::Unsupported { what: "compression", name: text.into(), fix: fix.to_owned() };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => {
                (name, Some(level.parse::<u8>().map_err(|_| unsupported("the level after the colon is no number"))?))
            }
            None => (text, None),
        };
        match name {
            "zstd" if level.is_none_or(|level| (1..=22).contains(&level)) => Ok(Self::Zstd(level)),
            "zstd" => Err(unsupported("zstd levels are 1 to 22")),
            "gz" if level.is_none_or(|level| level <= 9) => Ok(Self::Gz(level)),
            "gz" => Err(unsupported("gz levels are 0 to 9")),
            _ => Err(unsupported("use zstd[:1-22] or gz[:0-9]")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_levels_and_refusals() {
        for text in ["zstd", "zstd:1", "zstd:22", "gz", "gz:0", "gz:9"] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        for text in ["br", "br:11", "bz2", "snappy", "zstd:0", "zstd:23", "gz:10", "gz:x", "zstd:", ""] {
            let error = text.parse::<Compression>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("unsupported compression {text:?}")), "{error}");
        }
    }

    #[test]
    fn round_trip_and_the_limit_holds() {
        let bytes: Vec<u8> = (0..10_000u32).flat_map(|i| (i % 97).to_le_bytes()).collect();
        for compression in [Compression::Zstd(None), Compression::Zstd(Some(19)), Compression::Gz(Some(1))] {
            let packed = compression.compress(&bytes).unwrap();
            assert!(packed.len() < bytes.len());
            assert_eq!(compression.decompress(&packed[..], bytes.len() as u64).unwrap(), bytes);
            assert!(compression.decompress(&packed[..], bytes.len() as u64 - 1).is_err());
            assert!(compression.decompress(&packed[..packed.len() / 2], bytes.len() as u64).is_err());
        }
    }
}
