//! Where a case plays: a device, a precision, and tensors made as they are needed.

use super::Array;
use crate::dtype::{DType, Precision};
use crate::ops::{Matrix, MatrixKind, MatrixShape, Ops};
use crate::tensor::{Shape, Tensor};
use crate::transfer;

/// Start value of tensors that an op adds to, so that overwriting them shows.
const BEFORE: f64 = 0.5;

/// A device with a precision.
pub struct Stage<'a> {
    /// The device.
    pub ops: &'a mut dyn Ops,
    /// Formats of the tensors.
    pub precision: Precision,
}

impl<'a> Stage<'a> {
    /// A stage on a device.
    pub fn new(ops: &'a mut dyn Ops, precision: Precision) -> Self {
        Stage { ops, precision }
    }

    fn place(&mut self, dtype: DType, dims: &[usize]) -> Tensor {
        let region = self.ops.reserve();
        let tensor = Tensor { region, offset: 0, dtype, shape: Shape::new(dims) };
        self.ops.allocate(region, tensor.bytes()).expect("a test tensor fits");
        tensor
    }

    fn floats(&mut self, dtype: DType, dims: &[usize], values: &[f64]) -> Tensor {
        let tensor = self.place(dtype, dims);
        transfer::write_floats(self.ops, &tensor, values);
        tensor
    }

    /// A tensor of the state format with these numbers.
    pub fn state(&mut self, dims: &[usize], values: &[f64]) -> Tensor {
        self.floats(self.precision.state, dims, values)
    }

    /// A tensor of the compute format with these numbers.
    pub fn compute(&mut self, dims: &[usize], values: &[f64]) -> Tensor {
        self.floats(self.precision.compute, dims, values)
    }

    /// A tensor of the state format to be overwritten: full of NaN, so that what is not written shows.
    pub fn state_out(&mut self, dims: &[usize]) -> Tensor {
        self.state(dims, &vec![f64::NAN; dims.iter().product()])
    }

    /// A tensor of the compute format to be overwritten.
    pub fn compute_out(&mut self, dims: &[usize]) -> Tensor {
        self.compute(dims, &vec![f64::NAN; dims.iter().product()])
    }

    /// A tensor of the state format that an op adds to; read it with [`Stage::added`].
    pub fn accumulator(&mut self, dims: &[usize]) -> Tensor {
        self.state(dims, &vec![BEFORE; dims.iter().product()])
    }

    /// As [`Stage::accumulator`], of the compute format.
    pub fn compute_accumulator(&mut self, dims: &[usize]) -> Tensor {
        self.compute(dims, &vec![BEFORE; dims.iter().product()])
    }

    /// Integers.
    pub fn integers(&mut self, dims: &[usize], values: &[i32]) -> Tensor {
        let tensor = self.place(DType::I32, dims);
        transfer::write(self.ops, &tensor, values);
        tensor
    }

    /// Integers to be overwritten.
    pub fn integers_out(&mut self, dims: &[usize]) -> Tensor {
        self.integers(dims, &vec![i32::MIN; dims.iter().product()])
    }

    /// Bytes to be overwritten.
    pub fn bytes_out(&mut self, dims: &[usize]) -> Tensor {
        let tensor = self.place(DType::U8, dims);
        self.ops.upload(&vec![0xa5; tensor.bytes()], &tensor);
        tensor
    }

    /// Lower halves of masters, to be overwritten.
    pub fn halves_out(&mut self, dims: &[usize]) -> Tensor {
        let tensor = self.place(DType::U16, dims);
        self.ops.upload(&vec![0xa5; tensor.bytes()], &tensor);
        tensor
    }

    /// A tensor of the compute format that is zero by [`Ops::zero`], in place of what was there: a gradient that is
    /// written once.
    pub fn compute_zero(&mut self, dims: &[usize]) -> Tensor {
        let tensor = self.compute_out(dims);
        self.ops.zero(&tensor);
        tensor
    }

    /// A weight in the device's layout, from the numbers [E, N, K] of one source or two.
    pub fn matrix(
        &mut self,
        kind: MatrixKind,
        experts: usize,
        outputs: usize,
        inputs: usize,
        sources: &[&[f64]],
    ) -> Matrix {
        let shape = MatrixShape { kind, dtype: self.precision.compute, experts, outputs, inputs };
        let masters: Vec<Tensor> = sources.iter().map(|s| self.state(&[experts, outputs, inputs], s)).collect();
        let bytes = self.ops.matrix_bytes(&shape);
        let data = self.bytes_out(&[bytes]);
        let matrix = Matrix { shape, data };
        self.ops.pack(&masters, &matrix);
        matrix
    }

    /// The numbers of a float tensor.
    pub fn read(&mut self, name: &'static str, t: &Tensor) -> Array {
        Array::new(name, transfer::read_floats(self.ops, t))
    }

    /// What was added to an accumulator.
    pub fn added(&mut self, name: &'static str, t: &Tensor) -> Array {
        Array::new(name, transfer::read_floats(self.ops, t).into_iter().map(|v| v - BEFORE).collect())
    }

    /// The numbers of an integer tensor, as floats.
    pub fn read_integers(&mut self, name: &'static str, t: &Tensor) -> Array {
        Array::new(name, transfer::read::<i32>(self.ops, t).into_iter().map(f64::from).collect())
    }
}
