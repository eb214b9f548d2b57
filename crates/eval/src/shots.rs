//! Which other rows a row is shown as examples.

use crate::python::{IntSet, Random};

/// LLM Foundry's `fewshot_random_seed`.
const SEED: u32 = 1234;

/// Few-shot choices of LLM Foundry, bit for bit: for each of `rows` rows in order, the numbers of up to `shots` other
/// rows of the same set, in the order in which they are shown. (llmfoundry/eval/datasets/utils.py,
/// `get_fewshot_sample_idxs`: one generator for the whole set, shots in the order of a Python set.)
pub struct Shots {
    rows: usize,
    shots: usize,
    next: usize,
    random: Random,
}

impl Shots {
    /// The choices for a set of rows.
    pub fn new(rows: usize, shots: usize) -> Self {
        Shots { rows, shots, next: 0, random: Random::new(SEED) }
    }
}

impl Iterator for Shots {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let (n, item) = (self.rows, self.next);
        if item == n {
            return None;
        }
        self.next += 1;
        if self.shots == 0 {
            return Some(Vec::new());
        }
        let mut set = IntSet::new(self.random.sample(n, self.shots.min(n - 1)));
        if set.contains(item) {
            set.remove(item);
            if set.len() < n - 1 {
                let mut other = self.random.below(n);
                while set.contains(other) || other == item {
                    other = self.random.below(n);
                }
                set.add(other);
            }
        }
        Some(set.iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Computed with CPython 3.11: rows, shots, choices of the first rows.
    type Vector = (usize, usize, &'static [&'static [usize]]);

    #[rustfmt::skip]
    const VECTORS: [Vector; 9] = [
        (1, 3, &[&[]]),
        (2, 3, &[&[1], &[0]]),
        (4, 5, &[&[1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[0, 1, 2]]),
        (30, 10, &[&[1, 2, 3, 11, 14, 18, 21, 24, 25, 27], &[0, 7, 11, 15, 19, 20, 22, 25, 27, 28],
                   &[0, 3, 4, 5, 7, 14, 15, 16, 21, 22]]),
        (100, 5, &[&[99, 74, 11, 14, 56], &[4, 10, 12, 85, 88], &[98, 3, 44, 45, 30], &[78, 79, 82, 59, 61]]),
        (500, 10, &[&[480, 225, 482, 3, 398, 494, 46, 466, 59, 413], &[354, 392, 8, 298, 42, 17, 50, 181, 343, 121]]),
        (2117, 3, &[&[1805, 478, 30], &[371, 343, 143], &[969, 403, 1452], &[64, 126, 71], &[1417, 1898, 1983]]),
        (20321, 3, &[&[14441, 3828, 245], &[1144, 2970, 19078], &[3225, 11620, 2750]]),
        (38160, 1, &[&[28883], &[7657], &[490], &[5940], &[38156], &[2288]]),
    ];

    #[test]
    fn choices_are_cpythons() {
        for (rows, shots, want) in VECTORS {
            let found: Vec<_> = Shots::new(rows, shots).take(want.len()).collect();
            assert_eq!(found, want, "{rows} rows, {shots} shots");
        }
    }

    /// FNV-1a over every choice of every row of many sets, computed with CPython 3.11; equal with 3.10, 3.12 and 3.13. It
    /// holds rows whose replacement takes the slot of what was removed, of which the first rows of a set have few.
    #[test]
    fn all_choices_are_cpythons() {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for rows in 1..=160 {
            for shots in [1, 2, 3, 5, 8, 10, 25] {
                for row in Shots::new(rows, shots).flatten() {
                    hash = (hash ^ row as u64).wrapping_mul(0x100_0000_01b3);
                }
            }
        }
        assert_eq!(hash, 0x9439_3b64_c1f5_516c);
    }

    #[test]
    fn without_shots_nothing_is_chosen() {
        assert_eq!(Shots::new(3, 0).collect::<Vec<_>>(), vec![Vec::<usize>::new(); 3]);
        assert_eq!(Shots::new(0, 3).count(), 0);
    }

    proptest! {
        #[test]
        fn a_row_never_sees_itself_or_another_twice(rows in 1usize..80, shots in 0usize..40) {
            let mut items = 0;
            for (item, mut chosen) in Shots::new(rows, shots).enumerate() {
                prop_assert_eq!(chosen.len(), shots.min(rows - 1));
                prop_assert!(chosen.iter().all(|other| *other < rows && *other != item));
                chosen.sort_unstable();
                chosen.dedup();
                prop_assert_eq!(chosen.len(), shots.min(rows - 1));
                items += 1;
            }
            prop_assert_eq!(items, rows);
        }
    }
}
