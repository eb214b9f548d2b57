//! A data set that is open to be read, and the check that several belong together.

use super::{
    blocks::{BlockOrder, ShardSize, Shuffle},
    schedule::StreamSource,
    shard_folder::ShardFolder,
};
use crate::{
    DataError,
    mds::{Dataset, OpenShard, ReaderOptions, Scratch, Verify},
    pack::TOKENS,
};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) dataset: Dataset,
    /// Tokens per sample.
    pub(crate) sequence_length: usize,
    /// Fingerprint of the tokenizer, where the data set states it.
    tokenizer: Option<String>,
    sizes: Vec<ShardSize>,
    verify: Verify,
    opened: AtomicU64,
}

impl Stream {
    pub(crate) fn open(source: &StreamSource, verify: Verify) -> Result<Self, DataError> {
        let ShardFolder { shards: folder, stated } = ShardFolder::open(&source.path)?;
        let dataset = Dataset::open(&folder, ReaderOptions { verify, ..ReaderOptions::default() })?;
        if dataset.is_empty() {
            return Err(DataError::TooLittle(format!("{} holds no samples", folder.display())));
        }
        let (tokenizer, sequence_length) = match stated {
            Some((tokenizer, length)) => (Some(tokenizer), length),
            None => (None, length_of_first(&dataset)?),
        };
        let sizes = dataset.shards().map(|shard| ShardSize { samples: shard.samples, bytes: shard.raw_data.bytes });
        Ok(Self {
            name: source.name.clone(),
            sequence_length,
            tokenizer,
            sizes: sizes.collect(),
            dataset,
            verify,
            opened: AtomicU64::new(0),
        })
    }

    /// The order of a pass.
    pub(crate) fn pass(&self, shuffle: Shuffle, pass: u64) -> BlockOrder {
        BlockOrder::new(&self.sizes, shuffle, pass)
    }

    pub(crate) fn open_shard(&self, shard: usize, in_memory: bool) -> Result<OpenShard, DataError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(self.dataset.open_shard(shard, self.verify, in_memory)?)
    }

    /// How many times a shard was opened, and decompressed where it is compressed.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// Tokens of the first sample. Its shard is not hashed for this: whatever is trained on is checked when it is read.
fn length_of_first(dataset: &Dataset) -> Result<usize, DataError> {
    let (first, _) = dataset.locate(0)?;
    let shard = dataset.open_shard(first, Verify::Sizes, false)?;
    let array = shard.sample(0, &mut Scratch::default())?.array(shard.required(TOKENS)?)?.shape;
    Ok(array.iter().product::<u64>() as usize) // as many as the sample's bytes hold, which was checked
}

/// All streams must have samples of one length, made with one tokenizer, and none may be there twice.
pub(crate) fn must_agree(streams: &[Stream]) -> Result<(), DataError> {
    for (number, stream) in streams.iter().enumerate() {
        let fail = |reason| Err(DataError::Recipe { key: format!("stream {}", stream.name), reason });
        let first = &streams[0];
        if stream.sequence_length != first.sequence_length {
            let (length, other, name) = (stream.sequence_length, first.sequence_length, &first.name);
            return fail(format!("has {length} tokens a sample, stream {name} has {other}: build one of them anew"));
        }
        let stated = streams.iter().find_map(|s| Some((&s.name, s.tokenizer.as_ref()?)));
        if let (Some((name, theirs)), Some(tokenizer)) = (stated, &stream.tokenizer)
            && tokenizer != theirs
        {
            let reason = format!(
                "was made with the tokenizer of fingerprint {tokenizer}, stream {name} with {theirs}: build one of them anew"
            );
            return fail(reason);
        }
        for other in &streams[..number] {
            if other.name == stream.name {
                return fail("is the name of two streams".into());
            }
            if other.dataset.fingerprint() == stream.dataset.fingerprint() {
                return fail(format!("is the same data as stream {}: give one of them the weight of both", other.name));
            }
        }
    }
    Ok(())
}
