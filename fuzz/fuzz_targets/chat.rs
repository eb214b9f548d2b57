//! Any text as a chat template, and as a message: rendering ends, and message text never becomes a special token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_text::{ChatOptions, ChatTemplate, Message, Tokenizer};
use std::sync::OnceLock;

fuzz_target!(|input: (String, String)| {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    let tokenizer = TOKENIZER.get_or_init(Tokenizer::cl100k);
    let (template, content) = input;
    let messages = [Message::user(content.as_str())];
    if let Ok(template) = ChatTemplate::new(template) {
        let _ = template.encode_chat(tokenizer, &messages, &ChatOptions::generation());
    }
    let chat = ChatTemplate::chatml();
    let special = |text: &str| {
        let ids = chat.encode_chat(tokenizer, &[Message::user(text)], &ChatOptions::generation()).unwrap();
        ids.into_iter().filter(|id| tokenizer.special_tokens().any(|(s, _)| s == *id)).count()
    };
    assert_eq!(special(&content), special("x"));
});
