//! Ranks and merges: two ways to write down the same byte pair encoding.
//!
//! A *rank* vocabulary (tiktoken) lists tokens by priority; encoding joins the adjacent pair whose concatenation has the
//! lowest rank, leftmost first. A *merge* vocabulary (tokenizers) lists the pairs themselves. The two agree when each
//! token has one pair that can produce it, which this module finds.
//!
//! Why one pair is enough: while no merge has crossed the ends of a token's span, the merges inside the span are those
//! that happen to the token's bytes alone, because both follow the order (rank, position). So at the moment the token's
//! rank is reached, its span is always split in the same way, wherever it stands in the text.

use std::collections::HashMap;

/// Longer tokens are not looked into: the search is quadratic in the token. GPT-4's longest has 128 bytes.
const MAX_TOKEN_BYTES: usize = 1024;

/// The pair of ranks that makes each token from rank 256 on, for tokens in rank order of which the first 256 are the
/// single bytes. Fails with the rank of the first token that no single merge makes: encoding could never produce it.
pub(crate) fn merges_of_ranks(tokens: &[impl AsRef<[u8]>]) -> Result<Vec<(u32, u32)>, usize> {
    let mut byte_rank = [u32::MAX; 256];
    for (rank, token) in tokens.iter().take(256).enumerate() {
        match token.as_ref() {
            &[byte] if byte_rank[usize::from(byte)] == u32::MAX => byte_rank[usize::from(byte)] = rank as u32,
            _ => return Err(rank),
        }
    }
    if tokens.len() < 256 {
        return Err(tokens.len());
    }
    let mut made = HashMap::with_capacity(tokens.len());
    let mut pairs = Vec::with_capacity(tokens.len() - 256);
    let mut parts = Vec::new();
    for (rank, token) in tokens.iter().map(AsRef::as_ref).enumerate().skip(256) {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(rank);
        }
        parts.clear();
        parts.extend(token.iter().map(|&byte| byte_rank[usize::from(byte)]));
        merge_all(&mut parts, &made);
        let &[left, right] = parts.as_slice() else { return Err(rank) };
        made.insert((left, right), rank as u32);
        pairs.push((left, right));
    }
    Ok(pairs)
}

/// Joins pairs, lowest rank and leftmost first, until none is left. Quadratic, for single tokens.
fn merge_all(parts: &mut Vec<u32>, made: &HashMap<(u32, u32), u32>) {
    let ranked = |pair: &[u32]| made.get(&(pair[0], pair[1])).copied();
    while let Some((rank, at)) = parts.windows(2).enumerate().filter_map(|(at, pair)| Some((ranked(pair)?, at))).min() {
        parts[at] = rank;
        parts.remove(at + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_bytes(tokens: &[&str]) -> Vec<Vec<u8>> {
        (0..=u8::MAX).map(|b| vec![b]).chain(tokens.iter().map(|t| t.as_bytes().to_vec())).collect()
    }

    #[test]
    fn finds_the_pair_of_each_token() {
        let (a, b, c) = (u32::from(b'a'), u32::from(b'b'), u32::from(b'c'));
        assert_eq!(merges_of_ranks(&with_bytes(&["ab", "abc"])), Ok(vec![(a, b), (256, c)]));
        assert_eq!(merges_of_ranks(&with_bytes(&["bc", "abc"])), Ok(vec![(b, c), (a, 256)]));
        // Both splits of the word exist; the lower rank decides.
        assert_eq!(merges_of_ranks(&with_bytes(&["bc", "ab", "abc"])), Ok(vec![(b, c), (a, b), (a, 256)]));
        // Ties are resolved from the left.
        assert_eq!(merges_of_ranks(&with_bytes(&["aa", "aaa"])), Ok(vec![(a, a), (256, a)]));
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
            assert_eq!(merges_of_ranks(&tokens), Err(rank));
        }
    }
}
