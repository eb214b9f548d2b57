//! Passwords, keys and tokens. One automaton finds the literals that providers begin theirs with, and the words that
//! values are assigned to; what follows is checked for its alphabet, its length, and being no placeholder.

mod assigned;
mod entropy;
mod token;

use super::{
    PiiKind, PiiSpan,
    bounds::{at, before, is_word, run},
};
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use std::sync::LazyLock;

/// Finds the prefixes of [`token::TOKENS`], then [`assigned::NAMES`], in either case.
static LITERALS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let tokens = token::TOKENS.iter().map(|token| token.prefix);
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostFirst)
        .start_kind(StartKind::Unanchored)
        .kind(Some(AhoCorasickKind::DFA))
        .build(tokens.chain(assigned::NAMES.iter().copied()))
        .unwrap_or_else(|error| unreachable!("the literals are few and short: {error}"))
});

pub(super) fn find(text: &str, spans: &mut Vec<PiiSpan>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let literals = LITERALS.find_iter(Input::new(text).anchored(Anchored::No));
    for literal in literals {
        let (start, end) = (literal.start(), literal.end());
        if start < from {
            continue;
        }
        let found = match token::TOKENS.get(literal.pattern().as_usize()) {
            Some(token) => token.find(bytes, start),
            None => assigned::find(bytes, end),
        };
        if let Some((start, end)) = found {
            spans.push(PiiSpan { kind: PiiKind::Secret, start, end });
            from = end;
        }
    }
}

/// The password before the `@` of a URL: `Some(None)` where there is a placeholder in its place, `None` where there is no
/// such URL.
pub(super) fn url_password(bytes: &[u8], sign: usize) -> Option<Option<(usize, usize)>> {
    const MOST: usize = 200;
    let is_part = |byte: &u8| !(byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'' | b'`' | b'@' | b','));
    let near = &bytes[sign.saturating_sub(MOST)..sign];
    let length = near.iter().rev().position(|byte| !is_part(byte))?;
    let start = sign - length;
    if !bytes[..start].ends_with(b"://") {
        return None;
    }
    let password = start + memchr::memchr(b':', &bytes[start..sign])? + 1;
    let is_real = sign - password >= 3 && !assigned::is_placeholder(&bytes[password..sign]);
    Some(is_real.then_some((password, sign)))
}

/// Keys that are told by their length and little else: Twilio's, `SK` and 32 hexadecimal digits, and Mailchimp's, 32 of
/// them and a data centre. Looked for from their first decimal digit.
pub(super) fn hexadecimal(bytes: &[u8], digit: usize) -> Option<(usize, usize)> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let letters = bytes[digit.saturating_sub(32)..digit].iter().rev().take_while(|byte| is_hex(**byte)).count();
    let start = digit - letters;
    let end = run(bytes, start, 33, is_hex);
    if end - start != 32 {
        return None;
    }
    let centre = bytes[end..].strip_prefix(b"-us").map(|rest| run(rest, 0, 3, |byte| byte.is_ascii_digit()));
    match centre {
        Some(digits @ 1..=2) if !is_word(before(bytes, start)) && !is_word(at(bytes, end + 3 + digits)) => {
            Some((start, end + 3 + digits))
        }
        _ if bytes[..start].ends_with(b"SK") && !is_word(at(bytes, end)) && !is_word(before(bytes, start - 2)) => {
            Some((start - 2, end))
        }
        _ => None,
    }
}
