//! What is asked of an engine.

use crate::sampling::Sampling;

/// A prompt to be continued, or scored, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Token ids, at least one.
    pub prompt: Vec<u32>,
    /// Answers wanted (the `n` of the OpenAI API).
    pub choices: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The same seed gives the same answers, whatever else the engine is doing.
    pub seed: u64,
    /// Most tokens of an answer; as many as the model has positions for if `None`. 0 is for scoring alone.
    pub max_tokens: Option<usize>,
    /// Texts before which an answer ends.
    pub stop: Vec<String>,
    /// Tokens with which an answer ends; the engine's own if `None`. An empty list lets nothing but
    /// `max_tokens` and stop strings end it.
    pub stop_ids: Option<Vec<u32>>,
    /// Log-probabilities of the answer's tokens, with the so many likeliest at each place.
    pub logprobs: Option<usize>,
    /// The same of the prompt's tokens.
    pub prompt_logprobs: Option<usize>,
    /// Whether the answer's text goes on with the prompt's, so that a space at its beginning is its own. Otherwise it
    /// is a new text, as in a conversation.
    pub continues: bool,
}

impl Request {
    /// One answer by the likeliest tokens.
    pub fn new(prompt: Vec<u32>) -> Self {
        Request {
            prompt,
            choices: 1,
            sampling: Sampling::greedy(),
            seed: 0,
            max_tokens: None,
            stop: Vec::new(),
            stop_ids: None,
            logprobs: None,
            prompt_logprobs: None,
            continues: true,
        }
    }
}
