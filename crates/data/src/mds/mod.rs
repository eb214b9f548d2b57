//! MDS, the shard format of MosaicML Streaming, read and written byte for byte.
//!
//! The format is documented by its implementation, `mosaicml/streaming` v0.13 (Apache-2.0): a folder of
//! `shard.00000.mds` files and an `index.json` that names them with their sizes and hashes. Whoever writes with
//! [`Writer`] can be read by that package and the other way round. Two things are stricter here: hashes are on by
//! default, and nothing is believed before it was checked against the index and the length of the file.

mod compression;
mod dataset;
mod encoding;
mod error;
mod file;
mod framing;
mod hash;
mod index;
mod ndarray;
mod open_shard;
mod python_json;
mod shard;
mod value;
mod writer;

pub use compression::Compression;
pub use dataset::{Dataset, ReaderOptions, Sample};
pub use encoding::{Dtype, Encoding};
pub use error::MdsError;
pub(crate) use file::RandomAccessFile;
pub use file::{replace_file, sync_folder};
pub use hash::{HashAlgorithm, Hasher};
pub use index::{FileInfo, INDEX_NAME, Index, ShardInfo};
pub use ndarray::{NdArray, NdArrayView};
pub(crate) use open_shard::{OpenShard, Scratch};
pub use shard::Verify;
pub use value::Value;
pub use writer::{DEFAULT_SIZE_LIMIT, Writer, WriterOptions};
