//! Which token a piece is as a whole.

use crate::vocabulary::Vocabulary;

/// A hash table from the bytes of tokens to their rank. Open addressing.
pub(crate) struct Lookup {
    /// The upper half of the hash and the rank; a slot whose rank is [`FREE`] is free.
    slots: Vec<(u32, u32)>,
}

const FREE: u32 = u32::MAX;

impl Lookup {
    /// Of tokens by rank, no two the same.
    pub(crate) fn new(tokens: &Vocabulary) -> Self {
        let mut lookup = Lookup { slots: vec![(0, FREE); (2 * tokens.len()).next_power_of_two().max(2)] };
        for rank in 0..tokens.len() as u32 {
            let hash = hash(tokens.get(rank));
            let free =
                lookup.probe(hash).find(|&at| lookup.slots[at].1 == FREE).expect("the table is at most half full");
            lookup.slots[free] = ((hash >> 32) as u32, rank);
        }
        lookup
    }

    /// Slots in the order in which bytes with this hash are looked for.
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.slots.len() - 1;
        (0..=mask).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }

    /// The rank of the token that has exactly these bytes; `tokens` are those that the table was made of.
    pub(crate) fn get(&self, tokens: &Vocabulary, bytes: &[u8]) -> Option<u32> {
        let hash = hash(bytes);
        for at in self.probe(hash) {
            let (upper, rank) = self.slots[at];
            if rank == FREE {
                break;
            }
            if upper == (hash >> 32) as u32 && tokens.get(rank) == bytes {
                return Some(rank);
            }
        }
        None
    }
}

/// Eight bytes at a time, each folded in by the two halves of a product.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().copied().chain([last]).map(u64::from_le_bytes);
    words.fold(bytes.len() as u64, |hash, word| fold(hash ^ word))
}

/// The halves of the product with a constant of about as many ones as zeros, one over the other.
#[inline]
pub(crate) fn fold(word: u64) -> u64 {
    let product = u128::from(word ^ 0x2d35_8dcc_aa6c_78a5) * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}
