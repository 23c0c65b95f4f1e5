//! Signatures at the end of a device: DRBD and nilfs2, and all that a partition would end with if it were larger.
//!
//! A partition that grows ends somewhere else, and what an earlier use of the disk left there becomes its last bytes. md
//! 0.90 and 1.0, DRBD, ZFS and nilfs2 are detected by their last bytes alone.

use alloc::vec;
use alloc::vec::Vec;

use super::registry::{self, Found};
use super::{Kind, Superblock, raid, uuid_label, zfs};
use crate::bytes::{ByteReader, ReadAt};
use crate::error::Result;
use crate::units::ByteCount;

/// `DRBD_MD_MAGIC_08`, `_84_UNCLEAN` and `_09`, big-endian (drbd-utils, `drbdmeta.c`).
pub(super) const DRBD_MAGICS: &[&[u8]] = &[b"\x83\x74\x02\x6b", b"\x83\x74\x02\x6c", b"\x83\x74\x02\x6d"];
/// Where the magic lies in DRBD's superblock.
pub(super) const DRBD_MAGIC_AT: usize = 60;
/// `NILFS_SUPER_MAGIC`, little-endian.
pub(super) const NILFS_MAGIC: [u8; 2] = 0x3434_u16.to_le_bytes();
/// Where it lies in the superblock.
pub(super) const NILFS_MAGIC_AT: usize = 6;
/// Both lie in the last 4 KiB.
const LAST_PAGE: u64 = 4096;

/// Where the last 4 KiB of a device of `size` bytes begin.
pub(super) const fn last_page(size: u64) -> Option<u64> {
    (size & !511).checked_sub(LAST_PAGE)
}

/// Reads the metadata of DRBD, from its first byte. It has no name that `blkid` would find it by.
pub(super) fn parse_drbd(_: &Found<'_>) -> Result<Option<Superblock>> {
    Ok(Some(Superblock::bare(Kind::Drbd)))
}

/// Reads a superblock of nilfs2 (kernel header `nilfs2_ondisk.h`), from its first byte; `None` where its checksum, the one
/// proof beside a magic of two bytes, is wrong.
pub(super) fn parse_nilfs(found: &Found<'_>) -> Result<Option<Superblock>> {
    const SUM: usize = 16;
    let fields = ByteReader::new(found.bytes, "read the nilfs2 superblock of");
    let bytes = usize::from(fields.u16_le(8)?);
    let (seed, sum) = (fields.u32_le(12)?, fields.u32_le(SUM)?);
    let (Some(after), true) = (bytes.checked_sub(SUM + 4), bytes <= 1024) else { return Ok(None) };
    // The kernel's crc32_le neither begins nor ends with an inversion.
    let mut hasher = crc32fast::Hasher::new_with_initial(!seed);
    hasher.update(fields.slice(0, SUM)?);
    hasher.update(&[0; 4]);
    hasher.update(fields.slice(SUM + 4, after)?);
    if !hasher.finalize() != sum {
        return Ok(None);
    }
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(fields.array(152)?),
        label: uuid_label::text(fields.slice(168, 80)?),
        ..Superblock::bare(Kind::Nilfs2)
    }))
}

/// A signature in the last bytes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it is of.
    pub kind: Kind,
    /// Where it lies on the device.
    pub at: ByteCount,
    /// Bytes that have to become zeros for it to be gone; rounded up to whole sectors by anyone who writes them.
    pub length: u64,
}

/// All signatures in the last bytes of `device`, if it has `size` bytes.
///
/// # Errors
/// Whatever `device` returns when it cannot be read.
pub fn find_signatures(device: &dyn ReadAt, size: ByteCount) -> Result<Vec<Signature>> {
    let mut all = registry::find_at_end(device, size)?;
    if let Some(at) = zfs::last_labels(size.0) {
        let mut labels = vec![0; usize::try_from(zfs::BOTH_LABELS).unwrap_or(0)];
        device.read_at(ByteCount(at), &mut labels)?;
        if zfs::is_label(&labels) {
            all.retain(|signature| signature.kind != Kind::Zfs);
            all.push(Signature { kind: Kind::Zfs, at: ByteCount(at), length: zfs::BOTH_LABELS });
        }
    }
    Ok(all)
}

/// What `device`, of `size` bytes, holds, for anyone who wants to change its size: metadata of DRBD at its end come
/// before the filesystem that lies in it, which they would be lost to.
///
/// # Errors
/// As [`super::detect`].
pub fn detect_owner(device: &dyn ReadAt, size: ByteCount) -> Result<Option<Superblock>> {
    let at_end = registry::find_at_end(device, size).unwrap_or_default();
    if at_end.iter().any(|signature| signature.kind == Kind::Drbd) {
        return Ok(Some(Superblock::bare(Kind::Drbd)));
    }
    registry::detect(device, size)
}

/// Bytes that hold the magic of every format at the end but ZFS.
pub(super) const SIGNATURE_LENGTH: u64 = 512;

const _: () = assert!(DRBD_MAGIC_AT < 512 && raid::MAGIC.len() < 512);
