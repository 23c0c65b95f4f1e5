//! The allocator of the initramfs program: areas that keep what is freed, and pages of their own for large blocks.
//!
//! musl maps each block between a page and 128 KiB by itself and unmaps it when it is freed, so every short-lived
//! buffer costs two system calls and a page fault for each page, and `calloc` faults twice: it reads a page to see
//! whether it must be cleared. Growing a root has a hundred such pages to pay for and little else to do. Pages of an
//! area are touched once and stay; those that are never needed never exist. The large program, which parses what comes from
//! networks, has musl's allocator (`malloc.rs`), which notices when it is misused.

#![expect(unsafe_code, reason = "an allocator is unsafe by contract, and hands out pages of the kernel's")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;

use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

/// What C wants of any block on both supported CPUs (C11: `max_align_t`).
const ALIGNMENT: usize = 16;

/// The smallest page of any supported CPU, and so the alignment of what the kernel maps.
const PAGE: usize = 4096;

/// Twice what growing a disk with the usual table of 16 KiB has in use at once.
const AREA: usize = 256 << 10;

/// Larger blocks are rare, live long and have their own pages, which go back to the kernel.
const LARGEST: usize = 64 << 10;

/// Four sizes per power of two: at most a fifth of a block is wasted.
const CLASSES: usize = 4 * (LARGEST.ilog2() as usize + 1);

/// The rest of the newest area; and the freed blocks, each of which holds the address of the next one of its class.
struct State {
    rest: *mut u8,
    left: usize,
    freed: [*mut u8; CLASSES],
}

struct Heap(UnsafeCell<State>);

// SAFETY: wisp has one thread, and a forked child has a copy of its own.
unsafe impl Sync for Heap {}

/// Tests use heaps of their own, in the hosted program's memory.
#[cfg(all(freestanding, not(feature = "full")))]
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

/// Whether a block of this layout is in an area.
const fn fits(layout: Layout) -> bool {
    layout.align() <= ALIGNMENT && layout.size() <= LARGEST
}

/// Zeros from the kernel, or null.
fn map(size: usize) -> *mut u8 {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: without an address to be at, the mapping overlaps no other.
    unsafe { mmap_anonymous(ptr::null_mut(), size, protection, flags) }.map_or(ptr::null_mut(), <*mut c_void>::cast)
}

impl Heap {
    const fn new() -> Self {
        Self(UnsafeCell::new(State { rest: ptr::null_mut(), left: 0, freed: [ptr::null_mut(); CLASSES] }))
    }

    /// A block of an area, or null when there is no memory.
    fn take(&self, size: usize) -> *mut u8 {
        let (class, size) = class_of(size);
        // SAFETY: one thread, and no reference to the state outlives a method of this allocator.
        let state = unsafe { &mut *self.0.get() };
        let Some(freed) = state.freed.get_mut(class) else { return ptr::null_mut() };
        if !freed.is_null() {
            let block = *freed;
            // SAFETY: a block on the list is free, aligned, and holds the next one's address since `give`.
            *freed = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        if size > state.left {
            let area = map(AREA);
            if area.is_null() {
                return area;
            }
            (state.rest, state.left) = (area, AREA);
        }
        let block = state.rest;
        state.rest = block.wrapping_add(size);
        state.left = state.left.saturating_sub(size);
        block
    }

    /// Takes a block of an area back.
    fn give(&self, block: *mut u8, size: usize) {
        let (class, size) = class_of(size);
        // SAFETY: as in `take`.
        let state = unsafe { &mut *self.0.get() };
        // The newest block goes back to the untouched rest, so that nested buffers of any size share their pages.
        if block.wrapping_add(size) == state.rest {
            state.rest = block;
            state.left = state.left.saturating_add(size);
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
        match layout.align() {
            _ if fits(layout) => self.take(layout.size()),
            ..=PAGE => map(layout.size()),
            _ => ptr::null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() && fits(layout) {
            // SAFETY: the block was just allocated with this size.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if fits(layout) {
            return self.give(block, layout.size());
        }
        // SAFETY: a block that is not in an area has all of its pages, and is not used again. The kernel refuses only
        // when it would have to remember too many pieces, and then the pages stay.
        let _ = unsafe { munmap(block.cast(), layout.size()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `size` padded to the alignment does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (fits(layout), fits(wanted)) {
            (true, true) if class_of(layout.size()).0 == class_of(size).0 => return block,
            (false, false) => {
                // SAFETY: the block has all of its pages, and its old address is not used again.
                let moved = unsafe { mremap(block.cast(), layout.size(), size, MremapFlags::MAYMOVE) };
                return moved.map_or(ptr::null_mut(), <*mut c_void>::cast);
            }
            _ => {}
        }
        // SAFETY: the caller's contract is the same.
        let moved = unsafe { self.alloc(wanted) };
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
        // SAFETY: the size is not 0.
        let first = unsafe { heap.alloc(layout) };
        // SAFETY: the block is live, and compared only from now on.
        unsafe { heap.dealloc(first, layout) };
        // SAFETY: the size is not 0.
        let blocks: Vec<*mut u8> = (0..50).map(|_| unsafe { heap.alloc(layout) }).collect();
        assert_eq!(blocks[0], first);
        assert!(50 * layout.size() > 3 * AREA && blocks.iter().all(|block| !block.is_null()));
        for block in &blocks {
            // SAFETY: each is live, and compared only from now on.
            unsafe { heap.dealloc(*block, layout) };
        }
        // SAFETY: the size is not 0.
        assert!((0..50).all(|_| blocks.contains(&unsafe { heap.alloc(layout) })));
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
