//! Hugging Face model directories: config.json, tensor names, safetensors files, whole or in shards.

pub mod config;
pub mod names;
pub mod open;
pub mod save;

pub use open::Checkpoint;
pub use save::{SaveFormat, save};
