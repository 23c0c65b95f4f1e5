//! How much a compressed file says that it unpacks to. Only a statement: anyone who relies on it can be deceived, and
//! what is unpacked is held to it by the decoders alone.

use alloc::vec;

use super::{xz, zstd};
use crate::bytes::ReadAt;
use crate::units::ByteCount;

/// Bytes at the beginning that are looked at for the header of a zstd frame: skippable frames in front of it are short.
pub(super) const ZSTD_START: usize = 256;

/// Bytes of the index of an xz stream that are read. A record of a block has at most 18: blocks of 24 MiB, as `xz -T0`
/// makes them, of more than 1 TiB.
const INDEX_LIMIT: u64 = 1 << 20;

/// Streams of an xz file that are looked at, of which each has its own index: packers for several processors that write
/// one for each part make large parts.
const STREAMS: usize = 64;

/// Bytes of the header and of the footer of an xz stream.
const XZ_EDGE: u64 = 12;

/// What the first frame of zstd says (RFC 8878, 3.1.1.1): `Frame_Content_Size`.
pub(super) fn of_zstd(start: &[u8]) -> Option<u64> {
    let frame = start.get(zstd::behind_skippable(start)..)?.strip_prefix(&zstd::MAGIC)?;
    let (&descriptor, rest) = frame.split_first()?;
    let is_single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let field = rest.get(usize::from(!is_single).saturating_add(*dictionary)..)?;
    match descriptor >> 6 {
        0 if !is_single => None,
        0 => field.first().map(|&size| u64::from(size)),
        1 => field.first_chunk().map(|size| u64::from(u16::from_le_bytes(*size)).saturating_add(256)),
        2 => field.first_chunk().map(|size| u64::from(u32::from_le_bytes(*size))),
        _ => field.first_chunk().map(|size| u64::from_le_bytes(*size)),
    }
}

/// What the indexes of the xz file `source`, of `size` bytes, say, from its end to its beginning (the .xz file format 1.2,
/// sections 2.1.2 and 4). `None` where any of it is damaged or of an unusual size: the decoder says what is wrong.
#[must_use]
pub fn of_xz(source: &dyn ReadAt, size: ByteCount) -> Option<u64> {
    let (mut end, mut total) = (size.0, 0_u64);
    for _ in 0..STREAMS {
        let (start, uncompressed) = last_stream(source, end)?;
        total = total.checked_add(uncompressed)?;
        if start == 0 {
            return Some(total);
        }
        end = start;
    }
    None
}

/// Where the xz stream begins that ends at `end`, and how much it unpacks to.
fn last_stream(source: &dyn ReadAt, end: u64) -> Option<(u64, u64)> {
    let footer_at = end.checked_sub(XZ_EDGE)?;
    let mut footer = [0; XZ_EDGE as usize];
    source.read_at(ByteCount(footer_at), &mut footer).ok()?;
    let [_, _, _, _, b0, b1, b2, b3, _, _, b'Y', b'Z'] = footer else { return None };
    let length = u64::from(u32::from_le_bytes([b0, b1, b2, b3])).checked_add(1)?.checked_mul(4)?;
    if length > INDEX_LIMIT {
        return None;
    }
    let index_at = footer_at.checked_sub(length)?;
    let mut index = vec![0; usize::try_from(length).ok()?];
    source.read_at(ByteCount(index_at), &mut index).ok()?;
    let mut rest = index.strip_prefix(&[0])?;
    let count = integer(&mut rest)?;
    let (mut stored, mut uncompressed) = (0_u64, 0_u64);
    // Each record takes at least two bytes of what was read: a false number ends with the bytes.
    for _ in 0..count {
        stored = stored.checked_add(integer(&mut rest)?.checked_next_multiple_of(4)?)?;
        uncompressed = uncompressed.checked_add(integer(&mut rest)?)?;
    }
    let start = index_at.checked_sub(stored)?.checked_sub(XZ_EDGE)?;
    let mut magic = [0; xz::MAGIC.len()];
    source.read_at(ByteCount(start), &mut magic).ok()?;
    (magic == xz::MAGIC).then_some((start, uncompressed))
}

/// A number of seven bits a byte, the lowest first (section 1.2), at the beginning of `bytes`, which it takes.
fn integer(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn xz(content: &[u8]) -> Vec<u8> {
        xz::encode(content).unwrap()
    }

    fn stated(file: &[u8]) -> Option<u64> {
        of_xz(&file, ByteCount(file.len() as u64))
    }

    #[test]
    fn an_xz_file_says_how_much_it_unpacks_to() {
        let one = xz(&[7; 300_000]);
        assert_eq!(stated(&one), Some(300_000));
        assert_eq!(stated(&[one.clone(), xz(b"more")].concat()), Some(300_004), "two streams");
        assert_eq!(stated(&one[..one.len() - 4]), None, "cut off");
        assert_eq!(stated(&[one.as_slice(), &[0; 4]].concat()), None, "stream padding is not looked behind");
        for at in 0..one.len() {
            let mut damaged = one.clone();
            damaged[at] ^= 0xff;
            let _ = stated(&damaged);
        }
        assert_eq!(stated(b"YZ"), None);
    }

    #[test]
    fn a_zstd_frame_says_how_much_it_unpacks_to() {
        for length in [0, 255, 256, 65_791, 65_792, 300_000] {
            let packed = zstd::encode(&vec![7; length]).unwrap();
            assert_eq!(of_zstd(&packed[..packed.len().min(ZSTD_START)]), Some(length as u64), "{length}");
        }
        let mut skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec();
        skippable.extend(zstd::encode(b"content").unwrap());
        assert_eq!(of_zstd(&skippable), Some(7));
        for (start, stated) in [
            (b"\x28\xb5\x2f\xfd\x00\x58".as_slice(), None),
            (b"\x28\xb5\x2f\xfd\x20\x09", Some(9)),
            (b"\x28\xb5\x2f\xfd\xe3\x01\x02\x03\x04\0\0\0\0\x01\0\0\0", Some(1 << 32)),
            (b"\x28\xb5\x2f\xfd\x80\x58\x01", None),
            (b"\x28\xb5", None),
        ] {
            assert_eq!(of_zstd(start), stated, "{start:x?}");
        }
    }
}
