//! What a piece of a foreign vocabulary stands for: the decoder section of tokenizer.json, applied token by token.

use std::path::Path;

use serde_json::Value;

use crate::byte_level;
use crate::error::TextError;

/// The steps that turn a piece into bytes.
pub(crate) struct Decoder {
    steps: Vec<Step>,
    /// Whether a space at the very beginning of a text is the tokenizer's and not the text's.
    pub(crate) drops_leading_space: bool,
}

enum Step {
    ByteLevel,
    ByteFallback,
    Replace {
        from: String,
        to: String,
    },
    /// Pieces of one word but the first begin with this; others begin a word.
    WordPiece {
        prefix: String,
    },
}

impl Decoder {
    /// Reads the `decoder` of a tokenizer.json.
    pub(crate) fn new(path: &Path, decoder: &Value) -> Result<Self, TextError> {
        let mut this = Decoder { steps: Vec::new(), drops_leading_space: false };
        if decoder.is_null() {
            // The library then puts a space between tokens.
            this.steps.push(Step::WordPiece { prefix: String::new() });
            this.drops_leading_space = true;
        } else {
            this.add(path, "decoder", decoder)?;
        }
        Ok(this)
    }

    fn add(&mut self, path: &Path, key: &str, step: &Value) -> Result<(), TextError> {
        let text = |name: &str| {
            step[name]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| TextError::key(path, format!("{key}.{name}"), "must be a string"))
        };
        match step["type"].as_str().unwrap_or_default() {
            "Sequence" => {
                let steps = step["decoders"].as_array();
                let steps = steps
                    .ok_or_else(|| TextError::key(path, format!("{key}.decoders"), "must be a list of decoders"))?;
                for (i, step) in steps.iter().enumerate() {
                    self.add(path, &format!("{key}.decoders[{i}]"), step)?;
                }
            }
            "ByteLevel" => self.steps.push(Step::ByteLevel),
            "ByteFallback" => self.steps.push(Step::ByteFallback),
            "Fuse" => {}
            "Strip" => self.drops_leading_space |= step["content"] == " " && step["start"].as_u64() > Some(0),
            "Replace" if step["pattern"]["String"].is_string() => {
                let from = step["pattern"]["String"].as_str().unwrap_or_default().to_owned();
                self.steps.push(Step::Replace { from, to: text("content")? });
            }
            "Metaspace" => {
                self.steps.push(Step::Replace { from: text("replacement")?, to: " ".to_owned() });
                self.drops_leading_space |= step["prepend_scheme"] != "never" && step["add_prefix_space"] != false;
            }
            "WordPiece" => {
                self.steps.push(Step::WordPiece { prefix: text("prefix")? });
                self.drops_leading_space = true;
            }
            "BPEDecoder" => self.steps.push(Step::Replace { from: text("suffix")?, to: " ".to_owned() }),
            other => {
                let problem = format!(
                    "is a `{other}` decoder of a kind that cannot be applied token by token; supported are ByteLevel, \
                     ByteFallback, Fuse, Strip, Replace of a string, Metaspace, WordPiece, BPEDecoder and sequences of them"
                );
                return Err(TextError::key(path, key, problem));
            }
        }
        Ok(())
    }

    /// The bytes of one piece.
    pub(crate) fn bytes(&self, piece: &str) -> Vec<u8> {
        let mut text = piece.to_owned();
        for step in &self.steps {
            match step {
                Step::ByteLevel => return byte_level::to_bytes(&text).unwrap_or_else(|| text.into_bytes()),
                Step::ByteFallback => {
                    if let Some(byte) = fallback_byte(&text) {
                        return vec![byte];
                    }
                }
                Step::Replace { from, to } => text = text.replace(from, to),
                Step::WordPiece { prefix } => {
                    text = match text.strip_prefix(prefix.as_str()) {
                        Some(rest) if !prefix.is_empty() => rest.to_owned(),
                        _ => format!(" {text}"),
                    };
                }
            }
        }
        text.into_bytes()
    }
}

/// Reads `<0x0A>`, SentencePiece's piece for a byte.
fn fallback_byte(piece: &str) -> Option<u8> {
    let hex = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_byte = hex.len() == 2 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_byte.then(|| u8::from_str_radix(hex, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pieces_become_bytes() {
        let llama = json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"});
        let word_piece = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        let cases: [(&Value, &str, &[u8], bool); 9] = [
            (&llama, "▁the", b" the", true),
            (&llama, "<0xF0>", b"\xF0", true),
            (&llama, "<0xF>", b"<0xF>", true),
            (&llama, "<0x+F>", b"<0x+F>", true),
            (&metaspace, "▁a▁", b" a ", false),
            (&word_piece, "##ing", b"ing", true),
            (&word_piece, "go", b" go", true),
            (&json!({"type": "ByteLevel"}), "Ġ", b" ", false),
            (&Value::Null, "go", b" go", true),
        ];
        for (decoder, piece, bytes, drops) in cases {
            let decoder = Decoder::new(Path::new("t"), decoder).unwrap();
            assert_eq!(decoder.bytes(piece), bytes, "{piece}");
            assert_eq!(decoder.drops_leading_space, drops);
        }
    }

    #[test]
    fn unknown_decoders_are_named() {
        let error = Decoder::new(Path::new("t.json"), &json!({"type": "CTC"})).err().unwrap().to_string();
        assert!(error.contains("t.json: `decoder` is a `CTC` decoder"), "{error}");
    }
}
