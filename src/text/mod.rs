//! Text formats. Pure.
#![forbid(unsafe_code)]

pub mod modules;
