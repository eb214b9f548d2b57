//! The training loop: optimizer, schedules, checkpoints, metrics.
//!
//! [`config`] says what a run is, [`run`] is its folder, [`trainer`] the loop, [`checkpoint`] how it is saved and found
//! again, [`metrics`] what it leaves behind line by line.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod lineage;
pub mod metrics;
pub mod report;
pub mod run;
pub mod schedule;
pub mod trainer;

pub use config::{Duration, Progress, TrainConfig};
pub use error::TrainError;
pub use run::Run;
pub use trainer::{Outcome, Watch, layout, model_config, precision, stated, train};
