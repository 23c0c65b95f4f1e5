//! Disk images made by `qemu-img`, GNU tar and busybox, read back byte for byte; and ours, judged by the same tools.
//!
//! Everything works on files, as an ordinary user.

mod foreign;
mod image;
mod own;
mod refused;
mod streams;
