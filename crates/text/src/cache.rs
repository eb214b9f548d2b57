//! The ids of the pieces seen last. Words repeat, so most pieces are found here.

use crate::key::Key;

/// Ids that an entry holds.
const IDS: usize = 3;
/// Entries; all together have 1 MiB.
const ENTRIES: usize = 1 << 15;

/// A piece and its ids.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Entry {
    key: Key,
    ids: [u32; IDS],
    count: u32,
}

/// A table with one place for each piece, where it takes over from the one before. Which pieces it holds changes the time
/// that encoding takes, never the ids.
pub(crate) struct Cache(Box<[Entry; ENTRIES]>);

impl Cache {
    pub(crate) fn new() -> Self {
        let free = Entry { key: Key::NONE, ids: [0; IDS], count: 0 };
        let entries = vec![free; ENTRIES].into_boxed_slice();
        Cache(entries.try_into().unwrap_or_else(|_| unreachable!("there are as many as the type says")))
    }

    /// The ids of a piece, and how many of them there are.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<([u32; IDS], usize)> {
        let entry = &self.0[key.hash() as usize % ENTRIES];
        (entry.key == key).then_some((entry.ids, entry.count as usize))
    }

    /// Keeps the ids of a piece if there is room for so many.
    pub(crate) fn insert(&mut self, key: Key, ids: &[u32]) {
        if ids.len() <= IDS {
            let mut all = [0; IDS];
            all[..ids.len()].copy_from_slice(ids);
            self.0[key.hash() as usize % ENTRIES] = Entry { key, ids: all, count: ids.len() as u32 };
        }
    }
}
