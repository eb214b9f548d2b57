//! Text that arrives token by token.

use crate::tokenizer::Tokenizer;

/// Decodes ids one at a time and never gives out half a character. All that [`TextStream::push`] and
/// [`TextStream::finish`] give out, put together, is what [`Tokenizer::decode`] gives for the same ids.
#[derive(Debug, Clone)]
pub struct TextStream {
    tokenizer: Tokenizer,
    /// Bytes that may be the beginning of a character: three at most.
    pending: Vec<u8>,
    /// Whether a space that comes next is the tokenizer's own.
    drops_space: bool,
    skips_special: bool,
}

impl TextStream {
    /// A stream at the beginning of a text.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        TextStream {
            tokenizer: tokenizer.clone(),
            pending: Vec::new(),
            drops_space: tokenizer.parts().drops_leading_space,
            skips_special: false,
        }
    }

    /// A stream that goes on with a text: a space at its beginning is kept, whatever the tokenizer.
    pub fn continuing(tokenizer: &Tokenizer) -> Self {
        TextStream { drops_space: false, ..TextStream::new(tokenizer) }
    }

    /// Leaves special tokens out, as [`Tokenizer::decode_without_special`] does.
    #[must_use]
    pub fn without_special(mut self) -> Self {
        self.skips_special = true;
        self
    }

    /// Takes the next id and gives out the text that is complete by now, if there is any.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.skips_special && self.tokenizer.is_special(id) {
            return None;
        }
        let mut bytes = self.tokenizer.token_bytes(id);
        if self.drops_space && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.drops_space = false;
        }
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut held = Vec::new();
        let mut chunks = self.pending.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            if chunks.peek().is_none() && is_unfinished(invalid) {
                held.extend_from_slice(invalid);
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.pending = held;
        Some(text).filter(|text| !text.is_empty())
    }

    /// Ends the stream: a character that was never completed becomes U+FFFD.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}
