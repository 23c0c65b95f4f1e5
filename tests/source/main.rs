//! Sources of images: every format and compression, from a file, through a pipe and from a server; digests, sizes, holes.
//! The images are made by `qemu-img`, GNU tar and the reference compressors.
//!
//! Everything works on files, as an ordinary user.

mod digest;
mod formats;
mod holes;
#[allow(dead_code, reason = "the tests of the container formats use more of it")]
#[path = "../container/image.rs"]
mod image;
mod reading;
mod server;
#[allow(dead_code, reason = "the tests of downloads use more of it")]
#[path = "../fetch/store.rs"]
mod store;
