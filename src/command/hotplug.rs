//! `wisp hotplug`: what a rule of mdev calls when a network card comes or goes.

#![forbid(unsafe_code)]

use super::{Command, root};
use crate::error::{Error, Result};
use crate::hotplug;
use crate::log::Log;
use crate::sys::environment;
use alloc::string::String;
use core::ffi::CStr;

const HELP: &str = "\
Puts /etc/network/interfaces together from the files in interfaces.d beside it
(one from DEFAULT for a card that has none), and has ifup take a new card up if
the network is started. The environment says, as mdev sets it:
  MDEV          the card, eth1
  ACTION        add or remove

  --root DIR    work on the files below DIR, and run nothing
";

pub(super) const COMMAND: Command = Command {
    name: "hotplug",
    usage: "[--root DIR]",
    summary: "A network card has come or gone, says mdev",
    help: HELP,
    takes_any_word: false,
    run: |arguments| {
        let (root, log) = (root::root(arguments)?, Log::stderr());
        hotplug::changed(root, &variable(c"MDEV")?, &variable(c"ACTION")?, &|line| log.warning(line))?;
        Ok(0)
    },
};

fn variable(name: &CStr) -> Result<String> {
    let missing = || Error::usage("see to a network card", "mdev sets it, and it is not set");
    environment::variable(name).ok_or_else(|| missing().to(name.to_str().unwrap_or_default()))
}
