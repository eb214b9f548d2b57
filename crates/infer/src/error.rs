//! What can be wrong with an engine, a request or a conversation.

use crate::sampling::InvalidSampling;

/// Parts that do not make an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Fewer rows than sequences: a step could not advance them all.
    #[error(
        "a step of {rows} rows cannot advance {slots} sequences; plan at least as many rows as slots, and one slot"
    )]
    Rows {
        /// Rows planned.
        rows: usize,
        /// Slots planned.
        slots: usize,
    },
    /// A tokenizer with ids that the model has no rows for.
    #[error(
        "the tokenizer has {tokenizer} tokens, the model only {model}: they do not belong together; use the \
         tokenizer.json that came with the model"
    )]
    Vocabulary {
        /// Ids of the tokenizer.
        tokenizer: usize,
        /// Rows of the model.
        model: usize,
    },
}

/// A request that cannot be served.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Nothing to continue.
    #[error("the prompt is empty; a model needs at least one token to continue")]
    EmptyPrompt,
    /// A prompt that leaves no room. It is never cut.
    #[error(
        "the prompt has {tokens} tokens, but the context holds {limit}{}; shorten the prompt",
        if *.answer { " and one of them must be left for the answer" } else { "" }
    )]
    ContextLength {
        /// Tokens of the prompt.
        tokens: usize,
        /// Positions of a sequence.
        limit: usize,
        /// Whether an answer was asked for.
        answer: bool,
    },
    /// A token id that does not exist.
    #[error("token {id} at position {position} of the prompt is not in the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Where.
        position: usize,
        /// Ids of the model.
        vocab_size: usize,
    },
    /// No answers asked for.
    #[error("0 choices were asked for; ask for at least one")]
    NoChoices,
    /// An option with an impossible value.
    #[error(transparent)]
    Sampling(#[from] InvalidSampling),
}

/// A turn of a conversation that failed. The conversation stands as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The template refused or failed.
    #[error(transparent)]
    Text(#[from] moeworks_text::TextError),
    /// The conversation does not fit, or an option is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The model could not continue.
    #[error("{0}")]
    Generation(String),
    /// The terminal could not be read or written.
    #[error("terminal: {0}")]
    Terminal(#[from] std::io::Error),
}
