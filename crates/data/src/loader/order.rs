//! The order of samples in an epoch.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const ROUNDS: usize = 6;

/// A permutation of `0..samples` that takes no memory and can be asked for any position.
///
/// Shuffled: a Feistel network on the smallest even number of bits that holds `samples`, walked until it lands below
/// `samples` (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
#[derive(Clone, Debug)]
pub struct Order {
    samples: u64,
    half_bits: u32,
    keys: Option<[u64; ROUNDS]>,
}

impl Order {
    /// The order of one epoch; as stored if not shuffled.
    #[must_use]
    pub fn new(samples: u64, seed: u64, epoch: u64, shuffle: bool) -> Self {
        let bits = u64::BITS - samples.saturating_sub(1).leading_zeros();
        let keys = shuffle.then(|| {
            std::array::from_fn(|round| {
                let mut input = *b"sample order....\0\0\0\0\0\0\0\0";
                input[12] = round as u8;
                input[16..].copy_from_slice(&epoch.to_le_bytes());
                xxh3_64_with_seed(&input, seed)
            })
        });
        Self { samples, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// The sample at a position; both are below the number of samples.
    #[must_use]
    pub fn at(&self, position: u64) -> u64 {
        let Some(keys) = &self.keys else { return position };
        debug_assert!(position < self.samples);
        let mask = (1 << self.half_bits) - 1;
        let mut value = position;
        loop {
            let (mut left, mut right) = (value >> self.half_bits, value & mask);
            for key in keys {
                (left, right) = (right, left ^ mix(right ^ key) & mask);
            }
            value = left << self.half_bits | right;
            // At most four times as many values as samples: this takes few turns, and ends because it is a permutation.
            if value < self.samples {
                return value;
            }
        }
    }
}

/// Stafford's 13th variant of the MurmurHash3 finaliser, as in SplitMix64.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_sample_once(samples in 1u64..3000, seed: u64, epoch: u64) {
            let order = Order::new(samples, seed, epoch, true);
            let mut seen = vec![false; samples as usize];
            for position in 0..samples {
                prop_assert!(!std::mem::replace(&mut seen[order.at(position) as usize], true));
            }
        }

        #[test]
        fn large_sets_stay_in_range(samples in 1u64 << 33..1 << 50, position: prop::sample::Index, seed: u64) {
            let position = position.index(samples as usize) as u64;
            prop_assert!(Order::new(samples, seed, 0, true).at(position) < samples);
        }
    }

    #[test]
    fn the_order_is_pinned() {
        let order = |seed, epoch, shuffle| -> Vec<u64> {
            let order = Order::new(10, seed, epoch, shuffle);
            (0..10).map(|position| order.at(position)).collect()
        };
        assert_eq!(order(1, 0, false), (0..10).collect::<Vec<_>>());
        // Pinned: a run that is continued with a later version must see the same order.
        assert_eq!(order(1, 0, true), [3, 7, 1, 9, 8, 6, 0, 2, 5, 4]);
        assert_ne!(order(1, 0, true), order(1, 1, true));
        assert_ne!(order(1, 0, true), order(2, 0, true));
    }

    /// Every sample comes first equally often, over many seeds; and neighbours do not stay neighbours.
    #[test]
    fn it_mixes() {
        let (samples, seeds) = (23u64, 23_000u64);
        let mut first = vec![0u64; samples as usize];
        let mut neighbours = 0u64;
        for seed in 0..seeds {
            let order = Order::new(samples, seed, 0, true);
            first[order.at(0) as usize] += 1;
            neighbours += (1..samples).filter(|&at| order.at(at) == order.at(at - 1) + 1).count() as u64;
        }
        // 1000 expected each, standard deviation 31; pairs in order: one per permutation is expected.
        assert!(first.iter().all(|count| (850..1150).contains(count)), "{first:?}");
        assert!((seeds * 9 / 10..seeds * 11 / 10).contains(&neighbours), "{neighbours}");
    }
}
