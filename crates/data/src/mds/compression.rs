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
    /// Brotli, level 0 to 11 (11 where none is given).
    Br(Option<u8>),
    /// bzip2, level 1 to 9 (9 where none is given).
    Bz2(Option<u8>),
    /// Snappy in its raw block format, which has no levels.
    Snappy,
}

const CHOICE: &str = "use zstd[:1-22], gz[:0-9], br[:0-11], bz2[:1-9] or snappy";

/// Base-2 logarithm of brotli's window in bytes: its default, which the reference uses.
const BROTLI_WINDOW: u32 = 22;

/// No element of a Snappy block makes more of a byte than a copy does: 64 bytes out of 3.
const SNAPPY_MOST: u64 = 22;

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::Zstd(_) => "zstd",
            Self::Gz(_) => "gz",
            Self::Br(_) => "br",
            Self::Bz2(_) => "bz2",
            Self::Snappy => "snappy",
        }
    }

    fn level(self) -> Option<u8> {
        match self {
            Self::Zstd(level) | Self::Gz(level) | Self::Br(level) | Self::Bz2(level) => level,
            Self::Snappy => None,
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
            Self::Br(level) => {
                let mut output = Vec::new();
                let mut encoder =
                    brotli::CompressorWriter::new(&mut output, 1 << 16, level.unwrap_or(11).into(), BROTLI_WINDOW);
                encoder.write_all(bytes)?;
                drop(encoder); // ends the stream; writing to memory cannot fail
                Ok(output)
            }
            Self::Bz2(level) => {
                let level = bzip2::Compression::new(level.unwrap_or(9).into());
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), level);
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Snappy => Ok(snap::raw::Encoder::new().compress_vec(bytes)?),
        }
    }

    /// Decompresses at most `limit` bytes; a stream that holds more is an error. Memory grows with what really
    /// comes out, never with what a header promises.
    pub(crate) fn decompress(self, input: impl BufRead, limit: u64) -> io::Result<Vec<u8>> {
        let read = |decoder: &mut dyn Read| {
            let mut output = Vec::new();
            decoder.take(limit + 1).read_to_end(&mut output)?;
            Ok::<_, io::Error>(output)
        };
        let output = match self {
            Self::Zstd(_) => read(&mut zstd::Decoder::with_buffer(input)?)?,
            Self::Gz(_) => read(&mut MultiGzDecoder::new(input))?,
            Self::Br(_) => read(&mut brotli::Decompressor::new(input, 1 << 16))?,
            Self::Bz2(_) => read(&mut bzip2::bufread::MultiBzDecoder::new(input))?,
            Self::Snappy => unsnap(input, limit)?,
        };
        if output.len() as u64 > limit {
            return Err(swells(limit));
        }
        Ok(output)
    }
}

/// A raw block begins with the length of its content, which is allocated at once: so it is checked before.
fn unsnap(mut input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    input.read_to_end(&mut block)?;
    let stated = snap::raw::decompress_len(&block)? as u64;
    if stated > limit {
        return Err(swells(limit));
    }
    if stated > SNAPPY_MOST * block.len() as u64 {
        let reason = format!("a block of {} bytes cannot hold the {stated} which it states", block.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(snap::raw::Decoder::new().decompress_vec(&block)?)
}

fn swells(limit: u64) -> io::Error {
    let reason = format!("it decompresses to more than the {limit} bytes which the index states");
    io::Error::new(io::ErrorKind::InvalidData, reason)
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
        let unsupported = || MdsError::Unsupported { what: "compression", name: text.into(), fix: CHOICE.into() };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u8>().map_err(|_| unsupported())?)),
            None => (text, None),
        };
        let (compression, levels) = match name {
            "zstd" => (Self::Zstd(level), 1..=22),
            "gz" => (Self::Gz(level), 0..=9),
            "br" => (Self::Br(level), 0..=11),
            "bz2" => (Self::Bz2(level), 1..=9),
            "snappy" if level.is_none() => return Ok(Self::Snappy),
            _ => return Err(unsupported()),
        };
        if level.is_none_or(|level| levels.contains(&level)) { Ok(compression) } else { Err(unsupported()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_levels_and_refusals() {
        for text in ["zstd", "zstd:1", "zstd:22", "gz", "gz:0", "gz:9", "br", "br:0", "br:11", "bz2", "bz2:1", "bz2:9"]
        {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        assert_eq!("snappy".parse::<Compression>().unwrap(), Compression::Snappy);
        for text in ["zstd:0", "zstd:23", "gz:10", "br:12", "bz2:0", "bz2:10", "snappy:1", "gz:x", "zstd:", "lz4", ""] {
            let error = text.parse::<Compression>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("unsupported compression {text:?}: use zstd[:1-22], gz")), "{error}");
        }
    }

    #[test]
    fn round_trip_and_the_limit_holds() {
        let bytes: Vec<u8> = (0..10_000u32).flat_map(|i| (i % 97).to_le_bytes()).collect();
        for text in ["zstd", "zstd:19", "gz:1", "gz", "br", "br:0", "bz2", "bz2:1", "snappy"] {
            let compression: Compression = text.parse().unwrap();
            let packed = compression.compress(&bytes).unwrap();
            assert!(packed.len() < bytes.len());
            assert_eq!(compression.decompress(&packed[..], bytes.len() as u64).unwrap(), bytes);
            let swollen = compression.decompress(&packed[..], bytes.len() as u64 - 1).unwrap_err().to_string();
            assert!(swollen.contains("more than the 39999 bytes"), "{text}: {swollen}");
            for cut in [0, 1, packed.len() / 2, packed.len() - 1] {
                let cut_short = compression.decompress(&packed[..cut], bytes.len() as u64);
                assert!(cut_short.is_err() || cut_short.unwrap().len() < bytes.len(), "{text} cut to {cut}");
            }
            let nothing = compression.compress(&[]).unwrap();
            assert!(compression.decompress(&nothing[..], 0).unwrap().is_empty());
        }
    }

    #[test]
    fn a_snappy_block_is_not_believed() {
        // A stated length of 4 GiB - 1 in front of one literal byte.
        let promise = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'a'];
        let error = Compression::Snappy.decompress(&promise[..], u32::MAX.into()).unwrap_err().to_string();
        assert_eq!(error, "a block of 7 bytes cannot hold the 4294967295 which it states");
        // The densest block there is, one literal and copies of 64 bytes: 64 bytes out of 3.
        let bytes = vec![b'a'; 1 << 20];
        let packed = Compression::Snappy.compress(&bytes).unwrap();
        assert_eq!(Compression::Snappy.decompress(&packed[..], 1 << 20).unwrap(), bytes);
    }
}
