//! The 512 bytes that make a raw image a fixed VHD: all there is to writing one.

use super::vhd::{FIXED, FOOTER, FOOTER_CHECKSUM, VERSION, checksum};
use crate::bytes::put;
use crate::error::{Error, Result};
use crate::units::{ByteCount, MIB};

const DOING: &str = "make a VHD footer";

/// 2000-01-01 00:00 UTC, when the format's time begins, in that of Unix.
const EPOCH: u64 = 946_684_800;

/// The footer of a fixed VHD of `size` bytes, as `qemu-img convert -O vpc -o subformat=fixed,force_size` makes it, which
/// Azure is known to take: the size is what it says, and the geometry the largest one, which readers know to ignore.
///
/// The disk's unique id is made of `digest`, which should be one of its content; `time` is in seconds since 1970. So the
/// same input gives the same bytes.
///
/// # Errors
/// `Refused` when `size` is not a whole number of MiB, or is 0: Azure refuses every other.
pub fn fixed_vhd_footer(size: ByteCount, digest: [u8; 16], time: u64) -> Result<[u8; FOOTER]> {
    if size.0 == 0 || !size.0.is_multiple_of(MIB) {
        return Err(Error::refused(DOING, alloc::format!("{} bytes are no whole number of MiB", size.0)));
    }
    let timestamp = u32::try_from(time.saturating_sub(EPOCH)).unwrap_or(u32::MAX);
    let mut unique_id = digest;
    // RFC 9562: version 8, an id made in a way of its own.
    for (at, keep, set) in [(6, 0x0f, 0x80), (8, 0x3f, 0x80)] {
        if let Some(byte) = unique_id.get_mut(at) {
            *byte = *byte & keep | set;
        }
    }
    let mut footer = [0; FOOTER];
    let fields: [(usize, &[u8]); 13] = [
        (0, b"conectix"),
        // Reserved, and always set.
        (8, &2_u32.to_be_bytes()),
        (12, &VERSION.to_be_bytes()),
        // There is no further header.
        (16, &u64::MAX.to_be_bytes()),
        (24, &timestamp.to_be_bytes()),
        // `qem2` tells readers, QEMU among them, to take the size and not the geometry.
        (28, b"qem2"),
        (32, &0x0005_0003_u32.to_be_bytes()),
        (36, b"Wi2k"),
        (40, &size.0.to_be_bytes()),
        (48, &size.0.to_be_bytes()),
        // Cylinders, heads, sectors.
        (56, &[0xff, 0xff, 16, 255]),
        (60, &FIXED.to_be_bytes()),
        (68, &unique_id),
    ];
    for (at, value) in fields {
        put(&mut footer, at, value, DOING)?;
    }
    let sum = checksum(&footer, FOOTER_CHECKSUM);
    put(&mut footer, FOOTER_CHECKSUM, &sum.to_be_bytes(), DOING)?;
    Ok(footer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Format, Map, Place, Run};
    use crate::error::Kind;
    use alloc::vec;

    #[test]
    fn every_size_is_taken_that_azure_takes_and_no_other() {
        for mebibyte in 1..=2049 {
            let size = mebibyte * MIB;
            let footer = fixed_vhd_footer(ByteCount(size), [0xff; 16], EPOCH + 1).unwrap();
            // The rules one by one, with other means than those that made it.
            assert_eq!(footer[40..48], size.to_be_bytes());
            assert_eq!(footer[48..56], size.to_be_bytes());
            assert_eq!(footer[24..28], [0, 0, 0, 1]);
            assert_eq!(footer[56..60], [255, 255, 16, 255]);
            let sum: u32 = footer.iter().map(|&byte| u32::from(byte)).sum();
            let own: u32 = footer[64..68].iter().map(|&byte| u32::from(byte)).sum();
            assert_eq!(footer[64..68], (!(sum - own)).to_be_bytes());
            for other in [size - 512, size + 512] {
                let error = fixed_vhd_footer(ByteCount(other), [0; 16], 0).unwrap_err();
                assert_eq!(error.kind, Kind::Refused);
            }
        }
        assert!(fixed_vhd_footer(ByteCount(0), [0; 16], 0).is_err());
    }

    #[test]
    fn the_id_is_one_and_the_time_stays_in_its_range() {
        let footer = |digest, time| fixed_vhd_footer(ByteCount(MIB), digest, time).unwrap();
        assert_eq!(footer([0xff; 16], 0)[68..84], *b"\xff\xff\xff\xff\xff\xff\x8f\xff\xbf\xff\xff\xff\xff\xff\xff\xff");
        assert_eq!(footer([0; 16], 0)[24..28], [0; 4]);
        assert_eq!(footer([0; 16], u64::MAX)[24..28], [0xff; 4]);
        assert_eq!(footer([0; 16], 0)[84..], [0; 428]);
    }

    #[test]
    fn our_own_reader_takes_it() {
        let mut file = vec![7; MIB as usize];
        file.extend_from_slice(&fixed_vhd_footer(ByteCount(MIB), [1; 16], 0).unwrap());
        let file = file.as_slice();
        let mut map = Map::open(&file, ByteCount(file.len() as u64)).unwrap();
        assert_eq!((map.format(), map.variant(), map.size()), (Format::Vhd, "fixed", ByteCount(MIB)));
        assert_eq!(map.run_at(0), Ok(Some(Run { length: MIB, place: Place::Stored(0) })));
    }
}
