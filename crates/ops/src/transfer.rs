//! Numbers in and out of a device's tensors, converted to the tensor's format.

use crate::dtype::{DType, Element};
use crate::ops::Ops;
use crate::tensor::Tensor;
use half::bf16;

/// Writes floats into a float tensor, rounding to its format. Panics if the lengths differ.
pub fn write_floats(ops: &mut dyn Ops, to: &Tensor, values: &[f64]) {
    assert_eq!(values.len(), to.len());
    fn as_bytes<T: Element>(values: &[f64], f: impl Fn(f64) -> T) -> Vec<u8> {
        let converted: Vec<T> = values.iter().map(|&v| f(v)).collect();
        bytemuck::cast_slice(&converted).to_vec()
    }
    let bytes = match to.dtype {
        DType::F64 => as_bytes(values, |v| v),
        DType::F32 => as_bytes(values, |v| v as f32),
        DType::Bf16 => as_bytes(values, bf16::from_f64),
        DType::I32 | DType::U16 | DType::U8 => panic!("floats written to a tensor of {:?}", to.dtype),
    };
    ops.upload(&bytes, to);
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
