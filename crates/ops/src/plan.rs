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

    /// Room for one of two sets of tensors, which are not needed at the same time: the larger one's.
    pub fn either<A, B>(&mut self, a: impl FnOnce(&mut Self) -> A, b: impl FnOnce(&mut Self) -> B) -> (A, B) {
        let (start, before) = (self.bytes, self.entries.clone());
        let a = a(self);
        let (end, with_a) = (std::mem::replace(&mut self.bytes, start), std::mem::replace(&mut self.entries, before));
        let b = b(self);
        if self.bytes < end {
            (self.bytes, self.entries) = (end, with_a);
        }
        (a, b)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_takes_the_room_of_the_larger() {
        let mut plan = Plan::new(Region(0));
        plan.tensor("first", DType::U8, &[64]);
        let small = |plan: &mut Plan| plan.tensor("small", DType::U8, &[64]);
        let large = |plan: &mut Plan| [0, 1].map(|_| plan.tensor("large", DType::U8, &[64]).offset);
        let (a, b) = plan.either(small, large);
        assert_eq!((a.offset, b, plan.bytes()), (64, [64, 128], 192));
        let (b, a) = plan.either(large, small);
        assert_eq!((a.offset, b, plan.bytes()), (192, [192, 256], 320));
        let last = plan.tensor("last", DType::U8, &[1]);
        assert_eq!(last.offset, 320);
        assert_eq!(plan.entries()[1], ("large".to_string(), 256));
    }
}
