//! Short pieces as two words, which are quickly compared and hashed.

/// Bytes of a key; its last byte is the length.
const BYTES: usize = 16;

/// A short piece: its bytes, then zeros, then its length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

impl Key {
    /// The key of no piece: none has the length 0.
    pub(crate) const NONE: Key = Key([0; 2]);

    /// The key of `text[start..end]`, which is not empty; none for a long piece.
    #[inline]
    pub(crate) fn of(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        if length >= BYTES {
            return None;
        }
        let mut bytes = [0; BYTES];
        match text.get(start..start + BYTES) {
            Some(more) => bytes.copy_from_slice(more),
            None => bytes[..length].copy_from_slice(&text[start..end]),
        }
        let word = u128::from_le_bytes(bytes) & MASKS[length] | (length as u128) << 120;
        Some(Key([word as u64, (word >> 64) as u64]))
    }

    /// A number whose lowest bits depend on every bit of the piece: both halves of the product of the words, each with
    /// some bits turned so that short pieces do not multiply by zero.
    #[inline]
    pub(crate) fn hash(self) -> u64 {
        let [low, high] = self.0;
        let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0x2d35_8dcc_aa6c_78a5);
        (product >> 64) as u64 ^ product as u64
    }
}

/// For each length, the bits of so many bytes.
const MASKS: [u128; BYTES] = {
    let mut masks = [0; BYTES];
    let mut length = 1;
    while length < BYTES {
        masks[length] = u128::MAX >> (8 * (BYTES - length));
        length += 1;
    }
    masks
};
