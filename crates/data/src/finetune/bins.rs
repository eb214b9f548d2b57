//! Best-fit decreasing bin packing of examples into sequences.

use super::example::Example;
use std::collections::BTreeSet;

/// Puts things of these lengths, each at most `capacity`, into bins: the longest first, each into the fullest bin that
/// has room for it. Things in a bin, and bins by their first things, are in the order in which the things came.
pub(super) fn best_fit(lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut by_length: Vec<usize> = (0..lengths.len()).collect();
    by_length.sort_by(|&a, &b| lengths[b].cmp(&lengths[a])); // stable, so that the result is always the same
    let mut bins: Vec<Vec<usize>> = Vec::new();
    let mut rooms: BTreeSet<(usize, usize)> = BTreeSet::new();
    for thing in by_length {
        let length = lengths[thing];
        let fullest = rooms.range((length, 0)..).next().copied();
        let (room, bin) = match fullest {
            Some(found) => {
                rooms.remove(&found);
                found
            }
            None => {
                bins.push(Vec::new());
                (capacity, bins.len() - 1)
            }
        };
        bins[bin].push(thing);
        rooms.insert((room - length, bin));
    }
    bins.iter_mut().for_each(|bin| bin.sort_unstable());
    bins.sort_unstable();
    bins
}

/// Examples in one sequence, with padding behind them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) tokens: Vec<i32>,
    /// 1 for a label, else 0.
    pub(super) labels: Vec<u8>,
    /// Of the examples, in their order; what is missing to the length of the sequence is padding.
    pub(super) lengths: Vec<i32>,
}

impl Sequence {
    pub(super) fn of<'a>(examples: impl Iterator<Item = &'a Example>, length: usize, padding: i32) -> Self {
        let mut sequence = Self { tokens: Vec::with_capacity(length), labels: Vec::new(), lengths: Vec::new() };
        for example in examples {
            sequence.tokens.extend_from_slice(&example.tokens);
            sequence.labels.extend(example.labels.iter().map(|&label| u8::from(label)));
            sequence.lengths.push(example.tokens.len() as i32); // at most the sequence's, which fits
        }
        sequence.tokens.resize(length, padding);
        sequence.labels.resize(length, 0);
        sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_goes_where_it_fits_best() {
        // 4 goes to the 6 and a 3 to the 7, which are full then.
        assert_eq!(best_fit(&[4, 3, 7, 3, 6], 10), [vec![0, 4], vec![1, 2], vec![3]]);
        // 1 goes where it leaves no room, although the bin of the 8 came first.
        assert_eq!(best_fit(&[8, 6, 6, 1], 13), [vec![0], vec![1, 2, 3]]);
        assert_eq!(best_fit(&[5, 5, 5], 10), [vec![0, 1], vec![2]]);
        assert!(best_fit(&[], 10).is_empty());
    }

    proptest! {
        #[test]
        fn everything_is_packed_once_and_nothing_overflows(lengths in prop::collection::vec(1usize..=64, 0..300)) {
            let bins = best_fit(&lengths, 64);
            let mut things: Vec<usize> = bins.concat();
            things.sort_unstable();
            prop_assert!(things.into_iter().eq(0..lengths.len()));
            let filled: Vec<usize> = bins.iter().map(|bin| bin.iter().map(|&at| lengths[at]).sum()).collect();
            prop_assert!(filled.iter().all(|&filled| filled <= 64));
            // No two bins could be one: else the second would not have been opened.
            let mut smallest = filled.clone();
            smallest.sort_unstable();
            prop_assert!(smallest.len() < 2 || smallest[0] + smallest[1] > 64);
        }
    }
}
