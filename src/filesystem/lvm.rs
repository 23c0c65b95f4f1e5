//! LVM2 physical volumes (LVM2 source, `lib/label/label.h` and `lib/format_text/layout.h`). Little-endian, in one of
//! the first four sectors of 512 bytes.

use alloc::string::String;

use super::registry::Found;
use super::{Kind, Superblock};
use crate::bytes::ByteReader;
use crate::error::{Error, Result};

const DOING: &str = "read the LVM label of";
const SECTOR: usize = 512;
/// `INITIAL_CRC` of LVM2; the polynomial is the usual one, without the usual inversions.
const INITIAL_CRC: u32 = 0xf597_a6cf;
/// Where LVM2 puts dashes into the 32 characters of a volume's name.
const DASHES_BEFORE: [usize; 6] = [6, 10, 14, 18, 22, 26];

/// Reads the label, from the first byte of its sector.
pub(super) fn parse(found: &Found<'_>) -> Result<Option<Superblock>> {
    let fields = ByteReader::new(found.bytes, DOING);
    let sector_xl = fields.u64_le(8)?;
    let crc_xl = fields.u32_le(16)?;
    let offset_xl = fields.u32_le(20)?;
    if fields.slice(24, 8)? != b"LVM2 001" {
        return Ok(None);
    }
    if sector_xl.checked_mul(512) != Some(found.offset) {
        return Err(Error::corrupt(DOING, "it belongs into another sector"));
    }
    let mut crc = crc32fast::Hasher::new_with_initial(!INITIAL_CRC);
    crc.update(fields.slice(20, SECTOR - 20)?);
    if !crc.finalize() != crc_xl {
        return Err(Error::corrupt(DOING, "checksum does not match"));
    }
    let pv_header = usize::try_from(offset_xl).unwrap_or(usize::MAX);
    if pv_header > SECTOR - 32 {
        return Err(Error::corrupt(DOING, "its volume header lies outside the sector"));
    }
    let pv_uuid = fields.slice(pv_header, 32)?;
    Ok(Some(Superblock { uuid: dashed(pv_uuid), ..Superblock::bare(Kind::LvmPhysicalVolume) }))
}

/// The name as LVM2's tools and `blkid` print it; `None` when it is not made of printable characters.
fn dashed(pv_uuid: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(38);
    for (index, &byte) in pv_uuid.iter().enumerate() {
        if !byte.is_ascii_graphic() {
            return None;
        }
        if DASHES_BEFORE.contains(&index) {
            text.push('-');
        }
        text.push(char::from(byte));
    }
    Some(text)
}
