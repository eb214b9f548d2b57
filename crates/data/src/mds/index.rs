//! `index.json`: which shards there are, what is in their columns, how long they are and what they hash to.

use super::{
    Compression, MdsError,
    file::{replace_file, sync_folder},
    framing::Column,
    python_json,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Component, Path},
};

/// Name of the index in the folder of a data set.
pub const INDEX_NAME: &str = "index.json";

/// The content of `index.json`. Fields are declared in the sorted order in which the reference writer puts its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The shards, in the order of their samples.
    pub shards: Vec<ShardInfo>,
    /// Version of the format, 2.
    pub version: u32,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Encoding of every column.
    pub column_encodings: Vec<String>,
    /// Name of every column, in the order in which a sample holds them.
    pub column_names: Vec<String>,
    /// Bytes of every value of the column, if that is fixed.
    pub column_sizes: Vec<Option<u64>>,
    /// Compression of the file, `name` or `name:level`.
    pub compression: Option<String>,
    /// "mds".
    pub format: String,
    /// Hash algorithms that every file of the shard was hashed with.
    pub hashes: Vec<String>,
    /// The file as it is read; stated also where only the compressed one is stored.
    pub raw_data: FileInfo,
    /// Number of samples.
    pub samples: u64,
    /// Largest size in bytes which the writer aimed at.
    pub size_limit: Option<u64>,
    /// Version of the format, 2.
    pub version: u32,
    /// The compressed file, where there is one.
    pub zip_data: Option<FileInfo>,
}

/// One file of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Path relative to the index, with forward slashes.
    pub basename: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Digest of the whole file under the name of each algorithm, hexadecimal.
    pub hashes: BTreeMap<String, String>,
}

impl Index {
    /// Reads and checks `index.json` of a folder. The bytes of the file come along, for a fingerprint.
    ///
    /// # Errors
    /// If the file is missing, is no index of version 2, or contradicts itself.
    pub fn read(folder: &Path) -> Result<(Self, Vec<u8>), MdsError> {
        let path = folder.join(INDEX_NAME);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => MdsError::Missing {
                path: path.clone(),
                fix: "a folder without it is no data set (it is written last); name another folder, or build it".into(),
            },
            _ => MdsError::Read { path: path.clone(), source },
        })?;
        let failed = |reason: String| MdsError::Index { path: path.clone(), reason };
        let index: Self =
            serde_json::from_slice(&bytes).map_err(|error| failed(format!("is no MDS index: {error}")))?;
        if index.version != 2 {
            return Err(failed(format!("version {} of the format, only 2 can be read", index.version)));
        }
        let mut files = BTreeSet::new();
        for (number, shard) in index.shards.iter().enumerate() {
            shard.check().map_err(|reason| failed(format!("shard {number}: {reason}")))?;
            // Compared as paths, for which a/b and a//b are the same.
            if let Some(file) = shard.files().find(|file| !files.insert(Path::new(&file.basename))) {
                return Err(failed(format!("shard {number}: {:?} is listed twice", file.basename)));
            }
        }
        Ok((index, bytes))
    }

    /// Writes `index.json` into a folder whose shards are all there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), MdsError> {
        let path = folder.join(INDEX_NAME);
        let text = python_json::to_string(self).map_err(|error| MdsError::Options(error.to_string()))?;
        replace_file(&path, text.as_bytes())
            .and_then(|()| sync_folder(folder))
            .map_err(|source| MdsError::Write { path, source })
    }
}

impl ShardInfo {
    /// The columns, in order.
    pub(super) fn columns(&self) -> Result<Vec<Column>, MdsError> {
        self.column_names
            .iter()
            .zip(&self.column_encodings)
            .map(|(name, encoding)| Ok(Column { name: name.clone(), encoding: encoding.parse()? }))
            .collect()
    }

    /// The file as it is read, and the compressed one.
    fn files(&self) -> impl Iterator<Item = &FileInfo> {
        [Some(&self.raw_data), self.zip_data.as_ref()].into_iter().flatten()
    }

    /// Everything that can be said without opening the shard.
    fn check(&self) -> Result<(), String> {
        if self.version != 2 || self.format != "mds" {
            return Err(format!("format {:?} version {}, only mds version 2 can be read", self.format, self.version));
        }
        let (names, encodings, sizes) = (self.column_names.len(), self.column_encodings.len(), self.column_sizes.len());
        if names == 0 || names != encodings || names != sizes {
            return Err(format!("{names} column names, {encodings} encodings and {sizes} sizes"));
        }
        if let Some(name) = repeated(&self.column_names) {
            return Err(format!("column {name:?} is listed twice"));
        }
        for (column, &stated) in self.columns().map_err(|error| error.to_string())?.iter().zip(&self.column_sizes) {
            // The reference reads 0 as "not fixed", too.
            let (stated, size) = (stated.filter(|&size| size > 0), column.encoding.fixed_size());
            if stated != size {
                return Err(format!("column {:?} has size {stated:?}, its encoding {size:?}", column.name));
            }
        }
        let bytes = self.raw_data.bytes;
        if bytes > u64::from(u32::MAX) {
            return Err(format!("{bytes} bytes, but offsets of 32 bits reach {}", u32::MAX));
        }
        if self.samples.checked_mul(4).and_then(|offsets| offsets.checked_add(8)).is_none_or(|header| header > bytes) {
            return Err(format!("{} samples cannot be in {bytes} bytes", self.samples));
        }
        if let Some(compression) = &self.compression {
            compression.parse::<Compression>().map_err(|error| error.to_string())?;
        } else if let Some(zip) = &self.zip_data {
            return Err(format!("{:?} is compressed, but no compression is named", zip.basename));
        }
        for file in self.files() {
            if !is_inside(&file.basename) {
                return Err(format!("{:?} leads out of the folder of the index", file.basename));
            }
            if let Some(missing) = self.hashes.iter().find(|name| !file.hashes.contains_key(*name)) {
                return Err(format!("{:?} has no {missing}, which the shard promises", file.basename));
            }
        }
        Ok(())
    }
}

pub(super) fn repeated(names: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(name.as_str()))
}

/// A relative path that stays below where it starts.
fn is_inside(basename: &str) -> bool {
    !basename.is_empty() && Path::new(basename).components().all(|part| matches!(part, Component::Normal(_)))
}
