//! A folder of shards as one sequence of samples with random access.

use super::{
    HashAlgorithm, Index, MdsError, NdArrayView, OpenShard, ShardInfo, Value, Verify,
    framing::{self, Column},
    shard::Shard,
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// How to open a [`Dataset`].
#[derive(Clone, Copy, Debug)]
pub struct ReaderOptions {
    /// What is checked when a shard is first opened.
    pub verify: Verify,
    /// Bytes of decompressed shards that are kept in memory; the shard in use is kept whatever its size.
    pub cache_bytes: usize,
    /// Shard files that are kept open.
    pub open_files: usize,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { verify: Verify::Stated, cache_bytes: 256 << 20, open_files: 64 }
    }
}

/// A data set that is read. Cheap to share between threads: reading needs no exclusive access.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    options: ReaderOptions,
    shards: Vec<Entry>,
    samples: u64,
    fingerprint: String,
    open: Mutex<OpenShards>,
}

#[derive(Debug)]
struct Entry {
    info: ShardInfo,
    columns: Arc<[Column]>,
    /// Number of the first sample in the whole data set.
    first: u64,
}

#[derive(Debug)]
struct OpenShards {
    /// Most recently used last.
    shards: VecDeque<(usize, Arc<Shard>)>,
    verified: Vec<bool>,
}

/// A sample: its values, one for each column.
#[derive(Clone, Debug)]
pub struct Sample {
    columns: Arc<[Column]>,
    values: Vec<Value>,
}

impl Sample {
    /// The value of a column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.iter().find_map(|(name, value)| (name == column).then_some(value))
    }

    /// The text of a `str` column.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        if let Value::Str(text) = self.get(column)? { Some(text) } else { None }
    }

    /// The text of a `str` column, of which an empty one is left.
    pub fn take_text(&mut self, column: &str) -> Option<String> {
        let at = self.columns.iter().position(|one| one.name == column)?;
        if let Value::Str(text) = &mut self.values[at] { Some(std::mem::take(text)) } else { None }
    }

    /// Column names and values, in the order of the index.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.columns.iter().map(|column| column.name.as_str()).zip(&self.values)
    }
}

impl Dataset {
    /// Opens a folder that holds an `index.json`. Shards are opened, and their hashes checked, when they are first read.
    ///
    /// # Errors
    /// If the index is missing or contradicts itself.
    pub fn open(folder: &Path, options: ReaderOptions) -> Result<Self, MdsError> {
        let (index, bytes) = Index::read(folder)?;
        let mut samples = 0u64;
        let mut shards: Vec<Entry> = Vec::with_capacity(index.shards.len());
        for info in index.shards {
            let columns = match shards.last() {
                Some(last)
                    if (&last.info.column_names, &last.info.column_encodings)
                        == (&info.column_names, &info.column_encodings) =>
                {
                    last.columns.clone()
                }
                _ => info.columns()?.into(),
            };
            let first = samples;
            samples += info.samples; // below 2^30 each, as Index::read has checked
            shards.push(Entry { info, columns, first });
        }
        let open = Mutex::new(OpenShards { shards: VecDeque::new(), verified: vec![false; shards.len()] });
        let fingerprint = HashAlgorithm::Sha256.hex(&bytes);
        Ok(Self { folder: folder.into(), options, shards, samples, fingerprint, open })
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.samples
    }

    /// Whether there is no sample at all, which the format allows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// SHA-256 of the index; since the index holds the hashes of the shards, it stands for the whole data set.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The shards as the index describes them.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &ShardInfo> {
        self.shards.iter().map(|entry| &entry.info)
    }

    /// Number of the shard that holds a sample, and of the sample in it.
    ///
    /// # Errors
    /// If there is no such sample.
    pub fn locate(&self, sample: u64) -> Result<(usize, u64), MdsError> {
        if sample >= self.samples {
            return Err(MdsError::OutOfRange { sample, samples: self.samples, path: self.folder.clone() });
        }
        // The last shard that begins at or before the sample; an empty shard is never the last such one.
        let shard = self.shards.partition_point(|entry| entry.first <= sample) - 1;
        Ok((shard, sample - self.shards[shard].first))
    }

    /// Opens a shard for a reader of its own, past the shards kept here; `in_memory` also where it is not compressed.
    pub(crate) fn open_shard(&self, shard: usize, verify: Verify, in_memory: bool) -> Result<OpenShard, MdsError> {
        let Entry { info, columns, .. } = &self.shards[shard];
        let open = if in_memory { Shard::load } else { Shard::open };
        Ok(OpenShard::new(open(&self.folder, info, verify)?, columns.clone()))
    }

    /// Number of the first sample of a shard.
    pub(crate) fn first_of(&self, shard: usize) -> u64 {
        self.shards[shard].first
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// If there is no such sample, or its shard is missing, damaged, or not what the index says.
    pub fn get(&self, sample: u64) -> Result<Sample, MdsError> {
        let mut buffer = Vec::new();
        let (entry, shard, number) = self.read(sample, &mut buffer)?;
        let failed = |reason| MdsError::Sample { path: shard.path().into(), sample: number, reason };
        let ranges = framing::locate(&entry.columns, &buffer).map_err(failed)?;
        let values = entry
            .columns
            .iter()
            .zip(ranges)
            .map(|(column, range)| {
                Value::decode(&column.encoding, &buffer[range])
                    .map_err(|reason| failed(format!("column {:?}: {reason}", column.name)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Sample { columns: entry.columns.clone(), values })
    }

    /// Reads the array of one column without copying its values out of `buffer`.
    ///
    /// # Errors
    /// As [`Self::get`], and if there is no such column or it holds no arrays.
    pub fn array<'a>(&self, sample: u64, column: &str, buffer: &'a mut Vec<u8>) -> Result<NdArrayView<'a>, MdsError> {
        let (entry, shard, number) = self.read(sample, buffer)?;
        let failed = |reason| MdsError::Sample { path: shard.path().into(), sample: number, reason };
        let ranges = framing::locate(&entry.columns, buffer).map_err(failed)?;
        let (declared, range) =
            entry.columns.iter().zip(ranges).find(|(declared, _)| declared.name == column).ok_or_else(|| {
                failed(format!("it has no column {column:?}, only {}", entry.info.column_names.join(", ")))
            })?;
        let super::Encoding::NdArray { dtype, shape } = &declared.encoding else {
            return Err(failed(format!("column {column:?} holds {} and no arrays", declared.encoding)));
        };
        NdArrayView::decode(*dtype, shape.as_deref(), &buffer[range])
            .map_err(|reason| failed(format!("column {column:?}: {reason}")))
    }

    /// An error about a sample that names its shard, for readers that find fault with what a sample says.
    #[must_use]
    pub fn complain(&self, sample: u64, reason: String) -> MdsError {
        match self.locate(sample) {
            Ok((shard, sample)) => {
                let path = self.folder.join(&self.shards[shard].info.raw_data.basename);
                MdsError::Sample { path, sample, reason }
            }
            Err(error) => error,
        }
    }

    /// Opens every shard and checks sizes, offsets and hashes, and that every sample can be decoded. `each` is told
    /// the number of bytes of every shard that has passed.
    ///
    /// # Errors
    /// What is wrong with the first shard that fails.
    pub fn verify(&self, mut each: impl FnMut(u64)) -> Result<(), MdsError> {
        for entry in &self.shards {
            let shard = Shard::open(&self.folder, &entry.info, self.options.verify)?;
            let mut buffer = Vec::new();
            for sample in 0..entry.info.samples {
                shard.read(sample, &mut buffer)?;
                framing::locate(&entry.columns, &buffer)
                    .and_then(|ranges| {
                        entry
                            .columns
                            .iter()
                            .zip(ranges)
                            .try_for_each(|(column, range)| Value::decode(&column.encoding, &buffer[range]).map(|_| ()))
                    })
                    .map_err(|reason| MdsError::Sample { path: shard.path().into(), sample, reason })?;
            }
            each(entry.info.raw_data.bytes);
        }
        Ok(())
    }

    fn read(&self, sample: u64, buffer: &mut Vec<u8>) -> Result<(&Entry, Arc<Shard>, u64), MdsError> {
        let (number, sample) = self.locate(sample)?;
        let shard = self.shard(number)?;
        shard.read(sample, buffer)?;
        Ok((&self.shards[number], shard, sample))
    }

    fn shard(&self, number: usize) -> Result<Arc<Shard>, MdsError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.shards.iter().rposition(|(open, _)| *open == number)
            && let Some(found) = open.shards.remove(at)
        {
            open.shards.push_back(found.clone());
            return Ok(found.1);
        }
        let verify = if open.verified[number] { Verify::Sizes } else { self.options.verify };
        let shard = Arc::new(Shard::open(&self.folder, &self.shards[number].info, verify)?);
        open.verified[number] = true;
        open.shards.push_back((number, shard.clone()));
        let mut resident: usize = open.shards.iter().map(|(_, shard)| shard.resident()).sum();
        while open.shards.len() > 1
            && (open.shards.len() > self.options.open_files || resident > self.options.cache_bytes)
        {
            resident -= open.shards.pop_front().map_or(0, |(_, shard)| shard.resident());
        }
        Ok(shard)
    }
}
