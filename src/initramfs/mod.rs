//! PID 1 before switch_root, and the builder of the initramfs it lives in.
#![forbid(unsafe_code)]

#[cfg(feature = "full")]
pub mod build;
