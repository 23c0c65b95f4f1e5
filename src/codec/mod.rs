//! Compression formats, recognised by their magic bytes. Pure.
#![forbid(unsafe_code)]
