//! Words: maximal runs between white space, except that ideographs and kana are each a word of their own.

use super::{
    characters::is_ideograph,
    repeats::{LIMIT, Word},
};
use xxhash_rust::xxh3::xxh3_64;

/// The English words of which MassiveText asks for two.
const STOP_WORDS: [&[u8]; 8] = [b"the", b"be", b"to", b"of", b"and", b"that", b"have", b"with"];

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Words {
    pub(super) all: u64,
    /// Characters in all of them.
    pub(super) characters: u64,
    /// Words with a letter.
    pub(super) alphabetic: u64,
    /// Words that end a sentence.
    pub(super) sentences: u64,
    /// `#` and ellipses.
    pub(super) symbols: u64,
    /// Letters and digits of them, for the readability.
    pub(super) letters: u64,
    /// Bit set of the stop words that were seen.
    stop_words: u8,
}

impl Words {
    /// How many different stop words there are.
    pub(super) fn stop_words(&self) -> u64 {
        self.stop_words.count_ones().into()
    }

    /// Automated Readability Index: the school grade for whom a text is written (Senter and Smith 1967). A text without
    /// words has 0.
    pub(super) fn readability(&self) -> f64 {
        if self.all == 0 {
            return 0.0;
        }
        let words = self.all as f64;
        4.71 * self.letters as f64 / words + 0.5 * words / self.sentences.max(1) as f64 - 21.43
    }
}

const OTHER: u8 = 0;
const SPACE: u8 = 1;
const BEYOND_ASCII: u8 = 2;
const LETTER: u8 = 4;
const DIGIT: u8 = 8;
const HASH: u8 = 16;

const CLASS: [u8; 256] = {
    let mut class = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'\t'..=b'\r' | b' ' => SPACE,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'#' => HASH,
            128.. => BEYOND_ASCII,
            _ => OTHER,
        };
        byte += 1;
    }
    class
};

/// Counts all words, and puts the first of them where their repetition is measured.
pub(super) fn count(text: &str, first: &mut Vec<Word>) -> Words {
    first.clear();
    let bytes = text.as_bytes();
    let mut words = Words::default();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let (mut seen, mut letters, mut continued) = (OTHER, 0_u64, 0_u64);
        while let Some(&byte) = bytes.get(at) {
            let class = CLASS[usize::from(byte)];
            if class & (SPACE | BEYOND_ASCII) != 0 {
                if class == SPACE {
                    break;
                }
                let Some(character) = text[at..].chars().next() else { break };
                if character.is_whitespace() || (is_ideograph(character) && at > start) {
                    break;
                }
                at += character.len_utf8();
                continued += character.len_utf8() as u64 - 1;
                if character.is_alphabetic() {
                    seen |= LETTER;
                    letters += 1;
                }
                if is_ideograph(character) {
                    break;
                }
                continue;
            }
            seen |= class;
            letters += u64::from(class & (LETTER | DIGIT) != 0);
            at += 1;
        }
        if at > start {
            let word = &bytes[start..at];
            words.all += 1;
            words.letters += letters;
            words.characters += word.len() as u64 - continued;
            words.alphabetic += u64::from(seen & LETTER != 0);
            words.symbols += if seen & HASH == 0 { 0 } else { memchr::memchr_iter(b'#', word).count() as u64 };
            words.end(word);
            let key = trimmed(word);
            words.note_stop_word(key);
            if first.len() < LIMIT {
                first.push(Word { hash: hash(key), bytes: word.len() as u32 });
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    words
}

impl Words {
    /// Whether a word ends a sentence, or in an ellipsis.
    #[inline]
    fn end(&mut self, word: &[u8]) {
        match word {
            [.., b'.', b'.', b'.'] | [.., 0xe2, 0x80, 0xa6] => {
                self.symbols += 1;
                self.sentences += 1;
            }
            [.., b'a'..=b'z' | b'A'..=b'Z'] => {}
            [.., b'.' | b'!' | b'?'] | [.., b'.' | b'!' | b'?', b'"' | b'\'' | b')' | b']' | b'*' | b'_'] => {
                self.sentences += 1;
            }
            // A closing quotation mark after a full stop; the full stops and marks of Chinese and Japanese; danda.
            [.., b'.' | b'!' | b'?', 0xe2, 0x80, 0x99 | 0x9d]
            | [.., 0xe3, 0x80, 0x82]
            | [.., 0xef, 0xbc, 0x81 | 0x9f]
            | [.., 0xe0, 0xa5, 0xa4] => self.sentences += 1,
            _ => {}
        }
    }

    #[inline]
    fn note_stop_word(&mut self, word: &[u8]) {
        let is_stop_word = |stop: &&[u8]| word.eq_ignore_ascii_case(stop);
        if (2..=4).contains(&word.len())
            && let Some(at) = STOP_WORDS.iter().position(is_stop_word)
        {
            self.stop_words |= 1 << at;
        }
    }
}

/// A word without the punctuation around it; as it is where it is nothing else.
fn trimmed(word: &[u8]) -> &[u8] {
    let Some(start) = word.iter().position(|byte| !byte.is_ascii_punctuation()) else { return word };
    let end = word.iter().rposition(|byte| !byte.is_ascii_punctuation()).unwrap_or(start);
    &word[start..=end]
}

/// A hash that is the same in upper and lower case.
#[inline]
fn hash(word: &[u8]) -> u64 {
    let mut lower = [0; 32];
    match lower.get_mut(..word.len()) {
        Some(lower) => {
            lower.copy_from_slice(word);
            lower.make_ascii_lowercase();
            xxh3_64(lower)
        }
        None => xxh3_64(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_sentences_and_stop_words_are_counted() {
        let mut first = Vec::new();
        for (text, words, characters, sentences, stop_words) in [
            ("", 0, 0, 0, 0),
            ("  \u{3000}\n", 0, 0, 0, 0),
            ("The cat, the dog.", 4, 14, 1, 1),
            ("\"And?\" he said... To be!", 5, 20, 3, 3),
            ("naïve ﬁsh", 2, 8, 0, 0),
            ("猫が好き。", 5, 5, 1, 0),
            ("Go言語 is", 4, 6, 0, 0),
            ("a -- b", 3, 4, 0, 0),
        ] {
            let counted = count(text, &mut first);
            assert_eq!(
                (counted.all, counted.characters, counted.sentences, counted.stop_words()),
                (words, characters, sentences, stop_words),
                "{text}"
            );
            assert_eq!(first.len() as u64, words);
        }
    }

    #[test]
    fn words_are_compared_without_case_and_punctuation() {
        let mut first = Vec::new();
        count("Word, (word) WORD! word's -- ==", &mut first);
        let hashes: Vec<u64> = first.iter().map(|word| word.hash).collect();
        assert_eq!((hashes[0], hashes[0]), (hashes[1], hashes[2]));
        assert_ne!(hashes[0], hashes[3]);
        assert_ne!(hashes[4], hashes[5]);
    }

    #[test]
    fn readability_is_a_school_grade() {
        // 12 letters, 4 words, 1 sentence: 4.71 * 12/4 + 0.5 * 4 - 21.43.
        let words = count("The cat, the dog.", &mut Vec::new());
        assert!((words.readability() - (4.71 * 12.0 / 4.0 + 2.0 - 21.43)).abs() < 1e-9);
        assert_eq!(count("", &mut Vec::new()).readability(), 0.0);
    }
}
