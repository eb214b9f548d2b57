//! An OpenAI-compatible server over one engine, and a chat page.
//!
//! Requests are read strictly (a field that would be ignored is refused), turned into token ids by the one path for
//! templates and text, and queued for the thread that owns the engine. When a client leaves, its sequences end within
//! a step.
#![forbid(unsafe_code)]

mod app;
mod chat;
mod completions;
mod config;
mod engine_thread;
mod error;
mod fields;
mod guard;
mod logprobs;
mod models;
mod options;
mod page;
mod server;
mod sse;

pub use config::{ServeConfig, ServeError};
pub use server::{Notice, Server, run};
