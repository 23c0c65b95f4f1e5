//! `wisp image write`, `verify`, `info`, `pack`: lets [`crate::image`] do it. One file each.

pub(super) mod info;
pub(super) mod pack;
mod progress;
pub(super) mod write;

use crate::error::Error;
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
