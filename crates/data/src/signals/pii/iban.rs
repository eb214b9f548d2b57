//! International bank account numbers (ISO 13616): a country's length, and the remainder 1 modulo 97.

use super::bounds::{at, before, is_word};

/// Lengths by country, of the registry that SWIFT keeps.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The number whose two check digits are at a place.
pub(super) fn find(bytes: &[u8], check: usize) -> Option<(usize, usize)> {
    let start = check.checked_sub(2)?;
    let country: &[u8; 2] = bytes[start..check].try_into().ok()?;
    let place = LENGTHS.binary_search_by_key(&country, |(country, _)| *country).ok()?;
    let length = LENGTHS[place].1;
    if is_word(before(bytes, start)) || !at(bytes, check + 1).is_ascii_digit() {
        return None;
    }
    let mut number = [0_u8; 34];
    let (mut filled, mut end) = (0, start);
    while filled < length {
        let byte = at(bytes, end);
        if byte.is_ascii_digit() || byte.is_ascii_uppercase() {
            number[filled] = byte;
            filled += 1;
        } else if byte != b' ' || filled % 4 != 0 || at(bytes, end + 1) == b' ' {
            return None;
        }
        end += 1;
    }
    (!is_word(at(bytes, end)) && remainder(&number[..length]) == 1).then_some((start, end))
}

/// The number, its first four characters moved to its end, letters as 10 to 35, modulo 97.
fn remainder(number: &[u8]) -> u32 {
    number[4..].iter().chain(&number[..4]).fold(0, |rest, &byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_in_order() {
        assert!(LENGTHS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn the_remainder_is_one() {
        for number in ["GB82WEST12345698765432", "DE89370400440532013000", "NO9386011117947"] {
            assert_eq!(remainder(number.as_bytes()), 1, "{number}");
        }
    }
}
