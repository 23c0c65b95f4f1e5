//! `wisp enable`, `wisp disable`: whether the init system starts the four phases.

#![forbid(unsafe_code)]

use super::{Command, root};
use crate::error::Result;
use crate::log::Log;
use crate::service;
use crate::sys::tree;
use alloc::format;

const HELP: &str = "\
For OpenRC (links in /etc/runlevels) and systemd (links in /etc/systemd/system),
whichever the root has. The services themselves come with the package, or by
`make install-openrc`, `make install-systemd`.

  --root DIR    of the system below DIR
";

pub(super) const ENABLE: Command = Command {
    name: "enable",
    usage: "[--root DIR]",
    summary: "Have the four phases started at boot",
    help: HELP,
    takes_any_word: false,
    run: |arguments| enable(root::root(arguments)?),
};

pub(super) const DISABLE: Command = Command {
    name: "disable",
    usage: "[--root DIR]",
    summary: "Have them started no more",
    help: HELP,
    takes_any_word: false,
    run: |arguments| disable(root::root(arguments)?),
};

pub(super) fn enable(root: &str) -> Result<u8> {
    let told = notify(service::enable(root)?);
    let is_there = |path: &str| tree::is_there(&format!("{root}{path}"));
    if is_there("/usr/bin/cloud-init") && !is_there("/etc/cloud/cloud-init.disabled") {
        Log::stderr().warning(
            "cloud-init is installed, and would set up the same machine; to switch it off: \
             touch /etc/cloud/cloud-init.disabled",
        );
    }
    told
}

pub(super) fn disable(root: &str) -> Result<u8> {
    notify(service::disable(root)?)
}

/// One line a change, where Tiny Cloud has it.
fn notify(changes: alloc::vec::Vec<alloc::string::String>) -> Result<u8> {
    let log = Log::stderr();
    changes.iter().for_each(|change| log.info(change));
    Ok(0)
}
