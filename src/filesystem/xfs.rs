//! XFS ("XFS Algorithms & Data Structures", 3rd edition, "Superblocks").
//!
//! Big-endian, in the first sector of the device; the copy of allocation group 0 is the one in force.

use super::registry::Found;
use super::{Details, Extent, Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

const DOING: &str = "read the XFS superblock of";

/// Facts of an XFS filesystem that decide how well it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xfs {
    /// Blocks in an allocation group. Fixed at mkfs: an image that was made small keeps small groups.
    pub group_blocks: u32,
    /// Allocation groups; from about a thousand on a filesystem gets slow.
    pub groups: u32,
    /// `xfs_repair` or `xfs_admin` stopped half way; the kernel refuses to mount.
    pub needs_repair: bool,
}

/// `XFS_MIN_AG_BLOCKS`: a last group with fewer blocks is left out when growing.
const MIN_GROUP_BLOCKS: u64 = 64;
/// `XFS_MIN_BLOCKSIZE_LOG` and `XFS_MAX_BLOCKSIZE_LOG`: 512 bytes to 64 KiB.
const BLOCK_LOGS: core::ops::RangeInclusive<u8> = 9..=16;
/// `XFS_SB_VERSION_5` in the low four bits of `sb_versionnum`; only version 5 has `sb_features_incompat`.
const VERSION_5: u16 = 5;
/// `XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR`.
const INCOMPAT_NEEDSREPAIR: u32 = 0x10;

impl Xfs {
    /// What keeps the kernel from growing it.
    pub(super) const fn obstacle(self) -> Option<&'static str> {
        if self.needs_repair { Some("it is marked as needing xfs_repair") } else { None }
    }

    /// `blocks`, less a last allocation group too small for the kernel to keep (`xfs_growfs_data_private`).
    pub(super) fn trim(self, blocks: u64) -> u64 {
        let rest = blocks.checked_rem(u64::from(self.group_blocks)).unwrap_or(0);
        if rest < MIN_GROUP_BLOCKS { blocks.saturating_sub(rest) } else { blocks }
    }
}

/// Reads the superblock, from its first byte.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let sb_blocksize = fields.u32_be(4)?;
    let sb_dblocks = fields.u64_be(8)?;
    let sb_agblocks = fields.u32_be(84)?;
    let sb_agcount = fields.u32_be(88)?;
    let sb_versionnum = fields.u16_be(100)?;
    let sb_blocklog = fields.u8(120)?;
    let sb_inprogress = fields.u8(126)?;
    let sb_features_incompat = fields.u32_be(216)?;

    if !BLOCK_LOGS.contains(&sb_blocklog) || 1u32.checked_shl(u32::from(sb_blocklog)) != Some(sb_blocksize) {
        return Err(Error::corrupt(DOING, "the block size and its logarithm disagree"));
    }
    if sb_inprogress != 0 {
        return Err(Error::corrupt(DOING, "mkfs.xfs did not finish"));
    }
    let group_blocks = u64::from(sb_agblocks);
    let most = group_blocks.saturating_mul(u64::from(sb_agcount));
    let least = most.saturating_sub(group_blocks).saturating_add(MIN_GROUP_BLOCKS);
    if group_blocks < MIN_GROUP_BLOCKS || sb_agcount == 0 || !(least..=most).contains(&sb_dblocks) {
        return Err(Error::corrupt(DOING, "its allocation groups do not add up to its size"));
    }
    let extent = Extent {
        block_size: sb_blocksize,
        blocks: sb_dblocks,
        granule: MIN_GROUP_BLOCKS,
        max_blocks: group_blocks.saturating_mul(u64::from(u32::MAX)),
    };
    let details = Xfs {
        group_blocks: sb_agblocks,
        groups: sb_agcount,
        needs_repair: sb_versionnum & 0xf == VERSION_5 && sb_features_incompat & INCOMPAT_NEEDSREPAIR != 0,
    };
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(fields.array(32)?),
        label: uuid_label::text(fields.slice(108, 12)?),
        extent: Some(extent),
        details: Details::Xfs(details),
        ..Superblock::bare(Kind::Xfs)
    }))
}
