//! The words of a text as near-duplicate search and decontamination compare them: runs of letters and digits in lower
//! case, whatever stands between them. In scripts that are written without spaces every character is a word.

/// Odd constants of the hash. The first is 2^64 divided by the golden ratio (Knuth, TAOCP 6.4).
const WORD: u64 = 0x9e37_79b9_7f4a_7c15;
const WINDOW: u64 = 0xd6e8_feb8_6659_fd93;

/// What a byte is: 0 stands between words, `OTHER` begins a character beyond ASCII, all else is the lower-case letter.
const OTHER: u8 = 0xff;
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            byte if byte.is_ascii_alphanumeric() => byte.to_ascii_lowercase(),
            0x80.. => OTHER,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Calls `take(hash, start, end)` for each word; the text between the two byte offsets is the word.
#[inline]
pub(crate) fn for_each_word(text: &str, mut take: impl FnMut(u64, usize, usize)) {
    let bytes = text.as_bytes();
    let (mut at, mut start, mut hash) = (0, 0, WORD);
    while at < bytes.len() {
        match CLASS[bytes[at] as usize] {
            0 => {
                if start < at {
                    take(mix(hash), start, at);
                }
                at += 1;
                (start, hash) = (at, WORD);
            }
            OTHER => {
                let character = text[at..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
                let next = at + character.len_utf8();
                let alone = is_spaceless(character);
                if alone || !character.is_alphanumeric() {
                    if start < at {
                        take(mix(hash), start, at);
                    }
                    if alone {
                        take(mix(step(WORD, character.into())), at, next);
                    }
                    (start, hash) = (next, WORD);
                } else {
                    for lower in character.to_lowercase() {
                        hash = step(hash, lower.into());
                    }
                }
                at = next;
            }
            letter => {
                hash = step(hash, letter.into());
                at += 1;
            }
        }
    }
    if start < at {
        take(mix(hash), start, at);
    }
}

#[inline]
fn step(hash: u64, character: u64) -> u64 {
    (hash ^ character).wrapping_mul(WINDOW)
}

/// Spreads every bit over all others (the finaliser of MurmurHash3, public domain).
#[inline]
pub(crate) fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Letters of scripts that do not separate words: Thai, Lao, Myanmar, Khmer, kana, Han.
fn is_spaceless(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
        && character.is_alphanumeric()
}

/// Hashes of all runs of `words` consecutive words, from the hashes of the words: a polynomial of them, rolled on from
/// run to run, and mixed. A text of fewer words is one run; a text without words has none.
pub(crate) struct Windows {
    words: usize,
    /// What the word that leaves a window has been multiplied with.
    leaving: u64,
}

impl Windows {
    pub(crate) fn new(words: usize) -> Self {
        Self { words, leaving: WINDOW.wrapping_pow(words as u32) }
    }

    /// Calls `take(hash, first word)` for each run.
    #[inline]
    pub(crate) fn for_each(&self, words: &[u64], mut take: impl FnMut(u64, usize)) {
        let (first, rest) = words.split_at(self.words.min(words.len()));
        let mut hash = polynomial(first);
        if !first.is_empty() {
            take(mix(hash), 0);
        }
        for (at, (enters, leaves)) in rest.iter().zip(words).enumerate() {
            let left = enters.wrapping_sub(leaves.wrapping_mul(self.leaving));
            hash = hash.wrapping_mul(WINDOW).wrapping_add(left);
            take(mix(hash), at + 1);
        }
    }
}

/// The hash of one run, as [`Windows::for_each`] gives it.
pub(crate) fn run_hash(words: &[u64]) -> u64 {
    mix(polynomial(words))
}

fn polynomial(words: &[u64]) -> u64 {
    words.iter().fold(0, |hash, word| hash.wrapping_mul(WINDOW).wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn words(text: &str) -> (Vec<u64>, Vec<&str>) {
        let (mut hashes, mut spans) = (Vec::new(), Vec::new());
        for_each_word(text, |hash, start, end| {
            hashes.push(hash);
            spans.push(&text[start..end]);
        });
        (hashes, spans)
    }

    #[test]
    fn words_are_letters_and_digits() {
        for (text, expected) in [
            ("", &[][..]),
            ("  -- \n", &[]),
            ("It's 3.5 m.", &["It", "s", "3", "5", "m"]),
            ("snake_case(x)", &["snake", "case", "x"]),
            ("Füße, ÉTÉ", &["Füße", "ÉTÉ"]),
            ("東京へ go", &["東", "京", "へ", "go"]),
            ("ไป", &["ไ", "ป"]),
            ("a東b", &["a", "東", "b"]),
            ("한국어 낱말", &["한국어", "낱말"]),
            ("naïve—and“so”", &["naïve", "and", "so"]),
        ] {
            assert_eq!(words(text).1, expected, "{text:?}");
        }
    }

    #[test]
    fn case_and_punctuation_do_not_matter_and_order_does() {
        assert_eq!(words("The ÉTÉ, of 1930!").0, words("the été of\n1930").0);
        assert_ne!(words("a b").0, words("b a").0);
        assert_eq!(words("a b").0[0], words("b a").0[1]);
        let runs = |text: &str| {
            let mut runs = Vec::new();
            Windows::new(3).for_each(&words(text).0, |hash, at| runs.push((hash, at)));
            runs
        };
        assert_eq!(runs("x a b c y")[1].0, runs("a b c")[0].0);
        assert_ne!(runs("a b c"), runs("c b a"));
        assert_eq!(runs("a b").len(), 1);
        assert_ne!(runs("a b"), runs("b a"));
        assert!(runs("?").is_empty());
    }

    proptest! {
        #[test]
        fn spans_hold_the_words(text in "\\PC*") {
            let (hashes, spans) = words(&text);
            for (hash, span) in hashes.iter().zip(&spans) {
                prop_assert_eq!(&words(span).0, &[*hash]);
            }
            prop_assert_eq!(&words(&spans.join(" ")).0, &hashes);
        }

        /// A run hashes to the same wherever it stands, and different runs differ.
        #[test]
        fn rolling_is_hashing_anew(words in prop::collection::vec(0u64..4, 0..40), length in 1usize..6) {
            let windows = Windows::new(length);
            let (mut rolled, mut different) = (HashSet::new(), HashSet::new());
            windows.for_each(&words, |hash, at| {
                let run = &words[at..words.len().min(at + length)];
                assert_eq!(run_hash(run), hash);
                rolled.insert(hash);
                different.insert(run.to_vec());
            });
            prop_assert_eq!(rolled.len(), different.len());
        }
    }
}
