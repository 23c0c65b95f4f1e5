//! Swap space, and what hibernation puts there (kernel: `union swap_header`, `kernel/power/swap.c`; `blkid`'s list).
//!
//! The magic is in the last ten bytes of the first page, so its place tells the page size of the machine that wrote
//! it; the header is at 1024 everywhere. Hibernation overwrites the magic and keeps the header.

use super::formats::Found;
use super::{Kind, Superblock, identity};
use crate::bytes::Fields;
use crate::error::{Error, Result};

const DOING: &str = "read the swap header of";
/// The magic of the only version that kernels since 2.6 accept.
const VERSION_1: &[u8] = b"SWAPSPACE2";
/// Version 1, version 0, then the marks of those who suspend to disk: the kernel, its user-space tool, TuxOnIce.
pub(super) const MAGICS: &[&[u8]] = &[
    VERSION_1,
    b"SWAP-SPACE",
    b"S1SUSPEND",
    b"S2SUSPEND",
    b"ULSUSPEND",
    b"LINHIB0001",
    b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c",
];

/// Reads the header, from offset 1024 of the device.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = Fields::new(found.bytes, DOING);
    let (kind, named) = match found.magic {
        VERSION_1 => (Kind::Swap, true),
        b"SWAP-SPACE" => (Kind::Swap, false),
        _ => (Kind::Hibernation, true),
    };
    if !named {
        return Ok(Some(Superblock::bare(kind)));
    }
    // Written in the byte order of the machine, either will do.
    let (version, last_page) = (fields.u32_le(0)?, fields.u32_le(4)?);
    if kind == Kind::Swap && (version != 1 && version.swap_bytes() != 1 || last_page == 0) {
        return Err(Error::corrupt(DOING, "its version is not 1 or it has no pages"));
    }
    Ok(Some(Superblock {
        uuid: identity::uuid(fields.array(12)?),
        label: identity::text(fields.slice(28, 16)?),
        ..Superblock::bare(kind)
    }))
}
