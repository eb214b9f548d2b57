//! Numbers in and out of a device's tensors, converted to the tensor's format.

use crate::dtype::{DType, Element};
use crate::ops::Ops;
use crate::tensor::Tensor;
use half::bf16;

/// Elements converted at once: what is converted need not be there as a whole a second time.
const PIECE: usize = 1 << 16;

/// Writes floats into a float tensor, rounding to its format. Panics if the lengths differ.
pub fn write_floats(ops: &mut dyn Ops, to: &Tensor, values: &[f64]) {
    assert_eq!(values.len(), to.len());
    fn convert<T: Element>(ops: &mut dyn Ops, to: &Tensor, values: &[f64], f: impl Fn(f64) -> T) {
        let flat = to.reshape(&[to.len()]);
        let mut converted: Vec<T> = Vec::with_capacity(PIECE.min(values.len()));
        for (i, piece) in values.chunks(PIECE).enumerate() {
            converted.clear();
            converted.extend(piece.iter().map(|&v| f(v)));
            ops.upload(bytemuck::cast_slice(&converted), &flat.rows(i * PIECE..i * PIECE + piece.len()));
        }
    }
    match to.dtype {
        DType::F64 => convert(ops, to, values, |v| v),
        DType::F32 => convert(ops, to, values, |v| v as f32),
        DType::Bf16 => convert(ops, to, values, bf16::from_f64),
        DType::I32 | DType::U16 | DType::U8 => panic!("floats written to a tensor of {:?}", to.dtype),
    }
}

/// Reads a float tensor.
pub fn read_floats(ops: &mut dyn Ops, from: &Tensor) -> Vec<f64> {
    match from.dtype {
        DType::F64 => read::<f64>(ops, from),
        DType::F32 => read::<f32>(ops, from).into_iter().map(f64::from).collect(),
        DType::Bf16 => read::<bf16>(ops, from).into_iter().map(bf16::to_f64).collect(),
        DType::I32 | DType::U16 | DType::U8 => panic!("floats read from a tensor of {:?}", from.dtype),
    }
}

/// Writes elements as they are. Panics if format or length differ.
pub fn write<T: Element>(ops: &mut dyn Ops, to: &Tensor, values: &[T]) {
    assert_eq!(to.dtype, T::DTYPE);
    ops.upload(bytemuck::cast_slice(values), to);
}

/// Reads elements as they are. Panics if the format differs.
pub fn read<T: Element>(ops: &mut dyn Ops, from: &Tensor) -> Vec<T> {
    assert_eq!(from.dtype, T::DTYPE);
    let mut values = vec![T::zeroed(); from.len()];
    ops.download(from, bytemuck::cast_slice_mut(&mut values));
    values
}
