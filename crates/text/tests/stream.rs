//! Text that arrives token by token.

mod support;

use std::sync::LazyLock;

use moeworks_text::{TextStream, Tokenizer};
use proptest::prelude::*;

static CL100K: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::cl100k);
static TRAINED: LazyLock<Tokenizer> = LazyLock::new(|| support::trained(300));

/// Pushes ids one by one; no part given out may end in half a character, which `String` guarantees, nor hold any back that
/// is complete.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = TextStream::new(tokenizer);
    let mut text = String::new();
    for &id in ids {
        text.extend(stream.push(id));
    }
    text + &stream.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streamed_text_is_the_text(text in support::text()) {
        for tokenizer in [&*CL100K, &*TRAINED] {
            let ids = tokenizer.encode(&text);
            prop_assert_eq!(streamed(tokenizer, &ids), &*text);
            // Byte by byte: every character is cut in all places.
            let bytes: Vec<u32> = text.bytes().map(|byte| byte_id(tokenizer, byte)).collect();
            prop_assert_eq!(streamed(tokenizer, &bytes), text.clone());
        }
    }

    #[test]
    fn streams_of_any_ids_are_decoded_ids(ids in prop::collection::vec(0_u32..320, 0..60)) {
        // Single bytes for the most part, so mostly not UTF-8.
        prop_assert_eq!(streamed(&TRAINED, &ids), TRAINED.decode(&ids));
    }

    #[test]
    fn complete_characters_are_given_out_at_once(text in "[a-z漢é😀 ]{0,20}") {
        let mut stream = TextStream::new(&TRAINED);
        let mut out = String::new();
        for (at, byte) in text.bytes().enumerate() {
            out.extend(stream.push(byte_id(&TRAINED, byte)));
            let whole = (0..=at + 1).rev().find(|&end| text.is_char_boundary(end)).unwrap();
            prop_assert_eq!(&out, &text[..whole]);
        }
    }
}

fn byte_id(tokenizer: &Tokenizer, byte: u8) -> u32 {
    (0..256).find(|&id| tokenizer.token_bytes(id) == [byte]).unwrap()
}

/// What each push gives out.
type Pushes<'a> = &'a [Option<&'a str>];

#[test]
fn bytes_that_are_no_text() {
    let id = |byte| byte_id(&TRAINED, byte);
    let cases: [(&[u8], Pushes, &str); 6] = [
        (b"\xF0\x9F\x98\x80", &[None, None, None, Some("😀")], ""),
        (b"\xF0\x9F\x98", &[None, None, None], "\u{FFFD}"),
        (b"\xF0\x9Fa", &[None, None, Some("\u{FFFD}a")], ""),
        (b"\xFF", &[Some("\u{FFFD}")], ""),
        (b"\xC3\xC3\xA9", &[None, Some("\u{FFFD}"), Some("é")], ""),
        (b"\xE0\x80\x80", &[None, Some("\u{FFFD}\u{FFFD}"), Some("\u{FFFD}")], ""),
    ];
    for (bytes, pushes, finish) in cases {
        let mut stream = TextStream::new(&TRAINED);
        for (&byte, expected) in bytes.iter().zip(pushes) {
            assert_eq!(stream.push(id(byte)).as_deref(), *expected, "{bytes:?}");
        }
        assert_eq!(stream.finish(), finish, "{bytes:?}");
        assert_eq!(
            TRAINED.decode(&bytes.iter().map(|&byte| id(byte)).collect::<Vec<_>>()),
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn special_tokens_are_shown_or_left_out() {
    let end = CL100K.special("<|im_end|>").unwrap();
    let mut shown = TextStream::new(&CL100K);
    assert_eq!(shown.push(end).as_deref(), Some("<|im_end|>"));
    let mut left_out = TextStream::new(&CL100K).without_special();
    assert_eq!(left_out.push(end), None);
    assert_eq!(left_out.push(64).as_deref(), Some("a"));
    assert_eq!(left_out.push(100_300), None, "a padded row has no text");
}
