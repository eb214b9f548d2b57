use crate::DataError;
use serde::{Deserialize, Serialize};

/// Sought chance that two documents exactly at the threshold become a candidate pair.
const RECALL_AT_THRESHOLD: f64 = 0.99;
/// Rounds and values of a sketch share 64 bits; see `sketch.rs`.
pub(super) const MOST_PERMUTATIONS: usize = 2048;
const LEAST_MEMORY: u64 = 1 << 20;

/// What counts as a near duplicate, and how much may be spent on the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NearDuplicateOptions {
    /// Documents are near duplicates if the Jaccard similarity of their sets of shingles is at least this.
    pub jaccard: f64,
    /// Words in a shingle. In scripts without spaces a character is a word.
    pub shingle_words: usize,
    /// Minima in a sketch. More find pairs at the threshold more surely, and take longer.
    pub permutations: usize,
    /// Memory for sorting. The search needs besides it four bytes a document and the batch that is being pushed.
    pub memory_bytes: u64,
}

impl Default for NearDuplicateOptions {
    fn default() -> Self {
        Self { jaccard: 0.85, shingle_words: 5, permutations: 128, memory_bytes: 512 << 20 }
    }
}

/// A sketch is cut into `count` bands of `rows` minima; documents that agree in all of a band become candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bands {
    pub count: usize,
    pub rows: usize,
}

impl Bands {
    /// Chance that two documents of this similarity become candidates (Leskovec, Rajaraman and Ullman, "Mining of
    /// Massive Datasets", 3.4.2).
    pub(super) fn recall(self, jaccard: f64) -> f64 {
        1.0 - (1.0 - jaccard.powi(self.rows as i32)).powi(self.count as i32)
    }
}

impl NearDuplicateOptions {
    /// Whether every value is one that can be worked with.
    ///
    /// # Errors
    /// The first key whose value cannot be.
    pub fn check(&self) -> Result<(), DataError> {
        let wrong = |key: &str, reason: String| Err(DataError::Recipe { key: key.into(), reason });
        if !(0.1..=1.0).contains(&self.jaccard) {
            return wrong("jaccard", format!("{} is not between 0.1 and 1", self.jaccard));
        }
        if !(1..=64).contains(&self.shingle_words) {
            return wrong("shingle_words", format!("{} is not between 1 and 64", self.shingle_words));
        }
        if !(1..=MOST_PERMUTATIONS).contains(&self.permutations) {
            return wrong("permutations", format!("{} is not between 1 and {MOST_PERMUTATIONS}", self.permutations));
        }
        if self.memory_bytes < LEAST_MEMORY {
            return wrong("memory_bytes", format!("{} is less than {LEAST_MEMORY}", self.memory_bytes));
        }
        Ok(())
    }

    /// The longest bands, that is the fewest candidates to compare, that still find pairs at the threshold.
    pub(super) fn bands(&self) -> Bands {
        let bands = |rows| Bands { count: self.permutations / rows, rows };
        let longest = (1..=self.permutations).rev().map(bands).find(|b| b.recall(self.jaccard) >= RECALL_AT_THRESHOLD);
        longest.unwrap_or_else(|| bands(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_follow_from_the_threshold() {
        for (jaccard, permutations, count, rows) in [
            (0.85, 128, 16, 8),
            (0.7, 128, 32, 4),
            (0.95, 128, 8, 16),
            (1.0, 128, 1, 128),
            (0.85, 256, 25, 10),
            (0.1, 4, 4, 1),
        ] {
            let options = NearDuplicateOptions { jaccard, permutations, ..Default::default() };
            assert_eq!(options.bands(), Bands { count, rows }, "{jaccard} {permutations}");
        }
        let recall = NearDuplicateOptions::default().bands().recall(0.85);
        assert!((recall - 0.9939).abs() < 1e-4, "{recall}");
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        let options = NearDuplicateOptions::default;
        options().check().unwrap();
        for (key, wrong) in [
            ("jaccard", NearDuplicateOptions { jaccard: f64::NAN, ..options() }),
            ("jaccard", NearDuplicateOptions { jaccard: 85.0, ..options() }),
            ("shingle_words", NearDuplicateOptions { shingle_words: 0, ..options() }),
            ("permutations", NearDuplicateOptions { permutations: 4096, ..options() }),
            ("memory_bytes", NearDuplicateOptions { memory_bytes: 512, ..options() }),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
        assert!(toml::from_str::<NearDuplicateOptions>("jacard = 0.8").is_err());
    }
}
