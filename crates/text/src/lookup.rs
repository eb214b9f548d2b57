//! Which token a piece is as a whole.

use std::collections::HashMap;

use crate::key::Key;
use crate::vocabulary::Vocabulary;

/// Tokens by their bytes.
pub(crate) struct Lookup {
    /// Open addressing; a slot whose key is [`Key::NONE`] is free. At most half of them are taken.
    short: Vec<(Key, u32)>,
    /// What has no key. Few tokens and few pieces are so long.
    long: HashMap<Box<[u8]>, u32>,
}

impl Lookup {
    /// Of tokens by rank, no two the same.
    pub(crate) fn new(tokens: &Vocabulary) -> Self {
        let short = vec![(Key::NONE, 0); (2 * tokens.len()).next_power_of_two().max(2)];
        let mut lookup = Lookup { short, long: HashMap::new() };
        for rank in 0..tokens.len() as u32 {
            let token = tokens.get(rank);
            match Key::of(token, 0, token.len()) {
                Some(key) => {
                    let slot = lookup.slot(key);
                    lookup.short[slot] = (key, rank);
                }
                None => drop(lookup.long.insert(token.into(), rank)),
            }
        }
        lookup
    }

    /// The slot that has the key, or else the free one where it belongs.
    fn slot(&self, key: Key) -> usize {
        let mask = self.short.len() - 1;
        let mut at = key.hash() as usize & mask;
        while self.short[at].0 != key && self.short[at].0 != Key::NONE {
            at = (at + 1) & mask;
        }
        at
    }

    /// The rank of the token that is exactly this piece, whose key is `key`.
    pub(crate) fn get(&self, piece: &[u8], key: Option<Key>) -> Option<u32> {
        match key {
            Some(key) => {
                let (found, rank) = self.short[self.slot(key)];
                (found == key).then_some(rank)
            }
            None => self.long.get(piece).copied(),
        }
    }
}
