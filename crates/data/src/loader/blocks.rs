//! The order of one pass over a data set, in blocks of shards.
//!
//! Shards are permuted; consecutive ones form a block, as many as fit its bytes; the samples of a block are permuted
//! among themselves. Whoever reads in this order needs the shards of one block at a time, whatever the size of the data
//! set. A data set that fits one block is shuffled as a whole.

use super::order::{Order, mix};
use std::ops::Range;

/// What the order has to know of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardSize {
    pub(crate) samples: u64,
    /// Uncompressed.
    pub(crate) bytes: u64,
}

/// What decides the order of a pass, beside its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle {
    pub(crate) seed: u64,
    /// Whether the order is random or as stored.
    pub(crate) random: bool,
    /// Bytes of the shards of a block, as far as two shards are not more.
    pub(crate) block_bytes: u64,
}

/// A pure function of its arguments; O(shards) to make, O(log shards) to ask.
#[derive(Clone, Debug)]
pub(crate) struct BlockOrder {
    /// In the order of the pass: number, and samples before it in its block.
    shards: Vec<(usize, u64)>,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    /// Position of its first sample in the pass.
    first: u64,
    shards: Range<usize>,
    bytes: u64,
    order: Order,
}

/// Where a sample is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: usize,
    /// Which of the shards of the block.
    pub(crate) slot: usize,
    /// Number in the shard.
    pub(crate) sample: u64,
}

/// Keeps the order of shards apart from that of samples.
const SHARDS: u64 = 0x5a4d_11e5_0bad_cafe;

impl BlockOrder {
    pub(crate) fn new(sizes: &[ShardSize], shuffle: Shuffle, pass: u64) -> Self {
        let Shuffle { seed, random, block_bytes } = shuffle;
        let fits_one = sizes.iter().map(|shard| shard.bytes).sum::<u64>() <= block_bytes;
        let permuted = Order::new(sizes.len() as u64, seed ^ SHARDS, pass, random && !fits_one);
        let mut order = BlockOrder { shards: Vec::with_capacity(sizes.len()), blocks: Vec::new() };
        let (mut first, mut begin, mut samples, mut bytes) = (0, 0, 0, 0);
        for at in 0..sizes.len() {
            let number = permuted.at(at as u64) as usize;
            if at - begin >= 2 && bytes + sizes[number].bytes > block_bytes {
                order.close(first, begin, samples, bytes, shuffle, pass);
                (first, begin, samples, bytes) = (first + samples, at, 0, 0);
            }
            order.shards.push((number, samples));
            samples += sizes[number].samples;
            bytes += sizes[number].bytes;
        }
        order.close(first, begin, samples, bytes, shuffle, pass);
        order
    }

    fn close(&mut self, first: u64, begin: usize, samples: u64, bytes: u64, shuffle: Shuffle, pass: u64) {
        if samples == 0 {
            return; // only shards without samples, which nobody will ask for
        }
        let seed = shuffle.seed ^ mix(self.blocks.len() as u64);
        let order = Order::new(samples, seed, pass, shuffle.random);
        self.blocks.push(Block { first, shards: begin..self.shards.len(), bytes, order });
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Numbers of the shards of a block, by slot.
    pub(crate) fn shards(&self, block: usize) -> impl Iterator<Item = usize> {
        self.shards[self.blocks[block].shards.clone()].iter().map(|&(number, _)| number)
    }

    /// Bytes of all shards of a block.
    pub(crate) fn bytes(&self, block: usize) -> u64 {
        self.blocks[block].bytes
    }

    /// The sample at a position of the pass, which must be below the number of samples.
    pub(crate) fn at(&self, position: u64) -> Place {
        let number = self.blocks.partition_point(|block| block.first <= position) - 1;
        let block = &self.blocks[number];
        let within = block.order.at(position - block.first);
        let shards = &self.shards[block.shards.clone()];
        // The last shard that begins at or before the sample; one without samples is never the last such one.
        let slot = shards.partition_point(|&(_, before)| before <= within) - 1;
        Place { block: number, slot, sample: within - shards[slot].1 }
    }

    /// Number of the shard at a place.
    pub(crate) fn shard(&self, place: Place) -> usize {
        self.shards[self.blocks[place.block].shards.start + place.slot].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sizes(samples: &[u64]) -> Vec<ShardSize> {
        samples.iter().map(|&samples| ShardSize { samples, bytes: 100 + 10 * samples }).collect()
    }

    proptest! {
        #[test]
        fn every_sample_once_and_blocks_within_their_bytes(
            samples in prop::collection::vec(0u64..40, 1..30), block_bytes in 0u64..3000, seed: u64, pass: u64, random: bool,
        ) {
            let sizes = sizes(&samples);
            let order = BlockOrder::new(&sizes, Shuffle { seed, random, block_bytes }, pass);
            let total: u64 = samples.iter().sum();
            let places: Vec<Place> = (0..total).map(|position| order.at(position)).collect();
            let seen: BTreeSet<(usize, u64)> = places.iter().map(|&p| (order.shard(p), p.sample)).collect();
            prop_assert_eq!(seen.len() as u64, total);
            prop_assert!(seen.iter().all(|&(shard, sample)| sample < samples[shard]));
            // A block is left for good before the next one begins.
            prop_assert!(places.is_sorted_by_key(|place| place.block));
            for block in 0..order.blocks() {
                let shards: Vec<usize> = order.shards(block).collect();
                let bytes: u64 = shards.iter().map(|&shard| sizes[shard].bytes).sum();
                prop_assert_eq!(bytes, order.bytes(block));
                prop_assert!(bytes <= block_bytes || shards.len() <= 2, "{} shards of {} bytes", shards.len(), bytes);
            }
            if !random {
                prop_assert!(places.iter().map(|&p| (order.shard(p), p.sample)).is_sorted());
            }
        }
    }

    #[test]
    fn one_block_is_the_plain_order() {
        let shuffle = Shuffle { seed: 9, random: true, block_bytes: 10_000 };
        let (order, plain) = (BlockOrder::new(&sizes(&[10, 0, 20]), shuffle, 3), Order::new(30, 9, 3, true));
        for position in 0..30 {
            let place = order.at(position);
            assert_eq!([0, 10, 10][order.shard(place)] + place.sample, plain.at(position));
        }
    }

    /// How well blocks mix 64 shards of 200 samples: how far a sample moves (a third of the way is what a random order
    /// does) and how often neighbours come from one shard (1/k for k shards in a block).
    #[test]
    fn larger_blocks_mix_better() {
        let sizes = sizes(&[200; 64]);
        let total = 64 * 200u64;
        for (shards, neighbours) in [(2u64, 0.5), (4, 0.25), (16, 0.0625), (64, 1.0 / 64.0)] {
            let (mut moved, mut together) = (0.0, 0.0);
            let passes = 8;
            for pass in 0..passes {
                let shuffle = Shuffle { seed: 1, random: true, block_bytes: shards * sizes[0].bytes };
                let order = BlockOrder::new(&sizes, shuffle, pass);
                assert_eq!(order.blocks() as u64, 64 / shards);
                let places: Vec<Place> = (0..total).map(|position| order.at(position)).collect();
                for (position, &place) in places.iter().enumerate() {
                    let stored = order.shard(place) as f64 * 200.0 + place.sample as f64;
                    moved += (stored - position as f64).abs() / (total * total * passes) as f64;
                }
                let same = |pair: &&[Place]| order.shard(pair[0]) == order.shard(pair[1]);
                together += places.windows(2).filter(same).count() as f64 / (total * passes) as f64;
            }
            assert!((moved - 1.0 / 3.0).abs() < 0.03, "{shards} shards a block: moved {moved:.3} of the way");
            assert!((together / neighbours - 1.0).abs() < 0.1, "{shards} shards a block: {together:.4} together");
        }
    }
}
