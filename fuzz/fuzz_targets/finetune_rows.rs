//! Any bytes as a file of rows for fine-tuning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::finetune::{FineTuneOptions, pack_rows};
use moeworks_text::Tokenizer;
use std::sync::LazyLock;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::cl100k);

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    std::fs::write(&rows, bytes).unwrap();
    let _ = pack_rows(&[rows], &TOKENIZER, &FineTuneOptions::new(32), &folder.path().join("out"), &());
});
