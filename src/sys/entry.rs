//! What a Rust program without `std` must bring itself when musl starts it: `main`, an allocator, a panic handler,
//! and two symbols that the compiler's own library refers to and that are never called with `panic = "abort"`.

#![expect(unsafe_code, reason = "the C entry point hands over raw pointers, and an allocator is unsafe by contract")]

use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::fmt::Write as _;
use core::panic::PanicInfo;
use core::ptr::with_exposed_provenance;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

unsafe extern "C" {
    fn abort() -> !;
    /// Where the program begins and where its code ends: the linker's words.
    static __executable_start: u8;
    static etext: u8;
}

/// Where the stack lay when `main` began; it grows downwards from there.
static STACK: AtomicUsize = AtomicUsize::new(0);

/// Called by musl's `_start` code.
// SAFETY: the one `main` of the program; the name is what musl's crt1.o asks for.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, vector: *const *const c_char) -> c_int {
    STACK.store((&raw const count).expose_provenance(), Relaxed);
    let count = usize::try_from(count).unwrap_or(0);
    let mut arguments: Vec<Vec<u8>> = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the kernel and musl guarantee `count` valid NUL-terminated strings in `vector`, alive to the end.
        let argument = unsafe { CStr::from_ptr(*vector.add(index)) };
        arguments.push(argument.to_bytes().to_vec());
    }
    c_int::from(crate::command::run(&arguments))
}

/// A line cut to what fits, on the stack: the panic handler must not allocate.
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

/// Calls that a panic names, from the innermost outwards. Stale words lie among them.
const CALLS: usize = 12;

/// Says where, on stderr (in an initramfs: the console), and aborts. PID 1 does its risky work in children, so a
/// panic ends a child and PID 1 goes on.
///
/// No panic is ours, and what the thousand in our dependencies have to say is 80 KB of places and messages. Without a
/// look into `_info` none of it is linked, and the way here is told by the return addresses on the stack, which
/// `make where AT='…'` turns into names.
#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    let mut line = Fixed { bytes: [0; 256], used: 0 };
    let _ = line.write_str("wisp: panic at");
    let code = (&raw const __executable_start).addr()..(&raw const etext).addr();
    let stack = (&raw const line).expose_provenance()..STACK.load(Relaxed);
    let words = stack.step_by(size_of::<usize>()).map(|address| {
        // SAFETY: from this function's variables to those of `main` all is stack and readable, and the first is
        // aligned as a `usize` is, since it holds one.
        unsafe { with_exposed_provenance::<usize>(address).read_volatile() }
    });
    for call in words.filter(|word| code.contains(word)).take(CALLS) {
        let _ = write!(line, " {call:x}");
    }
    let _ = line.write_str("\n");
    // Nothing is left to tell if stderr is closed.
    let _ = rustix::io::write(super::stdio::error(), line.bytes.get(..line.used).unwrap_or_default());
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
