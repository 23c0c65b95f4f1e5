//! File formats that hold other files. Pure.
#![forbid(unsafe_code)]

#[cfg(feature = "full")]
pub mod cpio;
