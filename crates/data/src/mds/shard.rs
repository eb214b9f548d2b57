//! One shard file: `u32 n`, `u32 offset[n + 1]` from the start of the file, a description, the samples.

use super::{Compression, FileInfo, HashAlgorithm, Hasher, MdsError, ShardInfo, file::RandomAccessFile};
use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read},
    ops::Range,
    path::{Path, PathBuf},
};

/// How much of a shard is checked when it is first opened. Sizes and offsets are always checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// The hash, where the index states one.
    #[default]
    Stated,
    /// The hash; a shard without one is refused.
    Required,
    /// Sizes and offsets only.
    Sizes,
}

#[derive(Debug)]
pub(crate) struct Shard {
    path: PathBuf,
    data: Data,
    bytes: u64,
    samples: u64,
}

#[derive(Debug)]
enum Data {
    File(RandomAccessFile),
    Memory(Vec<u8>),
}

impl Shard {
    /// Opens a shard, as it is or decompressed into memory. With `verify`, its hash is checked as well.
    pub(crate) fn open(folder: &Path, info: &ShardInfo, verify: Verify) -> Result<Self, MdsError> {
        let path = folder.join(&info.raw_data.basename);
        let data = match open_file(&path, &info.raw_data)? {
            Some(mut file) => {
                verify_hash(&path, &info.raw_data, verify, &mut file)?;
                Data::File(RandomAccessFile::new(file))
            }
            None => Data::Memory(decompress(folder, &path, info, verify)?),
        };
        let shard = Self { path, data, bytes: info.raw_data.bytes, samples: info.samples };
        shard.check_header()?;
        Ok(shard)
    }

    /// As [`Self::open`], with the whole content in memory: what is given out later are the very bytes that were hashed.
    pub(crate) fn load(folder: &Path, info: &ShardInfo, verify: Verify) -> Result<Self, MdsError> {
        let path = folder.join(&info.raw_data.basename);
        let Some(file) = open_file(&path, &info.raw_data)? else { return Self::open(folder, info, verify) };
        let mut bytes = Vec::with_capacity(info.raw_data.bytes as usize); // as long as the file, which was checked
        let mut check = HashCheck::new(&path, &info.raw_data, verify)?;
        // Piece by piece, so that it is hashed while it is in the processor's cache; one byte more than there should be.
        while bytes.len() as u64 <= info.raw_data.bytes {
            let (begin, left) = (bytes.len(), info.raw_data.bytes + 1 - bytes.len() as u64);
            (&file)
                .take(left.min(PIECE as u64))
                .read_to_end(&mut bytes)
                .map_err(|source| MdsError::Read { path: path.clone(), source })?;
            if bytes.len() == begin {
                break;
            }
            check.update(&bytes[begin..]);
        }
        if bytes.len() as u64 != info.raw_data.bytes {
            let reason = format!("its length changed while it was read: the index says {} bytes", info.raw_data.bytes);
            return Err(MdsError::Shard { path, reason });
        }
        check.finish()?;
        let shard = Self { path, data: Data::Memory(bytes), bytes: info.raw_data.bytes, samples: info.samples };
        shard.check_header()?;
        Ok(shard)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes held in memory.
    pub(crate) fn resident(&self) -> usize {
        match &self.data {
            Data::File(_) => 0,
            Data::Memory(bytes) => bytes.len(),
        }
    }

    /// Puts the bytes of a sample into `buffer`, replacing what is there.
    pub(crate) fn read(&self, sample: u64, buffer: &mut Vec<u8>) -> Result<(), MdsError> {
        let range = self.range(sample)?;
        buffer.clear();
        buffer.resize((range.end - range.start) as usize, 0); // at most the file, which is checked to be below 4 GiB
        self.read_at(range.start, buffer)
    }

    /// The bytes of a sample: where they lie if the shard is in memory, else read into `buffer`.
    pub(crate) fn sample<'a>(&'a self, sample: u64, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], MdsError> {
        match &self.data {
            Data::File(_) => {
                self.read(sample, buffer)?;
                Ok(buffer)
            }
            Data::Memory(bytes) => {
                let range = self.range(sample)?; // within the content, which is as long as `self.bytes`
                Ok(&bytes[range.start as usize..range.end as usize])
            }
        }
    }

    fn range(&self, sample: u64) -> Result<Range<u64>, MdsError> {
        let failed = |reason| MdsError::Sample { path: self.path.clone(), sample, reason };
        if sample >= self.samples {
            return Err(failed(format!("the shard holds {} samples", self.samples)));
        }
        let mut offsets = [0; 8];
        self.read_at(4 + 4 * sample, &mut offsets)?;
        let [b0, b1, b2, b3, e0, e1, e2, e3] = offsets;
        let (begin, end) = (u32::from_le_bytes([b0, b1, b2, b3]).into(), u32::from_le_bytes([e0, e1, e2, e3]).into());
        if begin < self.header_size() || begin >= end || end > self.bytes {
            let (first, last) = (self.header_size(), self.bytes);
            return Err(failed(format!("its offsets {begin}..{end} are not a range within {first}..{last}")));
        }
        Ok(begin..end)
    }

    fn header_size(&self) -> u64 {
        4 + 4 * (self.samples + 1)
    }

    fn check_header(&self) -> Result<(), MdsError> {
        let failed = |reason| Err(MdsError::Shard { path: self.path.clone(), reason });
        let word = |at| {
            let mut bytes = [0; 4];
            self.read_at(at, &mut bytes).map(|()| u64::from(u32::from_le_bytes(bytes)))
        };
        let samples = word(0)?;
        if samples != self.samples {
            return failed(format!("it says that it holds {samples} samples, the index says {}", self.samples));
        }
        // The index was checked to leave room for the header.
        let (first, last) = (word(4)?, word(4 * (samples + 1))?);
        if first < self.header_size() || first > self.bytes || last != self.bytes {
            return failed(format!("its offsets run from {first} to {last}, but it is {} bytes long", self.bytes));
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), MdsError> {
        let result = match &self.data {
            Data::File(file) => file.read_exact_at(buffer, offset),
            Data::Memory(bytes) => usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get(start..)?.get(..buffer.len()))
                .map(|found| buffer.copy_from_slice(found))
                .ok_or_else(|| ErrorKind::UnexpectedEof.into()),
        };
        result.map_err(|source| MdsError::Read { path: self.path.clone(), source })
    }
}

/// Opens a file of the length that the index states; `None` if there is none.
fn open_file(path: &Path, info: &FileInfo) -> Result<Option<File>, MdsError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(MdsError::Read { path: path.into(), source }),
    };
    let metadata = file.metadata().map_err(|source| MdsError::Read { path: path.into(), source })?;
    if !metadata.is_file() || metadata.len() != info.bytes {
        let reason = format!("{} bytes long, the index says {}", metadata.len(), info.bytes);
        return Err(MdsError::Shard { path: path.into(), reason });
    }
    Ok(Some(file))
}

fn decompress(folder: &Path, raw: &Path, info: &ShardInfo, verify: Verify) -> Result<Vec<u8>, MdsError> {
    let missing = |path: &Path| MdsError::Missing {
        path: path.into(),
        fix: "the index lists this shard; restore it from a copy, or build the data set again".into(),
    };
    let (Some(zip), Some(compression)) = (&info.zip_data, &info.compression) else { return Err(missing(raw)) };
    let compression: Compression = compression.parse()?;
    let path = folder.join(&zip.basename);
    let mut file = open_file(&path, zip)?.ok_or_else(|| missing(&path))?;
    verify_hash(&path, zip, verify, &mut file)?;
    // The hash has moved the cursor to the end.
    let file = fs::File::open(&path).map_err(|source| MdsError::Read { path: path.clone(), source })?;
    let bytes = compression
        .decompress(BufReader::new(file), info.raw_data.bytes)
        .map_err(|error| MdsError::Shard { path: path.clone(), reason: format!("cannot be decompressed: {error}") })?;
    if bytes.len() as u64 != info.raw_data.bytes {
        let reason = format!("decompresses to {} bytes, the index says {}", bytes.len(), info.raw_data.bytes);
        return Err(MdsError::Shard { path, reason });
    }
    verify_hash(raw, &info.raw_data, verify, &mut &bytes[..])?;
    Ok(bytes)
}

fn verify_hash(path: &Path, info: &FileInfo, verify: Verify, content: &mut dyn Read) -> Result<(), MdsError> {
    let mut check = HashCheck::new(path, info, verify)?;
    if let Some((_, hasher, _)) = &mut check.hash {
        io::copy(&mut BufReader::with_capacity(PIECE, content), hasher)
            .map_err(|source| MdsError::Read { path: path.into(), source })?;
    }
    check.finish()
}

/// Bytes that are hashed at once.
const PIECE: usize = 1 << 18;

/// A check of one of the stated hashes, the fastest one that this program knows.
struct HashCheck<'a> {
    path: &'a Path,
    /// With the digest that is stated; nothing if there is nothing to check.
    hash: Option<(HashAlgorithm, Hasher, String)>,
}

impl<'a> HashCheck<'a> {
    fn new(path: &'a Path, info: &FileInfo, verify: Verify) -> Result<Self, MdsError> {
        match verify {
            Verify::Sizes => return Ok(Self { path, hash: None }),
            Verify::Stated if info.hashes.is_empty() => return Ok(Self { path, hash: None }),
            Verify::Required if info.hashes.is_empty() => {
                let reason = "the index states no hash for it".into();
                return Err(MdsError::Shard { path: path.into(), reason });
            }
            Verify::Stated | Verify::Required => {}
        }
        let known = |(name, digest): (&String, &String)| Some((name.parse::<HashAlgorithm>().ok()?, digest.clone()));
        let stated: Vec<(HashAlgorithm, String)> = info.hashes.iter().filter_map(known).collect();
        let best = HashAlgorithm::ALL.iter().find_map(|algorithm| stated.iter().find(|(name, _)| name == algorithm));
        let Some((algorithm, digest)) = best else {
            return Err(MdsError::Unsupported {
                what: "hash",
                name: info.hashes.keys().cloned().collect::<Vec<_>>().join(", "),
                fix: format!(
                    "the index states nothing else for {}; open the data set with verification of sizes only, or \
                     write it with xxh3_64",
                    path.display()
                ),
            });
        };
        Ok(Self { path, hash: Some((*algorithm, algorithm.start(), digest.clone())) })
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some((_, hasher, _)) = &mut self.hash {
            hasher.update(bytes);
        }
    }

    fn finish(self) -> Result<(), MdsError> {
        let Some((algorithm, hasher, digest)) = self.hash else { return Ok(()) };
        let found = hasher.finish();
        if !found.eq_ignore_ascii_case(&digest) {
            let reason = format!("its {algorithm} is {found}, the index says {digest}: the content has changed");
            return Err(MdsError::Shard { path: self.path.into(), reason });
        }
        Ok(())
    }
}
