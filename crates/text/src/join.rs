//! Byte pair encoding of one piece: joining adjacent parts, lowest rank first and leftmost first.

use std::collections::BTreeMap;

use crate::merges::Merges;
use crate::pairs::NONE;

/// Up to so many bytes, looking at all pairs for the lowest is faster than keeping them in order. It is quadratic, hence the bound.
const SHORT: usize = 64;
/// So many bytes, which most words do not exceed, are looked at with a fixed number of vector instructions.
const WORD: usize = 16;

/// Joins the bytes of a piece into tokens; keeps its room from piece to piece.
#[derive(Default)]
pub(crate) struct Joiner {
    /// The tokens' ranks.
    ranks: Vec<u32>,
}

impl Joiner {
    /// The ranks of the tokens of `piece`.
    pub(crate) fn join(&mut self, merges: &Merges, piece: &[u8]) -> &[u32] {
        if piece.len() <= WORD {
            self.join_short::<WORD>(merges, piece);
        } else if piece.len() <= SHORT {
            self.join_short::<SHORT>(merges, piece);
        } else {
            self.join_long(merges, piece);
        }
        &self.ranks
    }

    /// For pieces of up to `N` bytes, a power of two. Parts stay where they begin; those that were joined to the one before
    /// are jumped over.
    fn join_short<const N: usize>(&mut self, merges: &Merges, piece: &[u8]) {
        let end = piece.len();
        let mut parts = [0; N];
        let mut next: [u8; N] = std::array::from_fn(|at| at as u8 + 1);
        let mut before: [u8; N] = std::array::from_fn(|at| (at as u8).wrapping_sub(1));
        // What a part and the one after it make, as rank and place in one number: the least is the lowest and leftmost.
        let mut joined = [NONE; N];
        let packed = |rank: u32, at: usize| if rank == NONE { NONE } else { rank * N as u32 + at as u32 };
        for (at, &byte) in piece.iter().enumerate() {
            parts[at] = merges.byte(byte);
        }
        for (at, two) in piece.windows(2).enumerate() {
            joined[at] = packed(merges.two_bytes(two[0], two[1]), at);
        }
        loop {
            let least = joined.iter().fold(NONE, |least, &other| least.min(other));
            if least == NONE {
                break;
            }
            let (rank, at) = (least / N as u32, least as usize % N);
            let gone = usize::from(next[at]);
            let after = usize::from(next[gone]);
            (parts[at], next[at]) = (rank, after as u8);
            (joined[at], joined[gone]) = (NONE, NONE);
            if after < end {
                before[after] = at as u8;
                joined[at] = packed(merges.pair(rank, parts[after]), at);
            }
            if at > 0 {
                let left = usize::from(before[at]);
                joined[left] = packed(merges.pair(parts[left], rank), left);
            }
        }
        self.ranks.clear();
        let mut at = 0;
        while at < end {
            self.ranks.push(parts[at]);
            at = usize::from(next[at]);
        }
    }

    /// The same for long pieces: pairs wait by rank. What a join makes has a higher rank than the join, so a rank that has
    /// been served never comes again, and only then its places must be in order.
    fn join_long(&mut self, merges: &Merges, piece: &[u8]) {
        let end = piece.len();
        let mut parts: Vec<u32> = piece.iter().map(|&byte| merges.byte(byte)).collect();
        let mut joined: Vec<u32> = piece.windows(2).map(|two| merges.two_bytes(two[0], two[1])).collect();
        joined.push(NONE);
        let mut next: Vec<usize> = (1..=end).collect();
        let mut before: Vec<usize> = (0..end).map(|at| at.wrapping_sub(1)).collect();
        let mut waiting: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let wait = |waiting: &mut BTreeMap<_, Vec<_>>, rank, at| {
            if rank != NONE {
                waiting.entry(rank).or_default().push(at);
            }
        };
        joined.iter().enumerate().for_each(|(at, &rank)| wait(&mut waiting, rank, at));
        while let Some((rank, mut places)) = waiting.pop_first() {
            places.sort_unstable();
            for at in places {
                // A place is out of date if one of its two parts has grown: then they make another token or none.
                if joined[at] != rank {
                    continue;
                }
                let gone = next[at];
                let after = next[gone];
                (parts[at], next[at]) = (rank, after);
                (joined[at], joined[gone]) = (NONE, NONE);
                if after < end {
                    before[after] = at;
                    joined[at] = merges.pair(rank, parts[after]);
                    wait(&mut waiting, joined[at], at);
                }
                if at > 0 {
                    let left = before[at];
                    joined[left] = merges.pair(parts[left], rank);
                    wait(&mut waiting, joined[left], left);
                }
            }
        }
        self.ranks.clear();
        let mut at = 0;
        while at < end {
            self.ranks.push(parts[at]);
            at = next[at];
        }
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
        fn every_way_gives_the_ranks_of_the_library(
            pairs in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..40),
            pieces in prop::collection::vec("[abc]{1,16}|[abc]{1,64}|[ab]{60,70}|[abc]{65,200}|a{1,300}", 1..20),
        ) {
            let tokens = vocabulary(&pairs);
            let merges = Merges::of_ranks(&tokens).unwrap();
            let factor = find_hash_factor_for_dictionary(tokens.iter().cloned());
            let library = BytePairEncoding::from_dictionary(tokens, Some(factor));
            let mut joiner = Joiner::default();
            for piece in &pieces {
                let expected = library.encode_via_backtracking(piece.as_bytes());
                joiner.join_long(&merges, piece.as_bytes());
                prop_assert_eq!(&joiner.ranks, &expected, "{}", piece);
                if piece.len() <= SHORT {
                    joiner.join_short::<SHORT>(&merges, piece.as_bytes());
                    prop_assert_eq!(&joiner.ranks, &expected, "{}", piece);
                }
                if piece.len() <= WORD {
                    joiner.join_short::<WORD>(&merges, piece.as_bytes());
                    prop_assert_eq!(&joiner.ranks, &expected, "{}", piece);
                }
            }
        }
    }
}
