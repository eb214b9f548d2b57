//! Values that are assigned to a name such as `password` or `api_key`.

use super::{
    super::bounds::{at, is_word, run},
    entropy,
};

/// What the names of such variables end in, or contain. Passwords come first: they may be short.
pub(super) const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "auth_token",
    "authtoken",
    "access_token",
    "private_token",
    "bearer",
    "token",
    "encryption_key",
    "account_key",
];

/// Longest value.
const MOST: usize = 256;

/// The value that is assigned to the name whose known part ends at a place.
pub(super) fn find(bytes: &[u8], name: usize) -> Option<(usize, usize)> {
    // `tokenizer`, `secretary`.
    if at(bytes, name).is_ascii_lowercase() {
        return None;
    }
    let is_password = [b"word".as_slice(), b"passwd", b"phrase", b"pwd"];
    let known = bytes[name.saturating_sub(6)..name].to_ascii_lowercase();
    let is_password = is_password.iter().any(|end| known.ends_with(end));
    // The rest of the name, a quotation mark or bracket around it, then what assigns.
    let mut place = run(bytes, name, 32, |byte| is_word(byte) || byte == b'-');
    place = run(bytes, place, 2, |byte| matches!(byte, b'"' | b'\'' | b']'));
    place = run(bytes, place, 8, |byte| byte == b' ');
    let signs = run(bytes, place, 3, |byte| matches!(byte, b'=' | b':' | b'>'));
    let is_bearer = known.ends_with(b"bearer") && signs == place && place > name;
    // `==` compares.
    if (signs == place || &bytes[place..signs] == b"==" || &bytes[place..signs] == b"::") && !is_bearer {
        return None;
    }
    let value = run(bytes, signs, 8, |byte| byte == b' ');
    let quote = at(bytes, value);
    let (start, end) = if matches!(quote, b'"' | b'\'' | b'`') {
        let end = run(bytes, value + 1, MOST, |byte| byte != quote && !byte.is_ascii_whitespace());
        if at(bytes, end) != quote {
            return None;
        }
        (value + 1, end)
    } else {
        let end = run(bytes, value, MOST, |byte| {
            byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b',' | b';' | b'<' | b')')
        });
        // An expression of a program: a call, an index, a path of names.
        let is_expression = bytes[value..end].iter().any(|byte| matches!(byte, b'(' | b'[' | b'{' | b'.' | b':'));
        if is_expression {
            return None;
        }
        (value, end)
    };
    let is_quoted = start > value;
    let content = &bytes[start..end];
    (is_secret(content, is_password, is_quoted) && !is_placeholder(content)).then_some((start, end))
}

/// Whether a value is like what people and machines choose: of several kinds of characters, and varied.
fn is_secret(value: &[u8], is_password: bool, is_quoted: bool) -> bool {
    if !value.iter().all(u8::is_ascii_graphic) {
        return false;
    }
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let digit = has(u8::is_ascii_digit);
    let letter = has(u8::is_ascii_alphabetic);
    let symbol = value.iter().any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-' | b'.'));
    let (length, bits) = if is_password && is_quoted {
        (6, 2.2)
    } else if is_password {
        (8, 2.5)
    } else {
        (16, 3.2)
    };
    let varied = letter && (digit || is_password && symbol) || !is_password && digit && symbol;
    let is_uuid = value.len() == 36 && [8, 13, 18, 23].iter().all(|at| value[*at] == b'-');
    let is_path = value.starts_with(b"/") || memchr::memmem::find(value, b"://").is_some();
    value.len() >= length
        && varied
        && entropy::bits(value) >= bits
        && !is_uuid
        && !is_path
        && !is_name(value, is_password)
}

/// Whether a value is the name of something: words of small letters, and numbers, with `_`, `-` or `.` between.
fn is_name(value: &[u8], is_password: bool) -> bool {
    let lower = value
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.'));
    let parts: Vec<&[u8]> = value.split(|byte| matches!(byte, b'_' | b'-' | b'.')).collect();
    let is_word = |part: &&[u8]| {
        let letters = part.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
        part[letters..].iter().all(u8::is_ascii_digit) && part.len() - letters <= 2
    };
    lower && parts.len() > 1 && parts.iter().all(is_word) && !is_password
}

/// Whether a value stands for one that is to be filled in.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 16] = [
        b"example",
        b"changeme",
        b"change_me",
        b"change-me",
        b"placeholder",
        b"password",
        b"passwd",
        b"your",
        b"dummy",
        b"xxxx",
        b"****",
        b"redacted",
        b"secret",
        b"insert",
        b"replace",
        b"1234567",
    ];
    let lower = value.to_ascii_lowercase();
    let filled_in =
        [b"${".as_slice(), b"{{", b"$(", b"%(", b"#{", b"<", b"{"].iter().any(|start| lower.starts_with(start));
    let is_variable = lower.starts_with(b"$")
        && lower[1..].iter().all(|byte| is_word(*byte))
        && !value[1..].iter().any(u8::is_ascii_lowercase);
    filled_in || is_variable || WORDS.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}
