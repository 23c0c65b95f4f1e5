//! Members of Linux software RAID (kernel header `include/uapi/linux/raid/md_p.h`).
//!
//! Version 1 metadata is little-endian and lies near the end (1.0), at the start (1.1) or 4 KiB in (1.2) of the member
//! and says where it lies; version 0.90 lies in the last 64 KiB to 128 KiB, in the byte order of the machine (all that
//! wisp runs on are little-endian). Metadata that names another place, or that the member has no room for, was left by
//! something that is gone: not a member.

use super::registry::Found;
use super::{Details, Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::Result;

const DOING: &str = "read the RAID metadata of";
/// `MD_SB_MAGIC`, little-endian.
pub(super) const MAGIC: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();
/// `MD_RESERVED_BYTES`: version 0.90 keeps the last aligned 64 KiB for itself.
const RESERVED_BYTES: u64 = 64 << 10;

/// Which metadata a member carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// 0.90, at the end.
    V0_90,
    /// 1.0, at the end.
    V1_0,
    /// 1.1, at the start.
    V1_1,
    /// 1.2, 4 KiB from the start.
    V1_2,
}

/// Where metadata 1.0 lies on a member of `size` bytes: at least 8 KiB before the end, on a multiple of 4 KiB.
pub(super) const fn offset_1_0(size: u64) -> Option<u64> {
    match (size & !511).checked_sub(8 << 10) {
        Some(offset) => Some(offset & !4095),
        None => None,
    }
}

/// Where metadata 0.90 lies on a member of `size` bytes.
pub(super) const fn offset_0_90(size: u64) -> Option<u64> {
    (size & !(RESERVED_BYTES - 1)).checked_sub(RESERVED_BYTES)
}

/// Reads metadata of version 1, from its first byte.
pub(super) fn parse_1(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let major_version = fields.u32_le(4)?;
    let super_offset = fields.u64_le(144)?;
    if major_version != 1 || super_offset.checked_mul(512) != Some(found.offset) {
        return Ok(None);
    }
    let metadata = match found.offset {
        0 => Metadata::V1_1,
        4096 => Metadata::V1_2,
        _ => Metadata::V1_0,
    };
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(fields.array(16)?),
        label: uuid_label::text(fields.slice(32, 32)?),
        details: Details::Raid(metadata),
        ..Superblock::bare(Kind::LinuxRaid)
    }))
}

/// Reads metadata of version 0.90, from its first byte.
pub(super) fn parse_0(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let major_version = fields.u32_le(4)?;
    let minor_version = fields.u32_le(8)?;
    let size_kib = u64::from(fields.u32_le(32)?);
    if major_version != 0 || minor_version < 90 || size_kib.saturating_mul(1024) > found.offset {
        return Ok(None);
    }
    // The array's name is in four words that are not neighbours, printed as numbers.
    let mut set_uuid = [0; 16];
    for (word, at) in set_uuid.chunks_exact_mut(4).zip([20, 52, 56, 60]) {
        word.copy_from_slice(&fields.u32_le(at)?.to_be_bytes());
    }
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(set_uuid),
        details: Details::Raid(Metadata::V0_90),
        ..Superblock::bare(Kind::LinuxRaid)
    }))
}
