//! The option that several commands share: the root they work on.

#![forbid(unsafe_code)]

use super::{Options, Piece, unexpected, unknown};
use crate::error::{Error, Result};
use crate::sys::file;
use alloc::format;

/// The one option of a command that has no other: the root, without a slash at its end; of the running system it is empty.
pub(super) fn root<'a>(arguments: &'a [&'a str]) -> Result<&'a str> {
    let mut root = "";
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--root", value) => root = options.value("--root", value)?,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(word) => return Err(unexpected(word)),
        }
    }
    existing(root)
}

/// `root` without a slash at its end, if it is a directory or empty, which means the running system. Every command that
/// takes a root checks it here: a mistyped one must not look like a system on which nothing was done.
pub(super) fn existing(root: &str) -> Result<&str> {
    // With the slash, a symlink to a directory is one.
    if !root.is_empty() && !file::is_directory(&format!("{root}/")) {
        return Err(Error::absent("use the root directory", "not an existing directory").to(root));
    }
    Ok(root.trim_end_matches('/'))
}
