//! Any bytes as tokenizer.json; what opens encodes and decodes any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_text::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, bytes).unwrap();
    if let Ok(tokenizer) = Tokenizer::from_file(&path) {
        let ids = tokenizer.encode("fn main() { \u{e9}\u{1f469}\u{200d}\u{1f4bb} <|endoftext|> }");
        let _ = tokenizer.decode(&ids);
    }
});
