//! The model family: one explicit forward and backward for DBRX, Mixtral and Llama, switched by configuration, over
//! any device that has the op set.
#![forbid(unsafe_code)]

pub mod activations;
mod backward;
pub mod batch;
pub mod config;
pub mod error;
pub mod formats;
pub mod forward;
mod gradients;
pub mod huggingface;
pub mod inference;
mod initialize;
pub mod masters;
pub mod optimizer;
pub mod parameters;
pub mod presets;
pub mod rope;
pub mod store;
pub mod training;
pub mod weights;

pub use activations::{Activations, Purpose, Recompute};
pub use batch::{Batch, Sequence};
pub use config::{Architecture, Config, RopeScaling};
pub use error::ModelError;
pub use huggingface::{Checkpoint, SaveFormat};
pub use inference::{Inference, Limits, Row, Score};
pub use masters::Masters;
pub use optimizer::{Decay, Moments, clip_factor};
pub use parameters::{Parameter, parameters};
pub use presets::preset;
pub use store::Store;
pub use training::{Layout, LossScale, Losses, Training};
pub use weights::Weights;
