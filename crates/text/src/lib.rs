//! Tokenizers, special tokens and chat templates.
//!
//! One path turns text into ids for data preparation, training, evaluation and serving alike, and it keeps one promise:
//! text from users, tools and documents never becomes a special token. [`Tokenizer::encode`] does not know special tokens;
//! they come in by id ([`Tokenizer::special`]) or by a template's own text ([`ChatTemplate::encode_chat`]).

#![forbid(unsafe_code)]

mod byte_level;
mod cache;
mod chat;
mod classes;
mod config_json;
mod decoder;
mod error;
mod foreign;
mod jinja;
mod join;
mod key;
mod literals;
mod load;
mod lookup;
mod made;
mod marks;
mod merges;
mod pairs;
mod pieces;
mod python_json;
mod ranked;
mod save;
mod specials;
mod split;
mod stream;
mod tokenizer;
mod tokenizer_json;
mod train;
mod vocabulary;

pub use chat::{ChatOptions, ChatTemplate, DBRX_SYSTEM_PROMPT, Message, Rendered};
pub use error::TextError;
pub use marks::Piece;
pub use stream::TextStream;
pub use tokenizer::Tokenizer;
pub use train::{TrainOptions, TrainProgress, train};
