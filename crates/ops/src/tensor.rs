//! Tensors: where numbers lie, and in which shape. A tensor is a handle; the device owns the memory.

use crate::dtype::DType;
use std::fmt;
use std::ops::Range;

/// Up to four dimensions, the last one contiguous.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; 4],
    rank: usize,
}

impl Shape {
    /// A shape of 0 to 4 dimensions. Panics on more.
    pub fn new(dims: &[usize]) -> Self {
        assert!(dims.len() <= 4, "a tensor has at most 4 dimensions, got {dims:?}");
        let mut all = [1; 4];
        all[..dims.len()].copy_from_slice(dims);
        Shape { dims: all, rank: dims.len() }
    }

    /// The dimensions.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

/// A piece of a device's memory that is allocated and freed as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region(pub usize);

/// A contiguous, row-major array in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The region it lies in.
    pub region: Region,
    /// Bytes from the start of the region.
    pub offset: usize,
    /// Format of its elements.
    pub dtype: DType,
    /// Shape, row-major.
    pub shape: Shape,
}

impl Tensor {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.len()
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.size()
    }

    /// Dimension `i`. Panics past the rank.
    pub fn dim(&self, i: usize) -> usize {
        self.shape.dims()[i]
    }

    /// The same memory as plain bytes.
    pub fn as_bytes(&self) -> Tensor {
        Tensor { dtype: DType::U8, shape: Shape::new(&[self.bytes()]), ..*self }
    }

    /// The same elements in another shape. Panics if the number of elements differs.
    pub fn reshape(&self, dims: &[usize]) -> Tensor {
        let shape = Shape::new(dims);
        assert_eq!(shape.len(), self.len(), "cannot see {:?} as {dims:?}", self.shape);
        Tensor { shape, ..*self }
    }

    /// Rows `range` of the first dimension. Panics if out of range.
    pub fn rows(&self, range: Range<usize>) -> Tensor {
        let dims = self.shape.dims();
        assert!(range.start <= range.end && range.end <= dims[0], "rows {range:?} of {:?}", self.shape);
        let row: usize = dims[1..].iter().product();
        let mut shape = self.shape;
        shape.dims[0] = range.len();
        Tensor { offset: self.offset + range.start * row * self.dtype.size(), shape, ..*self }
    }

    /// Element `i` of the first dimension, that dimension dropped. Panics if out of range.
    pub fn index(&self, i: usize) -> Tensor {
        let one = self.rows(i..i + 1);
        Tensor { shape: Shape::new(&self.shape.dims()[1..]), ..one }
    }
}
