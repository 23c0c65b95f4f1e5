//! Facts and settings in, steps out. Pure: a refusal is a value with its reason.
#![forbid(unsafe_code)]
