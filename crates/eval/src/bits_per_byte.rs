//! Bits per byte: how well a model predicts text, whatever its tokenizer.

use crate::error::EvalError;
use crate::estimate::Estimate;
use crate::evaluator::Evaluator;
use crate::rows::Place;
use crate::scorer::Request;
use moeworks_text::Tokenizer;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;
use std::path::Path;
use std::time::Instant;

/// What a document's first token costs, so that every byte is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstToken {
    /// It is predicted from this token, which stands before the document and costs nothing.
    After(u32),
    /// ln V nats, V the tokenizer's size, as if drawn blindly; nothing stands before the document. For models that were
    /// trained on documents masked apart, which never saw a token before a first one.
    Uniform,
}

impl FirstToken {
    /// The tokenizer's own start: bos where it adds one, else eos, which separates documents in training data, else
    /// bos; [`FirstToken::Uniform`] where there is neither.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let (bos, eos) = (tokenizer.bos(), tokenizer.eos());
        let token = if tokenizer.add_bos() { bos.or(eos) } else { eos.or(bos) };
        token.map_or(FirstToken::Uniform, FirstToken::After)
    }
}

/// How text is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// Tokens from the start of one window to that of the next, from 1 to the evaluator's context, which is a window's
    /// length. A window scores what the windows before it have not, so every token of a long document after the first
    /// window is predicted from at least length - stride + 1 tokens, at the price of length / stride times the work.
    /// None: the length, windows side by side.
    pub stride: Option<usize>,
    /// What a document's first token costs. None: [`FirstToken::of`] the tokenizer.
    pub first_token: Option<FirstToken>,
}

/// Bits per byte of a set of documents, with the rules by which it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextResult {
    /// What was scored.
    pub name: String,
    /// Documents, empty ones left out.
    pub documents: usize,
    /// Their UTF-8 bytes.
    pub bytes: u64,
    /// Their tokens. Each is paid for; start and end tokens are not.
    pub tokens: u64,
    /// Sum of the tokens' negative log-likelihoods / ln 2 / bytes, its standard error by document.
    pub bits_per_byte: Estimate,
    /// The same sum / tokens.
    pub nats_per_token: f64,
    /// exp of that; comparable between models of one tokenizer only.
    pub perplexity: f64,
    /// Tokens of a window.
    pub window: usize,
    /// Tokens from one window to the next.
    pub stride: usize,
    /// What the first tokens cost.
    pub first_token: FirstToken,
    /// Documents that the tokenizer does not give back as they were, so that bytes were not paid for.
    pub altered_documents: usize,
    /// Wall-clock time.
    pub seconds: f64,
}

/// A document's share of the whole.
struct Paid {
    nats: f64,
    bytes: usize,
    tokens: usize,
    altered: bool,
}

impl Evaluator<'_> {
    /// Bits per byte of documents, each scored by itself.
    pub fn bits_per_byte<D: AsRef<str>>(
        &mut self,
        name: &str,
        documents: impl IntoIterator<Item = Result<D, EvalError>>,
        options: TextOptions,
    ) -> Result<TextResult, EvalError> {
        let started = Instant::now();
        let (tokenizer, window) = (self.tokenizer, self.context());
        let stride = options.stride.unwrap_or(window);
        if !(1..=window).contains(&stride) {
            let problem = format!("is {stride}, must be from 1 to the window of {window} tokens");
            return Err(EvalError::Description { place: name.to_owned(), key: "stride".into(), problem });
        }
        let first_token = options.first_token.unwrap_or_else(|| FirstToken::of(tokenizer));
        self.check(name, first_token)?;
        let uniform = (tokenizer.vocab_size() as f64).ln();
        // The first window of a document brings what is known of it before it is scored, the others its number alone.
        let mut seen = 0;
        let requests = documents.into_iter().flat_map(|document| {
            let document = match document {
                Ok(document) => document,
                Err(error) => return vec![Err(error)],
            };
            let text = document.as_ref();
            seen += 1;
            let ids = tokenizer.encode(text);
            let mut paid =
                Some(Paid { nats: 0.0, bytes: text.len(), tokens: ids.len(), altered: tokenizer.decode(&ids) != text });
            let number = seen;
            let sequence = match first_token {
                FirstToken::After(token) => [vec![token], ids].concat(),
                FirstToken::Uniform => {
                    paid.as_mut().expect("just made").nats = if ids.is_empty() { 0.0 } else { uniform };
                    ids
                }
            };
            windows(&sequence, window, stride).into_iter().map(|w| Ok(((number, paid.take()), w))).collect()
        });
        let mut documents: Vec<Paid> = Vec::new();
        self.score(name, None, requests, |(number, paid), scored| {
            if !scored.nll.is_finite() {
                let file = Path::new(&format!("{name}, document {number}")).into();
                return Err(EvalError::NotFinite { place: Place { file, row: None }, nll: scored.nll });
            }
            documents.extend(paid);
            documents.last_mut().expect("a first window came before").nats += scored.nll;
            Ok(())
        })?;
        let all = documents.len();
        documents.retain(|paid| paid.bytes > 0);
        if documents.is_empty() {
            return Err(EvalError::NoText { name: name.to_owned(), documents: all });
        }
        let pairs: Vec<(f64, f64)> = documents.iter().map(|d| (d.nats / LN_2, d.bytes as f64)).collect();
        let nats: f64 = documents.iter().map(|d| d.nats).sum();
        let tokens: u64 = documents.iter().map(|d| d.tokens as u64).sum();
        let nats_per_token = nats / tokens as f64;
        Ok(TextResult {
            name: name.to_owned(),
            documents: documents.len(),
            bytes: documents.iter().map(|d| d.bytes as u64).sum(),
            tokens,
            bits_per_byte: Estimate::of_ratio(&pairs),
            nats_per_token,
            perplexity: nats_per_token.exp(),
            window,
            stride,
            first_token,
            altered_documents: documents.iter().filter(|d| d.altered).count(),
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    fn check(&self, name: &str, first_token: FirstToken) -> Result<(), EvalError> {
        let rows = self.model.config.vocab_size;
        match first_token {
            FirstToken::After(token) if token as usize >= rows => {
                let problem = format!("is {token}, the model has {rows} embedding rows");
                Err(EvalError::Description { place: name.to_owned(), key: "first_token".into(), problem })
            }
            _ => Ok(()),
        }
    }
}

/// Windows of at most `window` inputs whose scored tokens together are every token but the first, each once. A
/// sequence too short to predict anything is one window that scores nothing.
fn windows(sequence: &[u32], window: usize, stride: usize) -> Vec<Request> {
    let inputs = sequence.len().saturating_sub(1);
    let mut windows = Vec::new();
    let mut done = 0;
    let mut start = 0;
    loop {
        let end = (start + window).min(inputs);
        let tokens = if inputs == 0 { Vec::new() } else { sequence[start..=end].to_vec() };
        windows.push(Request { tokens, scored: end - done });
        if end == inputs {
            return windows;
        }
        (done, start) = (end, start + stride);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_lie_side_by_side_or_overlap() {
        let of = |tokens: &[u32], scored| Request { tokens: tokens.to_vec(), scored };
        let sequence = [9, 1, 2, 3, 4, 5];
        assert_eq!(windows(&sequence, 5, 5), [of(&sequence, 5)]);
        assert_eq!(windows(&sequence, 2, 2), [of(&[9, 1, 2], 2), of(&[2, 3, 4], 2), of(&[4, 5], 1)]);
        assert_eq!(windows(&sequence, 3, 1), [of(&[9, 1, 2, 3], 3), of(&[1, 2, 3, 4], 1), of(&[2, 3, 4, 5], 1)]);
        assert_eq!(windows(&[9], 3, 1), [of(&[], 0)]);
        assert_eq!(windows(&[], 3, 1), [of(&[], 0)]);
    }

    proptest! {
        #[test]
        fn every_token_is_scored_once_with_enough_before_it(
            length in 2usize..60, window in 1usize..20, stride in 1usize..20
        ) {
            let stride = stride.min(window);
            let sequence: Vec<u32> = (0..length as u32).collect();
            let mut scored = Vec::new();
            for (i, w) in windows(&sequence, window, stride).into_iter().enumerate() {
                prop_assert!(w.rows() <= window);
                let context = w.tokens.len() - w.scored;
                prop_assert!(i == 0 || context > window - stride, "{} before the first scored", context);
                scored.extend_from_slice(&w.tokens[context..]);
            }
            prop_assert_eq!(scored, &sequence[1..]);
        }
    }
}
