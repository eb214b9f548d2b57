//! Windows-1252 (code page table of the WHATWG Encoding Standard): Latin-1 but for 0x80 to 0x9f.

/// What stands at 0x80 to 0x9f; five places are not taken and keep their control characters.
const UPPER: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The character of a byte from 0x80 to 0x9f; none where there is none.
pub(super) fn decode(byte: u8) -> Option<char> {
    let character = *UPPER.get(usize::from(byte).checked_sub(0x80)?)?;
    (!character.is_control()).then_some(character)
}

/// The byte above 0x7f that was read as this character, in Windows-1252 or in Latin-1.
pub(super) fn encode(character: char) -> Option<u8> {
    match character {
        '\u{80}'..='\u{ff}' => Some(character as u8),
        '\u{152}'..='\u{2122}' => {
            UPPER.iter().position(|upper| *upper == character).map(|position| position as u8 + 0x80)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for byte in 0x80..=0x9f {
            if let Some(character) = decode(byte) {
                assert_eq!(encode(character), Some(byte));
            }
            assert_eq!(encode(char::from(byte)), Some(byte));
        }
        assert_eq!((decode(0x7f), decode(0xa0), decode(0x81), decode(0x99)), (None, None, None, Some('™')));
        assert_eq!((encode('é'), encode('a'), encode('Ω'), encode('ı')), (Some(0xe9), None, None, None));
    }
}
