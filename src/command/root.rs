//! The option that several commands share: the root they work on.

#![forbid(unsafe_code)]

use super::{Options, Piece, unexpected, unknown};
use crate::error::Result;
use crate::sys::confine;

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
