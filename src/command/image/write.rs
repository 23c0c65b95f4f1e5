//! `wisp image write`: an image onto a disk; `wisp image verify`: whether it is there.
#![forbid(unsafe_code)]

use crate::command::Command;
use crate::error::{Error, Result};

pub(in crate::command) const WRITE: Command = Command {
    name: "image write",
    usage: "[OPTION]... SOURCE TARGET",
    summary: "Write an image onto a disk",
    help: "",
    takes_any_word: false,
    run: write,
};

pub(in crate::command) const VERIFY: Command = Command {
    name: "image verify",
    usage: "[OPTION]... SOURCE TARGET",
    summary: "Compare an image with what a disk holds",
    help: "",
    takes_any_word: false,
    run: verify,
};

fn write(_arguments: &[&str]) -> Result<u8> {
    Err(Error::unsupported("write the image", "not built yet"))
}

fn verify(_arguments: &[&str]) -> Result<u8> {
    Err(Error::unsupported("verify the image", "not built yet"))
}
