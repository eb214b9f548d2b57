//! Telephone numbers: with a country's code after `+`, in the North American form, or after a word that announces one.

use super::bounds::{at, before, context, is_word};

/// The most digits of a number (ITU-T E.164), the country's included.
const MOST: usize = 15;

/// Words that announce a number in any form.
const ANNOUNCED: [&[u8]; 16] = [
    b"tel",
    b"telephone",
    b"telefon",
    b"phone",
    b"phone number",
    b"mobile",
    b"mobil",
    b"cell",
    b"fax",
    b"call",
    b"call me at",
    b"call us at",
    b"whatsapp",
    b"hotline",
    b"handy",
    "☎".as_bytes(),
];

/// Digits in groups.
struct Groups {
    lengths: [usize; 8],
    count: usize,
    digits: [u8; MOST],
    length: usize,
    /// Separator after the first group, and whether the others are like it.
    separator: u8,
    uniform: bool,
    end: usize,
}

/// The number that the run of digits at a place begins, a sign or bracket before it included.
pub(super) fn find(bytes: &[u8], digit: usize) -> Option<(usize, usize)> {
    let bracket = before(bytes, digit) == b'(';
    let first = digit - usize::from(bracket);
    if before(bytes, digit) == b'+' || bracket && before(bytes, first) == b'+' {
        let start = if before(bytes, digit) == b'+' { digit - 1 } else { first - 1 };
        let groups = Groups::read(bytes, digit, true)?;
        return (clear_before(bytes, start) && groups.is_international()).then_some((start, groups.end));
    }
    // A word, a fraction, a path, a longer number.
    if !clear_before(bytes, first) || matches!(before(bytes, first), b'=' | b'$' | b',') {
        return None;
    }
    let groups = Groups::read(bytes, digit, false)?;
    let american = groups.is_american(bracket);
    let announced = || {
        let context = context(bytes, first, 20);
        ANNOUNCED.iter().any(|word| super::bounds::ends_in_word(&context, word))
    };
    let known = match american {
        American::Certain => true,
        American::Possible => announced(),
        American::No => (7..=MOST).contains(&groups.length) && !groups.is_date() && announced(),
    };
    known.then_some((first, groups.end))
}

fn clear_before(bytes: &[u8], start: usize) -> bool {
    let previous = before(bytes, start);
    let earlier = start.checked_sub(2).map_or(b' ', |at| bytes[at]);
    let bound = is_word(previous) || matches!(previous, b'.' | b'-' | b'/' | b'#' | b'+' | b'*' | b'&' | b'%' | b'@');
    let continued = matches!(previous, b' ' | b')') && earlier.is_ascii_digit();
    !bound && !continued
}

enum American {
    Certain,
    Possible,
    No,
}

impl Groups {
    fn read(bytes: &[u8], digit: usize, international: bool) -> Option<Self> {
        let mut groups =
            Self { lengths: [0; 8], count: 0, digits: [0; MOST], length: 0, separator: 0, uniform: true, end: digit };
        let mut place = digit;
        loop {
            let start = place;
            while at(bytes, place).is_ascii_digit() {
                place += 1;
            }
            let group = &bytes[start..place];
            if groups.length + group.len() > MOST || groups.count == groups.lengths.len() {
                // What follows a whole number after a space is another one.
                if groups.length >= 8 && bytes[start - 1] == b' ' {
                    break;
                }
                return None;
            }
            groups.digits[groups.length..][..group.len()].copy_from_slice(group);
            groups.length += group.len();
            groups.lengths[groups.count] = group.len();
            groups.count += 1;
            groups.end = place;
            let separators = match (at(bytes, place), at(bytes, place + 1)) {
                (b' ' | b'-' | b'.' | b'/', b'(') | (b')', b' ' | b'-' | b'.') => 2,
                (b' ' | b'-' | b'.' | b'/' | b'(' | b')', _) => 1,
                _ => 0,
            };
            let separator = at(bytes, place);
            let is_whole = separator == b' ' && groups.is_whole(international);
            if separators == 0 || is_whole || !at(bytes, place + separators).is_ascii_digit() {
                break;
            }
            if groups.count == 1 {
                groups.separator = separator;
            } else if separator != groups.separator {
                groups.uniform = false;
            }
            place += separators;
        }
        let (next, later) = (at(bytes, groups.end), at(bytes, groups.end + 1));
        let continued = is_word(next) || matches!(next, b'-' | b'.' | b'/' | b'@' | b':') && is_word(later);
        (!continued).then_some(groups)
    }

    /// Whether the digits so far are as many as such a number usually has.
    fn is_whole(&self, international: bool) -> bool {
        let digits = if international && self.digits[0] != b'1' { 12 } else { 11 };
        self.length >= digits || !international && self.length == 10 && self.digits[0] != b'0' && self.digits[0] != b'1'
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    fn is_international(&self) -> bool {
        // Two numbers and a point are a fraction.
        if self.count == 2 && self.separator == b'.' {
            return false;
        }
        // In one piece, a number after a plus sign is a sum unless it is long.
        let least = if self.count == 1 { 10 } else { 8 };
        if self.length < least || self.lengths[..self.count].iter().all(|length| *length == 1) {
            return false;
        }
        match self.digits() {
            [b'1', number @ ..] => number.len() == 10 && number[0] >= b'2',
            [b'0', ..] => false,
            digits => is_country(digits),
        }
    }

    fn is_american(&self, bracket: bool) -> American {
        let number = match (&self.lengths[..self.count], self.digits()) {
            ([3, 3, 4] | [3, 7], number) => number,
            ([1, 3, 3, 4], [b'1', number @ ..]) => number,
            _ => return American::No,
        };
        if number.len() != 10 || !is_american(number) {
            return American::No;
        }
        let separated = self.uniform && matches!(self.separator, b'-' | b'.') && self.count > 2;
        if bracket || separated || self.separator == b' ' && !self.uniform {
            American::Certain
        } else {
            American::Possible
        }
    }

    /// 2024-01-31, 31.01.2024 and the like.
    fn is_date(&self) -> bool {
        matches!(&self.lengths[..self.count], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4]) && self.length <= 8
    }
}

/// Area and exchange of the North American Numbering Plan: neither begins with 0 or 1, nor is the area N11.
fn is_american(number: &[u8]) -> bool {
    number[0] >= b'2' && number[3] >= b'2' && &number[1..3] != b"11"
}

/// Whether a number begins with a country's code (ITU-T E.164, the list of assigned codes).
fn is_country(digits: &[u8]) -> bool {
    let two = (digits[0] - b'0') * 10 + digits[1] - b'0';
    match two {
        70..=79 => digits.len() == 11,
        20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98 => true,
        21..=26 | 29 | 35 | 37 | 38 | 42 | 50 | 59 | 67..=69 | 80 | 85 | 87 | 88 | 96 | 97 | 99 => !matches!(
            &digits[..3],
            b"210"
                | b"214"
                | b"215"
                | b"217"
                | b"219"
                | b"259"
                | b"384"
                | b"388"
                | b"422"
                | b"693"
                | b"694"
                | b"695"
                | b"696"
                | b"697"
                | b"698"
                | b"699"
                | b"851"
                | b"854"
                | b"857"
                | b"858"
                | b"859"
                | b"969"
                | b"978"
                | b"990"
                | b"991"
                | b"997"
                | b"999"
        ),
        _ => false,
    }
}
