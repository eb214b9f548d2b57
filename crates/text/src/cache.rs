//! The ids of the pieces seen last. Words repeat, so most pieces are found here.

/// Bytes that a key holds; its last byte is the length.
const KEY: usize = 16;
/// Ids that an entry holds.
const IDS: usize = 3;
/// Entries; all together have 1 MiB.
const ENTRIES: usize = 1 << 15;

/// A short piece: its bytes, then zeros, then its length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

impl Key {
    /// The key of `text[start..end]`, which is not empty; none for a long piece.
    #[inline]
    pub(crate) fn of(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        if length >= KEY {
            return None;
        }
        let mut bytes = [0; KEY];
        match text.get(start..start + KEY) {
            Some(more) => bytes.copy_from_slice(more),
            None => bytes[..length].copy_from_slice(&text[start..end]),
        }
        let word = u128::from_le_bytes(bytes) & MASKS[length] | (length as u128) << 120;
        Some(Key([word as u64, (word >> 64) as u64]))
    }

    #[inline]
    fn slot(self) -> usize {
        let [low, high] = self.0;
        let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0x2d35_8dcc_aa6c_78a5);
        ((product >> 64) as u64 ^ product as u64) as usize % ENTRIES
    }
}

/// For each length, the bits of so many bytes.
const MASKS: [u128; KEY] = {
    let mut masks = [0; KEY];
    let mut length = 1;
    while length < KEY {
        masks[length] = u128::MAX >> (8 * (KEY - length));
        length += 1;
    }
    masks
};

/// A piece and its ids.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Entry {
    /// No piece has the length 0, so a free entry has no piece's key.
    key: Key,
    ids: [u32; IDS],
    count: u32,
}

/// A table with one place for each piece, where it takes over from the one before. Which pieces it holds changes the time
/// that encoding takes, never the ids.
pub(crate) struct Cache(Box<[Entry; ENTRIES]>);

impl Cache {
    pub(crate) fn new() -> Self {
        let free = Entry { key: Key([0; 2]), ids: [0; IDS], count: 0 };
        let entries = vec![free; ENTRIES].into_boxed_slice();
        Cache(entries.try_into().unwrap_or_else(|_| unreachable!("there are as many as the type says")))
    }

    /// The ids of a piece, and how many of them there are.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<([u32; IDS], usize)> {
        let entry = &self.0[key.slot()];
        (entry.key == key).then_some((entry.ids, entry.count as usize))
    }

    /// Keeps the ids of a piece if there is room for so many.
    pub(crate) fn insert(&mut self, key: Key, ids: &[u32]) {
        if ids.len() <= IDS {
            let mut all = [0; IDS];
            all[..ids.len()].copy_from_slice(ids);
            self.0[key.slot()] = Entry { key, ids: all, count: ids.len() as u32 };
        }
    }
}
