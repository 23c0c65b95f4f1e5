//! btrfs (kernel header `include/uapi/linux/btrfs_tree.h`, `struct btrfs_super_block` and `btrfs_dev_item`).
//!
//! Little-endian, 4096 bytes at 64 KiB. Each device carries the superblock of the whole with its own device item in
//! it; growing is about that one device.

use super::registry::Found;
use super::{Details, Extent, Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

const DOING: &str = "read the btrfs superblock of";

/// Facts of one device of a btrfs filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Btrfs {
    /// The number of this device in its filesystem, which growing has to name.
    pub devid: u64,
    /// Bytes that the filesystem uses of this device at most.
    pub device_bytes: u64,
    /// Devices in the filesystem.
    pub devices: u64,
    /// It is the unchangeable seed of another filesystem.
    pub seed: bool,
}

/// Where the device item lies in the superblock.
const DEV_ITEM: usize = 0xc9;
/// `BTRFS_SUPER_FLAG_SEEDING`.
const FLAG_SEEDING: u64 = 1 << 32;
/// `BTRFS_FEATURE_INCOMPAT_METADATA_UUID`: the device items carry `metadata_uuid`, not `fsid`.
const INCOMPAT_METADATA_UUID: u64 = 1 << 10;
/// Sectors have 4 KiB to 64 KiB, a page of some architecture; recent kernels can also do 2 KiB.
const SECTOR_SIZES: core::ops::RangeInclusive<u32> = 2048..=65536;

impl Btrfs {
    /// What keeps the kernel from growing it.
    pub(super) const fn obstacle(self) -> Option<&'static str> {
        if self.seed { Some("it is a seed device, which never changes") } else { None }
    }
}

/// Reads the superblock, from its first byte.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let fsid: [u8; 16] = fields.array(0x20)?;
    let bytenr = fields.u64_le(0x30)?;
    let flags = fields.u64_le(0x38)?;
    let num_devices = fields.u64_le(0x88)?;
    let sectorsize = fields.u32_le(0x90)?;
    let incompat_flags = fields.u64_le(0xbc)?;
    let devid = fields.u64_le(DEV_ITEM)?;
    let total_bytes = fields.u64_le(DEV_ITEM + 8)?;
    let dev_item_fsid: [u8; 16] = fields.array(DEV_ITEM + 82)?;
    let metadata_uuid: [u8; 16] = fields.array(0x23b)?;

    if bytenr != found.offset {
        return Err(Error::corrupt(DOING, "it belongs to another place on the device"));
    }
    if !sectorsize.is_power_of_two() || !SECTOR_SIZES.contains(&sectorsize) {
        return Err(Error::corrupt(DOING, "the sector size cannot be"));
    }
    let owner = if incompat_flags & INCOMPAT_METADATA_UUID != 0 { metadata_uuid } else { fsid };
    if dev_item_fsid != owner {
        return Err(Error::corrupt(DOING, "its device item belongs to another filesystem"));
    }
    if num_devices == 0 || total_bytes == 0 {
        return Err(Error::corrupt(DOING, "it has no devices or this device has no bytes"));
    }
    let extent = Extent {
        block_size: sectorsize,
        blocks: total_bytes.checked_div(u64::from(sectorsize)).unwrap_or(0),
        granule: 1,
        max_blocks: u64::MAX.checked_div(u64::from(sectorsize)).unwrap_or(0),
    };
    let details = Btrfs { devid, device_bytes: total_bytes, devices: num_devices, seed: flags & FLAG_SEEDING != 0 };
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(fsid),
        label: uuid_label::text(fields.slice(0x12b, 256)?),
        extent: Some(extent),
        details: Details::Btrfs(details),
        ..Superblock::bare(Kind::Btrfs)
    }))
}
