//! The memory plan: every tensor of a purpose laid out once, before anything is allocated.

use crate::buffer::ALIGNMENT;
use crate::dtype::DType;
use crate::tensor::{Region, Shape, Tensor};

/// Lays tensors out one after the other in a region, each on its own cache line.
#[derive(Debug)]
pub struct Plan {
    region: Region,
    bytes: usize,
    entries: Vec<(String, usize)>,
}

impl Plan {
    /// An empty plan for a region.
    pub fn new(region: Region) -> Self {
        Plan { region, bytes: 0, entries: Vec::new() }
    }

    /// Room for a tensor.
    pub fn tensor(&mut self, name: &str, dtype: DType, dims: &[usize]) -> Tensor {
        let tensor = Tensor { region: self.region, offset: self.bytes, dtype, shape: Shape::new(dims) };
        self.bytes += tensor.bytes().next_multiple_of(ALIGNMENT);
        match self.entries.last_mut() {
            Some((last, bytes)) if last == name => *bytes += tensor.bytes(),
            _ => self.entries.push((name.to_string(), tensor.bytes())),
        }
        tensor
    }

    /// The region the plan is for.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Bytes the region needs.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes by name, in order of planning; neighbours of one name are summed.
    pub fn entries(&self) -> &[(String, usize)] {
        &self.entries
    }
}
