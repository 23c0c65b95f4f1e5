//! `wisp image write`, `verify`, `info`, `pack`: lets [`crate::image`] do it. One file each.

pub(super) mod info;
pub(super) mod pack;
mod progress;
pub(super) mod write;

use crate::error::Error;
use crate::sys::environment;
use crate::sys::spool::Directory;
use alloc::format;
use alloc::string::String;

/// The line of JSON of a command that failed before it had a result, with the keys that `wisp image write` has for it.
#[derive(miniserde::Serialize)]
struct FailedJson<'a> {
    event: &'a str,
    kind: &'a str,
    why: String,
}

fn failed(error: &Error) -> String {
    let failed = FailedJson { event: "failed", kind: error.kind.name(), why: format!("{error}") };
    format!("{}\n", miniserde::json::to_string(&failed))
}

/// Where large temporary files lie by the Filesystem Hierarchy Standard (3.0, 5.15); `/tmp` is often in memory.
const LARGE: &str = "/var/tmp";

/// Where a temporary file goes: the value of `--spool`, else that of `TMPDIR`, else `/var/tmp`, and `/tmp` where a system
/// has no other.
fn spool_directory(option: Option<&str>) -> String {
    let standard = || if Directory::open(LARGE).is_ok() { LARGE } else { "/tmp" };
    option.map(String::from).or_else(|| environment::variable(c"TMPDIR")).unwrap_or_else(|| standard().into())
}
