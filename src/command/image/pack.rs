//! `wisp image pack`: makes of a disk the file that a cloud imports.
#![forbid(unsafe_code)]

use crate::command::Command;
use crate::error::{Error, Result};

pub(in crate::command) const COMMAND: Command = Command {
    name: "image pack",
    usage: "--for CLOUD [OPTION]... SOURCE FILE",
    summary: "Make the file that a cloud imports",
    help: "",
    takes_any_word: false,
    run,
};

fn run(_arguments: &[&str]) -> Result<u8> {
    Err(Error::unsupported("pack the image", "not built yet"))
}
