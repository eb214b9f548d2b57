//! Pointers that tasks of one run share, each writing its own part.

/// A pointer that may cross threads.
#[derive(Clone, Copy)]
pub struct Shared<T>(*mut T);

// SAFETY: a Shared is made from a mutable slice that the run borrows; tasks write disjoint elements through it, as
// every use says.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Shares a slice for the length of a run.
    pub fn new(slice: &mut [T]) -> Self {
        Shared(slice.as_mut_ptr())
    }

    /// The element's address.
    ///
    /// # Safety
    /// `i` is inside the slice, and no other task touches what is written through the result.
    #[inline(always)]
    pub unsafe fn at(self, i: usize) -> *mut T {
        // SAFETY: the caller's.
        unsafe { self.0.add(i) }
    }

    /// The element's address, which may be anywhere; nothing is read or written there.
    #[inline(always)]
    pub fn address(self, i: usize) -> *const T {
        self.0.wrapping_add(i)
    }

    /// The same slice from element `i` on.
    ///
    /// # Safety
    /// The element is inside the slice, or just past it.
    pub unsafe fn from(self, i: usize) -> Self {
        // SAFETY: the caller's.
        Shared(unsafe { self.0.add(i) })
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// `start..start + len` is inside the slice, and no other task touches it.
    #[inline(always)]
    pub unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}
