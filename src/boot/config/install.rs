//! `autoinstall`: a system that runs from memory is put on the one disk that is certainly empty.
//!
//! A disk is taken only if everything says that nothing is on it: no partition table that is sound or was, no filesystem or
//! other content that wisp knows, nothing mounted from it, made of it or cut from it; not removable, not read-only. What
//! cannot be looked at is not empty.

use super::super::context::Context;
use super::super::user_command;
use super::config;
use crate::error::{Error, Result};
use crate::probe::block::{Block, Sysfs};
use crate::probe::{grow_facts, search};
use crate::service;
use crate::sys::exec::Program;
use crate::sys::{device_node, file};
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
    let disk = largest(SYSFS.all().into_iter().filter(|disk| is_free(SYSFS, disk, &mounts) && is_blank(disk)));
    let disk = disk.ok_or_else(|| Error::absent("install", "there is no disk that is certainly empty"))?.node();
    context.say(&format!("the system is installed on {disk}"));
    let run = |words: &[&str], environment: &[(&str, &str)]| match words.split_first() {
        Some((path, arguments)) => {
            user_command::run(context, &words.join(" "), &Program { path, arguments, environment })
        }
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

/// Whether `disk` is one, and nothing that the kernel knows of is made of it.
fn is_free(sysfs: Sysfs<'_>, disk: &Block, mounts: &str) -> bool {
    let attribute = |what: &str| sysfs.path(&disk.name, what);
    let is_zero = |what: &str| device_node::attribute(&attribute(what)).is_ok_and(|value| value == "0");
    let is_part_of = |block: &Block| block.slice.as_ref().is_some_and(|slice| slice.disk == disk.name);
    let is_fixed = is_zero("removable") && is_zero("ro");
    let is_disk = disk.slice.is_none() && disk.size.0 > 0 && file::exists(&attribute("device")) && is_fixed;
    is_disk
        && file::list(&attribute("holders")).is_ok_and(|holders| holders.is_empty())
        && !sysfs.all().iter().any(is_part_of)
        && mountinfo::find_device(mounts, disk.number).is_none()
}

/// Whether nothing is written on `disk` that wisp would know.
fn is_blank(disk: &Block) -> bool {
    matches!(search::table_of(disk), Ok(None)) && matches!(grow_facts::superblock(&disk.node(), disk.size), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use std::fs;
    use std::path::Path;

    /// A disk of a sysfs, with these attributes besides the usual ones.
    fn disk(root: &Path, name: &str, number: &str, sectors: &str, others: &[(&str, &str)]) {
        let folder = root.join("class/block").join(name);
        fs::create_dir_all(folder.join("holders")).unwrap();
        fs::create_dir_all(folder.join("device")).unwrap();
        let usual = [("dev", number), ("size", sectors), ("removable", "0"), ("ro", "0")];
        for (what, value) in usual.iter().chain(others) {
            fs::write(folder.join(what), format!("{value}\n")).unwrap();
        }
    }

    #[test]
    fn only_a_free_disk_is_taken_and_of_these_the_largest() {
        let root = std::env::temp_dir().join(format!("wisp-install-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        disk(&root, "vda", "254:0", "2048", &[]);
        disk(&root, "vdb", "254:16", "4096", &[]);
        disk(&root, "vdc", "254:32", "4096", &[]);
        disk(&root, "sr0", "11:0", "9000", &[("removable", "1")]);
        disk(&root, "vdd", "254:48", "9000", &[("ro", "1")]);
        disk(&root, "vde", "254:64", "9000", &[]);
        disk(&root, "vdf", "254:80", "9000", &[("holders/dm-0", "")]);
        disk(&root, "vdg", "254:96", "0", &[]);
        disk(&root, "loop0", "7:0", "9000", &[]);
        fs::remove_dir(root.join("class/block/loop0/device")).unwrap();
        let sysfs = Sysfs { root: root.to_str().unwrap() };
        let mounts = "22 1 254:64 / /srv rw - ext4 /dev/vde rw\n";
        let free: Vec<Block> = sysfs.all().into_iter().filter(|disk| is_free(sysfs, disk, mounts)).collect();
        assert_eq!(free.iter().map(|disk| &*disk.name).collect::<Vec<_>>(), ["vda", "vdb", "vdc"]);
        assert_eq!(largest(free.into_iter()).map(|disk| disk.name).as_deref(), Some("vdc"), "the last of the largest");
        assert_eq!(largest(Vec::new().into_iter()), None);
        fs::remove_dir_all(root).unwrap();
    }
}
