//! The allocator of the freestanding program: a small area that keeps what is freed, and musl's malloc beyond it.
//!
//! musl maps each block between a page and 128 KiB by itself and unmaps it when it is freed, so every short-lived
//! buffer costs two system calls and a page fault for each page, and `calloc` faults twice: it reads a page to see
//! whether it must be cleared. Growing a root has a hundred such pages to pay for and little else to do. Pages of the
//! area are touched once and stay; those that are never needed never exist.

#![expect(unsafe_code, reason = "an allocator is unsafe by contract, and malloc comes from the C library")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

/// What `malloc` guarantees on both supported CPUs (C11: `max_align_t`), and so does the area.
const ALIGNMENT: usize = 16;

/// Twice what growing a disk with the usual table of 16 KiB has in use at once.
const AREA: usize = 256 << 10;

/// Larger blocks are rare, live long and are musl's, which gives them back to the kernel.
const LARGEST: usize = 64 << 10;

/// Four sizes per power of two: at most a fifth of a block is wasted.
const CLASSES: usize = 4 * (LARGEST.ilog2() as usize + 1);

/// A freed block holds the address of the next one of its class.
struct State {
    used: usize,
    freed: [*mut u8; CLASSES],
}

#[repr(C, align(4096))]
struct Heap {
    area: UnsafeCell<[u8; AREA]>,
    state: UnsafeCell<State>,
}

// SAFETY: wisp has one thread, and a forked child has a copy of its own.
unsafe impl Sync for Heap {}

/// Tests use heaps of their own, in the hosted program's memory.
#[cfg(freestanding)]
#[global_allocator]
static HEAP: Heap = Heap::new();

/// The class of blocks that hold `size` bytes, and how many they really hold.
const fn class_of(size: usize) -> (usize, usize) {
    let size = if size < 4 * ALIGNMENT { 4 * ALIGNMENT } else { size };
    // A quarter of the power of two below, a multiple of ALIGNMENT.
    let step = 1usize << size.ilog2().saturating_sub(2);
    let rounded = size.next_multiple_of(step);
    let top = rounded.ilog2();
    let quarter = (rounded >> top.saturating_sub(2)) & 3;
    ((top as usize).saturating_mul(4).saturating_add(quarter), rounded)
}

/// Whether the area may hold a block of this layout.
const fn fits(layout: Layout) -> bool {
    layout.align() <= ALIGNMENT && layout.size() <= LARGEST
}

impl Heap {
    const fn new() -> Self {
        let state = State { used: 0, freed: [ptr::null_mut(); CLASSES] };
        Self { area: UnsafeCell::new([0; AREA]), state: UnsafeCell::new(state) }
    }

    fn owns(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.area.get().addr()) < AREA
    }

    /// A block of the area, or null when it is used up.
    fn take(&self, size: usize) -> *mut u8 {
        let (class, size) = class_of(size);
        // SAFETY: one thread, and no reference to the state outlives a method of this allocator.
        let state = unsafe { &mut *self.state.get() };
        let Some(freed) = state.freed.get_mut(class) else { return ptr::null_mut() };
        if !freed.is_null() {
            let block = *freed;
            // SAFETY: a block on the list is free, aligned, and holds the next one's address since `give`.
            *freed = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        let start = state.used;
        if size > AREA.saturating_sub(start) {
            return ptr::null_mut();
        }
        state.used = start.saturating_add(size);
        // SAFETY: `start` plus `size` is within the area.
        unsafe { self.area.get().cast::<u8>().add(start) }
    }

    /// Takes a block of the area back.
    fn give(&self, block: *mut u8, size: usize) {
        let (class, size) = class_of(size);
        // SAFETY: as in `take`.
        let state = unsafe { &mut *self.state.get() };
        // The newest block goes back to the untouched rest, so that nested buffers of any size share their pages.
        let start = block.addr().wrapping_sub(self.area.get().addr());
        if start.saturating_add(size) == state.used {
            state.used = start;
            return;
        }
        let Some(freed) = state.freed.get_mut(class) else { return };
        // SAFETY: the block is free, aligned to 16 and at least that long.
        unsafe { block.cast::<*mut u8>().write(*freed) };
        *freed = block;
    }
}

// SAFETY: blocks are of the size and alignment asked for, and none is handed out twice before it is given back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fits(layout) {
            let block = self.take(layout.size());
            if !block.is_null() {
                return block;
            }
        }
        if layout.align() <= ALIGNMENT {
            // SAFETY: any size may be passed to malloc; GlobalAlloc never passes 0.
            return unsafe { malloc(layout.size()) }.cast();
        }
        // SAFETY: `Layout` guarantees a power-of-two alignment and a size that does not overflow when padded.
        unsafe { aligned_alloc(layout.align(), layout.pad_to_align().size()) }.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGNMENT && layout.size() > LARGEST {
            // SAFETY: as for malloc; fresh pages from the kernel are not touched again to be zeroed.
            return unsafe { calloc(1, layout.size()) }.cast();
        }
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block was just allocated with this size.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.owns(block) {
            return self.give(block, layout.size());
        }
        // SAFETY: every block that is not of the area came from the C allocator.
        unsafe { free(block.cast()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGNMENT && !self.owns(block) {
            // SAFETY: the block came from malloc or calloc, and `size` is not 0.
            return unsafe { realloc(block.cast(), size) }.cast();
        }
        if self.owns(block) && size <= LARGEST && class_of(layout.size()).0 == class_of(size).0 {
            return block;
        }
        // SAFETY: the caller guarantees that `size` padded to the alignment does not overflow.
        let layout_new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller's contract is the same.
        let moved = unsafe { self.alloc(layout_new) };
        if !moved.is_null() {
            // SAFETY: both blocks hold at least the smaller size, and a new block never overlaps a live one.
            unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
            // SAFETY: the old block is not used again.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A live block, filled with one byte of its own.
    struct Block {
        at: *mut u8,
        layout: Layout,
        fill: u8,
    }

    impl Block {
        fn check(&self) {
            for index in 0..self.layout.size() {
                // SAFETY: the block is live and that long.
                assert_eq!(unsafe { self.at.add(index).read() }, self.fill, "another block reaches into this one");
            }
        }
    }

    /// A generator with a fixed seed (xorshift, Marsaglia 2003), so that a failure repeats.
    fn random(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 33).unwrap()
    }

    #[test]
    fn blocks_never_overlap_and_keep_their_bytes_when_they_move() {
        let heap = Heap::new();
        let (mut live, mut seed): (Vec<Block>, u64) = (Vec::new(), 7);
        for round in 0..20_000u32 {
            let size = 1 + random(&mut seed) % [40, 700, 9_000, 100_000][random(&mut seed) % 4];
            let align = [1, 8, 16, 64, 4096][random(&mut seed) % 5];
            match random(&mut seed) % 3 {
                0 if !live.is_empty() => {
                    let block = live.swap_remove(random(&mut seed) % live.len());
                    block.check();
                    // SAFETY: the block is live, and forgotten now.
                    unsafe { heap.dealloc(block.at, block.layout) };
                }
                1 if !live.is_empty() => {
                    let index = random(&mut seed) % live.len();
                    let block = &mut live[index];
                    // SAFETY: the block is live; the old address is not used again.
                    block.at = unsafe { heap.realloc(block.at, block.layout, size) };
                    let kept = block.layout.size().min(size);
                    block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                    Block { layout: Layout::from_size_align(kept, 1).unwrap(), ..*block }.check();
                    // SAFETY: the block is `size` long.
                    unsafe { block.at.write_bytes(block.fill, size) };
                }
                _ => {
                    let layout = Layout::from_size_align(size, align).unwrap();
                    let fill = u8::try_from(round % 251).unwrap();
                    // SAFETY: the size is not 0.
                    let at = unsafe { heap.alloc_zeroed(layout) };
                    assert_eq!(at.addr() % align, 0);
                    Block { at, layout, fill: 0 }.check();
                    // SAFETY: the block is `size` long.
                    unsafe { at.write_bytes(fill, size) };
                    live.push(Block { at, layout, fill });
                }
            }
        }
        for block in live {
            block.check();
            // SAFETY: the block is live, and forgotten now.
            unsafe { heap.dealloc(block.at, block.layout) };
        }
    }

    #[test]
    fn what_is_freed_is_used_again_and_what_does_not_fit_is_still_served() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(20_000, 1).unwrap();
        for _ in 0..1000 {
            // SAFETY: the size is not 0, and the block is not used after it was freed.
            unsafe {
                let block = heap.alloc(layout);
                assert!(heap.owns(block));
                heap.dealloc(block, layout);
            }
        }
        // SAFETY: the size is not 0.
        let blocks: Vec<*mut u8> = (0..50).map(|_| unsafe { heap.alloc(layout) }).collect();
        assert!(heap.owns(blocks[0]) && !heap.owns(blocks[49]) && !blocks[49].is_null());
        for block in blocks {
            // SAFETY: each is live, and forgotten now.
            unsafe { heap.dealloc(block, layout) };
        }
    }

    #[test]
    fn every_class_has_one_size() {
        let mut sizes = [0; CLASSES];
        for size in 1..=LARGEST {
            let (class, rounded) = class_of(size);
            assert!(rounded >= size && rounded % ALIGNMENT == 0);
            assert!(sizes[class] == 0 || sizes[class] == rounded, "{size}");
            sizes[class] = rounded;
        }
    }
}
