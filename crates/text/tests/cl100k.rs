//! cl100k with DBRX's special tokens: the same ids as the reference on vectors, on random text, on every character and on
//! every file of a folder; and no text that takes long.

mod support;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use moeworks_text::Tokenizer;
use proptest::prelude::*;
use tiktoken_rs::CoreBPE;

static OURS: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::cl100k);
static REFERENCE: LazyLock<CoreBPE> = LazyLock::new(|| tiktoken_rs::cl100k_base().unwrap());

fn assert_same(text: &str) {
    let ids = OURS.encode(text);
    let reference = REFERENCE.encode_ordinary(text);
    assert!(ids == reference, "{text:?}: ours {ids:?}, reference {reference:?}");
    assert_eq!(OURS.decode(&ids), text);
}

fn vectors(name: &str) -> Vec<serde_json::Value> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let text = std::fs::read_to_string(own).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Rows of a file of the shared evaluation data, or none with a loud line.
fn shared(name: &str) -> Vec<serde_json::Value> {
    let root = std::env::var_os("MOEWORKS_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = root.join("eval-data/tokenizer").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there; set MOEWORKS_SHARED to the folder that has eval-data", path.display());
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn vectors_match() {
    let rows = [vectors("cl100k.jsonl"), shared("cl100k_vectors.jsonl")].concat();
    for row in rows {
        let text = row["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
        assert_eq!(OURS.encode(text), ids, "{text:?}");
        assert_eq!(OURS.decode(&ids), text);
    }
}

#[test]
fn special_tokens_have_the_ids_of_dbrx() {
    for (content, id) in [
        ("<|endoftext|>", 100_257),
        ("<|fim_prefix|>", 100_258),
        ("<|fim_middle|>", 100_259),
        ("<|fim_suffix|>", 100_260),
        ("<|endofprompt|>", 100_276),
        ("<|pad|>", 100_277),
        ("<|im_start|>", 100_278),
        ("<|im_end|>", 100_279),
    ] {
        assert_eq!(OURS.special(content), Some(id));
        assert!(OURS.is_special(id));
        assert_eq!(OURS.token_bytes(id), content.as_bytes());
        assert_eq!(OURS.decode(&[64, id, 64]), format!("a{content}a"));
        assert_eq!(OURS.decode_without_special(&[64, id, 64]), "aa");
    }
    assert_eq!(OURS.special("<|nonsense|>"), None);
    assert_eq!(OURS.vocab_size(), 100_280);
    assert_eq!(OURS.vocab_size().next_multiple_of(128), 100_352);
    assert_eq!((OURS.bos(), OURS.eos(), OURS.pad()), (Some(100_257), Some(100_257), Some(100_277)));
    assert_eq!(OURS.stop_ids(), [100_257, 100_279]);
    assert!(!OURS.add_bos());
    // The ids that DBRX leaves free.
    for id in [100_256, 100_261, 100_275] {
        assert!(OURS.is_special(id));
    }
    assert!(!OURS.is_special(100_255));
    assert_eq!(OURS.token_bytes(100_280), b"");
    assert_eq!(OURS.decode(&[u32::MAX]), "");
}

#[test]
fn text_never_becomes_a_special_token() {
    for (_, content) in OURS.special_tokens() {
        for text in [content.to_owned(), format!("a{content}{content} b"), content.replace('>', ">>")] {
            let ids = OURS.encode(&text);
            assert!(ids.iter().all(|&id| !OURS.is_special(id)), "{text}");
            assert_eq!(OURS.decode(&ids), text);
        }
    }
}

#[test]
fn every_token_encodes_to_itself_and_has_its_bytes() {
    let mut whole = 0;
    for id in 0..100_256 {
        let bytes = OURS.token_bytes(id);
        assert_eq!(bytes, REFERENCE.decode_bytes(&[id]).unwrap());
        if let Ok(text) = std::str::from_utf8(bytes) {
            assert_eq!(OURS.decode(&[id]), text);
            whole += 1;
        }
    }
    assert!(whole > 90_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_has_the_reference_ids(characters in prop::collection::vec(support::character(), 0..60)) {
        assert_same(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn random_program_text_has_the_reference_ids(text in support::text()) {
        assert_same(&text);
    }

    #[test]
    fn random_strings_have_the_reference_ids(text in any::<String>()) {
        assert_same(&text);
    }

    #[test]
    fn runs_have_the_reference_ids(runs in prop::collection::vec((support::character(), 1_usize..40), 0..8)) {
        assert_same(&runs.into_iter().map(|(c, n)| c.to_string().repeat(n)).collect::<String>());
    }
}

#[test]
fn every_character_has_the_reference_ids() {
    // Every scalar value in several contexts; many characters to a text, so that it is done in seconds.
    let contexts: [(&str, &str); 5] = [("", ""), ("a", "a"), (" ", " "), ("'", "'s1"), ("\n", "\n")];
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    std::thread::scope(|scope| {
        for (before, after) in contexts {
            let characters = &characters;
            scope.spawn(move || {
                for block in characters.chunks(128) {
                    assert_same(&block.iter().map(|c| format!("{before}{c}{after}")).collect::<String>());
                }
            });
        }
    });
}

#[test]
fn every_file_of_a_folder_has_the_reference_ids() {
    let folder = std::env::var_os("MOEWORKS_PARITY_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")), PathBuf::from);
    let mut files = 0;
    let mut folders = vec![folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Ok(text) = std::fs::read_to_string(entry.path())
            {
                let ids = OURS.encode(&text);
                assert!(ids == REFERENCE.encode_ordinary(&text), "{} differs", entry.path().display());
                assert!(OURS.decode(&ids) == text, "{} does not come back", entry.path().display());
                files += 1;
            }
        }
    }
    assert!(files > 0, "{} has no text files", folder.display());
    eprintln!("{files} files under {} have the reference ids", folder.display());
}

#[test]
fn no_text_takes_long() {
    // Each of these makes some tokenizer quadratic. All of them together take a second when none is.
    let million = |unit: &str| unit.repeat(1_000_000 / unit.len());
    for text in [
        million("a"),
        million(" "),
        million("\n"),
        million("1"),
        million("'"),
        million("="),
        million("ab"),
        million(" a"),
        million(" \n"),
        million("'s"),
        million("é"),
        million("e\u{301}"),
        million("\u{1F468}\u{200d}"),
        format!("\n{}x", million(" ")),
        format!("x{}", million(" ")),
        million("<|im_end|>"),
    ] {
        let ids = OURS.encode(&text);
        assert!(OURS.decode(&ids) == text);
    }
}
