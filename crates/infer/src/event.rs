//! What an engine says while it works.

use crate::logprobs::Logprobs;

/// A request's number in its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Something that happened to one sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The request it belongs to.
    pub request: RequestId,
    /// Which of the request's choices.
    pub choice: usize,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to a sequence. Every choice ends with exactly one [`EventKind::Finish`].
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The prompt has been processed and scored, as [`crate::Request::prompt_logprobs`] asked: one entry a prompt
    /// token. The first has none, since nothing comes before it.
    Prompt(Vec<Option<Logprobs>>),
    /// A token was chosen.
    Token(Token),
    /// There will be no more.
    Finish(Finish),
}

/// A token of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Text that is certain since this token: whole characters, none of a stop string. Often less or more than the
    /// token's own text.
    pub text: String,
    /// Whether it is a token that ends the answer and has no text.
    pub ends: bool,
    /// As [`crate::Request::logprobs`] asked.
    pub logprobs: Option<Logprobs>,
}

/// The end of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// Text that was still held back.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens chosen, including one that ended the answer.
    pub completion_tokens: usize,
}

/// Why a sequence ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token or stop string.
    Stop,
    /// As many tokens as were asked for, or as the model has positions for.
    Length,
    /// Nobody wants it any more.
    Cancelled,
    /// It could not be continued; other sequences go on.
    Error(String),
}
