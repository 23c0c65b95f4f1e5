//! `wisp boot`, `early`, `main`, `final`: one phase of a first boot, for the init system.

#![forbid(unsafe_code)]

use super::{Command, print, root::root};
use crate::boot;
use crate::error::{Error, Result};
use crate::settings::Phase;
use crate::sys::fork;
use alloc::vec::Vec;

const USAGE: &str = "[--dry-run] [--root DIR]";

const DRY_RUN: &str = "--dry-run";

const HELP: &str = "\
An init system runs the four phases, each once a boot:
  boot    before the network: grow the root, configure interfaces, enable sshd
  early   when metadata can be reached: save the user-data
  main    before anybody may log in: user, hostname, keys, host keys
  final   after everything else: the user's script, the end of the bootstrap

What was done for this instance is not done again. An action that fails is told
and keeps no other from running; the phase then ends with 1.

What was done: /run/wisp/PHASE.json, the system's log, `wisp status`. What the
user's script said: /var/log/user-data.log.

  --dry-run     print what would be done, and change nothing; no service of a
                cloud is asked
  --root DIR    set up the system below DIR: its accounts, keys, host keys, host
                name and state are changed. No program is run and no service of
                a cloud is asked; what only a running system can do is left
                out, and counts as done. All paths, also those of links and of
                the configuration, are of that system
";

const fn command(name: &'static str, summary: &'static str, run: fn(&[&str]) -> Result<u8>) -> Command {
    Command { name, usage: USAGE, summary, help: HELP, takes_any_word: false, run }
}

pub(super) const BOOT: Command =
    command(Phase::Boot.name(), "First boot, before the network", |words| run(Phase::Boot, words));
pub(super) const EARLY: Command =
    command(Phase::Early.name(), "First boot, when metadata can be reached", |words| run(Phase::Early, words));
pub(super) const MAIN: Command =
    command(Phase::Main.name(), "First boot, before anybody may log in", |words| run(Phase::Main, words));
pub(super) const FINAL: Command =
    command(Phase::Final.name(), "First boot, after everything else", |words| run(Phase::Final, words));

/// What a phase is answered with in which something failed.
const FAILED: u8 = 1;

fn run(phase: Phase, arguments: &[&str]) -> Result<u8> {
    let words: Vec<&str> = arguments.iter().copied().filter(|word| *word != DRY_RUN).collect();
    let root = root(&words)?;
    if words.len() < arguments.len() {
        return print(&boot::dry_run::describe(phase, root)?);
    }
    start(phase, root)
}

/// Runs a phase, and returns the exit code.
pub(super) fn start(phase: Phase, root: &str) -> Result<u8> {
    if root.is_empty() && !fork::is_root() {
        return Err(Error::refused("run the phase", "only root can do that").to(phase.name()));
    }
    Ok(if boot::run(phase, root)? { 0 } else { FAILED })
}
