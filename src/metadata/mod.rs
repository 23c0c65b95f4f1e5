//! The metadata of this machine: the source that its cloud has, opened and asked.
#![forbid(unsafe_code)]

pub mod service;
