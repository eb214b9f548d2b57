//! Number formats of tensors and of a whole computation.

use half::bf16;

/// The format of one tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 64-bit float: the reference's finite differences.
    F64,
    /// 32-bit float.
    F32,
    /// bfloat16: the upper half of a 32-bit float.
    Bf16,
    /// 32-bit signed integer: token ids, row numbers.
    I32,
    /// Lower halves of 32-bit floats, whose upper halves are weights in bf16 elsewhere (see [`crate::rounding`]).
    U16,
    /// Bytes: masks, and weights in a layout that only their device knows.
    U8,
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::Bf16 | DType::U16 => 2,
            DType::U8 => 1,
        }
    }
}

/// A Rust type that can be an element of a tensor.
pub trait Element: bytemuck::Pod + Send + Sync {
    /// Its format.
    const DTYPE: DType;
}

impl Element for f64 {
    const DTYPE: DType = DType::F64;
}
impl Element for f32 {
    const DTYPE: DType = DType::F32;
}
impl Element for bf16 {
    const DTYPE: DType = DType::Bf16;
}
impl Element for i32 {
    const DTYPE: DType = DType::I32;
}
impl Element for u16 {
    const DTYPE: DType = DType::U16;
}
impl Element for u8 {
    const DTYPE: DType = DType::U8;
}

/// The formats of one computation.
///
/// Weights and activations that feed multiplications have the format `compute`. What sums are kept in has the
/// format `state`: the residual stream, statistics, router probabilities, losses, master parameters and gradients of
/// parameters. Moments of an optimizer are sums too, but random rounding lets them be in `compute`, and so may be a
/// matrix's gradient that is not added up from several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Precision {
    /// Weights, activations, moments.
    pub compute: DType,
    /// Residual stream, statistics, masters, gradients.
    pub state: DType,
}

impl Precision {
    /// bf16 multiplications and moments, f32 everywhere else.
    pub const BF16: Precision = Precision { compute: DType::Bf16, state: DType::F32 };
    /// f32 end to end.
    pub const F32: Precision = Precision { compute: DType::F32, state: DType::F32 };
    /// f64 end to end; the reference alone has it.
    pub const F64: Precision = Precision { compute: DType::F64, state: DType::F64 };
}
