//! `wisp image info`: what an image is.
#![forbid(unsafe_code)]

use crate::command::Command;
use crate::error::{Error, Result};

pub(in crate::command) const COMMAND: Command = Command {
    name: "image info",
    usage: "[--json] SOURCE",
    summary: "Say what an image is, and how large its disk",
    help: "",
    takes_any_word: false,
    run,
};

fn run(_arguments: &[&str]) -> Result<u8> {
    Err(Error::unsupported("describe the image", "not built yet"))
}
