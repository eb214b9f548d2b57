//! What stands before and after a place in a text.

/// The byte before a place; a space at the start.
#[inline]
pub(super) fn before(bytes: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(b' ', |at| bytes[at])
}

/// The byte at a place; a space at the end.
#[inline]
pub(super) fn at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(b' ')
}

/// Whether a byte belongs to a word, as far as numbers and tokens are concerned.
#[inline]
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The end of the run of bytes from a place that are of a kind, at most so many of them.
#[inline]
pub(super) fn run(bytes: &[u8], from: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    let limit = bytes.len().min(from.saturating_add(most));
    let rest = bytes.get(from..limit).unwrap_or_default();
    from + rest.iter().position(|&byte| !is(byte)).unwrap_or(rest.len())
}

/// The last words before a place, at most so many bytes, in lower case, without the signs right before the place.
pub(super) fn context(bytes: &[u8], at: usize, most: usize) -> Vec<u8> {
    let context = &bytes[at.saturating_sub(most)..at];
    let end = context.iter().rposition(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()).map_or(0, |at| at + 1);
    context[..end].to_ascii_lowercase()
}

/// Whether a text ends in a word: right at its start, or after something that is no letter.
pub(super) fn ends_in_word(text: &[u8], word: &[u8]) -> bool {
    text.strip_suffix(word).is_some_and(|rest| !rest.last().is_some_and(u8::is_ascii_alphabetic))
}
