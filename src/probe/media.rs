//! Volumes that a cloud or its user put on a disk or disc of this machine: found by their labels, opened by path.
//!
//! Looks at the devices themselves and not at `/dev/disk/by-label`, which a device manager may not have made yet.
//! Nothing is mounted and nothing is locked. What cannot be read while searching is not what is searched for.

#![forbid(unsafe_code)]

use super::block::{Block, Sysfs};
use crate::error::{Kind, Result};
use crate::filesystem;
use crate::sys::block::{Access, Device};
use crate::sys::node;
use crate::volume::{self, Volume};
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

/// A labelled volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Its device node, such as `/dev/sr0`.
    pub path: String,
    /// Its labels, as they are written there: a disc can have one for each way of reading it.
    pub labels: Vec<String>,
    /// What it is: FAT, ISO 9660 or UDF.
    pub kind: filesystem::Kind,
    /// Whether it is a disc in a drive for discs, which the platform provides: anybody may plug in anything else.
    pub is_disc: bool,
    /// Whether the medium can be taken out.
    pub is_removable: bool,
}

impl Medium {
    /// Whether any of its labels is `label`, in capitals or small letters.
    #[must_use]
    pub fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own.eq_ignore_ascii_case(label))
    }
}

/// The volumes with one of `labels`, in capitals or small letters, of all disks, partitions and discs. In the order in
/// which cloud-init tries them, the last name first: `/dev/vdb` before `/dev/vda1` before `/dev/sr0`.
///
/// `root` is the folder that holds `/dev`: empty, but for tests.
#[must_use]
pub fn labelled(sysfs: Sysfs<'_>, root: &str, labels: &[&str]) -> Vec<Medium> {
    let names = sysfs.names();
    let real = names.iter().rev().filter(|name| !MADE_UP.iter().any(|prefix| name.starts_with(prefix)));
    real.filter_map(|name| look_at(sysfs, root, &sysfs.named(name).ok()?, labels).ok().flatten()).collect()
}

/// The drives for discs, those whose medium the platform puts in.
#[must_use]
pub fn discs(sysfs: Sysfs<'_>, root: &str) -> Vec<String> {
    let is_drive = |block: &&Block| block.slice.is_none() && attribute_is(sysfs, &block.name, "device/type", TYPE_ROM);
    sysfs.all().iter().filter(is_drive).map(|block| format!("{root}{}", block.node())).collect()
}

/// The volume on the device at `path`; `None` when the drive is empty or holds nothing that wisp reads.
///
/// # Errors
/// `Os` from the device, and as [`volume::open`].
pub fn open_volume(path: &str) -> Result<Option<Volume<'static>>> {
    let device = match Device::open(path, Access::ReadRemovable) {
        Err(error) if error.kind == Kind::Os(ENOMEDIUM) => return Ok(None),
        other => other?,
    };
    if !device.has_medium() {
        return Ok(None);
    }
    let size = device.end()?;
    volume::open(Box::new(device), size).map_err(|error| error.to(path))
}

/// Opens the drive at `path`, so that its disc can be taken out.
///
/// # Errors
/// As [`Device::eject`].
pub fn eject(path: &str) -> Result<()> {
    Device::open(path, Access::ReadRemovable)?.eject()
}

fn attribute_is(sysfs: Sysfs<'_>, disk: &str, what: &str, yes: &str) -> bool {
    node::attribute(&sysfs.path(disk, what)).is_ok_and(|text| text == yes)
}

fn look_at(sysfs: Sysfs<'_>, root: &str, block: &Block, labels: &[&str]) -> Result<Option<Medium>> {
    if block.size.0 == 0 {
        return Ok(None);
    }
    let path = format!("{root}{}", block.node());
    let volume = open_volume(&path)?;
    let Some(volume) = volume.filter(|volume| labels.iter().any(|label| volume.has_label(label))) else {
        return Ok(None);
    };
    let disk = block.slice.as_ref().map_or(&block.name, |slice| &slice.disk);
    let says = |what, yes| attribute_is(sysfs, disk, what, yes);
    Ok(Some(Medium {
        path,
        labels: volume.labels().into(),
        kind: volume.kind(),
        is_disc: says("device/type", TYPE_ROM),
        is_removable: says("removable", "1"),
    }))
}
