//! What the characters of a text are: shares of classes, and the entropy of their distribution.

/// Counts over all characters of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Characters {
    pub(super) all: u64,
    pub(super) non_ascii: u64,
    pub(super) alphabetic: u64,
    pub(super) digits: u64,
    pub(super) punctuation: u64,
    pub(super) whitespace: u64,
    /// Shannon entropy in bits of a character.
    pub(super) entropy: f64,
}

/// How often each character that is not ASCII came, kept between texts so that only what was touched is cleared.
#[derive(Default)]
pub(super) struct Counts {
    of: Vec<u32>,
    touched: Vec<u32>,
}

pub(super) fn count(text: &str, counts: &mut Counts) -> Characters {
    let bytes = histogram(text.as_bytes());
    let mut seen = Characters::default();
    for (byte, &times) in bytes[..128].iter().enumerate() {
        let (byte, times) = (byte as u8, u64::from(times));
        seen.all += times;
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => seen.alphabetic += times,
            b'0'..=b'9' => seen.digits += times,
            b'\t'..=b'\r' | b' ' => seen.whitespace += times,
            _ if byte.is_ascii_punctuation() => seen.punctuation += times,
            _ => {}
        }
    }
    if seen.all < text.len() as u64 {
        beyond_ascii(text, &mut seen, counts);
    }
    let all = seen.all as f64;
    let part = |times: u32| if times == 0 { 0.0 } else { f64::from(times) * (f64::from(times) / all).log2() };
    let mut sum: f64 = bytes[..128].iter().map(|&times| part(times)).sum();
    for character in counts.touched.drain(..) {
        sum += part(std::mem::take(&mut counts.of[character as usize]));
    }
    seen.entropy = if seen.all == 0 { 0.0 } else { (-sum / all).max(0.0) };
    seen
}

/// How often each byte comes. Four tables, so that runs of one byte do not wait for each other.
fn histogram(bytes: &[u8]) -> [u32; 256] {
    let mut tables = [[0_u32; 256]; 4];
    let mut quads = bytes.chunks_exact(4);
    for quad in &mut quads {
        tables[0][usize::from(quad[0])] += 1;
        tables[1][usize::from(quad[1])] += 1;
        tables[2][usize::from(quad[2])] += 1;
        tables[3][usize::from(quad[3])] += 1;
    }
    for &byte in quads.remainder() {
        tables[0][usize::from(byte)] += 1;
    }
    std::array::from_fn(|byte| tables.iter().map(|table| table[byte]).sum())
}

fn beyond_ascii(text: &str, seen: &mut Characters, counts: &mut Counts) {
    counts.of.resize(char::MAX as usize + 1, 0);
    for run in text.split(|character: char| character.is_ascii()) {
        for character in run.chars() {
            seen.all += 1;
            seen.non_ascii += 1;
            match class(character) {
                Class::Alphabetic => seen.alphabetic += 1,
                Class::Digit => seen.digits += 1,
                Class::Punctuation => seen.punctuation += 1,
                Class::Whitespace => seen.whitespace += 1,
                Class::Other => {}
            }
            let count = &mut counts.of[character as usize];
            if *count == 0 {
                counts.touched.push(character as u32);
            }
            *count = count.saturating_add(1);
        }
    }
}

enum Class {
    Alphabetic,
    Digit,
    Punctuation,
    Whitespace,
    Other,
}

/// The class of a character that is not ASCII. The large alphabets are told by their blocks, which is faster.
fn class(character: char) -> Class {
    match character {
        '\u{400}'..='\u{481}' | '\u{3041}'..='\u{3096}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => {
            Class::Alphabetic
        }
        _ if character.is_alphabetic() => Class::Alphabetic,
        _ if character.is_whitespace() => Class::Whitespace,
        _ if character.is_numeric() => Class::Digit,
        // Latin-1 signs, General Punctuation, CJK Symbols and Punctuation, and the full-width forms of ASCII's.
        '\u{a1}'..='\u{bf}'
        | '\u{2010}'..='\u{2027}'
        | '\u{2030}'..='\u{205e}'
        | '\u{3001}'..='\u{303f}'
        | '\u{ff01}'..='\u{ff65}' => Class::Punctuation,
        _ => Class::Other,
    }
}

/// Whether a character is a word of its own, since its script is written without spaces: Han, Hiragana, Katakana.
pub(super) fn is_ideograph(character: char) -> bool {
    matches!(character,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_by_class() {
        let mut counts = Counts::default();
        let seen = count("Ab1, \n", &mut counts);
        assert_eq!((seen.all, seen.alphabetic, seen.digits, seen.punctuation, seen.whitespace), (6, 2, 1, 1, 2));
        let seen = count("é猫\u{3000}٣。😀a", &mut counts);
        assert_eq!((seen.all, seen.non_ascii, seen.alphabetic), (7, 6, 3));
        assert_eq!((seen.digits, seen.punctuation, seen.whitespace), (1, 1, 1));
    }

    #[test]
    fn entropy_is_that_of_the_distribution_and_leaves_nothing_for_the_next_text() {
        let mut counts = Counts::default();
        for (text, bits) in [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("абвг", 2.0), ("äaäa", 1.0), ("äaäa", 1.0)]
        {
            assert!((count(text, &mut counts).entropy - bits).abs() < 1e-12, "{text}");
        }
    }
}
