//! bcache and bcachefs (kernel headers `bcache_ondisk.h` and `bcachefs_format.h`). Little-endian, at 4 KiB.
//!
//! The two share the place and, in early bcachefs, the magic; they are distinguished by where each says that it lies.
//! Both clear the first 4 KiB of a device when they are made.

use super::registry::Found;
use super::{Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::Result;

const DOING: &str = "read the bcache superblock of";
/// `BCACHE_MAGIC`.
pub(super) const BCACHE_MAGIC: [u8; 16] =
    [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81];
/// `BCHFS_MAGIC`.
pub(super) const BCACHEFS_MAGIC: [u8; 16] =
    [0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef];

/// Where both lie, in sectors of 512 bytes, as they themselves say.
const OWN_SECTOR: u64 = 8;

/// Reads the superblock, from its first byte; `None` for a copy from another place.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    if found.magic == BCACHE_MAGIC && fields.u64_le(8)? == OWN_SECTOR {
        return Ok(Some(Superblock { uuid: uuid_label::uuid(fields.array(40)?), ..Superblock::bare(Kind::Bcache) }));
    }
    if fields.u64_le(104)? != OWN_SECTOR {
        return Ok(None);
    }
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(fields.array(56)?),
        label: uuid_label::text(fields.slice(72, 32)?),
        ..Superblock::bare(Kind::Bcachefs)
    }))
}
