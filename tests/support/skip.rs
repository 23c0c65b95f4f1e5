//! A test that this machine cannot run says so, and is not counted as one that passed.
//!
//! `tests/run` counts the lines with `SKIPPED`. With `CI=true` such a test fails: the machine of the merge gate
//! has all that the tests need.
#![allow(dead_code, reason = "each test uses what it needs of it")]

use std::io::Write as _;
use std::panic::Location;
use std::thread;

/// Reports that the test that calls it cannot run, and why. The test returns after that.
///
/// # Panics
/// Where the environment has `CI=true`.
#[track_caller]
pub fn skip(reason: &str) {
    let caller = Location::caller();
    // A test has a thread of its own that is named after it, except with `--test-threads=1`.
    let place = format!("{}:{}", caller.file(), caller.line());
    let thread = thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or(&place);
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "CI=true, and {test} cannot run: {reason}");
    let line = format!("SKIPPED {}::{test}: {}\n", env!("CARGO_CRATE_NAME"), reason.replace('\n', " "));
    // `eprintln!` would be captured as what a passed test printed, which is not shown.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Whether the test is run by root; else it is skipped.
#[track_caller]
pub fn needs_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("only root can do this");
    }
    is_root
}

/// Whether `unshare` with these options, divided by blanks, is allowed here; else the test is skipped.
#[track_caller]
pub fn needs_namespaces(options: &str) -> bool {
    let output = std::process::Command::new("unshare").args(options.split(' ')).arg("true").output();
    let may = output.is_ok_and(|output| output.status.success());
    if !may {
        skip(&format!("unshare {options} is not allowed here"));
    }
    may
}
