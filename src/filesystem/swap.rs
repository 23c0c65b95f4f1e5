//! Swap space, and what hibernation puts there (kernel: `union swap_header`, `kernel/power/swap.c`; `blkid`'s list).
//!
//! The magic is in the last ten bytes of the first page, so its place tells the page size of the machine that wrote
//! it; the header is at 1024 everywhere. Hibernation overwrites the magic and keeps the header.

use super::registry::Found;
use super::{Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

const DOING: &str = "read the swap header of";
/// The magic of the only version that kernels since 2.6 accept.
const VERSION_1: &[u8] = b"SWAPSPACE2";
/// The magic of its predecessor, which has no names.
const VERSION_0: &[u8] = b"SWAP-SPACE";
/// Swap space, then the marks of those who suspend to disk: the kernel, its predecessors and `uswsusp`.
pub(super) const MAGICS: &[&[u8]] = &[VERSION_1, VERSION_0, b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"];
/// TuxOnIce keeps the swap magic and marks the very first bytes.
pub(super) const TUXONICE: &[u8] = b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c";
/// A part of the padding that is zero unless the header was left by an old mkswap, which wrote no names either.
const PADDING: usize = 172;

/// Reads the header, from offset 1024 of the device.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let kind = if matches!(found.magic, VERSION_0 | VERSION_1) { Kind::Swap } else { Kind::Hibernation };
    let mut superblock = Superblock::bare(kind);
    if found.magic == VERSION_1 {
        // In the byte order of the machine that made it: either will do.
        let (version, last_page) = (fields.u32_le(0)?, fields.u32_le(4)?);
        if version != 1 && version.swap_bytes() != 1 {
            return Err(Error::corrupt(DOING, "its version is not 1"));
        }
        if last_page == 0 {
            return Err(Error::corrupt(DOING, "it has no pages"));
        }
    }
    if found.magic != VERSION_0 && fields.u64_le(PADDING)? == 0 {
        superblock.uuid = uuid_label::uuid(fields.array(12)?);
        superblock.label = uuid_label::text(fields.slice(28, 16)?);
    }
    Ok(Some(superblock))
}
