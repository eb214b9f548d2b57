//! Writing shards: samples are collected until a shard is full, every file appears whole or not at all, the index last.

use super::{
    Compression, Encoding, FileInfo, HashAlgorithm, Index, MdsError, ShardInfo, Value,
    file::replace_file,
    framing::{self, Column},
    index::repeated,
    python_json,
};
use serde::Serialize;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Size of a shard in bytes unless another is asked for: 64 MiB, as the reference writer has it.
pub const DEFAULT_SIZE_LIMIT: u64 = 1 << 26;

/// What a [`Writer`] writes.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Names and encodings of the columns, in the order in which [`Writer::write`] is given the values. In the file
    /// they are sorted by name.
    pub columns: Vec<(String, Encoding)>,
    /// Compression of the shard files.
    pub compression: Option<Compression>,
    /// Hashes put into the index, in this order.
    pub hashes: Vec<HashAlgorithm>,
    /// A shard is closed before it grows beyond this size; one sample alone may be larger. `None`: one shard only.
    pub size_limit: Option<u64>,
}

impl WriterOptions {
    /// No compression, xxh3_64, shards of 64 MiB.
    #[must_use]
    pub fn new(columns: Vec<(String, Encoding)>) -> Self {
        Self { columns, compression: None, hashes: vec![HashAlgorithm::Xxh3_64], size_limit: Some(DEFAULT_SIZE_LIMIT) }
    }
}

/// Writes a data set into an empty or new folder. Without [`Writer::finish`] there is no index, and so no data set.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    columns: Vec<Column>,
    /// Where the value of each (sorted) column stands in the caller's order.
    order: Vec<usize>,
    description: String,
    template: ShardInfo,
    compression: Option<Compression>,
    hashes: Vec<HashAlgorithm>,
    /// Samples of the shard under way, one after the other, and where each of them ends.
    data: Vec<u8>,
    ends: Vec<usize>,
    written: u64,
    shards: Vec<ShardInfo>,
}

/// The description inside a shard; keys in sorted order.
#[derive(Serialize)]
struct Description<'a> {
    column_encodings: &'a [String],
    column_names: &'a [String],
    column_sizes: &'a [Option<u64>],
    compression: &'a Option<String>,
    format: &'a str,
    hashes: &'a [String],
    size_limit: Option<u64>,
    version: u32,
}

impl Writer {
    /// Prepares `folder`, which must be empty or not exist.
    ///
    /// # Errors
    /// If the folder holds anything, cannot be made, or the options contradict themselves.
    pub fn create(folder: &Path, options: WriterOptions) -> Result<Self, MdsError> {
        let mut order: Vec<usize> = (0..options.columns.len()).collect();
        order.sort_by(|&a, &b| options.columns[a].0.cmp(&options.columns[b].0));
        let columns: Vec<Column> = order
            .iter()
            .map(|&at| Column { name: options.columns[at].0.clone(), encoding: options.columns[at].1.clone() })
            .collect();
        let template = template(&columns, &options)?;
        let description = Description {
            column_encodings: &template.column_encodings,
            column_names: &template.column_names,
            column_sizes: &template.column_sizes,
            compression: &template.compression,
            format: &template.format,
            hashes: &template.hashes,
            size_limit: template.size_limit,
            version: template.version,
        };
        let description = python_json::to_string(&description).map_err(|error| MdsError::Options(error.to_string()))?;
        prepare(folder)?;
        Ok(Self {
            folder: folder.into(),
            columns,
            order,
            description,
            template,
            compression: options.compression,
            hashes: options.hashes,
            data: Vec::new(),
            ends: Vec::new(),
            written: 0,
            shards: Vec::new(),
        })
    }

    /// Number of samples given so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether no sample was given yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Adds a sample; one value for each column, in the order of [`WriterOptions::columns`].
    ///
    /// # Errors
    /// If a value does not fit its column (nothing is added then), or a full shard cannot be written.
    pub fn write(&mut self, values: &[Value]) -> Result<(), MdsError> {
        let sample = self.written;
        let failed = |column: &str, reason| MdsError::Value { sample, column: column.into(), reason };
        if values.len() != self.columns.len() {
            let names = self.template.column_names.join(", ");
            return Err(failed(&names, format!("{} values for {} columns", values.len(), self.columns.len())));
        }
        let sorted: Vec<&Value> = self.order.iter().map(|&at| &values[at]).collect();
        let begin = self.data.len();
        let encoded = framing::encode(&self.columns, &sorted, &mut self.data)
            .map_err(|(column, reason)| failed(&column, reason))
            .and_then(|()| {
                let alone = (self.shard_size(1, self.data.len() - begin)) as u64;
                if alone > u64::from(u32::MAX) {
                    return Err(failed(
                        "all",
                        format!("a shard with it alone takes {alone} bytes, 4 GiB is the limit"),
                    ));
                }
                Ok(())
            });
        if let Err(error) = encoded {
            self.data.truncate(begin);
            return Err(error);
        }
        let limit = self.template.size_limit.unwrap_or(u32::MAX.into());
        if !self.ends.is_empty() && self.shard_size(self.ends.len() + 1, self.data.len()) as u64 > limit {
            if self.template.size_limit.is_none() {
                self.data.truncate(begin);
                return Err(failed("all", "a shard ends at 4 GiB; set a size limit, so that there can be many".into()));
            }
            let next = self.data.split_off(begin);
            self.flush()?;
            self.data = next;
        }
        self.ends.push(self.data.len());
        self.written += 1;
        Ok(())
    }

    /// Writes the last shard and then the index.
    ///
    /// # Errors
    /// If a file cannot be written; there is no index then.
    pub fn finish(mut self) -> Result<Index, MdsError> {
        if !self.ends.is_empty() {
            self.flush()?;
        }
        let index = Index { shards: self.shards, version: 2 };
        index.write(&self.folder)?;
        Ok(index)
    }

    /// Bytes of a shard with so many samples in so many bytes of data.
    fn shard_size(&self, samples: usize, data: usize) -> usize {
        4 + 4 * (samples + 1) + self.description.len() + data
    }

    fn flush(&mut self) -> Result<(), MdsError> {
        let size = self.shard_size(self.ends.len(), self.data.len());
        let start = size - self.data.len();
        let mut raw = Vec::with_capacity(size);
        // `write` keeps every shard below 4 GiB, so that these numbers fit 32 bits.
        raw.extend_from_slice(&(self.ends.len() as u32).to_le_bytes());
        for end in [0].iter().chain(&self.ends) {
            raw.extend_from_slice(&((start + end) as u32).to_le_bytes());
        }
        raw.extend_from_slice(self.description.as_bytes());
        raw.append(&mut self.data);

        let basename = format!("shard.{:05}.mds", self.shards.len());
        let mut info = self.template.clone();
        info.samples = self.ends.len() as u64;
        info.raw_data = self.describe(basename.clone(), &raw);
        let (name, content) = match self.compression {
            None => (basename, raw),
            Some(compression) => {
                let name = format!("{basename}.{}", compression.extension());
                let path = self.folder.join(&name);
                let packed = compression.compress(&raw).map_err(|source| MdsError::Write { path, source })?;
                info.zip_data = Some(self.describe(name.clone(), &packed));
                (name, packed)
            }
        };
        let path = self.folder.join(name);
        replace_file(&path, &content).map_err(|source| MdsError::Write { path, source })?;
        self.shards.push(info);
        self.ends.clear();
        Ok(())
    }

    fn describe(&self, basename: String, content: &[u8]) -> FileInfo {
        let hashes = self.hashes.iter().map(|hash| (hash.name().to_owned(), hash.hex(content))).collect();
        FileInfo { basename, bytes: content.len() as u64, hashes }
    }
}

fn template(columns: &[Column], options: &WriterOptions) -> Result<ShardInfo, MdsError> {
    let column_names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    if columns.is_empty() {
        return Err(MdsError::Options("a data set needs at least one column".into()));
    }
    if let Some(name) = repeated(&column_names) {
        return Err(MdsError::Options(format!("column {name:?} is given twice")));
    }
    if let Some(limit) = options.size_limit.filter(|&limit| limit > u64::from(u32::MAX)) {
        return Err(MdsError::Options(format!("a size limit of {limit} bytes is beyond 4 GiB, where shards end")));
    }
    Ok(ShardInfo {
        column_encodings: columns.iter().map(|column| column.encoding.to_string()).collect(),
        column_names,
        column_sizes: columns.iter().map(|column| column.encoding.fixed_size()).collect(),
        compression: options.compression.map(|compression| compression.to_string()),
        format: "mds".into(),
        hashes: options.hashes.iter().map(|hash| hash.name().to_owned()).collect(),
        raw_data: FileInfo { basename: String::new(), bytes: 0, hashes: Default::default() },
        samples: 0,
        size_limit: options.size_limit,
        version: 2,
        zip_data: None,
    })
}

/// Makes the folder, or makes sure that it is empty.
fn prepare(folder: &Path) -> Result<(), MdsError> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(MdsError::NotEmpty { path: folder.into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(|source| MdsError::Write { path: folder.into(), source })
        }
        Err(source) => Err(MdsError::Write { path: folder.into(), source }),
    }
}
