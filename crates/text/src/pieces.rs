//! Cutting text into pieces as GPT-4's and GPT-2's patterns do, without a regular expression, in time linear in the text.
//!
//! The first character of a piece and the class of the second say which alternative of the pattern takes it; each then
//! goes on over a run of one class. Runs of ASCII letters, which most text consists of, are read eight bytes at a time.

use crate::classes::{ASCII, Class, Classes};
use crate::split::SplitPattern;

/// Text and what is needed to cut it.
#[derive(Clone, Copy)]
pub(crate) struct Cutter<'t> {
    text: &'t str,
    classes: &'static Classes,
}

impl<'t> Cutter<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Cutter { text, classes: Classes::unicode() }
    }

    /// The class of the character at `at`, and where it ends.
    #[inline]
    fn class(&self, at: usize) -> (Class, usize) {
        match self.text.as_bytes().get(at) {
            Some(&byte) if byte < 128 => (ASCII[usize::from(byte)], at + 1),
            Some(_) => self.wide(at),
            None => (Class::End, at),
        }
    }

    #[inline(never)]
    fn wide(&self, at: usize) -> (Class, usize) {
        let character = self.text[at..].chars().next().expect("a byte of the text is there");
        (self.classes.of(character), at + character.len_utf8())
    }

    /// Where the run of characters of `class` that begins at `at` ends.
    #[inline]
    fn run(&self, mut at: usize, class: Class) -> usize {
        while let (found, end) = self.class(at)
            && found == class
        {
            at = end;
        }
        at
    }

    /// Where the run of letters that begins at `at` ends.
    #[inline]
    fn letters(&self, mut at: usize) -> usize {
        while let Some(bytes) = self.text.as_bytes().get(at..at + 8) {
            let count = leading_letters(u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
            at += count;
            if count < 8 {
                break;
            }
        }
        self.run(at, Class::Letter)
    }

    /// Where the white space that begins at `at` is cut: after its last line end if `lines` asks for that and it has one;
    /// else before its last character, which goes with what follows; a single character or the end of the text is taken.
    fn white(&self, start: usize, lines: bool) -> usize {
        let (mut at, mut last, mut line) = (start, start, None);
        while let (class, end) = self.class(at)
            && matches!(class, Class::Space | Class::Newline)
        {
            (last, at) = (at, end);
            if class == Class::Newline {
                line = Some(end);
            }
        }
        match line {
            Some(end) if lines => end,
            _ if at == self.text.len() || last == start => at,
            _ => last,
        }
    }

    /// Where a contraction such as `'ll` ends whose apostrophe is at `at`. Ignoring case, the long s is an s as well.
    fn contraction(&self, at: usize, ignore_case: bool) -> Option<usize> {
        let rest = &self.text.as_bytes()[at + 1..];
        let fold = |byte: &u8| if ignore_case { byte.to_ascii_lowercase() } else { *byte };
        match (rest.first().map(fold)?, rest.get(1).map(fold)) {
            (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
            (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(at + 3),
            (0xc5, Some(0xbf)) if ignore_case => Some(at + 3),
            _ => None,
        }
    }

    /// Where the piece that begins at `start`, before the end of the text, ends by GPT-4's pattern.
    #[inline]
    pub(crate) fn cl100k(&self, start: usize) -> usize {
        let (first, second) = self.class(start);
        let byte = self.text.as_bytes()[start];
        match first {
            Class::Letter => self.letters(second),
            Class::Number => {
                let mut at = second;
                for _ in 0..2 {
                    match self.class(at) {
                        (Class::Number, end) => at = end,
                        _ => break,
                    }
                }
                at
            }
            Class::Newline => self.white(start, true),
            Class::Space => match self.class(second).0 {
                Class::Letter => self.letters(second),
                Class::Other if byte == b' ' => self.symbols(second),
                _ => self.white(start, true),
            },
            Class::Other | Class::End => {
                if byte == b'\''
                    && let Some(end) = self.contraction(start, true)
                {
                    return end;
                }
                match self.class(second).0 {
                    Class::Letter => self.letters(second),
                    _ => self.symbols(second),
                }
            }
        }
    }

    /// Where the symbols that go on at `at` end, the line ends after them included.
    #[inline]
    fn symbols(&self, at: usize) -> usize {
        self.run(self.run(at, Class::Other), Class::Newline)
    }

    /// Where the piece that begins at `start`, before the end of the text, ends by GPT-2's pattern.
    #[inline]
    pub(crate) fn gpt2(&self, start: usize) -> usize {
        let (first, second) = self.class(start);
        let byte = self.text.as_bytes()[start];
        if byte == b'\''
            && let Some(end) = self.contraction(start, false)
        {
            return end;
        }
        let (class, at) = if byte == b' ' { (self.class(second).0, second) } else { (first, start) };
        match class {
            Class::Letter => self.letters(at),
            Class::Number | Class::Other => self.run(at, class),
            Class::Space | Class::Newline | Class::End => self.white(start, false),
        }
    }
}

/// The pieces of `text`, which together are the text.
pub(crate) fn pieces(text: &str, pattern: SplitPattern) -> impl Iterator<Item = &str> {
    let (cutter, mut start) = (Cutter::new(text), 0);
    std::iter::from_fn(move || {
        if start == text.len() {
            return None;
        }
        let end = match pattern {
            SplitPattern::Cl100k => cutter.cl100k(start),
            SplitPattern::Gpt2 => cutter.gpt2(start),
        };
        let piece = &text[start..end];
        start = end;
        Some(piece)
    })
}

/// How many of the eight bytes of `word`, from the lowest on, are ASCII letters before one is not.
#[inline]
fn leading_letters(word: u64) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = 0x80 * ONES;
    // Each byte's highest bit says whether it is in a range; the sums stay below 256, so no byte carries into the next.
    let folded = (word | (0x20 * ONES)) & !HIGH;
    let from_a = folded + (0x80 - u64::from(b'a')) * ONES;
    let after_z = folded + (0x7f - u64::from(b'z')) * ONES;
    let letters = from_a & !after_z & !word & HIGH;
    (letters ^ HIGH).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use bpe_openai::{Tokenizer, byte_pair_encoding::BytePairEncoding};
    use proptest::prelude::*;

    /// The patterns run as regular expressions. The negative look-ahead with which both end needs a backtracking engine;
    /// the same cut without it: white space up to the end of the text; or white space followed by one more, which is given
    /// back; or a single one.
    fn reference(pattern: SplitPattern) -> Tokenizer {
        let words = pattern.regex().strip_suffix(r"|\s+(?!\S)|\s+").unwrap();
        let bytes = BytePairEncoding::from_dictionary((0..=u8::MAX).map(|byte| vec![byte]), Some(1));
        let alternatives = [(&*format!(r"{words}|\s+$"), false), (r"\s+\s", true), (r"\s+", false)];
        Tokenizer::new_lookahead(bytes, &alternatives, false).unwrap()
    }

    fn assert_same(text: &str, pattern: SplitPattern, reference: &Tokenizer) {
        let (ours, theirs) = (pieces(text, pattern).collect::<Vec<_>>(), reference.split(text).collect::<Vec<_>>());
        assert_eq!(ours, theirs, "{pattern:?} on {text:?}");
    }

    const PATTERNS: [SplitPattern; 2] = [SplitPattern::Cl100k, SplitPattern::Gpt2];

    /// Runs of one character of each kind that the patterns tell apart, contractions, and any character.
    fn text() -> impl Strategy<Value = String> {
        let kinds = "aZéßжا你\u{17f}\u{212a}01९²Ⅷ \t\u{b}\u{a0}\u{85}\u{2003}\u{3000}\r\n'’\"-_=<\u{301}\u{200b}\u{200d}😀\0\u{feff}";
        let known = prop::sample::select(kinds.chars().collect::<Vec<_>>());
        let contraction =
            prop::sample::select(vec!["'s", "'T", "'Re", "'vE", "'m", "'LL", "'d", "'l", "'r", "'\u{17f}"]);
        let part = prop_oneof![
            8 => known.clone().prop_map(String::from),
            3 => (known, 1_usize..24).prop_map(|(character, count)| character.to_string().repeat(count)),
            2 => contraction.prop_map(str::to_owned),
            2 => "[a-zA-Z]{1,20}",
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    #[test]
    fn random_text_is_cut_as_the_patterns_say() {
        let config = ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() };
        for pattern in PATTERNS {
            let reference = reference(pattern);
            proptest!(config.clone(), |(text in text())| assert_same(&text, pattern, &reference));
        }
    }

    #[test]
    fn every_character_is_cut_as_the_patterns_say() {
        for pattern in PATTERNS {
            let reference = reference(pattern);
            let characters: Vec<char> = ('\0'..=char::MAX).collect();
            for block in characters.chunks(256) {
                let text: String = block.iter().flat_map(|&c| [c, 'a', ' ', c, '1', c, '-', c, c, '\n']).collect();
                assert_same(&text, pattern, &reference);
            }
        }
    }

    #[test]
    fn letters_are_counted_from_the_first() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut word = *b"abYZmNoP";
                word[at] = byte;
                let expected = if byte.is_ascii_alphabetic() { 8 } else { at };
                assert_eq!(leading_letters(u64::from_le_bytes(word)), expected, "{byte} at {at}");
            }
        }
    }
}
