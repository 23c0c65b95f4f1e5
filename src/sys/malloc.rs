//! The allocator of the large program: musl's `malloc`.

#![expect(unsafe_code, reason = "an allocator is unsafe by contract")]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

/// What `malloc` aligns every block to (C11: `max_align_t`).
const ALIGNMENT: usize = 16;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

struct Malloc;

#[global_allocator]
static MALLOC: Malloc = Malloc;

// SAFETY: blocks are of the size and alignment asked for: those of `malloc` are aligned to 16, larger alignments go to
// `aligned_alloc`, and `free` takes the blocks of both.
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size, which is not 0; its alignment is a power of two.
        let block = unsafe {
            if layout.align() <= ALIGNMENT {
                malloc(layout.size())
            } else {
                aligned_alloc(layout.align(), layout.size())
            }
        };
        block.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGNMENT {
            // SAFETY: the layout has a size, which is not 0.
            return unsafe { calloc(1, layout.size()) }.cast();
        }
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block was just allocated with this size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the block is one of this allocator, and is not used again.
        unsafe { free(block.cast()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGNMENT {
            // SAFETY: the block is one of `malloc`'s, and its old address is not used again.
            return unsafe { realloc(block.cast(), size) }.cast();
        }
        // SAFETY: the caller guarantees that `size` padded to the alignment does not overflow.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks hold at least the smaller size, and do not overlap.
            unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(size)) };
            // SAFETY: the old block is not used again.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}
