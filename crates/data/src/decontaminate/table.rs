use rayon::prelude::*;

/// Which rows hold an n-gram, by its hash.
///
/// The hashes lie in order; a bit map of sixteen bits for each of them says of nearly every other hash that it is not
/// there, without looking further, and an index by the upper bits leaves a few hashes to search.
#[derive(Debug, Default)]
pub(super) struct Table {
    hashes: Vec<u64>,
    rows: Vec<u32>,
    present: Vec<u64>,
    buckets: Vec<u32>,
    /// Upper bits that number a bit of `present`, and a bucket.
    bits: u32,
    bucket_bits: u32,
}

impl Table {
    pub(super) fn new(mut entries: Vec<(u64, u32)>) -> Self {
        entries.par_sort_unstable();
        entries.dedup();
        let bits = (16 * entries.len()).next_power_of_two().ilog2().max(6);
        let bucket_bits = bits - 5;
        let mut present = vec![0; 1 << (bits - 6)];
        let mut buckets = vec![0; (1 << bucket_bits) + 1];
        for (hash, _) in &entries {
            let bit = hash >> (64 - bits);
            present[(bit / 64) as usize] |= 1 << (bit % 64);
            buckets[(hash >> (64 - bucket_bits)) as usize + 1] += 1;
        }
        for bucket in 1..buckets.len() {
            buckets[bucket] += buckets[bucket - 1];
        }
        let (hashes, rows) = entries.into_iter().unzip();
        Self { hashes, rows, present, buckets, bits, bucket_bits }
    }

    /// The place of the first entry with this hash.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<usize> {
        let bit = hash >> (64 - self.bits);
        if self.present[(bit / 64) as usize] >> (bit % 64) & 1 == 0 {
            return None;
        }
        let bucket = (hash >> (64 - self.bucket_bits)) as usize;
        let (start, end) = (self.buckets[bucket] as usize, self.buckets[bucket + 1] as usize);
        let at = start + self.hashes[start..end].partition_point(|other| *other < hash);
        (self.hashes.get(at) == Some(&hash)).then_some(at)
    }

    /// The rows of the entries that share the hash of the one at `at`, their first.
    pub(super) fn rows(&self, at: usize) -> &[u32] {
        let same = self.hashes[at..].iter().take_while(|hash| **hash == self.hashes[at]).count();
        &self.rows[at..at + same]
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn it_is_a_map(entries in prop::collection::vec((prop_oneof![0u64..20, any::<u64>(), Just(u64::MAX)], 0u32..5), 0..300), others: Vec<u64>) {
            let table = Table::new(entries.clone());
            let mut map: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
            for (hash, row) in entries {
                map.entry(hash).or_default().insert(row);
            }
            for hash in map.keys().copied().chain(others).chain(0..20) {
                let found = table.find(hash).map(|at| table.rows(at).iter().copied().collect());
                prop_assert_eq!(found.as_ref(), map.get(&hash));
            }
        }
    }
}
