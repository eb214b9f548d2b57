//! E-mail addresses (the usual part of RFC 5322), told from what else has an `@`: packages with versions, decorators,
//! fields, remotes of git, names of images.

use super::{PiiKind, PiiSpan, bounds::is_word, secret};

/// Longest local part and domain (RFC 5321).
const LOCAL: usize = 64;
const DOMAIN: usize = 255;

/// Top-level domains of more than two letters that are in wide use. Every code of two letters counts; the thousand others
/// are mostly unused, and would make addresses of the fields of programs (`object@slot.value`).
const TOP_LEVEL: &[&str] = &[
    "academy",
    "aero",
    "agency",
    "app",
    "art",
    "asia",
    "bank",
    "bio",
    "biz",
    "blog",
    "business",
    "cat",
    "center",
    "chat",
    "city",
    "cloud",
    "club",
    "com",
    "community",
    "company",
    "consulting",
    "coop",
    "design",
    "dev",
    "digital",
    "edu",
    "education",
    "email",
    "energy",
    "engineering",
    "expert",
    "family",
    "foundation",
    "fun",
    "global",
    "gmbh",
    "gov",
    "group",
    "guru",
    "health",
    "help",
    "host",
    "info",
    "ink",
    "institute",
    "int",
    "international",
    "io",
    "jobs",
    "land",
    "law",
    "legal",
    "life",
    "live",
    "london",
    "ltd",
    "management",
    "market",
    "marketing",
    "media",
    "mil",
    "mobi",
    "museum",
    "name",
    "net",
    "network",
    "news",
    "ngo",
    "nyc",
    "one",
    "online",
    "org",
    "page",
    "paris",
    "partners",
    "photos",
    "plus",
    "post",
    "press",
    "pro",
    "rocks",
    "school",
    "science",
    "services",
    "shop",
    "site",
    "social",
    "software",
    "solutions",
    "space",
    "store",
    "studio",
    "support",
    "systems",
    "team",
    "tech",
    "technology",
    "tel",
    "today",
    "tools",
    "top",
    "travel",
    "university",
    "ventures",
    "vip",
    "wiki",
    "work",
    "works",
    "world",
    "xyz",
    "zone",
];

/// Endings of files that are two letters, and no country's.
const FILES: &[&str] = &["cs", "gz", "hh", "js", "rb", "ts", "vb"];

pub(super) fn find(text: &str, spans: &mut Vec<PiiSpan>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for at in memchr::memchr_iter(b'@', bytes) {
        if let Some(password) = secret::url_password(bytes, at) {
            if let Some((start, end)) = password.filter(|(start, _)| *start >= from) {
                spans.push(PiiSpan { kind: PiiKind::Secret, start, end });
                from = end;
            }
        } else if let Some((start, end)) = address(bytes, at, from) {
            spans.push(PiiSpan { kind: PiiKind::EmailAddress, start, end });
            from = end;
        }
    }
}

/// The address around an `@`, none of it before a place.
fn address(bytes: &[u8], at: usize, from: usize) -> Option<(usize, usize)> {
    // Accented Latin letters (U+00C0 to U+024F in UTF-8) are in use on either side.
    let is_accented = |byte: u8| matches!(byte, 0xc3..=0xc9 | 0x80..=0xbf);
    let is_local =
        |byte: &u8| is_word(*byte) || is_accented(*byte) || matches!(byte, b'.' | b'+' | b'-' | b'%' | b'\'');
    let local = &bytes[from.max(at.saturating_sub(LOCAL + 1))..at];
    let mut start = at - local.iter().rev().position(|byte| !is_local(byte)).unwrap_or(local.len());
    // Nor does it begin with a dot or a quotation mark.
    while start < at && matches!(bytes[start], b'.' | b'\'' | b'-' | b'%' | 0x80..=0xbf) {
        start += 1;
    }
    if start == at
        || at - start > LOCAL
        || bytes[at - 1] == b'.'
        || bytes[start..at].windows(2).any(|pair| pair == b"..")
    {
        return None;
    }
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || is_accented(byte) || matches!(byte, b'.' | b'-');
    let rest = &bytes[at + 1..bytes.len().min(at + 2 + DOMAIN)];
    let length = rest.iter().position(|byte| !is_domain(*byte)).unwrap_or(rest.len());
    let domain = &rest[..rest[..length].iter().rposition(u8::is_ascii_alphanumeric)? + 1];
    let end = at + 1 + domain.len();
    let labels: Vec<&[u8]> = domain.split(|byte| *byte == b'.').collect();
    let (last, others) = labels.split_last()?;
    let sound =
        |label: &&[u8]| !label.is_empty() && label.len() < 64 && label[0] != b'-' && label[label.len() - 1] != b'-';
    let numbers = others.iter().filter(|label| label.iter().all(u8::is_ascii_digit)).count();
    if others.is_empty() || !labels.iter().all(sound) || !is_top_level(last) || numbers > 1 {
        return None;
    }
    let (previous, next) = (super::bounds::before(bytes, start), super::bounds::at(bytes, end));
    // A remote of git, a path or query of a URL, a second `@`, an identifier that goes on.
    let user = &bytes[start..at];
    let remote = user == b"git" && matches!(next, b':' | b'/');
    let within = matches!(previous, b'/' | b'@') || matches!(next, b'@' | b'_' | b'(' | b'[') || next == b'=';
    // A file of two resolutions, `icon@2x.png`, has no top-level domain; a call, `object@field.method(`, has a bracket.
    (!remote && !within).then_some((start, end))
}

fn is_top_level(label: &[u8]) -> bool {
    let lower = label.to_ascii_lowercase();
    match std::str::from_utf8(&lower) {
        Ok(label) if label.len() == 2 => label.bytes().all(|byte| byte.is_ascii_lowercase()) && !FILES.contains(&label),
        Ok(label) => TOP_LEVEL.binary_search(&label).is_ok() || label.starts_with("xn--"),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_in_order() {
        assert!(TOP_LEVEL.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(FILES.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
