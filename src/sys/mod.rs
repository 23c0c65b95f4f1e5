//! The seam to the kernel: the only room with `unsafe`.
#[cfg(freestanding)]
mod entry;
pub mod file;
pub mod stdio;
