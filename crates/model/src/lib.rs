//! The model family: one explicit forward and backward for DBRX, Mixtral and Llama, switched by configuration, over
//! any device that has the op set.
#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod huggingface;
pub mod parameters;
pub mod presets;
pub mod rope;

pub use config::{Architecture, Config, RopeScaling};
pub use error::ModelError;
pub use huggingface::{Checkpoint, SaveFormat};
pub use parameters::{Parameter, parameters};
pub use presets::preset;
