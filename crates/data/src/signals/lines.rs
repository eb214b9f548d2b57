//! Lines: their lengths, what they begin and end with, and which of them are repeated or code.

use super::{
    code,
    repeats::{LIMIT, Table},
};
use xxhash_rust::xxh3::xxh3_64;

/// A line of fewer characters is short (FineWeb, Penedo et al. 2024, arXiv 2406.17557).
const SHORT: u64 = 30;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lines {
    /// All, empty ones too.
    pub(super) all: u64,
    /// Those with something on them. The counts below are of these.
    pub(super) filled: u64,
    pub(super) characters: u64,
    pub(super) longest: u64,
    /// Lines that are like an earlier one, and their characters; among the first 65,536.
    pub(super) duplicate: u64,
    pub(super) duplicate_characters: u64,
    /// The lines, and their characters, that were compared.
    pub(super) compared: u64,
    pub(super) compared_characters: u64,
    pub(super) bullet: u64,
    pub(super) ellipsis: u64,
    pub(super) terminal: u64,
    pub(super) short: u64,
    pub(super) code: u64,
}

pub(super) fn count(text: &str, table: &mut Table) -> Lines {
    let mut lines = Lines::default();
    let mut code = code::Lines::default();
    let most = LIMIT.min(memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1);
    table.clear(most);
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let is_indented = matches!(rest[0], b' ' | b'\t');
        let line = rest[..end].trim_ascii();
        rest = rest.get(end + 1..).unwrap_or_default();
        lines.all += 1;
        if line.is_empty() {
            continue;
        }
        // Characters are the bytes that do not continue one.
        let characters = line.iter().filter(|&&byte| (byte as i8) >= -0x40).count() as u64;
        lines.filled += 1;
        lines.characters += characters;
        lines.longest = lines.longest.max(characters);
        lines.short += u64::from(characters < SHORT);
        lines.bullet += u64::from(is_bullet(line));
        let ellipsis = line.ends_with(b"...") || line.ends_with("…".as_bytes());
        lines.ellipsis += u64::from(ellipsis);
        lines.terminal += u64::from(!ellipsis && is_terminal(line));
        lines.code += u64::from(code.next(line, is_indented));
        if lines.compared < most as u64 {
            lines.compared += 1;
            lines.compared_characters += characters;
            if table.count(xxh3_64(line)).0 > 1 {
                lines.duplicate += 1;
                lines.duplicate_characters += characters;
            }
        }
    }
    lines
}

fn is_bullet(line: &[u8]) -> bool {
    match line {
        [b'-' | b'*' | b'+', b' ', ..] => true,
        [0xe2, ..] => ["•", "‣", "▪", "●", "◦", "–"].iter().any(|bullet| line.starts_with(bullet.as_bytes())),
        [0xc2, 0xb7, ..] => true, // middle dot
        _ => false,
    }
}

/// Whether a line ends as a sentence does, a closing quotation mark included.
fn is_terminal(line: &[u8]) -> bool {
    match line {
        [.., b'.' | b'!' | b'?' | b'"'] => true,
        [.., last] if last.is_ascii() => false,
        _ => ["。", "！", "？", "”", "’", "»", "।"].iter().any(|end| line.ends_with(end.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_their_looks() {
        let text =
            "A sentence that is long enough not to be short.\n\n- first...\n• zweitens…\n- first...\n  end»\r\nx";
        let lines = count(text, &mut Table::default());
        assert_eq!((lines.all, lines.filled, lines.longest), (7, 6, 47));
        assert_eq!((lines.bullet, lines.ellipsis, lines.terminal, lines.short), (3, 3, 2, 5));
        assert_eq!((lines.duplicate, lines.duplicate_characters), (1, 10));
        assert_eq!((lines.compared, lines.compared_characters), (6, 47 + 10 + 11 + 10 + 4 + 1));
        assert_eq!(lines.characters, lines.compared_characters);
    }

    #[test]
    fn a_text_of_line_ends_has_no_filled_line() {
        let lines = count("\n \n\t\n", &mut Table::default());
        assert_eq!((lines.all, lines.filled), (3, 0));
        assert_eq!(count("", &mut Table::default()), Lines::default());
    }
}
