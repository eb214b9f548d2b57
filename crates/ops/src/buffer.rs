//! Zeroed memory on the host, aligned for every instruction set, in huge pages where the system has them.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Every buffer starts on a boundary of this many bytes (a cache line, and the widest vector).
pub const ALIGNMENT: usize = 64;

/// Large buffers start on a huge page, so that the system can back them with such pages.
const HUGE_PAGE: usize = 2 << 20;

/// The memory that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "out of memory: {wanted} bytes were asked for in one piece; choose a smaller model, batch or sequence \
     (`moeworks plan` shows what each takes)"
)]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub wanted: usize,
}

/// An owned, zero-initialised, aligned block of bytes.
#[derive(Debug)]
pub struct Buffer {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a Buffer is the sole owner of its block, like a Box<[u8]>.
unsafe impl Send for Buffer {}
// SAFETY: shared access gives only `&[u8]`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A block of `bytes` zeros.
    pub fn zeroed(bytes: usize) -> Result<Self, OutOfMemory> {
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { ALIGNMENT };
        let layout = Layout::from_size_align(bytes.max(1), align).map_err(|_| OutOfMemory { wanted: bytes })?;
        // SAFETY: the layout's size is at least 1.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or(OutOfMemory { wanted: bytes })?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE {
            // SAFETY: the range was just allocated; the advice changes no content. A refusal costs only speed.
            unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
        }
        Ok(Buffer { start, layout })
    }

    /// Bytes in the block.
    pub fn len(&self) -> usize {
        self.layout.size()
    }

    /// Never true: an empty request still holds one byte.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// All of it.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block is initialised (zeroed), as long as its layout says, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }

    /// The first byte.
    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this very layout, freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
