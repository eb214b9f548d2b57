//! An answer, put together from events.

use crate::event::{EventKind, Finish, Token};
use crate::logprobs::Logprobs;

/// One choice of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Scores of the prompt's tokens, where asked for.
    pub prompt: Vec<Option<Logprobs>>,
    /// The answer's tokens.
    pub tokens: Vec<Token>,
    /// The answer.
    pub text: String,
    /// How it ended; `None` while it has not.
    pub finish: Option<Finish>,
}

impl Completion {
    /// Takes the next event of its choice.
    pub fn add(&mut self, event: EventKind) {
        match event {
            EventKind::Prompt(scores) => self.prompt = scores,
            EventKind::Token(token) => {
                self.text.push_str(&token.text);
                self.tokens.push(token);
            }
            EventKind::Finish(finish) => {
                self.text.push_str(&finish.text);
                self.finish = Some(finish);
            }
        }
    }

    /// The answer's token ids.
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|t| t.id).collect()
    }
}
