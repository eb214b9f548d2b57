//! What begins with, or near, a digit: each run of digits is offered to every kind of number in turn.

use super::{PiiKind, PiiSpan, card, crypto, iban, ip, phone, secret};

pub(super) fn find(text: &str, spans: &mut Vec<PiiSpan>) {
    let bytes = text.as_bytes();
    let mut at = next_digit(bytes, 0);
    while at < bytes.len() {
        let found = number(bytes, at);
        at = match found {
            Some(span) => {
                spans.push(span);
                span.end.max(at + 1)
            }
            None => at + bytes[at..].iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len() - at),
        };
        at = next_digit(bytes, at);
    }
}

/// The place of the next digit, found sixteen bytes at a time.
fn next_digit(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    let blocks = rest.chunks_exact(16);
    let skipped =
        blocks.take_while(|block| !block.iter().fold(false, |any, byte| any | byte.is_ascii_digit())).count() * 16;
    let tail = &rest[skipped..];
    from + skipped + tail.iter().position(u8::is_ascii_digit).unwrap_or(tail.len())
}

/// What begins with the run of digits at a place.
fn number(bytes: &[u8], at: usize) -> Option<PiiSpan> {
    let found = crypto::find(bytes, at).map(|(start, end)| (PiiKind::CryptoAddress, start, end));
    let found = found.or_else(|| secret::hexadecimal(bytes, at).map(|(start, end)| (PiiKind::Secret, start, end)));
    let found = found.or_else(|| iban::find(bytes, at).map(|(start, end)| (PiiKind::Iban, start, end)));
    let found = found.or_else(|| ip::find(bytes, at).map(|(start, end)| (PiiKind::IpAddress, start, end)));
    let found = found.or_else(|| card::find(bytes, at).map(|(start, end)| (PiiKind::CreditCard, start, end)));
    let found = found.or_else(|| phone::find(bytes, at).map(|(start, end)| (PiiKind::PhoneNumber, start, end)));
    found.map(|(kind, start, end)| PiiSpan { kind, start, end })
}
