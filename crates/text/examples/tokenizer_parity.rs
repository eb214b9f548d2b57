//! Saves cl100k and a tokenizer trained on the sources of this crate, each with the ids and conversations that are expected
//! of it, for `bench/tokenizer_parity.py` to compare with transformers.
//!
//!     cargo run --release -p moeworks-text --example tokenizer_parity -- FOLDER

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use moeworks_text::{ChatOptions, Message, Tokenizer, TrainOptions, train};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: tokenizer_parity FOLDER")?);
    let sources = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?
        .map(|entry| std::fs::read_to_string(entry?.path()))
        .collect::<Result<Vec<String>, _>>()?;
    let trained = train(sources.iter(), &TrainOptions { vocab_size: 2000, min_frequency: 2 }, |_| {})?;
    for (name, tokenizer) in [("cl100k", Tokenizer::cl100k()), ("trained", trained)] {
        let dir = folder.join(name);
        tokenizer.save(&dir)?;
        let mut rows = String::new();
        for text in texts(&sources) {
            writeln!(rows, "{}", json!({"text": text, "ids": tokenizer.encode(&text)}))?;
        }
        std::fs::write(dir.join("expected_ids.jsonl"), rows)?;
        std::fs::write(dir.join("expected_chats.jsonl"), chats(&tokenizer)?)?;
    }
    Ok(())
}

/// The vectors of the tests, the sources, and every character there is, 32 to a text.
fn texts(sources: &[String]) -> impl Iterator<Item = String> {
    let vectors = include_str!("../tests/vectors/cl100k.jsonl").lines();
    let vectors =
        vectors.filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["text"].as_str()?.to_owned()));
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    let blocks: Vec<String> =
        characters.chunks(32).map(|block| block.iter().map(|c| format!("'{c}a{c}  {c}1\n")).collect()).collect();
    vectors.chain(sources.iter().cloned()).chain(blocks)
}

fn chats(tokenizer: &Tokenizer) -> Result<String, Box<dyn std::error::Error>> {
    let conversations = [
        vec![Message::user("What is 2+2?")],
        vec![Message::system("  Be terse.\n"), Message::user("Hi")],
        vec![Message::user("Hi"), Message::assistant("Hello!"), Message::user("  spaced  ")],
        vec![Message::system("S"), Message::user("\n\na\n"), Message::assistant("b\n"), Message::user("")],
        vec![Message::user("fn main() {\n\tlet x = \"é漢😀\";\n}\n")],
    ];
    let mut rows = String::new();
    for messages in &conversations {
        for add_generation_prompt in [false, true] {
            let options = ChatOptions { add_generation_prompt, ..ChatOptions::default() };
            let rendered = tokenizer.chat_template().render(tokenizer, messages, &options)?;
            let row = json!({"messages": messages, "add_generation_prompt": add_generation_prompt,
                "text": rendered.text(), "ids": rendered.encode(tokenizer)});
            writeln!(rows, "{row}")?;
        }
    }
    Ok(rows)
}
