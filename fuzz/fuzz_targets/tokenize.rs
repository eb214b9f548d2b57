//! Any text has the ids that the regular expressions and the encoder of bpe-openai give, and comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_text::Tokenizer;
use std::sync::LazyLock;

static CL100K: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::cl100k);

fuzz_target!(|text: &str| {
    let ids = CL100K.encode(text);
    assert_eq!(ids, bpe_openai::cl100k_base().encode(text));
    assert_eq!(CL100K.decode(&ids), text);
});
