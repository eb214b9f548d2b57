//! Writing a tokenizer so that transformers and tokenizers read the same one.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::byte_level::to_piece;
use crate::error::TextError;
use crate::ranked::Ranked;
use crate::tokenizer::{Engine, Tokenizer};

impl Tokenizer {
    /// Writes tokenizer.json, tokenizer_config.json (with the chat template) and special_tokens_map.json into `dir`, which
    /// is made if need be. A tokenizer.json that was read is written again as it was. Each file is written whole or not
    /// at all.
    pub fn save(&self, dir: &Path) -> Result<(), TextError> {
        std::fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
        match (&self.parts().files.tokenizer, &self.parts().engine) {
            (Some(text), _) => write_file(&dir.join("tokenizer.json"), text)?,
            (None, Engine::Ranked(ranked)) => {
                write_file(&dir.join("tokenizer.json"), &pretty(&self.tokenizer_json(ranked)))?;
            }
            (None, Engine::Foreign(_)) => unreachable!("foreign tokenizers come from a file"),
        }
        write_file(&dir.join("tokenizer_config.json"), &pretty(&Value::Object(self.config_json())))?;
        let roles: Map<String, Value> =
            self.role_contents().map(|(role, content)| (role.to_owned(), content.into())).collect();
        write_file(&dir.join("special_tokens_map.json"), &pretty(&Value::Object(roles)))
    }

    fn tokenizer_json(&self, ranked: &Ranked) -> Value {
        let tokens: Vec<&[u8]> = ranked.tokens().map(|(_, token)| token).collect();
        let pieces: Vec<String> = tokens.iter().map(|token| to_piece(token)).collect();
        let merges: Vec<Value> =
            ranked.merges().map(|(left, right)| json!([pieces[left as usize], pieces[right as usize]])).collect();
        let vocabulary: Map<String, Value> =
            ranked.tokens().zip(&pieces).map(|((id, _), piece)| (piece.clone(), id.into())).collect();
        let added: Vec<Value> = self
            .special_tokens()
            .map(|(id, content)| {
                json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true,
                })
            })
            .collect();
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": ranked.pattern().regex()}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            ]},
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocabulary, "merges": merges,
            },
        })
    }

    fn config_json(&self) -> Map<String, Value> {
        let mut config = self.parts().files.config.clone();
        let mut default = |key: &str, value: Value| {
            config.entry(key).or_insert(value);
        };
        default("tokenizer_class", "PreTrainedTokenizerFast".into());
        // Without this transformers would take out spaces before punctuation when it decodes.
        default("clean_up_tokenization_spaces", false.into());
        default("add_bos_token", self.add_bos().into());
        for (role, content) in self.role_contents() {
            default(role, content.into());
        }
        match self.chat_template().sources() {
            [] => {}
            [(name, source)] if name == "default" => {
                config.insert("chat_template".to_owned(), source.as_str().into());
            }
            several => {
                let list = several.iter().map(|(name, source)| json!({"name": name, "template": source})).collect();
                config.insert("chat_template".to_owned(), list);
            }
        }
        config
    }
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).expect("JSON values can be written") + "\n"
}

/// Writes beside the file, then puts it in place.
fn write_file(path: &Path, text: &str) -> Result<(), TextError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = temporary().tempfile_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        std::io::Result::Ok(())
    };
    write().map_err(|source| failed(path, source))
}

/// Temporary files are private by default; these are to be read by whoever may read other files.
fn temporary() -> tempfile::Builder<'static, 'static> {
    #[allow(unused_mut, reason = "only Unix has modes")]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666)); // less the process's umask
    }
    builder
}

fn failed(path: &Path, source: std::io::Error) -> TextError {
    TextError::Io { path: path.to_owned(), action: "write", source }
}
