//! Short pieces of documents that can be shown: without personal data, without anything that deceives the eye.

use crate::{documents::Document, signals::pii::PiiSpan};
use serde::Serialize;

/// Characters of an excerpt.
const MOST: usize = 240;

/// A document as an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its source.
    pub source: String,
    /// Its path there.
    pub path: String,
    /// How it begins, with the kinds of PII in the place of what was found.
    pub excerpt: String,
}

impl Example {
    pub(super) fn of(document: &Document, spans: &[PiiSpan]) -> Self {
        Self {
            source: visible(&document.source),
            path: visible(&document.path),
            excerpt: excerpt(&document.text, spans),
        }
    }
}

fn excerpt(text: &str, spans: &[PiiSpan]) -> String {
    let skipped = text.len() - text.trim_start().len();
    let mut out = String::new();
    let (mut at, mut left) = (skipped, MOST);
    let mut spans = spans.iter().filter(|span| span.end > skipped).peekable();
    while left > 0 && at < text.len() {
        let until = spans.peek().map_or(text.len(), |span| span.start.max(at));
        let end = text[at..until].char_indices().nth(left).map_or(until, |(end, _)| at + end);
        out.push_str(&text[at..end]);
        left -= text[at..end].chars().count();
        at = end;
        if let Some(span) = spans.next_if(|span| left > 0 && span.start <= at) {
            out.push_str(span.kind.placeholder());
            at = span.end;
        }
    }
    let mut out = visible(out.trim_end());
    if text.len() > at {
        out.push('…');
    }
    out
}

/// What was found, its middle hidden: enough to find it again, too little to use it.
pub(super) fn masked(found: &str) -> String {
    let length = found.chars().count();
    let (head, tail) = ((length / 4).min(3), (length / 6).min(2));
    let head = found.chars().take(head);
    visible(&head.chain("•••••".chars()).chain(found.chars().skip(length - tail)).collect::<String>())
}

/// The text with control characters and characters that reorder text made visible; line ends and tabs stay.
pub(super) fn visible(text: &str) -> String {
    let shown = |character| match character {
        '\n' | '\t' => character,
        '\0'..='\x1f' => char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'),
        '\x7f'..='\u{9f}' => '\u{fffd}',
        // Marks, overrides and isolates of direction (Unicode TR 36), and the byte order mark.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        _ => character,
    };
    text.chars().filter(|character| *character != '\r').map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::pii;

    #[test]
    fn excerpts_hold_no_personal_data() {
        for (text, expected) in [
            ("  Mail ada@example.org now", "Mail <EMAIL_ADDRESS> now"),
            ("ada@example.org", "<EMAIL_ADDRESS>"),
            ("a\r\nb\u{202e}\0", "a\nb\u{fffd}␀"),
            ("", ""),
        ] {
            assert_eq!(excerpt(text, &pii::find(text)), expected);
        }
        // Cut before, within and after a find.
        for length in MOST - 9..MOST + 2 {
            let text = format!("{} ada@example.org and more", "ä".repeat(length));
            let excerpt = excerpt(&text, &pii::find(&text));
            assert!(!excerpt.contains("ada") && excerpt.ends_with('…'), "{excerpt}");
        }
    }

    #[test]
    fn masks_hide_the_middle() {
        for (found, expected) in [
            ("ada@example.org", "ada•••••rg"),
            ("hunter2", "h•••••2"),
            ("abc", "•••••"),
            ("", "•••••"),
            ("müller@x.de", "mü•••••e"),
        ] {
            assert_eq!(masked(found), expected);
        }
    }
}
