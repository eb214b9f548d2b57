//! Generation with a small random model on the reference device.

mod chat;
mod engine;
mod support;
