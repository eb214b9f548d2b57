//! Classes of characters, as the split patterns tell them apart.

use std::sync::LazyLock;

use regex_syntax::hir::{Class as Ranges, HirKind};

/// What a split pattern sees of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s` without the line ends.
    Space,
    /// `\r` and `\n`.
    Newline,
    /// Everything else.
    Other,
    /// No character: the end of the text.
    End,
}

/// Characters of a block of the table. Small blocks repeat more often; 128 makes the table smallest.
const BLOCK: usize = 128;

/// The class of every character, in two stages: blocks of characters that have the same classes are stored once.
pub(crate) struct Classes {
    block: Vec<u8>,
    classes: Vec<[Class; BLOCK]>,
}

/// The classes of ASCII, known without a table of Unicode.
pub(crate) const ASCII: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b'\r' | b'\n' => Class::Newline,
            b'\t' | 0xb | 0xc | b' ' => Class::Space,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

impl Classes {
    /// The classes of Unicode, in the version of the regular expressions that are used elsewhere.
    pub(crate) fn unicode() -> &'static Classes {
        static UNICODE: LazyLock<Classes> = LazyLock::new(Classes::new);
        &UNICODE
    }

    fn new() -> Self {
        let mut all = vec![Class::Other; (char::MAX as usize + 1).next_multiple_of(BLOCK)];
        for (pattern, class) in [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number), (r"\s", Class::Space)] {
            let hir = regex_syntax::parse(pattern).expect("the patterns are constants");
            let HirKind::Class(Ranges::Unicode(ranges)) = hir.kind() else { unreachable!("{pattern} is a class") };
            for range in ranges.ranges() {
                all[range.start() as usize..=range.end() as usize].fill(class);
            }
        }
        all[usize::from(b'\r')] = Class::Newline;
        all[usize::from(b'\n')] = Class::Newline;
        let (blocks, _) = all.as_chunks::<BLOCK>();
        let mut classes: Vec<[Class; BLOCK]> = Vec::new();
        let block = blocks.iter().map(|block| {
            let at = classes.iter().position(|known| known == block).unwrap_or_else(|| {
                classes.push(*block);
                classes.len() - 1
            });
            u8::try_from(at).expect("Unicode has fewer than 256 different blocks")
        });
        Classes { block: block.collect(), classes }
    }

    /// The class of `character`.
    pub(crate) fn of(&self, character: char) -> Class {
        let at = character as usize;
        self.classes[usize::from(self.block[at / BLOCK])][at % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_agrees_with_unicode() {
        for (byte, class) in (0_u8..).zip(ASCII) {
            assert_eq!(Classes::unicode().of(char::from(byte)), class, "{byte}");
        }
    }

    #[test]
    fn classes_beyond_ascii() {
        let cases = [
            ('\u{17f}', Class::Letter),
            ('\u{a0}', Class::Space),
            ('\u{85}', Class::Space),
            ('\u{2028}', Class::Space),
            ('²', Class::Number),
            ('Ⅷ', Class::Number),
            ('\u{301}', Class::Other),
            ('\u{200b}', Class::Other),
            ('\u{20000}', Class::Letter),
            (char::MAX, Class::Other),
        ];
        for (character, class) in cases {
            assert_eq!(Classes::unicode().of(character), class, "{character:?}");
        }
    }
}
