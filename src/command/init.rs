//! `wisp init`: PID 1 before `switch_root`.

#![forbid(unsafe_code)]

use super::Command;
use crate::error::{Error, Result};
use crate::initramfs;
use crate::log::Log;
use alloc::format;
use alloc::vec::Vec;

pub(super) const COMMAND: Command = Command {
    name: "init",
    usage: "",
    summary: "PID 1 of an initramfs: load drivers, grow the root, mount it, switch to it",
    help: "Started by the kernel as /init. Words of the kernel command line that it heeds:\n\
           root= rootfstype= rootflags= ro rw rootwait rootdelay= init= init_args=\n\
           modules= blacklist= usrflags= overlaytmpfs overlaytmpfsflags= debug_init\n\
           resume= resume_offset= noresume single panic=\n\
           wisp.grow=on|off|repair                  repair also mends a damaged primary GPT\n\
           wisp.grow.budget=SECONDS                 the boot goes on after this time (20)\n\
           wisp.init=PATH                           grow, then become this program\n\
           wisp.onfail=shell|reboot|poweroff|halt   when the root cannot be mounted (halt)\n",
    takes_any_word: false,
    run,
};

fn run(_arguments: &[&str]) -> Result<u8> {
    Err(Error::refused("run init", "only the first process of a machine can; the kernel starts it"))
}

/// Is the first process. Comes back only where nothing is left to be done.
pub(super) fn run_first(arguments: &[Vec<u8>]) -> u8 {
    let error = initramfs::run(arguments);
    Log::stderr().error(&format!("{error}"));
    error.kind.exit_code()
}
