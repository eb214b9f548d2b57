//! Ranks and merges: two ways to write down the same byte pair encoding.
//!
//! A *rank* vocabulary (tiktoken) lists tokens by priority; encoding joins the adjacent pair whose concatenation has the
//! lowest rank, leftmost first. A *merge* vocabulary (tokenizers) lists the pairs themselves. The two agree when each
//! token has one pair that can produce it, which this module finds.
//!
//! Why one pair is enough: while no merge has crossed the ends of a token's span, the merges inside the span are those
//! that happen to the token's bytes alone, because both follow the order (rank, position). So at the moment the token's
//! rank is reached, its span is always split in the same way, wherever it stands in the text.

use crate::join::Joiner;
use crate::pairs::{MAX_RANKS, NONE, Pairs};

/// Longer tokens are not looked into. GPT-4's longest has 128 bytes.
const MAX_TOKEN_BYTES: usize = 1024;

/// Which tokens are single bytes, and which pairs of tokens make another.
pub(crate) struct Merges {
    bytes: [u32; 256],
    /// The rank of each two bytes, by the first and then the second.
    two_bytes: Vec<u32>,
    pairs: Pairs,
}

impl Merges {
    /// Finds the pair of ranks that makes each token from rank 256 on, for tokens in rank order of which the first 256 are
    /// the single bytes. Fails with the rank of the first token that no single merge makes: encoding could never
    /// produce it; or with the number of ranks that there can be.
    pub(crate) fn of_ranks(tokens: &[impl AsRef<[u8]>]) -> Result<Self, usize> {
        if tokens.len() > MAX_RANKS {
            return Err(MAX_RANKS);
        }
        let mut bytes = [NONE; 256];
        for (rank, token) in tokens.iter().take(256).enumerate() {
            match token.as_ref() {
                &[byte] if bytes[usize::from(byte)] == NONE => bytes[usize::from(byte)] = rank as u32,
                _ => return Err(rank),
            }
        }
        if tokens.len() < 256 {
            return Err(tokens.len());
        }
        let (two_bytes, pairs) = (vec![NONE; 1 << 16], Pairs::with_capacity(tokens.len()));
        let mut merges = Merges { bytes, two_bytes, pairs };
        let mut joiner = Joiner::default();
        for (rank, token) in tokens.iter().map(AsRef::as_ref).enumerate().skip(256) {
            if token.len() > MAX_TOKEN_BYTES {
                return Err(rank);
            }
            let &[left, right] = joiner.join(&merges, token) else { return Err(rank) };
            merges.pairs.insert(left, right, rank as u32);
            if let &[first, second] = token {
                merges.two_bytes[usize::from(first) << 8 | usize::from(second)] = rank as u32;
            }
        }
        Ok(merges)
    }

    /// The pairs in the order of what they make.
    pub(crate) fn in_order(&self) -> Vec<(u32, u32)> {
        let mut made: Vec<[u32; 3]> = self.pairs.iter().collect();
        made.sort_unstable_by_key(|&[_, _, made]| made);
        made.into_iter().map(|[left, right, _]| (left, right)).collect()
    }

    /// The rank of a byte.
    #[inline]
    pub(crate) fn byte(&self, byte: u8) -> u32 {
        self.bytes[usize::from(byte)]
    }

    /// The rank of two bytes, or [`NONE`].
    #[inline]
    pub(crate) fn two_bytes(&self, first: u8, second: u8) -> u32 {
        self.two_bytes[usize::from(first) << 8 | usize::from(second)]
    }

    /// The rank of the token that two tokens make, or [`NONE`].
    #[inline]
    pub(crate) fn pair(&self, left: u32, right: u32) -> u32 {
        self.pairs.get(left, right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_bytes(tokens: &[&str]) -> Vec<Vec<u8>> {
        (0..=u8::MAX).map(|b| vec![b]).chain(tokens.iter().map(|t| t.as_bytes().to_vec())).collect()
    }

    fn pairs(tokens: Vec<Vec<u8>>) -> Result<Vec<(u32, u32)>, usize> {
        Merges::of_ranks(&tokens).map(|merges| merges.in_order())
    }

    #[test]
    fn finds_the_pair_of_each_token() {
        let (a, b, c) = (u32::from(b'a'), u32::from(b'b'), u32::from(b'c'));
        assert_eq!(pairs(with_bytes(&["ab", "abc"])), Ok(vec![(a, b), (256, c)]));
        assert_eq!(pairs(with_bytes(&["bc", "abc"])), Ok(vec![(b, c), (a, 256)]));
        // Both splits of the word exist; the lower rank decides.
        assert_eq!(pairs(with_bytes(&["bc", "ab", "abc"])), Ok(vec![(b, c), (a, b), (a, 256)]));
        // Ties are resolved from the left.
        assert_eq!(pairs(with_bytes(&["aa", "aaa"])), Ok(vec![(a, a), (256, a)]));
    }

    #[test]
    fn refuses_what_is_no_rank_vocabulary() {
        let cases: [(Vec<Vec<u8>>, usize); 5] = [
            (with_bytes(&["abc"]), 256),                                    // no pair makes it
            (with_bytes(&["ab", "bc", "abcd"]), 258),                       // three parts: ab, c, d
            (with_bytes(&["ab", "ab"]), 257),                               // twice
            (with_bytes(&[])[..255].to_vec(), 255),                         // a byte is missing
            ([vec![vec![0]], with_bytes(&[])[..255].to_vec()].concat(), 1), // a byte twice
        ];
        for (tokens, rank) in cases {
            assert_eq!(pairs(tokens), Err(rank));
        }
    }
}
