//! Byte pair encoding of one piece: joining adjacent parts, lowest rank first and leftmost first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::merges::Merges;
use crate::pairs::NONE;

/// Up to so many bytes, looking at all pairs for the lowest is faster than a heap. It is quadratic, hence the bound.
const SHORT: usize = 96;

/// Room that is used again from piece to piece.
#[derive(Default)]
pub(crate) struct Joiner {
    /// Ranks of the parts.
    parts: Vec<u32>,
    /// For each part, the rank that it and its successor make, or [`NONE`].
    joined: Vec<u32>,
}

impl Joiner {
    /// The ranks of the tokens of `piece`.
    pub(crate) fn join(&mut self, merges: &Merges, piece: &[u8]) -> &[u32] {
        self.start(merges, piece);
        if piece.len() <= SHORT {
            self.join_short(merges)
        } else {
            self.join_long(merges)
        }
        &self.parts
    }

    /// Each byte is a part.
    fn start(&mut self, merges: &Merges, piece: &[u8]) {
        self.parts.clear();
        self.parts.extend(piece.iter().map(|&byte| merges.byte(byte)));
        self.joined.clear();
        self.joined.extend(piece.windows(2).map(|two| merges.two_bytes(two[0], two[1])));
        self.joined.push(NONE);
    }

    fn join_short(&mut self, merges: &Merges) {
        let Joiner { parts, joined } = self;
        loop {
            let lowest = joined.iter().fold(NONE, |lowest, &rank| lowest.min(rank));
            if lowest == NONE {
                break;
            }
            let at = joined.iter().position(|&rank| rank == lowest).expect("it is one of them");
            parts[at] = lowest;
            parts.remove(at + 1);
            joined.remove(at + 1);
            if at > 0 {
                joined[at - 1] = merges.pair(parts[at - 1], lowest);
            }
            joined[at] = parts.get(at + 1).map_or(NONE, |&next| merges.pair(lowest, next));
        }
    }

    /// The same with a heap, in time `n log n`. Parts stay where they begin; those that were joined to the one before are
    /// jumped over.
    fn join_long(&mut self, merges: &Merges) {
        let Joiner { parts, joined } = self;
        let end = parts.len();
        let mut next: Vec<usize> = (1..=end).collect();
        let mut before: Vec<usize> = (0..end).map(|at| at.wrapping_sub(1)).collect();
        let ranked = |(at, &rank): (usize, &u32)| (rank != NONE).then_some(Reverse((rank, at)));
        let mut heap: BinaryHeap<_> = joined.iter().enumerate().filter_map(ranked).collect();
        while let Some(Reverse((rank, at))) = heap.pop() {
            // An entry is out of date if one of its two parts has grown: then they make another token or none.
            if joined[at] != rank {
                continue;
            }
            let gone = next[at];
            parts[at] = rank;
            next[at] = next[gone];
            joined[gone] = NONE;
            joined[at] = NONE;
            if next[at] < end {
                before[next[at]] = at;
                joined[at] = merges.pair(rank, parts[next[at]]);
                heap.extend(ranked((at, &joined[at])));
            }
            if let Some(left) = parts.get(before[at]) {
                joined[before[at]] = merges.pair(*left, rank);
                heap.extend(ranked((before[at], &joined[before[at]])));
            }
        }
        let (mut at, mut count) = (0, 0);
        while at < end {
            parts[count] = parts[at];
            (at, count) = (next[at], count + 1);
        }
        parts.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bpe::byte_pair_encoding::{BytePairEncoding, find_hash_factor_for_dictionary};
    use proptest::prelude::*;

    /// A vocabulary over a few letters: joins of random pairs, each refused if no single merge makes it.
    fn vocabulary(pairs: &[(prop::sample::Index, prop::sample::Index)]) -> Vec<Vec<u8>> {
        let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        for (left, right) in pairs {
            let of = |index: &prop::sample::Index| {
                let letters = usize::from(b'a')..usize::from(b'd');
                let at = index.index(letters.len() + tokens.len() - 256);
                tokens[if at < letters.len() { letters.start + at } else { 256 + at - letters.len() }].clone()
            };
            tokens.push([of(left), of(right)].concat());
            if Merges::of_ranks(&tokens).is_err() {
                tokens.pop();
            }
        }
        tokens
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_ways_give_the_ranks_of_the_library(
            pairs in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..40),
            pieces in prop::collection::vec("[abc]{1,200}|(a|b){90,100}|a{1,300}", 1..20),
        ) {
            let tokens = vocabulary(&pairs);
            let merges = Merges::of_ranks(&tokens).unwrap();
            let factor = find_hash_factor_for_dictionary(tokens.iter().cloned());
            let library = BytePairEncoding::from_dictionary(tokens, Some(factor));
            let mut joiner = Joiner::default();
            for piece in &pieces {
                let expected = library.encode_via_backtracking(piece.as_bytes());
                joiner.start(&merges, piece.as_bytes());
                joiner.join_short(&merges);
                prop_assert_eq!(&joiner.parts, &expected, "{}", piece);
                joiner.start(&merges, piece.as_bytes());
                joiner.join_long(&merges);
                prop_assert_eq!(&joiner.parts, &expected, "{}", piece);
            }
        }
    }
}
