//! The exact bytes of every token id.

/// Bytes of the ids `0..len`, in one buffer. An id that no token uses has no bytes.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Vocabulary {
    /// One past the highest id.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of one token; none for an id beyond the vocabulary.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start..end]
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Vocabulary {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Self {
        let mut vocabulary = Vocabulary::default();
        for token in tokens {
            vocabulary.bytes.extend_from_slice(token.as_ref());
            vocabulary.ends.push(vocabulary.bytes.len());
        }
        vocabulary
    }
}
