//! What is kept of a document: minima that make similar documents meet, and a sample of its shingles that says how
//! similar they are.
//!
//! The minima are a "fast similarity sketch" (Dahlgaard, Knudsen and Thorup, FOCS 2017): a shingle goes into one bin
//! only, so that a long document costs one step a shingle instead of one for each minimum; documents too short to fill
//! all bins go through further rounds with other hashes. Each bin holds the least key of all shingles in an order of
//! its own, so two documents agree in a bin with probability equal to their Jaccard similarity, also short ones.

use super::options::Bands;
use crate::words::{Windows, for_each_word, mix};

/// A document's sample has at most so many shingles; the similarity of documents that have no more is exact.
const SAMPLE: usize = 4096;
const EMPTY: u64 = u64::MAX;
/// A key is the round, then the value's upper bits.
const VALUE_BITS: u32 = 52;

/// Makes sketches; keeps its buffers.
pub(super) struct Sketcher {
    windows: Windows,
    bands: Bands,
    words: Vec<u64>,
    shingles: Vec<u64>,
    bins: Vec<u64>,
}

impl Sketcher {
    pub(super) fn new(shingle_words: usize, bands: Bands) -> Self {
        let windows = Windows::new(shingle_words);
        Self { windows, bands, words: Vec::new(), shingles: Vec::new(), bins: vec![EMPTY; bands.count * bands.rows] }
    }

    /// Appends a hash for each band, none if the text has no words, and the text's sample.
    pub(super) fn sketch(&mut self, text: &str, band_hashes: &mut Vec<u32>, sample: &mut Vec<u8>) {
        self.words.clear();
        self.shingles.clear();
        for_each_word(text, |hash, _, _| self.words.push(hash));
        self.windows.for_each(&self.words, |hash, _| self.shingles.push(hash));
        Sample::append(&self.shingles, sample);
        if self.shingles.is_empty() {
            return;
        }
        self.fill_bins();
        band_hashes.extend(self.bins.chunks_exact(self.bands.rows).map(|minima| {
            let hash = minima.iter().fold(0, |hash, minimum| mix(hash ^ minimum));
            (hash >> 32) as u32
        }));
    }

    fn fill_bins(&mut self) {
        self.bins.fill(EMPTY);
        let bins = self.bins.len() as u64;
        for round in 0..2 * bins {
            // The first round takes the shingles' hashes as they are.
            let other = if round == 0 { 0 } else { mix(round) };
            for shingle in &self.shingles {
                let hash = if round == 0 { *shingle } else { mix(shingle ^ other) };
                let product = u128::from(hash) * u128::from(bins);
                // From round `bins` on one bin after the other gets its share, so that none stays empty.
                let bin = if round < bins { (product >> 64) as u64 } else { round - bins };
                let key = round << VALUE_BITS | product as u64 >> (64 - VALUE_BITS);
                let minimum = &mut self.bins[bin as usize];
                *minimum = key.min(*minimum);
            }
            if self.bins.iter().all(|bin| *bin != EMPTY) {
                break;
            }
        }
    }
}

/// Shingles of a document whose hashes end in `level` zero bits: all of them at level 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample {
    level: u32,
    /// The lower 32 bits of the hashes, in order, each once.
    shingles: Vec<u32>,
}

impl Sample {
    /// Bytes of the longest one.
    pub(super) const MOST_BYTES: usize = 4 * (1 + SAMPLE);

    /// Written as little-endian numbers of 32 bits: the level, then the shingles, in any order and perhaps repeated.
    fn append(shingles: &[u64], bytes: &mut Vec<u8>) {
        let mut level = lowest_level(shingles, (shingles.len() / SAMPLE).max(1).ilog2());
        let mut different = Vec::new();
        let mut shingles = shingles;
        if shingles.len() > SAMPLE && at_level(shingles, level).count() < SAMPLE / 4 {
            // The same shingles over and over: only now is it worth finding out how many different ones there are.
            different.extend_from_slice(shingles);
            different.sort_unstable();
            different.dedup();
            shingles = &different;
            level = lowest_level(shingles, 0);
        }
        bytes.extend_from_slice(&level.to_le_bytes());
        bytes.extend(at_level(shingles, level).flat_map(|hash| (*hash as u32).to_le_bytes()));
    }

    /// Reads what [`Self::append`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut numbers = bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        let level = numbers.next().unwrap_or(0);
        let mut shingles: Vec<u32> = numbers.collect();
        shingles.sort_unstable();
        shingles.dedup();
        Self { level, shingles }
    }

    /// Jaccard similarity of the documents: exact between samples of level 0, else an estimate from the shingles that
    /// both could have sampled, with a standard error of at most about 0.008 at 0.85.
    pub(super) fn jaccard(&self, other: &Self) -> f64 {
        let level = self.level.max(other.level);
        let comparable = |sample: &Self| -> Vec<u32> {
            sample.shingles.iter().copied().filter(|hash| hash.trailing_zeros() >= level).collect()
        };
        let (one, two) = (comparable(self), comparable(other));
        let (mut at, mut to, mut shared) = (0, 0, 0usize);
        while at < one.len() && to < two.len() {
            let (left, right) = (one[at], two[to]);
            shared += usize::from(left == right);
            at += usize::from(left <= right);
            to += usize::from(right <= left);
        }
        let union = one.len() + two.len() - shared;
        if union == 0 { 0.0 } else { shared as f64 / union as f64 }
    }
}

fn at_level(shingles: &[u64], level: u32) -> impl Iterator<Item = &u64> {
    shingles.iter().filter(move |hash| hash.trailing_zeros() >= level)
}

/// The first level from `level` on at which no more are left than a sample may have.
fn lowest_level(shingles: &[u64], mut level: u32) -> u32 {
    while shingles.len() > SAMPLE && at_level(shingles, level).count() > SAMPLE {
        level += 1;
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketcher(shingles: Vec<u64>, bins: usize) -> Sketcher {
        let mut sketcher = Sketcher::new(1, Bands { count: bins, rows: 1 });
        sketcher.shingles = shingles;
        sketcher.fill_bins();
        sketcher
    }

    fn sample(shingles: &[u64]) -> Sample {
        let mut bytes = Vec::new();
        Sample::append(shingles, &mut bytes);
        assert!(bytes.len() <= Sample::MOST_BYTES);
        Sample::read(&bytes)
    }

    /// Sets with a known similarity: `shared` elements in both, `own` more in each.
    fn sets(shared: u64, own: u64, seed: u64) -> (Vec<u64>, Vec<u64>) {
        let element = |at: u64| mix(mix(seed + 1) ^ at);
        let one = (0..shared + own).map(element).collect();
        let two = (0..shared).chain(shared + own..shared + 2 * own).map(element).collect();
        (one, two)
    }

    #[test]
    fn bins_agree_as_often_as_sets_are_similar() {
        // Sets much smaller than, about as large as, and much larger than the sketch.
        for (shared, own) in [(1u64, 1u64), (4, 1), (17, 3), (100, 30), (900, 100), (3000, 3000)] {
            let (bins, trials) = (128, 200);
            let agreeing: usize = (0..trials)
                .map(|seed| {
                    let (one, two) = sets(shared, own, seed);
                    let (one, two) = (sketcher(one, bins), sketcher(two, bins));
                    assert!(!one.bins.contains(&EMPTY));
                    one.bins.iter().zip(&two.bins).filter(|(a, b)| a == b).count()
                })
                .sum();
            let expected = shared as f64 / (shared + 2 * own) as f64;
            let found = agreeing as f64 / (bins as u64 * trials) as f64;
            // Of so many bins the standard error is at most 0.0032; bins of one document are not quite independent.
            assert!((found - expected).abs() < 0.015, "{shared} {own}: {found} instead of {expected}");
        }
    }

    #[test]
    fn small_samples_are_exact_and_large_ones_near() {
        for (shared, own) in [(0, 5), (1, 0), (85, 15), (900, 124)] {
            let (one, two) = sets(shared, own, 7);
            let expected = shared as f64 / (shared + 2 * own) as f64;
            assert_eq!(sample(&one).jaccard(&sample(&two)), expected);
        }
        for (shared, own) in [(4000, 400), (9000, 700), (100_000, 20_000), (6000, 5)] {
            let (one, two) = sets(shared, own, 9);
            let expected = shared as f64 / (shared + 2 * own) as f64;
            let found = sample(&one).jaccard(&sample(&two));
            assert!((found - expected).abs() < 0.03, "{shared} {own}: {found} instead of {expected}");
        }
    }

    #[test]
    fn odd_documents_have_samples() {
        assert_eq!(sample(&[]).jaccard(&sample(&[])), 0.0);
        for shingle in [0, 1, 1 << 40, u64::MAX] {
            let (repeated, more) = (sample(&vec![shingle; 50_000]), sample(&vec![shingle; 9000]));
            assert_eq!((repeated.level, repeated.shingles.len()), (0, 1));
            assert_eq!(repeated.jaccard(&more), 1.0);
        }
    }
}
