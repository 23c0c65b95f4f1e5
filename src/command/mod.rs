//! The command line.
#![forbid(unsafe_code)]

#[cfg(feature = "full")]
pub mod initramfs;

use alloc::vec::Vec;

/// Runs the command that `arguments` (the program's own name first) name, and returns the exit code.
#[must_use]
pub fn run(arguments: &[Vec<u8>]) -> u8 {
    let _ = arguments;
    let _ = rustix::io::write(crate::sys::stdio::output(), b"hello\n");
    0
}
