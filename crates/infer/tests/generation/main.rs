//! Generation with a small random model on the reference device.

mod chat;
mod devices;
mod engine;
mod support;
