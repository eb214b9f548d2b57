//! A host device's regions, and checked access to the tensors in them.

use crate::buffer::{Buffer, OutOfMemory};
use crate::dtype::Element;
use crate::tensor::{Region, Tensor};
use std::marker::PhantomData;

/// All regions of a device that computes in host memory.
#[derive(Debug, Default)]
pub struct Memory {
    regions: Vec<Option<Buffer>>,
    /// Tensors that are zero by promise only: their bytes are still what they were.
    zeros: Vec<Tensor>,
}

impl Memory {
    /// A number for a region whose size is not known yet.
    pub fn reserve(&mut self) -> Region {
        self.regions.push(None);
        Region(self.regions.len() - 1)
    }

    /// Gives a reserved region `bytes` zeros, in place of what it had.
    pub fn allocate(&mut self, region: Region, bytes: usize) -> Result<(), OutOfMemory> {
        self.release(region);
        self.regions[region.0] = Some(Buffer::zeroed(bytes)?);
        Ok(())
    }

    /// Frees a region. Its tensors must not be used again (that would panic).
    pub fn release(&mut self, region: Region) {
        self.regions[region.0] = None;
        self.zeros.retain(|t| t.region != region);
    }

    /// Bytes held in all regions.
    pub fn bytes(&self) -> usize {
        self.regions.iter().flatten().map(Buffer::len).sum()
    }

    /// Copies bytes into a tensor of as many bytes.
    pub fn upload(&mut self, from: &[u8], to: &Tensor) {
        self.access().write::<u8>(&to.as_bytes()).copy_from_slice(from);
    }

    /// Copies a tensor out to as many bytes.
    pub fn download(&mut self, from: &Tensor, to: &mut [u8]) {
        to.copy_from_slice(self.access().read::<u8>(&from.as_bytes()));
    }

    /// Sets every byte of a tensor to zero.
    pub fn zero(&mut self, x: &Tensor) {
        self.access().write::<u8>(&x.as_bytes()).fill(0);
    }

    /// Makes a tensor zero without writing it: whoever reads or writes it next finds zeros, and whoever asks by
    /// [`Memory::take_zero`] may overwrite instead of adding.
    pub fn zero_later(&mut self, x: &Tensor) {
        self.settle(x);
        self.zeros.push(*x);
    }

    /// Whether all of a tensor is zero by promise. The promise is then gone, and the caller overwrites all of it.
    pub fn take_zero(&mut self, x: &Tensor) -> bool {
        let found = self.zeros.iter().position(|z| (z.region, z.offset, z.bytes()) == (x.region, x.offset, x.bytes()));
        found.map(|at| self.zeros.swap_remove(at)).is_some()
    }

    /// Keeps the promises that touch a tensor.
    fn settle(&mut self, x: &Tensor) {
        let touches =
            |z: &Tensor| z.region == x.region && z.offset < x.offset + x.bytes() && x.offset < z.offset + z.bytes();
        while let Some(at) = self.zeros.iter().position(touches) {
            let zero = self.zeros.swap_remove(at);
            // SAFETY: `locate` checked the bounds, and no access is open while the memory is borrowed mutably.
            unsafe { std::ptr::write_bytes(self.locate::<u8>(&zero.as_bytes()), 0, zero.bytes()) };
        }
    }

    /// Opens the memory for one op.
    pub fn access(&mut self) -> Access<'_> {
        Access { memory: self, taken: [(0, 0, false); MOST], count: 0, unique: PhantomData }
    }

    fn locate<T: Element>(&self, t: &Tensor) -> *mut T {
        assert_eq!(t.dtype, T::DTYPE, "tensor of {:?} used as {:?}", t.dtype, T::DTYPE);
        let buffer = self.regions[t.region.0].as_ref().expect("tensor of a region that has no memory");
        let end = t.offset.checked_add(t.bytes()).expect("tensor past the address space");
        assert!(end <= buffer.len(), "tensor ends at byte {end} of a region of {}", buffer.len());
        assert_eq!(t.offset % T::DTYPE.size(), 0, "misaligned tensor");
        // SAFETY: offset <= end <= the block's length, so the sum stays inside the block.
        unsafe { buffer.start().add(t.offset).cast() }
    }
}

/// No op touches more tensors than this.
const MOST: usize = 32;

/// The tensors that one op has taken so far. Hands out slices, and panics when a tensor to be written overlaps
/// any other one taken: an op's outputs never alias.
pub struct Access<'a> {
    memory: *mut Memory,
    taken: [(usize, usize, bool); MOST],
    count: usize,
    unique: PhantomData<&'a mut Memory>,
}

impl<'a> Access<'a> {
    /// The elements of `t`, to read.
    pub fn read<T: Element>(&mut self, t: &Tensor) -> &'a [T] {
        let start = self.take::<T>(t, false);
        // SAFETY: `take` checked bounds, type and alignment, and that no slice to write overlaps. The memory is
        // borrowed mutably for 'a, so nothing else reaches it. Every bit pattern is a valid T (Pod).
        unsafe { std::slice::from_raw_parts(start, t.len()) }
    }

    /// The elements of `t`, to write.
    pub fn write<T: Element>(&mut self, t: &Tensor) -> &'a mut [T] {
        let start = self.take::<T>(t, true);
        // SAFETY: as in `read`; moreover no other slice of this access overlaps.
        unsafe { std::slice::from_raw_parts_mut(start, t.len()) }
    }

    fn take<T: Element>(&mut self, t: &Tensor, write: bool) -> *mut T {
        // SAFETY: `memory` comes from a mutable borrow that lives as long as `self`. Settling a promise writes only
        // inside its tensor, of which nothing has been handed out: taking a part would have settled it.
        let memory = unsafe { &mut *self.memory };
        memory.settle(t);
        let start = memory.locate::<T>(t);
        let (from, to) = (start as usize, start as usize + t.bytes());
        for &(a, b, other) in &self.taken[..self.count] {
            assert!(!(write || other) || to <= a || b <= from, "an output overlaps another tensor of its op: {t:?}");
        }
        assert!(self.count < MOST, "an op takes more than {MOST} tensors");
        self.taken[self.count] = (from, to, write);
        self.count += 1;
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::tensor::Shape;

    fn tensor(region: Region, offset: usize, n: usize) -> Tensor {
        Tensor { region, offset, dtype: DType::F32, shape: Shape::new(&[n]) }
    }

    #[test]
    fn disjoint_tensors_are_handed_out_together() {
        let mut memory = Memory::default();
        let r = memory.reserve();
        memory.allocate(r, 64).unwrap();
        let mut access = memory.access();
        let a = access.write::<f32>(&tensor(r, 0, 8));
        let b = access.read::<f32>(&tensor(r, 32, 8));
        a.copy_from_slice(&[1.0; 8]);
        assert_eq!(b, [0.0; 8]);
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn overlapping_output_is_refused() {
        let mut memory = Memory::default();
        let r = memory.reserve();
        memory.allocate(r, 64).unwrap();
        let mut access = memory.access();
        access.read::<f32>(&tensor(r, 0, 8));
        access.write::<f32>(&tensor(r, 28, 2));
    }

    #[test]
    fn promised_zeros_are_kept_or_taken() {
        let mut memory = Memory::default();
        let r = memory.reserve();
        memory.allocate(r, 64).unwrap();
        let (all, half) = (tensor(r, 0, 16), tensor(r, 16, 8));
        memory.access().write::<f32>(&all).fill(1.0);
        memory.zero_later(&half);
        assert!(!memory.take_zero(&all), "only a part is zero");
        assert!(memory.take_zero(&half) && !memory.take_zero(&half), "a promise is taken once");
        assert_eq!(memory.access().read::<f32>(&all), [1.0; 16], "who takes it overwrites");
        memory.zero_later(&half);
        let read: Vec<f32> = memory.access().read::<f32>(&all).to_vec();
        assert_eq!(read, [[1.0; 4], [0.0; 4], [0.0; 4], [1.0; 4]].concat());
    }

    #[test]
    #[should_panic(expected = "ends at byte")]
    fn out_of_bounds_is_refused() {
        let mut memory = Memory::default();
        let r = memory.reserve();
        memory.allocate(r, 64).unwrap();
        memory.access().read::<f32>(&tensor(r, 60, 2));
    }
}
