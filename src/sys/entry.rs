//! What a Rust program without `std` must bring itself when musl starts it: `main`, an allocator, a panic handler,
//! and two symbols that the compiler's own library refers to and that are never called with `panic = "abort"`.

#![expect(unsafe_code, reason = "the C entry point hands over raw pointers, and an allocator is unsafe by contract")]

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::Write as _;
use core::panic::PanicInfo;
use core::ptr;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
    fn abort() -> !;
}

/// Called by musl's `_start` code.
// SAFETY: the one `main` of the program; the name is what musl's crt1.o asks for.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, vector: *const *const c_char) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    let mut arguments: Vec<Vec<u8>> = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the kernel and musl guarantee `count` valid NUL-terminated strings in `vector`, alive to the end.
        let argument = unsafe { CStr::from_ptr(*vector.add(index)) };
        arguments.push(argument.to_bytes().to_vec());
    }
    c_int::from(crate::command::run(&arguments))
}

/// musl's allocator.
struct Musl;

/// What `malloc` guarantees on both supported CPUs (C11: `max_align_t`).
const MALLOC_ALIGNMENT: usize = 16;

// SAFETY: each method forwards to the C allocator, whose blocks have the size and alignment asked for.
unsafe impl GlobalAlloc for Musl {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGNMENT {
            // SAFETY: any size may be passed to malloc; GlobalAlloc never passes 0.
            unsafe { malloc(layout.size()) }.cast()
        } else {
            // SAFETY: `Layout` guarantees a power-of-two alignment and a size that does not overflow when padded.
            unsafe { aligned_alloc(layout.align(), layout.pad_to_align().size()) }.cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGNMENT {
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

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller passes a block that `alloc` returned, and every such block came from the C allocator.
        unsafe { free(block.cast()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGNMENT {
            // SAFETY: the block came from malloc or calloc, and `size` is not 0.
            return unsafe { realloc(block.cast(), size) }.cast();
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

#[global_allocator]
static ALLOCATOR: Musl = Musl;

/// A message cut to what fits, on the stack: the panic handler must not allocate.
struct Fixed {
    bytes: [u8; 256],
    used: usize,
}

impl core::fmt::Write for Fixed {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for (place, byte) in self.bytes.iter_mut().skip(self.used).zip(text.bytes()) {
            *place = byte;
            self.used = self.used.saturating_add(1);
        }
        Ok(())
    }
}

/// Says where, on stderr (in an initramfs: the console), and aborts. PID 1 does its risky work in children, so a
/// panic ends a child and PID 1 goes on.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut message = Fixed { bytes: [0; 256], used: 0 };
    let _ = writeln!(message, "wisp: {info}");
    // Nothing is left to tell if stderr is closed.
    let _ = rustix::io::write(super::stdio::error(), message.bytes.get(..message.used).unwrap_or_default());
    // SAFETY: abort takes no argument and does not return.
    unsafe { abort() }
}

/// Referred to by the precompiled `core`; never called, since nothing unwinds.
// SAFETY: no other definition exists, as neither std nor libgcc is linked.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Referred to by the precompiled `alloc`; never called, since nothing unwinds.
// SAFETY: no other definition exists, as neither std nor libgcc is linked.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: abort takes no argument and does not return.
    unsafe { abort() }
}
