//! Evaluation: bits per byte of text, and in-context-learning tasks read from LLM Foundry's JSONL, each figure with its
//! standard error and its conditions.
//!
//! ```text
//! documents -> windows  \                              / bits per byte
//!                        -> Scorer -> passes of a model
//! rows -> few-shot prompts /                           \ accuracy -> suite
//! ```
#![forbid(unsafe_code)]

mod baselines;
mod bits_per_byte;
mod documents;
mod error;
mod estimate;
mod evaluator;
mod fingerprint;
mod kinds;
mod prompt;
mod python;
mod report;
mod rows;
mod scorer;
mod shots;
mod source;
mod suite;
mod suite_run;
mod table;
mod task;
mod task_run;

pub use baselines::{ByteModel, zstd_bits_per_byte};
pub use bits_per_byte::{FirstToken, TextOptions, TextResult};
pub use documents::documents;
pub use error::EvalError;
pub use estimate::Estimate;
pub use evaluator::{Evaluator, Event};
pub use fingerprint::{fingerprint_file, fingerprint_model};
pub use report::{Conditions, Origin, Report};
pub use rows::Place;
pub use shots::Shots;
pub use suite::{Category, Suite};
pub use suite_run::{Absent, CategoryResult, SuiteResult};
pub use task::{Kind, Task};
pub use task_run::{GroupScore, TaskResult};
