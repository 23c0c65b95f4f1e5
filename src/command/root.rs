//! The option that several commands share: the root they work on.

#![forbid(unsafe_code)]

use super::{Options, Piece, unknown};
use crate::error::{Error, Result};
use crate::sys::file;

/// The one option of a command that has no other: the root, without a slash at its end; of the running system it is empty.
pub(super) fn root<'a>(arguments: &'a [&'a str]) -> Result<&'a str> {
    let mut root = "";
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--root", value) => root = options.value("--root", value)?,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(word) => return Err(Error::usage(super::DOING, "no operand is meant here").to(word)),
        }
    }
    if !root.is_empty() && !file::is_directory(root) {
        return Err(Error::absent("work below", "there is no such folder").to(root));
    }
    Ok(root.trim_end_matches('/'))
}
