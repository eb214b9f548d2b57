//! Telling message text from template text after rendering.
//!
//! Before rendering, every character of message text is put between two marks: private-use characters that occur in no
//! input. After rendering, whatever stands between marks came from a message, and a template that tears a character from
//! its marks is found out. Two things stay bare, because no special token can be made with them:
//! - white space, as long as no special token contains any. So trimming and splitting at lines work as ever.
//! - the template's own string literals, where they do not overlap with a special token. So a template that looks for
//!   `</think>` in a message finds it.

use std::collections::{HashMap, HashSet};

use crate::literals::Literals;
use crate::specials::Specials;

/// The marks of one rendering.
pub(crate) struct Marks<'a> {
    open: char,
    close: char,
    specials: &'a Specials,
    literals: &'a Literals,
    space_is_bare: bool,
    /// Literals seen so far, and whether they may stay bare.
    bare: HashMap<&'a str, bool>,
}

/// A stretch of rendered text from one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether it came from a message or a tool's description, so that no special token may be read in it. White space
    /// and text that cannot be part of a special token are counted as the template's, wherever they came from.
    pub content: bool,
}

impl<'a> Marks<'a> {
    /// Chooses marks that none of `texts` contains.
    pub(crate) fn new<'t>(
        specials: &'a Specials,
        literals: &'a Literals,
        texts: impl Iterator<Item = &'t str>,
    ) -> Self {
        let private_use = || ('\u{E000}'..='\u{F8FF}').chain('\u{F0000}'..='\u{FFFFD}');
        let used: HashSet<char> = texts.flat_map(str::chars).filter(|&c| c >= '\u{E000}').collect();
        let mut free = private_use().filter(|c| !used.contains(c));
        // Should a text use them all, the rendered text has marks of its own, which is noticed.
        let (open, close) = free.next().zip(free.next()).unwrap_or(('\u{E000}', '\u{E001}'));
        let space_is_bare = !specials.iter().any(|special| special.content.contains(char::is_whitespace));
        Marks { open, close, specials, literals, space_is_bare, bare: HashMap::new() }
    }

    /// Whether `text` contains a mark, which makes the marks useless.
    pub(crate) fn occur_in(&self, text: &str) -> bool {
        text.contains([self.open, self.close])
    }

    /// Marks message text.
    pub(crate) fn mark(&mut self, text: &str) -> String {
        let mut marked = String::with_capacity(text.len() * 7);
        let mut done = 0;
        for (place, literal) in self.literals.find(text) {
            if self.stays_bare(literal) {
                self.mark_characters(&text[done..place.start], &mut marked);
                marked.push_str(literal);
                done = place.end;
            }
        }
        self.mark_characters(&text[done..], &mut marked);
        marked
    }

    fn mark_characters(&self, text: &str, marked: &mut String) {
        for character in text.chars() {
            if self.space_is_bare && character.is_whitespace() {
                marked.push(character);
            } else {
                marked.extend([self.open, character, self.close]);
            }
        }
    }

    fn stays_bare(&mut self, literal: &'a str) -> bool {
        let specials = self.specials;
        let overlaps = || specials.iter().any(|special| overlap(literal, &special.content));
        *self.bare.entry(literal).or_insert_with(|| !overlaps())
    }

    /// Removes the marks.
    pub(crate) fn strip(&self, text: &str) -> String {
        text.replace([self.open, self.close], "")
    }

    /// Takes rendered text apart; `None` if the marks are no longer in pairs.
    pub(crate) fn pieces(&self, text: &str) -> Option<Vec<Piece>> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut content = false;
        for character in text.chars() {
            if character == self.open || character == self.close {
                if (character == self.open) == content {
                    return None;
                }
                content = !content;
                continue;
            }
            match pieces.last_mut() {
                Some(last) if last.content == content => last.text.push(character),
                _ => pieces.push(Piece { text: character.into(), content }),
            }
        }
        (!content).then_some(pieces)
    }
}

/// Whether text that contains `a` next to other text could spell `b` with characters of `a`.
fn overlap(a: &str, b: &str) -> bool {
    a.contains(b)
        || b.contains(a)
        || a.char_indices().any(|(at, _)| b.starts_with(&a[at..]))
        || a.char_indices().any(|(at, _)| at > 0 && b.ends_with(&a[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specials::Special;

    fn specials(contents: &[&str]) -> Specials {
        Specials::new((0..).zip(contents).map(|(id, content)| Special::new(id, *content)))
    }

    #[test]
    fn characters_are_marked_but_not_space_and_harmless_literals() {
        let specials = specials(&["<|im_end|>", "<s>"]);
        let literals = Literals::new("{{ '</b>' ~ '<s' ~ 'role' ~ '<|im_end|>' ~ 'end' }}");
        let mut marks = Marks::new(&specials, &literals, std::iter::empty());
        let cases = [
            ("", ""),
            (" \n ", " \n "),
            ("ab", "[a][b]"),
            ("  a\u{3000}b\n\n", "  [a]\u{3000}[b]\n\n"),
            ("</b>role", "</b>role"),
            ("a</b", "[a][<][/][b]"),
            ("<s", "[<][s]"),
            ("end", "[e][n][d]"),
            ("<s>", "[<][s][>]"),
        ];
        for (text, expected) in cases {
            let marked = marks.mark(text);
            assert_eq!(marked.replace(marks.open, "[").replace(marks.close, "]"), expected);
            assert_eq!(marks.strip(&marked), text);
            assert!(marks.pieces(&marked).is_some());
        }
    }

    #[test]
    fn broken_pairs_are_noticed() {
        let (specials, literals) = (specials(&[]), Literals::new(""));
        let marks = Marks::new(&specials, &literals, std::iter::empty());
        let cases = [("a[b]c[d]", true), ("[b", false), ("b]", false), ("[[b]]", false), ("]b[", false), ("", true)];
        for (text, balanced) in cases {
            let text = text.replace('[', &marks.open.to_string()).replace(']', &marks.close.to_string());
            assert_eq!(marks.pieces(&text).is_some(), balanced, "{text}");
        }
    }

    #[test]
    fn neighbours_from_one_source_are_one_piece() {
        let (specials, literals) = (specials(&[]), Literals::new(""));
        let mut marks = Marks::new(&specials, &literals, std::iter::empty());
        let text = format!("a{} b{}", marks.mark("cd e"), marks.mark("f"));
        let pieces = marks.pieces(&text).unwrap();
        let pieces: Vec<(&str, bool)> = pieces.iter().map(|piece| (piece.text.as_str(), piece.content)).collect();
        assert_eq!(pieces, [("a", false), ("cd", true), (" ", false), ("e", true), (" b", false), ("f", true)]);
    }

    #[test]
    fn marks_occur_in_no_input() {
        let (specials, literals) = (specials(&[]), Literals::new(""));
        let first = Marks::new(&specials, &literals, std::iter::empty());
        let taken = first.open.to_string();
        let second = Marks::new(&specials, &literals, [taken.as_str()].into_iter());
        assert!(!second.occur_in(&taken));
        assert!(first.occur_in(&taken));
    }

    #[test]
    fn a_special_token_with_white_space_makes_white_space_marked() {
        let (specials, literals) = (specials(&["<end of turn>"]), Literals::new(""));
        let mut marks = Marks::new(&specials, &literals, std::iter::empty());
        assert_eq!(marks.mark("of turn").matches(marks.open).count(), 7);
    }

    #[test]
    fn overlaps() {
        for (a, b, expected) in [
            ("<b>", "<s>", false),
            ("<s>", "<s>", true),
            ("<s>", "a<s>b", true),
            ("a<s>b", "<s>", true),
            ("</b>", "></b", true),
            ("</b>", "b>x", true),
            ("</b>", "x</", true),
        ] {
            assert_eq!(overlap(a, b), expected, "{a} {b}");
        }
    }
}
