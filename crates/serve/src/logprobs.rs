//! Log-probabilities in the two forms that clients know.

use moeworks_infer::Logprobs;
use moeworks_text::{TextStream, Tokenizer};
use serde_json::{Map, Value, json};

/// JSON has no minus infinity; this is what OpenAI's API gives instead.
const LEAST: f64 = -9999.0;

/// A token in the chat form.
pub(crate) fn chat_entry(tokenizer: &Tokenizer, id: u32, logprobs: &Logprobs) -> Value {
    let token = |id: u32, logprob: f64| {
        let bytes = tokenizer.token_bytes(id);
        json!({"token": String::from_utf8_lossy(bytes), "logprob": logprob.max(LEAST), "bytes": bytes})
    };
    let mut entry = token(id, logprobs.logprob);
    entry["top_logprobs"] = logprobs.top.iter().map(|c| token(c.id, c.logprob)).collect();
    entry
}

/// Tokens of one choice in the older form: four lists.
#[derive(Debug)]
pub(crate) struct Lists {
    tokenizer: Tokenizer,
    text: TextStream,
    /// Characters of the text so far.
    chars: usize,
    tokens: Vec<Value>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<usize>,
}

impl Lists {
    /// Empty lists, for tokens whose text begins a text or goes on with one.
    pub(crate) fn new(tokenizer: &Tokenizer, continues: bool) -> Self {
        let text = if continues { TextStream::continuing(tokenizer) } else { TextStream::new(tokenizer) };
        Lists {
            tokenizer: tokenizer.clone(),
            text: text.without_special(),
            chars: 0,
            tokens: Vec::new(),
            token_logprobs: Vec::new(),
            top_logprobs: Vec::new(),
            text_offset: Vec::new(),
        }
    }

    /// Adds a token; the first of a text has no probability.
    pub(crate) fn push(&mut self, id: u32, logprobs: Option<&Logprobs>) {
        self.tokens.push(self.name(id).into());
        self.text_offset.push(self.chars);
        self.chars += self.text.push(id).map_or(0, |text| text.chars().count());
        self.token_logprobs.push(logprobs.map(|l| l.logprob.max(LEAST)).into());
        self.top_logprobs.push(logprobs.map_or(Value::Null, |logprobs| {
            let mut top: Map<String, Value> =
                logprobs.top.iter().map(|c| (self.name(c.id), c.logprob.max(LEAST).into())).collect();
            top.entry(self.name(id)).or_insert(logprobs.logprob.max(LEAST).into());
            top.into()
        }));
    }

    /// Whether nothing was pushed since [`Lists::take`].
    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// What was pushed since the last time.
    pub(crate) fn take(&mut self) -> Value {
        json!({
            "tokens": std::mem::take(&mut self.tokens),
            "token_logprobs": std::mem::take(&mut self.token_logprobs),
            "top_logprobs": std::mem::take(&mut self.top_logprobs),
            "text_offset": std::mem::take(&mut self.text_offset),
        })
    }

    /// A token as a key; one that is no whole text is shown as OpenAI's API does.
    fn name(&self, id: u32) -> String {
        let bytes = self.tokenizer.token_bytes(id);
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().fold("bytes:".to_owned(), |name, byte| name + &format!("\\x{byte:02x}")),
        }
    }
}
