//! The facts that a growing plan rests on: from a mount point or a device number down to the table on the disk.

#![forbid(unsafe_code)]

use super::block::{self, Block, Sysfs};
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::filesystem::{self, Details, Kind, Superblock};
use crate::plan::grow::{Facts, PartitionInfo};
use crate::sys::block::{Access, Device};
use crate::sys::device_node::{self, Number};
use crate::sys::file;
use crate::sys::resize::Mounted;
use crate::table::{self, Geometry};
use crate::text::mountinfo::{self, Mount};
use crate::units::ByteCount;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A machine with thousands of containers lists some MiB of mounts.
const MOUNTINFO_LIMIT: usize = 16 << 20;

/// What is to grow: the device at the bottom, and what is known of the way up from it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The partition or whole disk at the bottom.
    pub block: Block,
    /// Layers on it, lowest first.
    pub layers: Vec<String>,
    /// Where the filesystem on top is mounted, if it is.
    pub mount: Option<Mount>,
}

impl Subject {
    /// What is mounted at `point`.
    ///
    /// # Errors
    /// `Absent` when nothing is; `Refused` when no block device is behind it (overlay, tmpfs, nfs, ZFS).
    pub fn mounted_at(sysfs: Sysfs<'_>, point: &str) -> Result<Self> {
        const DOING: &str = "find the device mounted at";
        let text = file::read("/proc/self/mountinfo", MOUNTINFO_LIMIT)?;
        let mount = mountinfo::find(&String::from_utf8_lossy(&text), point)
            .ok_or_else(|| Error::absent(DOING, "nothing is mounted there").to(point))?;
        let number = match mount.device {
            // btrfs gives every subvolume a number of its own.
            (0, _) if mount.kind == "btrfs" => btrfs_device(sysfs, point, &mount.source)?,
            (0, _) => {
                let why = format!("it is {}, with no block device to grow", mount.kind);
                return Err(Error::refused(DOING, why).to(point));
            }
            number if device_node::holding_device(point)? == number => number,
            _ => return Err(Error::refused(DOING, "another mount further up hides it").to(point)),
        };
        let (block, layers) = sysfs.bottom(sysfs.block(number)?)?;
        Ok(Self { block, layers, mount: Some(mount) })
    }

    /// The device with this number, and where it is mounted if it is.
    ///
    /// # Errors
    /// As [`Subject::device`].
    pub fn of_node(sysfs: Sysfs<'_>, number: Number) -> Result<Self> {
        let subject = Self::device(sysfs, number)?;
        let name = &subject.block.name;
        let mut all = sysfs.all().into_iter();
        if let Some(part) = all.find(|block| block.slice.as_ref().is_some_and(|slice| slice.disk == *name)) {
            let why = format!("it is a disk with partitions; name one of them, such as {}", part.node());
            return Err(Error::refused("grow", why).to(subject.block.node()));
        }
        let text = file::read("/proc/self/mountinfo", MOUNTINFO_LIMIT)?;
        let text = String::from_utf8_lossy(&text);
        let mount = mountinfo::find_device(&text, number);
        // A mount above may hide it, and what lies there then is not what is to grow.
        let mount = mount.filter(|mount| device_node::holding_device(&mount.point) == Ok(number));
        let is_on_it = |mount: &Mount| {
            mount.kind == "btrfs"
                && btrfs_devices(sysfs, &mount.point, &mount.source).is_ok_and(|all| all.contains(name))
        };
        let mount = mount.or_else(|| mountinfo::first(&text, is_on_it));
        Ok(Self { mount, ..subject })
    }

    /// The device with this number; where it is mounted is not looked up.
    ///
    /// # Errors
    /// As [`Sysfs::block`] and [`Sysfs::bottom`].
    pub fn device(sysfs: Sysfs<'_>, number: Number) -> Result<Self> {
        let (block, layers) = sysfs.bottom(sysfs.block(number)?)?;
        Ok(Self { block, layers, mount: None })
    }

    /// Gathers everything a plan needs. `disk` is the open disk where the subject is a partition; `options` are those that it
    /// is going to be mounted with if it is not mounted. Only reads.
    ///
    /// # Errors
    /// `Os` from the devices; `Corrupt` from the superblock. A table that cannot be read is a fact, not an error.
    pub fn facts(&self, sysfs: Sysfs<'_>, disk: Option<&Device>, options: &str) -> Result<Facts> {
        let node = self.block.node();
        let (content, claim) = {
            let (device, size) = (self.block.open(Access::Read)?, self.block.size);
            let claim = match self.block.slice {
                None => filesystem::find_firmware_raid(&device, size, device.sector_size()?)?,
                Some(_) => None,
            };
            (filesystem::detect_owner(&device, size).map_err(|error| error.to(&*node))?, claim)
        };
        let slice = match (&self.block.slice, disk) {
            (Some(slice), Some(disk)) => Some(slice_facts(sysfs, slice, disk)?),
            _ => None,
        };
        let live_blocks = match (&self.mount, &content) {
            (Some(mount), Some(content)) if self.layers.is_empty() => live_blocks(&mount.point, &node, content)?,
            _ => None,
        };
        let mount = self.mount.as_ref();
        Ok(Facts {
            device: node,
            size: self.block.size,
            slice,
            layers: self.layers.clone(),
            content,
            live_blocks,
            mount_options: mount.map_or(options, |mount| mount.options.as_str()).into(),
            mounted_read_only: mount.is_some_and(Mount::filesystem_is_read_only),
            holder: sysfs.holders_of(&self.block.name).into_iter().next(),
            claim,
        })
    }
}

/// A device of the btrfs that is mounted at `point`: the one that it was mounted by, `source`, where that is still one of
/// them, else the first. The node may be gone, as `/dev/root` is, by which a kernel without an initramfs mounts.
fn btrfs_device(sysfs: Sysfs<'_>, point: &str, source: &str) -> Result<Number> {
    let named = device_node::block_number(source).and_then(|number| sysfs.block(number));
    let devices = btrfs_devices(sysfs, point, source)?;
    match named {
        Ok(block) if devices.is_empty() || devices.contains(&block.name) => Ok(block.number),
        other => match devices.first() {
            Some(first) => Ok(sysfs.named(first)?.number),
            None => other.map(|block| block.number),
        },
    }
}

/// The names of the devices of the btrfs that is mounted at `point`. The list of mounts has one of them at most.
fn btrfs_devices(sysfs: Sysfs<'_>, point: &str, source: &str) -> Result<Vec<String>> {
    let uuid = Mounted::open(point, source)?.btrfs_uuid()?;
    Ok(sysfs.btrfs_devices(&filesystem::uuid_text(uuid).unwrap_or_default()))
}

/// What the device `node` of this size says it holds.
///
/// # Errors
/// `Os` from the device; `Corrupt` when a superblock contradicts itself.
pub fn superblock(node: &str, size: ByteCount) -> Result<Option<Superblock>> {
    let device = Device::open(node, Access::Read)?;
    filesystem::detect(&device, size).map_err(|error| error.to(node))
}

fn slice_facts(sysfs: Sysfs<'_>, slice: &block::PartitionInfo, disk: &Device) -> Result<PartitionInfo> {
    let sector = disk.sector_size()?;
    let geometry = Geometry { sector, sectors: sector.sectors_in(disk.size()?) };
    Ok(PartitionInfo {
        disk: disk.path().into(),
        number: slice.number,
        start: slice.start,
        geometry,
        read_only: disk.is_read_only()?,
        table: table::read(disk as &dyn ReadAt, geometry),
        holder: sysfs.holders_of(&slice.disk).into_iter().next(),
    })
}

/// The size that the kernel's own filesystem tells. XFS and btrfs keep their superblocks to themselves while mounted;
/// ext's is in the page cache of the device and always up to date.
fn live_blocks(point: &str, device: &str, content: &Superblock) -> Result<Option<u64>> {
    match (content.kind, content.details) {
        (Kind::Xfs, _) => Ok(Some(Mounted::open(point, device)?.xfs_size()?.blocks)),
        (Kind::Btrfs, Details::Btrfs(btrfs)) => {
            let bytes = Mounted::open(point, device)?.btrfs_device_size(btrfs.devid)?;
            let block = content.extent.map_or(4096, |extent| extent.block_size.max(512));
            Ok(bytes.0.checked_div(u64::from(block)))
        }
        _ => Ok(None),
    }
}
