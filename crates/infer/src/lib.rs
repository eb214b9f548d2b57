//! Generation: several sequences advance together over one cache, each with its own sampler, text stream and stops.
#![forbid(unsafe_code)]

pub mod chat;
pub mod completion;
pub mod engine;
pub mod error;
pub mod event;
pub mod logprobs;
pub mod request;
pub mod sampler;
pub mod sampling;
mod sequence;
pub mod stop;
pub mod terminal;

pub use chat::{Answer, ChatSession, ChatSettings};
pub use completion::Completion;
pub use engine::{Device, Engine};
pub use error::{ChatError, EngineError, RequestError};
pub use event::{Event, EventKind, Finish, FinishReason, RequestId, Token};
pub use logprobs::{Candidate, Logprobs};
pub use request::Request;
pub use sampler::Sampler;
pub use sampling::{InvalidSampling, Sampling};
pub use stop::StopStrings;
