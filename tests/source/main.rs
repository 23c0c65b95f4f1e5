//! Sources of images: every format and compression, from a file and through a pipe; digests, sizes, holes; and what
//! `wisp image info` says of them. The images are made by `qemu-img`, GNU tar and the reference compressors.
//!
//! Everything works on files, as an ordinary user.

mod formats;

#[allow(dead_code, reason = "the tests of the container formats use more of it")]
#[path = "../container/image.rs"]
mod image;
mod reading;
