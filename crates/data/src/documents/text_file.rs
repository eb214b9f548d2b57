//! One file as one text.

use super::{Reason, compressed};
use std::{
    fs::File,
    io::{self, Read},
};

/// Reads a file with this name, of at most `limit` bytes after decompression, as UTF-8 text; a byte order mark is taken
/// off.
pub(super) fn read(name: &str, mut file: File, limit: u64) -> Result<String, Reason> {
    let mut bytes = Vec::new();
    let beyond = limit.saturating_add(1);
    let length = if compressed::inner_name(name).is_some() {
        compressed::open(name, file).and_then(|content| content.take(beyond).read_to_end(&mut bytes))
    } else {
        // Read at once, with no more memory than it needs; and one that grows meanwhile stays within the limit.
        file.metadata().map(|metadata| bytes.reserve_exact(metadata.len().min(limit) as usize + 1)).and_then(|()| {
            file.by_ref().take(beyond).read_to_end(&mut bytes)
        })
    };
    if length.map_err(unreadable)? as u64 > limit { Err(Reason::TooLarge { limit }) } else { decode(bytes) }
}

pub(super) fn unreadable(error: io::Error) -> Reason {
    Reason::Unreadable { detail: error.to_string() }
}

fn decode(bytes: Vec<u8>) -> Result<String, Reason> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Reason::Utf16);
    }
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        return Err(Reason::Binary { offset: offset as u64 });
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|error| Reason::InvalidUtf8 { offset: error.utf8_error().valid_up_to() as u64 })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    if text.trim().is_empty() { Err(Reason::Empty) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_text_and_what_is_not() {
        let good: [(&[u8], &str); 3] =
            [(b"abc\r\n", "abc\r\n"), ("\u{feff}naïve".as_bytes(), "naïve"), ("☃".as_bytes(), "☃")];
        for (bytes, text) in good {
            assert_eq!(decode(bytes.to_vec()).as_deref(), Ok(text));
        }
        let bad: [(&[u8], Reason); 6] = [
            (b"", Reason::Empty),
            (b" \n\t", Reason::Empty),
            (b"\xef\xbb\xbf", Reason::Empty),
            (b"abc\xff", Reason::InvalidUtf8 { offset: 3 }),
            (b"ab\0c", Reason::Binary { offset: 2 }),
            (b"\xff\xfea\0", Reason::Utf16),
        ];
        for (bytes, reason) in bad {
            assert_eq!(decode(bytes.to_vec()), Err(reason));
        }
    }
}
