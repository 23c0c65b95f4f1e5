//! What a Rust program without `std` must bring itself when musl starts it: `main`, an allocator, a panic handler,
//! and two symbols that the compiler's own library refers to and that are never called with `panic = "abort"`.

#![expect(unsafe_code, reason = "the C entry point hands over raw pointers, and an allocator is unsafe by contract")]

use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::fmt::Write as _;
use core::panic::PanicInfo;

unsafe extern "C" {
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
