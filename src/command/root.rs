//! The option that several commands share: the root they work on.

#![forbid(unsafe_code)]

use super::{Options, Piece, unexpected, unknown};
use crate::error::{Error, Result};
use crate::sys::{confine, file};
use alloc::format;

/// The one option of a command that has no other: the root, as [`enter`] returns it.
pub(super) fn root(arguments: &[&str]) -> Result<&'static str> {
    let mut root = "";
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--root", value) => root = options.value("--root", value)?,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(word) => return Err(unexpected(word)),
        }
    }
    enter(root)
}

/// Confines this process to the directory `root`, and returns the prefix of the paths in it; empty for the running system,
/// which is what no directory and `/` mean.
pub(super) fn enter(root: &str) -> Result<&'static str> {
    if root.trim_end_matches('/').is_empty() {
        return Ok("");
    }
    confine::enter(root)?;
    Ok(confine::CONFINED)
}

/// `root` without a slash at its end, if it is a directory or empty, which means the running system: for the command that
/// enters it only after a download. A mistyped one must not look like a system on which nothing was done.
pub(super) fn existing(root: &str) -> Result<&str> {
    // With the slash, a symlink to a directory is one.
    if !root.is_empty() && !file::is_directory(&format!("{root}/")) {
        return Err(Error::absent("use the root directory", "not an existing directory").to(root));
    }
    Ok(root.trim_end_matches('/'))
}
