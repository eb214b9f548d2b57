//! In which number formats a training keeps what belongs to a parameter.

use crate::parameters::Parameter;
use moeworks_ops::{DType, Precision};

/// Matrices that multiply inside blocks.
fn of_block(parameter: Parameter) -> bool {
    use Parameter::{Down, Gate, Output, Qkv, Up};
    matches!(parameter, Qkv(_) | Output(_) | Gate(_) | Up(_) | Down(_))
}

/// Masters: where weights are bf16, the weight itself is the upper half of an f32. Embedding tables stay whole, rows are
/// read from them.
pub fn master(precision: Precision, parameter: Parameter) -> DType {
    let halves = precision == Precision::BF16 && (of_block(parameter) || parameter == Parameter::Head);
    if halves { DType::U16 } else { precision.state }
}

/// Gradients: those of the blocks' matrices are as narrow as what they were multiplied from, unless several batches are
/// added up.
pub fn gradient(precision: Precision, micro_batches: usize, parameter: Parameter) -> DType {
    if of_block(parameter) && micro_batches == 1 { precision.compute } else { precision.state }
}

/// Moments (bf16 ones as in DeepSeek-V3, arXiv 2412.19437, section 3.3.3; here rounded at random).
pub fn moment(precision: Precision) -> DType {
    precision.compute
}
