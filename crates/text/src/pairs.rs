//! Which token a pair of tokens makes.

/// A hash table from pairs of ranks to the rank of the token that they make. Open addressing; nothing is removed.
pub(crate) struct Pairs {
    /// Left, right and made in one word; a slot that is [`FREE`] is free.
    slots: Vec<u64>,
    /// 64 less the bits of an index.
    shift: u32,
}

/// No rank.
pub(crate) const NONE: u32 = u32::MAX;

/// Bits of a rank in a slot.
const BITS: u32 = 21;
/// One past the highest rank.
pub(crate) const MAX_RANKS: usize = 1 << BITS;
/// No pair leaves a word with its highest bit set.
const FREE: u64 = u64::MAX;

impl Pairs {
    /// An empty table for up to `count` pairs.
    pub(crate) fn with_capacity(count: usize) -> Self {
        let slots = (2 * count).next_power_of_two().max(2);
        Pairs { slots: vec![FREE; slots], shift: 64 - slots.trailing_zeros() }
    }

    /// The slot that has the pair, or else the free one where it belongs.
    #[inline]
    fn slot(&self, pair: u64) -> usize {
        // Fibonacci hashing: the golden ratio in 64 bits; the highest bits of the product are mixed best.
        let mut at = (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        while self.slots[at] != FREE && self.slots[at] >> BITS != pair {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    /// The rank that the pair makes, or [`NONE`].
    #[inline]
    pub(crate) fn get(&self, left: u32, right: u32) -> u32 {
        match self.slots[self.slot(word(left, right))] {
            FREE => NONE,
            slot => slot as u32 % MAX_RANKS as u32,
        }
    }

    /// Adds a pair that is not there. All ranks are below [`MAX_RANKS`].
    pub(crate) fn insert(&mut self, left: u32, right: u32, made: u32) {
        let pair = word(left, right);
        let free = self.slot(pair);
        self.slots[free] = pair << BITS | u64::from(made);
    }

    /// Left, right and made of each pair, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = [u32; 3]> {
        let rank = |bits: u64| bits as u32 % MAX_RANKS as u32;
        self.slots
            .iter()
            .filter(|&&slot| slot != FREE)
            .map(move |slot| [slot >> (2 * BITS), slot >> BITS, *slot].map(rank))
    }
}

#[inline]
fn word(left: u32, right: u32) -> u64 {
    u64::from(left) << BITS | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let most = MAX_RANKS as u32 - 1;
        let all = [[0, 0, 256], [0, 1, 257], [1, 0, 258], [most, 0, 3], [0, most, 0], [most, most, most]];
        let mut pairs = Pairs::with_capacity(all.len());
        for [left, right, made] in all {
            assert_eq!(pairs.get(left, right), NONE);
            pairs.insert(left, right, made);
        }
        for [left, right, made] in all {
            assert_eq!(pairs.get(left, right), made);
        }
        let mut listed: Vec<[u32; 3]> = pairs.iter().collect();
        listed.sort_unstable();
        let mut expected = all;
        expected.sort_unstable();
        assert_eq!(listed, expected);
    }
}
