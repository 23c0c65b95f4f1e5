//! `wisp bootstrap`: whether the first boot has been completed, and the owner's word on it.

#![forbid(unsafe_code)]

use super::root::enter;
use super::{Command, DOING, Options, Piece, print, unexpected, unknown};
use crate::boot;
use crate::error::{Error, Result};
use crate::log::{Level, Log};
use crate::metadata::Machine;
use crate::sys::file;
use alloc::format;

/// It has 33 bytes.
const MACHINE_ID_LIMIT: usize = 4096;

pub(super) const COMMAND: Command = Command {
    name: "bootstrap",
    usage: "[--root DIR] complete | incomplete | status",
    summary: "Say whether the first boot is complete, or that it is to be",
    help: "\
The marker is Tiny Cloud's: .bootstrap-complete in /var/lib/cloud.

  status        print `complete` or `incomplete`
  complete      nothing is to be done any more for this instance
  incomplete    everything is to be done again in the next boot; the saved
                user-data goes. Run it before an image is made of this disk.
                Users, their keys and passwords, /etc/machine-id and logs stay.
                Host keys stay too, for this machine; another instance replaces
                them in its first boot. The check of `wisp image pack` names
                what an image should not have
  --root DIR    of the system below DIR

Another instance is a first boot in any case, without this.
",
    takes_any_word: false,
    run,
};

fn run(arguments: &[&str]) -> Result<u8> {
    let (mut root, mut word) = ("", None);
    let mut options = Options::new(arguments);
    while let Some(piece) = options.next() {
        match piece {
            Piece::Option("--root", value) => root = options.value("--root", value)?,
            Piece::Option(name, _) => return Err(unknown(name)),
            Piece::Operand(operand) if word.is_none() => word = Some(operand),
            Piece::Operand(operand) => return Err(unexpected(operand)),
        }
    }
    let word = word.ok_or_else(|| Error::usage(DOING, "say complete, incomplete or status"))?;
    set(enter(root)?, word)
}

/// Whether the machine has an identity of its own that a copy of its disk would share (machine-id(5)).
fn has_machine_id(root: &str) -> bool {
    let text = file::read(&format!("{root}/etc/machine-id"), MACHINE_ID_LIMIT).unwrap_or_default();
    !matches!(text.trim_ascii(), b"" | b"uninitialized")
}

/// What `word` asks for.
pub(super) fn set(root: &str, word: &str) -> Result<u8> {
    let folder = Machine::look(root).settings.var;
    let log = || Log::phase("bootstrap", root.is_empty());
    match word {
        "status" => return print(if boot::is_complete(&folder) { "complete\n" } else { "incomplete\n" }),
        "complete" => {
            boot::complete(&folder)?;
            log().line(Level::Notice, "bootstrap marked complete");
        }
        "incomplete" => {
            boot::incomplete(root, &folder)?;
            log().warning("bootstrap marked incomplete");
            if has_machine_id(root) {
                let what = "/etc/machine-id stays: empty it before an image is made of this disk";
                log().line(Level::Notice, what);
            }
        }
        other => return Err(Error::usage(DOING, "say complete, incomplete or status").to(other)),
    }
    Ok(0)
}
