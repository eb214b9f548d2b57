//! The byte alphabet of byte-level BPE files: each byte is written as one printable character.
//!
//! The mapping is GPT-2's: the printable characters of Latin-1 stand for themselves, the 68 others are numbered from
//! U+0100 upwards in byte order. The space becomes `Ġ`, the line feed `Ċ`.

use std::sync::LazyLock;

const FIRST_STAND_IN: u32 = 0x100;

/// The bytes that have a stand-in, in the order in which the stand-ins are numbered.
static UNPRINTABLE: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..=u8::MAX).filter(|byte| !matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)).collect());

static ALPHABET: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut alphabet: [char; 256] = std::array::from_fn(|byte| char::from(byte as u8));
    for (stand_in, &byte) in (FIRST_STAND_IN..).zip(UNPRINTABLE.iter()) {
        alphabet[usize::from(byte)] = char::from_u32(stand_in).expect("at most U+0143");
    }
    alphabet
});

/// The character that stands for `byte`.
pub(crate) fn to_char(byte: u8) -> char {
    ALPHABET[usize::from(byte)]
}

/// The byte that `character` stands for.
pub(crate) fn to_byte(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..FIRST_STAND_IN => Some(code as u8).filter(|&byte| to_char(byte) == character),
        code => UNPRINTABLE.get((code - FIRST_STAND_IN) as usize).copied(),
    }
}

/// Writes bytes as a piece of a vocabulary file.
pub(crate) fn to_piece(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| to_char(byte)).collect()
}

/// Reads a piece of a vocabulary file; `None` if a character stands for no byte.
pub(crate) fn to_bytes(piece: &str) -> Option<Vec<u8>> {
    piece.chars().map(to_byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        let alphabet: Vec<char> = (0..=u8::MAX).map(to_char).collect();
        for (byte, &character) in alphabet.iter().enumerate() {
            assert_eq!(to_byte(character), Some(byte as u8));
        }
        let mut ours = alphabet;
        let mut theirs: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn known_pieces() {
        assert_eq!(to_piece(b" a\n"), "ĠaĊ");
        assert_eq!(to_piece("é".as_bytes()), "Ã©");
        assert_eq!(to_bytes("Ġa"), Some(b" a".to_vec()));
        assert_eq!(to_bytes("\u{ad}"), None);
        assert_eq!(to_bytes("漢"), None);
    }
}
