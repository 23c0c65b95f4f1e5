//! bcache and bcachefs (kernel headers `bcache_ondisk.h` and `bcachefs_format.h`). Little-endian, at 4 KiB.
//!
//! The two share the layout up to the names; early bcachefs also used bcache's magic and is taken for it here.

use super::formats::Found;
use super::{Kind, Superblock, identity};
use crate::bytes::Fields;
use crate::error::Result;

const DOING: &str = "read the bcache superblock of";
/// `BCACHE_MAGIC`.
pub(super) const BCACHE_MAGIC: [u8; 16] =
    [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81];
/// `BCHFS_MAGIC`.
pub(super) const BCACHEFS_MAGIC: [u8; 16] =
    [0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef];

/// Reads the superblock, from its first byte.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = Fields::new(found.bytes, DOING);
    Ok(Some(if found.magic == BCACHEFS_MAGIC {
        Superblock {
            uuid: identity::uuid(fields.array(56)?),
            label: identity::text(fields.slice(72, 32)?),
            ..Superblock::bare(Kind::Bcachefs)
        }
    } else {
        Superblock { uuid: identity::uuid(fields.array(40)?), ..Superblock::bare(Kind::Bcache) }
    }))
}
