//! Evaluation of a small model, whole.

mod fixture;
mod report;
mod shared_data;
mod tasks;
mod text;
