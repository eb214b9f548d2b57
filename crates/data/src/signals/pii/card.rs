//! Payment cards: a known issuer, its length, its grouping, and Luhn's check digit (ISO/IEC 7812-1).

use super::bounds::{at, before, is_word};

/// The digits at a place that make a card number.
pub(super) fn find(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    if !(b'2'..=b'6').contains(&bytes[start]) {
        return None;
    }
    let previous = before(bytes, start);
    let apart = start.checked_sub(2).map_or(b' ', |at| bytes[at]);
    // A further group of digits before it, a fraction, a part of a word or of a UUID.
    if is_word(previous) || previous == b'.' || (matches!(previous, b' ' | b'-') && apart.is_ascii_digit()) {
        return None;
    }
    if previous == b'-' && is_word(apart) {
        return None;
    }
    let mut digits = [0_u8; 19];
    let (mut length, mut end, mut groups, mut group, mut separator) = (0, start, [0_usize; 8], 0, None);
    loop {
        let byte = at(bytes, end);
        if byte.is_ascii_digit() {
            *digits.get_mut(length)? = byte - b'0';
            groups[group] += 1;
            length += 1;
        } else if matches!(byte, b' ' | b'-')
            && at(bytes, end + 1).is_ascii_digit()
            && length < 16
            && separator.is_none_or(|separator| separator == byte)
        {
            separator = Some(byte);
            group += 1;
            if group == groups.len() {
                return None;
            }
        } else {
            break;
        }
        end += 1;
    }
    let digits = &digits[..length];
    let next = at(bytes, end);
    let further = matches!(next, b'.' | b'-' | b',' | b' ') && at(bytes, end + 1).is_ascii_digit();
    if is_word(next) || (further && next != b',' && next != b' ') || (next == b'-' && is_word(at(bytes, end + 1))) {
        return None;
    }
    let usual = matches!(&groups[..=group], [_] | [4, 4, 4, 4] | [4, 4, 4, 4, 3] | [4, 6, 5] | [4, 6, 4]);
    (usual && is_issued(digits, group > 0) && luhn(digits)).then_some((start, end))
}

/// Whether issuers use such numbers. Old and rare lengths are too like other numbers unless they are written in groups.
fn is_issued(digits: &[u8], grouped: bool) -> bool {
    let prefix = |length: usize| digits[..length].iter().fold(0_u32, |number, &digit| number * 10 + u32::from(digit));
    if digits.len() < 14 {
        return false;
    }
    match (prefix(4), digits.len()) {
        (4000..=4999, 16) => true, // Visa
        (4000..=4999, 19) => grouped,
        (5100..=5599 | 2221..=2720, 16) => true,               // Mastercard
        (3400..=3499 | 3700..=3799, 15) => true,               // American Express
        (6011 | 6440..=6599, 16) => true,                      // Discover
        (3528..=3589, 16) => true,                             // JCB
        (3000..=3059 | 3600..=3699 | 3800..=3999, 14) => true, // Diners Club
        (6200..=6299, 16) => true,                             // UnionPay
        (5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763, 16) => grouped, // Maestro
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = (0_u32..)
        .zip(digits.iter().rev())
        .map(|(place, &digit)| match u32::from(digit) * (1 + place % 2) {
            doubled @ 10.. => doubled - 9,
            digit => digit,
        })
        .sum();
    // All the same digit is a filler.
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luhn_finds_every_wrong_digit() {
        // The example of ISO/IEC 7812-1, annex B.
        let number = [4, 9, 9, 2, 7, 3, 9, 8, 7, 1, 6];
        assert!(luhn(&number));
        for place in 0..number.len() {
            for digit in (0..10).filter(|digit| *digit != number[place]) {
                let mut wrong = number;
                wrong[place] = digit;
                assert!(!luhn(&wrong), "{wrong:?}");
            }
        }
    }
}
