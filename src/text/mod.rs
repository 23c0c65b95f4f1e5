//! Text formats. Pure.
#![forbid(unsafe_code)]
