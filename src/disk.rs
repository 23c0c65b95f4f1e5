//! Positioned block I/O on real devices.
#![forbid(unsafe_code)]
