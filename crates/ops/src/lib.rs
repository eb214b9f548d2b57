//! The op set: dtypes, tensors, buffers, the memory plan, one trait of ops, the naive reference, and the table of op
//! cases that holds any other device against it.
//!
//! `unsafe` lives in `buffer` and `memory` only.

pub mod buffer;
pub mod cases;
pub mod dtype;
pub mod memory;
pub mod ops;
pub mod plan;
pub mod profile;
pub mod reference;
pub mod rounding;
pub mod tensor;
pub mod transfer;

pub use buffer::OutOfMemory;
pub use dtype::{DType, Element, Precision};
pub use memory::{Access, Memory};
pub use ops::{
    AdamW, ClassifierGradient, Dispatch, Halves, Heads, Lion, Master, Matrix, MatrixKind, MatrixShape, Norm, NormKind,
    Ops, Rope, Routing, Update,
};
pub use plan::Plan;
pub use profile::{Profiled, Spent};
pub use reference::Reference;
pub use tensor::{Region, Shape, Tensor};
