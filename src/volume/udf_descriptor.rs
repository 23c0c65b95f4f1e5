//! What all structures of UDF are made of (ECMA-167, parts 1, 3 and 4; OSTA UDF 2.60, sections 2.1 and 2.2): the tag
//! with its checksums, and text.

use alloc::string::String;

use super::{corrupt, text};
use crate::bytes::ByteReader;
use crate::error::Result;

pub(super) const DOING: &str = "read the UDF volume on";
/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// Checks the tag of the descriptor that `bytes` begin with: its own checksum, and the CRC of what follows. Returns
/// what it is (`TagIdentifier`) and where it says that it lies (`TagLocation`).
pub(super) fn check(bytes: &[u8]) -> Result<(u16, u32)> {
    let fields = ByteReader::new(bytes, DOING);
    let tag = fields.array::<TAG>(0)?;
    let tag_identifier = fields.u16_le(0)?;
    let tag_checksum = fields.u8(4)?;
    let descriptor_crc = fields.u16_le(8)?;
    let descriptor_crc_length = usize::from(fields.u16_le(10)?);
    let tag_location = fields.u32_le(12)?;
    let sum = tag.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)).wrapping_sub(tag_checksum);
    if sum != tag_checksum || crc(fields.slice(TAG, descriptor_crc_length)?) != descriptor_crc {
        return Err(corrupt(DOING, "the checksum of a descriptor does not match"));
    }
    Ok((tag_identifier, tag_location))
}

/// CRC-ITU-T, 7.2.6.
pub(super) fn crc(bytes: &[u8]) -> u16 {
    const POLYNOMIAL: u16 = 0x1021;
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(
            crc ^ (u16::from(byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL }
            },
        )
    })
}

/// OSTA compressed Unicode, 2.1.1: the first byte says how many bits a letter has.
pub(super) fn text(bytes: &[u8]) -> String {
    match bytes.split_first() {
        Some((8, letters)) => text::latin1(letters),
        Some((16, letters)) => text::utf16_be(letters),
        _ => String::new(),
    }
}

/// The same in a field of a fixed width, 2.1.3: the last byte says how much of it is used.
pub(super) fn dstring(bytes: &[u8]) -> String {
    let used = bytes.split_last().and_then(|(&length, field)| field.get(..usize::from(length)));
    text(used.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_one_of_the_specification() {
        // ECMA-167, 7.2.6, gives this sample.
        assert_eq!(crc(&[0x70, 0x6a, 0x77]), 0x3299);
    }

    #[test]
    fn text_has_letters_of_one_or_two_bytes() {
        assert_eq!(text(b"\x08caf\xe9"), "caf\u{e9}");
        assert_eq!(text(b"\x10\x20\xac\0x"), "\u{20ac}x");
        for nothing in [&b""[..], b"\x08", b"\x09abc"] {
            assert_eq!(text(nothing), "");
        }
        assert_eq!(dstring(b"\x08config-2\0\0\x09"), "config-2");
        assert_eq!(dstring(b"\x08config-2\xff"), "", "longer than its field");
    }
}
