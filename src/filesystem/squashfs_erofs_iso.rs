//! Filesystems that are written once: ISO 9660 (ECMA-119, 8.4), UDF (ECMA-167, part 2), squashfs 4.0, EROFS (kernel
//! documentation of both).

use alloc::string::String;

use super::registry::Found;
use super::{Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

/// `EROFS_MIN_BLKSZBITS` is a sector, and no page has more than 64 KiB.
const EROFS_BLOCK_LOGS: core::ops::RangeInclusive<u8> = 9..=16;
/// `SQUASHFS_FILE_MAX_LOG` is 20; mksquashfs starts at 4 KiB.
const SQUASHFS_BLOCK_LOGS: core::ops::RangeInclusive<u16> = 12..=20;

/// The descriptor that tells UDF stands in the list of volume descriptors, which begins at 32 KiB: the second one when
/// it is alone, behind those of ISO 9660 on a disc that has both. Each takes 2048 bytes, or a sector of 4096.
pub(super) const UDF_PLACES: &[(usize, usize)] = &[
    (32768, 32769 + 2048),
    (32768, 32769 + 2 * 2048),
    (32768, 32769 + 3 * 2048),
    (32768, 32769 + 4 * 2048),
    (32768, 32769 + 5 * 2048),
    (32768, 32769 + 6 * 2048),
    (32768, 32769 + 7 * 2048),
];
/// For the second and third edition of ECMA-167: UDF to 1.50, and from 2.00.
pub(super) const UDF_MAGICS: &[&[u8]] = &[b"NSR02", b"NSR03"];

/// It is UDF; its names stand behind an anchor that lies elsewhere, and are not looked for.
pub(super) fn parse_udf(_: &Found<'_>) -> Result<Option<Superblock>> {
    Ok(Some(Superblock::bare(Kind::Udf)))
}

/// Reads the primary volume descriptor, from the first byte of sector 16. A Joliet name is not looked for.
pub(super) fn parse_iso9660(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, "read the ISO 9660 descriptor of");
    let modified = date(fields.slice(830, 16)?);
    let created = date(fields.slice(813, 16)?);
    Ok(Some(Superblock {
        uuid: modified.or(created),
        label: uuid_label::text(fields.slice(40, 32)?),
        ..Superblock::bare(Kind::Iso9660)
    }))
}

/// The date as `blkid` makes a UUID of it, `2024-01-31-12-00-00-00`; `None` when it is not set.
fn date(digits: &[u8]) -> Option<String> {
    if !digits.iter().all(u8::is_ascii_digit) || digits.iter().all(|&digit| digit == b'0') {
        return None;
    }
    let mut text = String::with_capacity(22);
    for (index, &digit) in digits.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10 | 12 | 14) {
            text.push('-');
        }
        text.push(char::from(digit));
    }
    Some(text)
}

/// Reads the superblock, from its first byte. It has neither UUID nor label.
pub(super) fn parse_squashfs(found: &Found<'_>) -> Result<Option<Superblock>> {
    const DOING: &str = "read the squashfs superblock of";
    let fields = ByteReader::new(found.bytes, DOING);
    let block_size = fields.u32_le(12)?;
    let block_log = fields.u16_le(22)?;
    if !SQUASHFS_BLOCK_LOGS.contains(&block_log) || 1u32.checked_shl(u32::from(block_log)) != Some(block_size) {
        return Err(Error::corrupt(DOING, "the block size and its logarithm disagree"));
    }
    Ok(Some(Superblock::bare(Kind::Squashfs)))
}

/// Reads the superblock, from its first byte.
pub(super) fn parse_erofs(found: &Found<'_>) -> Result<Option<Superblock>> {
    const DOING: &str = "read the EROFS superblock of";
    let fields = ByteReader::new(found.bytes, DOING);
    if !EROFS_BLOCK_LOGS.contains(&fields.u8(12)?) {
        return Err(Error::corrupt(DOING, "the block size cannot be"));
    }
    Ok(Some(Superblock {
        uuid: uuid_label::uuid(fields.array(48)?),
        label: uuid_label::text(fields.slice(64, 16)?),
        ..Superblock::bare(Kind::Erofs)
    }))
}
