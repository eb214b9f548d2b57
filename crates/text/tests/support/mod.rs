//! What several tests share: text on which tokenizers disagree, and a small trained tokenizer.

#![allow(dead_code)] // each test uses its part

use std::path::{Path, PathBuf};

use moeworks_text::{Tokenizer, TrainOptions};
use proptest::prelude::*;

/// Characters on which split patterns disagree: white space of all kinds, apostrophes, digits, marks, case, line ends.
pub(crate) fn character() -> impl Strategy<Value = char> {
    let of = |text: &str| prop::sample::select(text.chars().collect::<Vec<_>>());
    prop_oneof![
        6 => of(" \t\n\r\u{b}\u{c}\u{85}\u{a0}\u{1680}\u{2003}\u{2028}\u{2029}\u{202f}\u{3000}\u{feff}"),
        3 => of("''’sStTmMdDlLvVrReE\u{17f}\u{212a}"),
        2 => of("0123456789²½Ⅷ٣४𝟘㊿"),
        2 => of("\u{300}\u{301}\u{20d0}\u{200b}\u{200d}\u{fe0f}\u{e0101}ßǅﬁꜱ"),
        4 => prop::char::range(' ', '~'),
        2 => prop::char::range('\u{80}', '\u{fff}'),
        1 => prop::char::range('\u{1000}', '\u{ffff}'),
        1 => prop::char::range('\u{10000}', '\u{10ffff}'),
    ]
}

/// Short texts of such characters, with runs of one character and words of program text among them.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        6 => character().prop_map(String::from),
        2 => (character(), 1_usize..20).prop_map(|(c, n)| c.to_string().repeat(n)),
        2 => prop::sample::select(vec!["fn ", "let ", "    ", "self.", "tokenizer", "<|im_end|>", "'ll", "\r\n", "::<>"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// Program text and prose to train on.
pub(crate) fn documents() -> [&'static str; 5] {
    [
        include_str!("../../src/chat.rs"),
        include_str!("../../src/tokenizer.rs"),
        include_str!("../../src/tokenizer_json.rs"),
        include_str!("../../src/marks.rs"),
        "Überall dieselbe Leier: 한국어, 日本語のテキスト, русский текст, 1234567890, “quotes” — and spaces.   \n\n\n\t\tEnd",
    ]
}

pub(crate) fn trained(vocab_size: usize) -> Tokenizer {
    moeworks_text::train(documents().iter(), &TrainOptions { vocab_size, min_frequency: 2 }, |_| {}).unwrap()
}

/// The library of Hugging Face on the tokenizer.json of `dir`, set up so that it reads special tokens as text.
pub(crate) fn library(dir: &Path) -> tokenizers::Tokenizer {
    let mut library = tokenizers::Tokenizer::from_file(dir.join("tokenizer.json")).unwrap();
    library.set_encode_special_tokens(true);
    library
}

pub(crate) fn library_ids(library: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    library.encode_fast(text, false).unwrap().get_ids().to_vec()
}

/// Writes a tokenizer.json and gives its path back; the folder lives as long as the guard.
pub(crate) fn json_file(json: &serde_json::Value) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    std::fs::write(&path, json.to_string()).unwrap();
    (dir, path)
}

/// The tokenizer.json that `tokenizer` saves.
pub(crate) fn saved_json(tokenizer: &Tokenizer) -> serde_json::Value {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    serde_json::from_str(&std::fs::read_to_string(dir.path().join("tokenizer.json")).unwrap()).unwrap()
}
