//! The archive around a disk image that Google Compute Engine imports: GNU's format of before POSIX, which alone can
//! say sizes of 8 GiB and more in one header. The content itself is the caller's to write, padded only by
//! [`tar_end`].

use alloc::vec;
use alloc::vec::Vec;

use super::tar::{BLOCK, CHECKSUM, MAGIC, NUMBER, SIZE, TYPEFLAG, checksum, padding};
use crate::bytes::put;
use crate::error::{Error, Result};

const DOING: &str = "make a tar header";

/// What tapes are written in, and an archive is filled up to.
const RECORD: u64 = 20 * BLOCK as u64;
/// The field of a name, less the zero that ends it.
const NAME: usize = 100 - 1;

const MODE: usize = 100;
const OWNER: usize = 108;
const GROUP: usize = 116;
const TIME: usize = 136;

/// What comes before the content of the file `name`, of `size` bytes, last changed at `time` (seconds since 1970), owned
/// by root and readable by all. Its holes are zeros like others: gzip makes a thousandth of them, and GNU's way of leaving
/// them out is read by GNU and few others, busybox not among them.
///
/// # Errors
/// `Usage` when the name is empty or has more than 99 bytes.
pub fn tar_header(name: &str, size: u64, time: u64) -> Result<[u8; BLOCK]> {
    if name.is_empty() || name.len() > NAME || name.contains('\0') {
        return Err(Error::usage(DOING, "a name has from 1 to 99 bytes").to(name));
    }
    let mut header = [0; BLOCK];
    let fields: [(usize, &[u8]); 8] = [
        (0, name.as_bytes()),
        (MODE, b"0000644\0"),
        (OWNER, b"0000000\0"),
        (GROUP, b"0000000\0"),
        (SIZE, &number(size)),
        (TIME, &number(time)),
        (TYPEFLAG, b"0"),
        (MAGIC, b"ustar  \0"),
    ];
    for (at, value) in fields {
        put(&mut header, at, value, DOING)?;
    }
    // Six digits, a zero, and a blank that stays from when the field was blank.
    let sum = alloc::format!("{:06o}\0 ", checksum(&header));
    put(&mut header, CHECKSUM, sum.as_bytes(), DOING)?;
    Ok(header)
}

/// What comes behind the `size` bytes of content: zeros up to a whole block, the two blocks of zeros that end an archive,
/// and more up to a whole record, which also counts the header before the content.
#[must_use]
pub fn tar_end(size: u64) -> Vec<u8> {
    const HEADER_AND_END: u64 = 3 * BLOCK as u64;
    let padding = padding(size);
    let before = HEADER_AND_END.saturating_add(size).saturating_add(padding);
    let fill = before.checked_next_multiple_of(RECORD).unwrap_or(before).saturating_sub(before);
    vec![0; HEADER_AND_END.saturating_sub(BLOCK as u64).saturating_add(padding).saturating_add(fill) as usize]
}

/// Eleven octal digits and a zero; what does not fit into them, as it is behind a byte that says so.
fn number(value: u64) -> [u8; NUMBER] {
    let mut field = [0; NUMBER];
    if value >> 33 == 0 {
        let mut rest = value;
        for digit in field.iter_mut().rev().skip(1) {
            *digit = b'0' | (rest & 7) as u8;
            rest >>= 3;
        }
    } else if let Some((first, low)) = field.split_first_chunk_mut::<4>() {
        *first = [0x80, 0, 0, 0];
        low.copy_from_slice(&value.to_be_bytes());
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Input, read_all};
    use crate::container::stream;
    use crate::error::Kind;
    use crate::units::ByteCount;

    /// Reads an archive of ours with the reader of ours.
    fn read(archive: &[u8]) -> (Option<ByteCount>, Vec<u8>) {
        let mut stream = stream::open(Input::new(archive)).unwrap();
        (stream.size, read_all(&mut stream.content, 1 << 20).unwrap())
    }

    #[test]
    fn a_file_comes_back() {
        for length in [0, 1, 511, 512, 513, 8192, 9000, 20_000] {
            let content: Vec<u8> = (1..=251).cycle().take(length).collect();
            let mut archive = tar_header("disk.raw", length as u64, 1).unwrap().to_vec();
            archive.extend_from_slice(&content);
            archive.extend(tar_end(length as u64));
            assert_eq!(archive.len() % 10_240, 0);
            assert!(read(&archive) == (Some(ByteCount(length as u64)), content));
        }
    }

    #[test]
    fn large_numbers_are_in_base_256() {
        assert_eq!(&number(0), b"00000000000\0");
        assert_eq!(&number(0o12345670), b"00012345670\0");
        assert_eq!(&number((8 << 30) - 1), b"77777777777\0");
        assert_eq!(number(8 << 30), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(number(u64::MAX), [0x80, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let long = "x".repeat(100);
        for name in ["", "a\0b", &long] {
            assert_eq!(tar_header(name, 0, 0).unwrap_err().kind, Kind::Usage);
        }
    }
}
