//! Prompts as tokens.

use crate::error::EvalError;
use crate::kinds::Prompt;
use crate::rows::Place;
use crate::scorer::Request;
use moeworks_text::Tokenizer;

/// Turns prompts into requests, by LLM Foundry's rules.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens of context and continuation together.
    limit: usize,
    /// Whether a continuation begins with a space: where the tokenizer has one token for " a".
    prefix_space: bool,
}

/// A prompt as tokens.
pub(crate) struct Encoded {
    pub(crate) request: Request,
    /// Whether its context was cut.
    pub(crate) truncated: bool,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, limit: usize) -> Self {
        Encoder { tokenizer, limit, prefix_space: tokenizer.encode(" a").len() == 1 }
    }

    /// Tokens of prompt string and examples, after the token that begins a text where the tokenizer wants one.
    pub(crate) fn preamble(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        tokens.extend(self.tokenizer.bos().filter(|_| self.tokenizer.add_bos()));
        tokens.extend(self.tokenizer.encode(text));
        tokens
    }

    /// Preamble, context and continuation are tokenised apart. What is too long is cut from the left, to at least one
    /// token of context. A context of no tokens is the tokenizer's bos or eos token.
    pub(crate) fn request(&self, preamble: &[u32], prompt: &Prompt, place: &Place) -> Result<Encoded, EvalError> {
        let spaced = match self.prefix_space && !prompt.continuation.starts_with(' ') {
            true => &format!(" {}", prompt.continuation),
            false => &prompt.continuation,
        };
        let continuation = self.tokenizer.encode(spaced);
        if continuation.is_empty() {
            let what = format!("the continuation {:?}", prompt.continuation);
            return Err(EvalError::NothingToPredict { place: place.clone(), what });
        }
        let scored = continuation.len();
        if scored >= self.limit {
            return Err(EvalError::TooLong { place: place.clone(), tokens: scored, context: self.limit });
        }
        let mut tokens = preamble.to_vec();
        tokens.extend(self.tokenizer.encode(&prompt.context));
        if tokens.is_empty() {
            let start = self.tokenizer.bos().or(self.tokenizer.eos());
            tokens.push(start.ok_or_else(|| EvalError::NoStart { place: place.clone() })?);
        }
        tokens.extend(continuation);
        let excess = tokens.len().saturating_sub(self.limit);
        tokens.drain(..excess);
        Ok(Encoded { request: Request { tokens, scored }, truncated: excess > 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moeworks_text::{TrainOptions, train};
    use std::path::Path;

    /// A tokenizer of bytes, with a token for " a" if merged, its tokenizer_config.json changed as asked.
    fn tokenizer(merged: bool, change: impl Fn(&mut serde_json::Value)) -> Tokenizer {
        let options = TrainOptions { vocab_size: 264 + usize::from(merged), min_frequency: 1 };
        let made = train(["x a a a"].iter(), &options, |_| ()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        made.save(dir.path()).unwrap();
        let path = dir.path().join("tokenizer_config.json");
        let mut config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        // It would say again what is changed here.
        std::fs::remove_file(dir.path().join("special_tokens_map.json")).unwrap();
        Tokenizer::from_dir(dir.path()).unwrap()
    }

    fn place() -> Place {
        Place { file: Path::new("t.jsonl").into(), row: Some(7) }
    }

    fn encode(tokenizer: &Tokenizer, limit: usize, texts: [&str; 3]) -> Result<(String, usize, bool), EvalError> {
        let [preamble, context, continuation] = texts;
        let encoder = Encoder::new(tokenizer, limit);
        let prompt = Prompt { context: context.into(), continuation: continuation.into() };
        let encoded = encoder.request(&encoder.preamble(preamble), &prompt, &place())?;
        let Request { tokens, scored } = encoded.request;
        Ok((tokenizer.decode(&tokens), scored, encoded.truncated))
    }

    #[test]
    fn a_space_is_put_first_where_the_tokenizer_wants_one() {
        let (plain, merged) = (tokenizer(false, |_| ()), tokenizer(true, |_| ()));
        for (tokenizer, continuation, text, scored) in [
            (&plain, "ab", "pcab", 2),
            (&plain, " ab", "pc ab", 3),
            (&merged, "ab", "pc ab", 2),
            (&merged, " ab", "pc ab", 2),
            (&merged, "\tab", "pc \tab", 4),
            (&merged, "", "pc ", 1),
        ] {
            let found = encode(tokenizer, 16, ["p", "c", continuation]).unwrap();
            assert_eq!(found, (text.to_owned(), scored, false), "{continuation:?}");
        }
        // Context and continuation are tokenised apart: no token crosses from one to the other.
        assert_eq!(encode(&merged, 16, ["", "c ", "a"]).unwrap(), ("c  a".to_owned(), 1, false));
        let encoder = Encoder::new(&merged, 16);
        assert_eq!(
            encoder.preamble("b a").len() + encoder.preamble("b ").len() + encoder.preamble("a").len(),
            2 + 2 + 1
        );
    }

    #[test]
    fn what_is_too_long_is_cut_from_the_left() {
        let tokenizer = tokenizer(false, |_| ());
        for (limit, text, truncated) in [(6, "pqxyab", false), (5, "qxyab", true), (4, "xyab", true), (3, "yab", true)]
        {
            let found = encode(&tokenizer, limit, ["pq", "xy", "ab"]).unwrap();
            assert_eq!(found, (text.to_owned(), 2, truncated), "{limit}");
        }
        let message = encode(&tokenizer, 2, ["pq", "xy", "ab"]).unwrap_err().to_string();
        assert!(message.contains("t.jsonl: row 7: the continuation has 2 tokens") && message.contains("takes 2"));
        let message = encode(&tokenizer, 9, ["pq", "xy", ""]).unwrap_err().to_string();
        assert!(message.contains("t.jsonl: row 7: the continuation \"\" is empty"), "{message}");
    }

    #[test]
    fn a_text_begins_as_the_tokenizer_wants() {
        let set_bos = |config: &mut serde_json::Value| config["add_bos_token"] = true.into();
        let plain = tokenizer(false, |_| ());
        let with_bos = tokenizer(false, set_bos);
        let begin = "<|endoftext|>";
        assert_eq!(encode(&with_bos, 9, ["p", "c", "d"]).unwrap().0, format!("{begin}pcd"));
        assert_eq!(encode(&with_bos, 9, ["", "", "d"]).unwrap().0, format!("{begin}d"));
        assert_eq!(encode(&with_bos, 2, ["p", "c", "d"]).unwrap(), ("cd".to_owned(), 1, true));
        // Nothing else stands before the continuation.
        assert_eq!(encode(&plain, 9, ["", "", "d"]).unwrap().0, format!("{begin}d"));
        assert_eq!(encode(&plain, 9, ["", "c", "d"]).unwrap().0, "cd");
        let rootless = tokenizer(false, |config| {
            for role in ["bos_token", "eos_token"] {
                config.as_object_mut().unwrap().remove(role);
            }
        });
        assert_eq!((rootless.bos(), rootless.eos()), (None, None));
        let message = encode(&rootless, 9, ["", "", "d"]).unwrap_err().to_string();
        assert!(message.contains("t.jsonl: row 7: nothing stands before the first token"), "{message}");
    }
}
