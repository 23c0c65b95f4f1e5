//! Members of a ZFS pool ("ZFS On-Disk Specification", chapter 1).
//!
//! Four labels of 256 KiB, two at either end of the device. Each holds, 16 KiB in, the description of the pool as a
//! name-value list in XDR: big-endian, everything padded to four bytes. Its first and its last label are looked at.

use alloc::string::ToString;

use super::registry::Found;
use super::{Kind, Superblock, uuid_label};
use crate::bytes::ByteReader;
use crate::error::Result;

const DOING: &str = "read the ZFS label of";
/// The head of the list as labels have it: XDR, byte order of the writer (which XDR does not depend on), two unused
/// bytes, version 0, flag "names are unique".
pub(super) const MAGICS: &[&[u8]] = &[b"\x01\x01\0\0\0\0\0\0\0\0\0\x01", b"\x01\0\0\0\0\0\0\0\0\0\0\x01"];
const HEAD_LENGTH: usize = 12;
const LABEL_LENGTH: u64 = 256 << 10;
/// Behind the blank space and the boot block.
const DESCRIPTION: u64 = 16 << 10;
/// `DATA_TYPE_UINT64` and `DATA_TYPE_STRING`.
const TYPE_UINT64: u32 = 8;
const TYPE_STRING: u32 = 9;
/// The pool's name and number are the second and fifth pair; a label has about twenty.
const MOST_PAIRS: usize = 32;

/// Where the description in the last label lies on a member of `size` bytes.
pub(super) const fn last_description(size: u64) -> Option<u64> {
    match (size & !(LABEL_LENGTH - 1)).checked_sub(LABEL_LENGTH) {
        Some(label) => Some(label.saturating_add(DESCRIPTION)),
        None => None,
    }
}

/// The two labels at the end.
pub(super) const BOTH_LABELS: u64 = 2 * LABEL_LENGTH;

/// Where the two labels at the end of a member of `size` bytes begin.
pub(super) const fn last_labels(size: u64) -> Option<u64> {
    (size & !(LABEL_LENGTH - 1)).checked_sub(BOTH_LABELS)
}

/// Whether either of two labels has a description or an uberblock, by which `blkid` knows a member.
pub(super) fn is_label(labels: &[u8]) -> bool {
    /// `UBERBLOCK_MAGIC` in the byte order of the writer.
    const UBERBLOCKS: [[u8; 8]; 2] = [0x00ba_b10c_u64.to_le_bytes(), 0x00ba_b10c_u64.to_be_bytes()];
    let label = |label: &[u8]| {
        let description = label.get(16 << 10..).unwrap_or_default();
        let blocks = label.get(128 << 10..).unwrap_or_default().chunks(1024);
        MAGICS.iter().any(|magic| description.starts_with(magic))
            || blocks.into_iter().any(|block| UBERBLOCKS.iter().any(|magic| block.starts_with(magic)))
    };
    labels.chunks(256 << 10).any(label)
}

/// Reads the description, from its first byte. Spares and log devices have no pool to name.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let mut superblock = Superblock::bare(Kind::Zfs);
    let mut at = HEAD_LENGTH;
    for index in 0..MOST_PAIRS {
        let encoded_size = usize::try_from(fields.u32_be(at)?).unwrap_or(usize::MAX);
        let Some(next) = at.checked_add(encoded_size).filter(|_| encoded_size != 0) else { break };
        // Name-value lists are no rare thing; the one of a label starts with the pool's version.
        let name = string(fields, at.saturating_add(8))?;
        if index == 0 && name != b"version" {
            return Ok(None);
        }
        let kind_at = at.saturating_add(12).saturating_add(padded(name.len()));
        let value_at = kind_at.saturating_add(8);
        match (name, fields.u32_be(kind_at)?) {
            (b"name", TYPE_STRING) => superblock.label = uuid_label::text(string(fields, value_at)?),
            (b"pool_guid", TYPE_UINT64) => superblock.uuid = Some(fields.u64_be(value_at)?.to_string()),
            _ => {}
        }
        if superblock.label.is_some() && superblock.uuid.is_some() {
            break;
        }
        at = next;
    }
    Ok(Some(superblock))
}

/// A length and that many bytes.
fn string(fields: ByteReader<'_>, at: usize) -> Result<&[u8]> {
    let length = usize::try_from(fields.u32_be(at)?).unwrap_or(usize::MAX);
    fields.slice(at.saturating_add(4), length)
}

/// What XDR makes of a length.
const fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}
