//! Volumes that a cloud or its user put on a disk or disc of this machine: found by their labels, opened by path.
//!
//! Looks at the devices themselves and not at `/dev/disk/by-label`, which a device manager may not have made yet.
//! Nothing is mounted and nothing is locked. What cannot be read while searching is not what is searched for.

#![forbid(unsafe_code)]

use super::block::{Block, Sysfs, node_of};
use crate::error::{Kind, Result};
use crate::filesystem;
use crate::sys::block::{Access, Device};
use crate::sys::device_node;
use crate::volume::Volume;
#[cfg(not(feature = "full"))]
use crate::volume::open;
// cloud-init has the kernel mount a labelled volume, whatever its format; ext is what users make besides these three.
#[cfg(feature = "full")]
use crate::volume::open_with_ext as open;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Devices that the kernel itself makes out of memory, files or other devices: what is on them is also elsewhere, or
/// was put there by this system and not by its cloud.
const MADE_UP: [&str; 4] = ["loop", "ram", "zram", "dm-"];

/// `TYPE_ROM` of SCSI, as sysfs prints it.
const TYPE_ROM: &str = "5";

/// What the kernel says of a drive without a disc.
const ENOMEDIUM: i32 = 123;

/// The device nodes of all disks, partitions and discs whose volume has one of `labels`, in capitals or small letters,
/// each with the first that it has. In the order in which cloud-init tries them, the last name first: `/dev/vdb` before
/// `/dev/vda1` before `/dev/sr0`; behind them those with ext, where cloud-init looks for no NoCloud seed.
///
/// `root` is the folder that holds `/dev`: empty, but for tests.
#[must_use]
pub fn labelled<'a>(sysfs: Sysfs<'_>, root: &str, labels: &[&'a str]) -> Vec<(String, &'a str)> {
    let names = sysfs.names();
    let mut found: Vec<_> =
        names.iter().rev().filter_map(|name| look_at(sysfs, root, name, labels).ok().flatten()).collect();
    found.sort_by_key(|(_, _, is_ext)| *is_ext);
    found.into_iter().map(|(path, label, _)| (path, label)).collect()
}

/// The drives for discs, those whose medium the platform puts in.
#[must_use]
pub fn discs(sysfs: Sysfs<'_>, root: &str) -> Vec<String> {
    let kind = |block: &Block| device_node::attribute(&sysfs.path(&block.name, "device/type"));
    let is_drive = |block: &&Block| block.slice.is_none() && kind(block).is_ok_and(|kind| kind == TYPE_ROM);
    sysfs.all().iter().filter(is_drive).map(|block| format!("{root}{}", block.node())).collect()
}

/// The volume on the device at `path`; `None` when the drive is empty or holds nothing that wisp reads.
///
/// # Errors
/// `Os` from the device, and as [`crate::volume::open`].
pub fn open_volume(path: &str) -> Result<Option<Volume<'static>>> {
    let device = match Device::open(path, Access::ReadRemovable) {
        Err(error) if error.kind == Kind::Os(ENOMEDIUM) => return Ok(None),
        other => other?,
    };
    if !device.has_medium() {
        return Ok(None);
    }
    let size = device.end()?;
    open(Box::new(device), size).map_err(|error| error.to(path))
}

/// Opens the drive at `path`, so that its disc can be taken out.
///
/// # Errors
/// As [`Device::eject`].
pub fn eject(path: &str) -> Result<()> {
    Device::open(path, Access::ReadRemovable)?.eject()
}

/// The path of the device, the label that its volume has, and whether that is ext.
fn look_at<'a>(
    sysfs: Sysfs<'_>,
    root: &str,
    name: &str,
    labels: &[&'a str],
) -> Result<Option<(String, &'a str, bool)>> {
    if MADE_UP.iter().any(|prefix| name.starts_with(prefix)) || sysfs.size(name)?.0 == 0 {
        return Ok(None);
    }
    let path = format!("{root}{}", node_of(name));
    let Some(volume) = open_volume(&path)? else { return Ok(None) };
    let label = labels.iter().find(|label| volume.has_label(label));
    let is_ext = matches!(volume.kind(), filesystem::Kind::Ext2 | filesystem::Kind::Ext3 | filesystem::Kind::Ext4);
    Ok(label.map(|label| (path, *label, is_ext)))
}
