//! The door: hands the arguments to [`wisp::command`] and its exit code to the kernel.
//!
//! Freestanding (the shipped program) musl's start-up code calls the C `main` that `sys` exports; hosted (a plain
//! `cargo run` on a developer's machine) the usual `main` of Rust does the same.

#![cfg_attr(freestanding, no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(freestanding)]
use wisp as _;

#[cfg(not(freestanding))]
fn main() {
    use std::os::unix::ffi::OsStringExt;
    let arguments: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    std::process::exit(wisp::command::run(&arguments).into());
}
