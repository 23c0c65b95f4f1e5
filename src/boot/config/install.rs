//! `autoinstall`: a system that runs from memory is put on the one disk that is certainly empty.
//!
//! A disk is taken only if everything says that nothing is on it: no partition table that is sound or was, no filesystem or
//! other content that wisp knows, nothing mounted from it, made of it or cut from it; not removable, not read-only. What
//! cannot be looked at is not empty.

use super::super::context::Context;
use super::super::program;
use super::config;
use crate::error::{Error, Result};
use crate::probe::block::{Block, Sysfs};
use crate::probe::{growth, search};
use crate::service;
use crate::sys::program::Program;
use crate::sys::{file, node};
use crate::text::mountinfo;
use alloc::format;
use alloc::string::String;

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

/// What a machine with a thousand containers has mounted.
const MOUNTS_LIMIT: usize = 4 << 20;

pub(in super::super) fn userdata_autoinstall(context: &mut Context<'_>) -> Result<()> {
    let is_wanted = config(context)?.is_some_and(|config| config.is_true("autoinstall"));
    if !is_wanted {
        return Ok(());
    }
    if !context.is_live() {
        context.say("autoinstall: not done, since this is not the running system");
        return Ok(());
    }
    let mounts = String::from_utf8_lossy(&file::read("/proc/self/mountinfo", MOUNTS_LIMIT)?).into_owned();
    let disk = largest(SYSFS.all().into_iter().filter(|disk| is_empty(SYSFS, disk, &mounts)));
    let disk = disk.ok_or_else(|| Error::absent("install", "there is no disk that is certainly empty"))?.node();
    context.say(&format!("the system is installed on {disk}"));
    let run = |words: &[&str], environment: &[(&str, &str)]| match words.split_first() {
        Some((path, arguments)) => program::run(context, &words.join(" "), &Program { path, arguments, environment }),
        None => Ok(()),
    };
    // What is installed is a copy of this system, and the first boot of that is over.
    for change in service::disable(context.root())? {
        context.say(&change);
    }
    run(&["lbu", "include", "/root/.ssh", "/home"], &[])?;
    run(&["setup-disk", "-m", "sys", &disk], &[("ERASE_DISKS", &disk)])?;
    run(&["reboot"], &[])
}

/// The largest disk; the last by its name of several.
fn largest(disks: impl Iterator<Item = Block>) -> Option<Block> {
    disks.max_by_key(|disk| disk.size)
}

/// Whether nothing is on `disk`, which is a disk.
fn is_empty(sysfs: Sysfs<'_>, disk: &Block, mounts: &str) -> bool {
    let has = |what: &str| file::exists(&sysfs.path(&disk.name, what));
    let is_zero = |what: &str| node::attribute(&sysfs.path(&disk.name, what)).is_ok_and(|value| value == "0");
    let is_used = file::list(&sysfs.path(&disk.name, "holders")).map_or(true, |holders| !holders.is_empty());
    let is_cut = sysfs.all().iter().any(|block| block.slice.as_ref().is_some_and(|slice| slice.disk == disk.name));
    let is_disk = disk.slice.is_none() && disk.size.0 > 0 && has("device") && is_zero("removable") && is_zero("ro");
    is_disk
        && !is_used
        && !is_cut
        && mountinfo::find_device(mounts, disk.number).is_none()
        && matches!(search::table_of(disk), Ok(None))
        && matches!(growth::superblock(&disk.node(), disk.size), Ok(None))
}
