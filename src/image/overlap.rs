//! What two paths have in common on disks: the same device, a disk and its partition, the file of a loop device. Only looks.
//!
//! A loop device is no holder in the kernel's eyes, neither of its file nor of a device that it was made over.
#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;

use crate::probe::block::{Block, Sysfs, node_of};
use crate::sys::device_node;
#[cfg(feature = "full")]
use crate::sys::file;
#[cfg(feature = "full")]
use crate::text::mountinfo;

/// Loop devices over loop devices: no one has more than two.
const DEPTH: usize = 8;

/// Whether what is written to `one` changes what is read from `other`. Each may be a device, a file or nothing.
pub(super) fn is_shared(sysfs: Sysfs<'_>, one: &str, other: &str) -> bool {
    if let (Some(one), Some(other)) = (block(sysfs, one), block(sysfs, other))
        && one.number != other.number
        && let (Some(one), Some(other)) = (&one.slice, &other.slice)
        && one.disk == other.disk
    {
        // Two partitions of one disk stand beside each other.
        return false;
    }
    let others = layers(sysfs, other);
    layers(sysfs, one).iter().any(|one| others.iter().any(|other| is_one(sysfs, one, other)))
}

/// Whether what is stored in `directory`, a path without symbolic links, is stored on `disk`, as far as the kernel says.
#[cfg(feature = "full")]
pub(super) fn holds_directory(sysfs: Sysfs<'_>, disk: &str, directory: &str) -> bool {
    let mounts = file::read("/proc/self/mountinfo", super::target::MOUNTINFO_LIMIT).unwrap_or_default();
    let Some(block) = block_under(sysfs, directory, &String::from_utf8_lossy(&mounts)) else { return false };
    let mut names = Vec::from([block.name]);
    for _ in 0..DEPTH {
        if names.iter().any(|name| is_shared(sysfs, disk, &node_of(name))) {
            return true;
        }
        names = names.iter().flat_map(|name| sysfs.parts_of(name)).collect();
    }
    false
}

/// The block device with the filesystem that `directory` is in.
#[cfg(feature = "full")]
fn block_under(sysfs: Sysfs<'_>, directory: &str, mounts: &str) -> Option<Block> {
    if let Ok(block) = device_node::holding_device(directory).and_then(|number| sysfs.block(number)) {
        return Some(block);
    }
    // A subvolume of btrfs has a number of its own, which is that of no device.
    let mut path = directory;
    loop {
        if let Some(mount) = mountinfo::find(mounts, if path.is_empty() { "/" } else { path }) {
            return block(sysfs, &mount.source);
        }
        path = path.rsplit_once('/')?.0;
    }
}

/// The node of a loop device that was made over the device at `path`, over its disk or a partition of it.
pub(super) fn find_loop_over(sysfs: Sysfs<'_>, path: &str) -> Option<String> {
    let nodes = sysfs.names().into_iter().map(|name| node_of(&name));
    let is_over = |node: &String| layers(sysfs, node).iter().skip(1).any(|layer| is_one(sysfs, layer, path));
    nodes.filter(|node| node.starts_with("/dev/loop")).find(is_over)
}

/// `path`, and what is beneath it.
fn layers(sysfs: Sysfs<'_>, path: &str) -> Vec<String> {
    let mut layers = Vec::from([String::from(path)]);
    while layers.len() < DEPTH
        && let Some(below) = layers.last().and_then(|path| backing(sysfs, &block(sysfs, path)?))
    {
        layers.push(below);
    }
    layers
}

/// The file or device behind a loop device or its partition.
fn backing(sysfs: Sysfs<'_>, block: &Block) -> Option<String> {
    let disk = block.slice.as_ref().map_or(&block.name, |slice| &slice.disk);
    device_node::attribute(&sysfs.path(disk, "loop/backing_file")).ok()
}

/// Whether both are the same, or one is a partition of the other.
fn is_one(sysfs: Sysfs<'_>, one: &str, other: &str) -> bool {
    match (block(sysfs, one), block(sysfs, other)) {
        (Some(one), Some(other)) => {
            let is_part = |part: &Block, disk: &Block| part.slice.as_ref().is_some_and(|slice| slice.disk == disk.name);
            one.number == other.number || is_part(&one, &other) || is_part(&other, &one)
        }
        (None, None) => device_node::is_same_file(one, other),
        _ => false,
    }
}

fn block(sysfs: Sysfs<'_>, path: &str) -> Option<Block> {
    device_node::block_number(path).and_then(|number| sysfs.block(number)).ok()
}
