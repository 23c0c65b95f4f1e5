//! f2fs (kernel header `include/linux/f2fs_fs.h`, `struct f2fs_super_block`). Little-endian, at offset 1024.

use super::registry::Found;
use super::{Extent, Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

const DOING: &str = "read the f2fs superblock of";
/// A block is one page of some architecture: 4 KiB to 64 KiB.
const BLOCK_LOGS: core::ops::RangeInclusive<u32> = 12..=16;

/// Reads the superblock, from its first byte.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let log_blocksize = fields.u32_le(0x10)?;
    let block_count = fields.u64_le(0x24)?;
    if !BLOCK_LOGS.contains(&log_blocksize) {
        return Err(Error::corrupt(DOING, "the block size cannot be"));
    }
    let block_size = 1u32.checked_shl(log_blocksize).unwrap_or(0);
    if block_count == 0 {
        return Err(Error::corrupt(DOING, "it has no blocks"));
    }
    // Grown only by its own tool, so the limits say: not at all.
    let extent = Extent { block_size, blocks: block_count, granule: 1, max_blocks: block_count };
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(fields.array(0x6c)?),
        label: uuid_label::text_utf16(fields.slice(0x7c, 1024)?),
        extent: Some(extent),
        ..Superblock::bare(Kind::F2fs)
    }))
}
