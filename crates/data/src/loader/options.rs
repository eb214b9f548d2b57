use super::blocks::Shuffle;
use crate::{DataError, mds::Verify};

/// How to read batches.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Samples of a global batch: of all readers together.
    pub batch: usize,
    /// Which of the readers this one is.
    pub reader: usize,
    /// How many readers share a global batch; each gets as many of its rows, the first reader the first ones. The order
    /// does not depend on their number.
    pub readers: usize,
    /// Token ids must be below this number.
    pub vocab_size: usize,
    /// Decides the order, together with the number of the pass.
    pub seed: u64,
    /// Whether the samples of a stream come in a random order or as stored.
    pub shuffle: bool,
    /// Uncompressed bytes of the shards whose samples are shuffled together. Twice as many are held in memory for every
    /// stream: the block in use and the next one. It decides the order.
    pub block_bytes: u64,
    /// Batches that are made ahead in the background.
    pub prefetch: usize,
    /// What is checked of a shard before anything in it is used.
    pub verify: Verify,
}

/// Four shards of the usual 64 MiB: enough that neighbours seldom come from one document, little enough that a second
/// block fits beside it on a laptop, and below a second to read.
pub(crate) const BLOCK_BYTES: u64 = 256 << 20;

impl LoaderOptions {
    /// One reader, shuffled with seed 0 in blocks of 256 MiB, four batches made ahead, hashes checked.
    #[must_use]
    pub fn new(batch: usize, vocab_size: usize) -> Self {
        Self {
            batch,
            reader: 0,
            readers: 1,
            vocab_size,
            seed: 0,
            shuffle: true,
            block_bytes: BLOCK_BYTES,
            prefetch: 4,
            verify: Verify::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        let fail = |key: &str, reason: String| Err(DataError::Recipe { key: key.into(), reason });
        let Self { batch, reader, readers, .. } = *self;
        if batch == 0 {
            return fail("batch", "0 is no number of samples".into());
        }
        if readers == 0 || !batch.is_multiple_of(readers) {
            let divisors: Vec<String> =
                (1..=batch).filter(|&n| batch.is_multiple_of(n)).map(|n| n.to_string()).collect();
            let reason =
                format!("{readers} readers cannot share a batch of {batch}: it can be {}", divisors.join(", "));
            return fail("readers", reason);
        }
        if reader >= readers {
            return fail("reader", format!("{reader} is none of the {readers} readers, which count from 0"));
        }
        Ok(())
    }

    pub(super) fn order(&self) -> Shuffle {
        Shuffle { seed: self.seed, random: self.shuffle, block_bytes: self.block_bytes }
    }
}
