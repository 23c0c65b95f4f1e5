//! The archive around a disk image that Google Compute Engine imports: GNU's format of before POSIX, which alone can say
//! sizes of 8 GiB and more in one header. The content itself is the caller's to write, padded by nobody but [`tar_end`].

use alloc::vec;
use alloc::vec::Vec;

use super::tar::{
    BLOCK, CHECKSUM, EXTENSION_ENTRIES, Extent, IS_EXTENDED, MAGIC, NUMBER, REAL_SIZE, SIZE, SPARSE, SPARSE_ENTRIES,
    SPARSE_ENTRY, TYPEFLAG, checksum, padding,
};
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
/// by root and readable by all. With `extents`, in order, only these parts of it follow, and the rest is holes; GNU tar
/// and Google read that, others, such as busybox, do not.
///
/// # Errors
/// `Usage` when the name is empty or has more than 99 bytes, or the extents are not in order or not in the file.
pub fn tar_header(name: &str, size: u64, time: u64, extents: Option<&[Extent]>) -> Result<Vec<u8>> {
    if name.is_empty() || name.len() > NAME || name.contains('\0') {
        return Err(Error::usage(DOING, "a name has from 1 to 99 bytes").to(name));
    }
    let stored = match extents {
        Some(extents) => stored_length(extents, size).ok_or_else(|| {
            Error::usage(DOING, "the parts of a file that are no holes are in order and end with it").to(name)
        })?,
        None => size,
    };
    let mut header = [0; BLOCK];
    let typeflag = if extents.is_some() { b"S" } else { b"0" };
    let fields: [(usize, &[u8]); 8] = [
        (0, name.as_bytes()),
        (MODE, b"0000644\0"),
        (OWNER, b"0000000\0"),
        (GROUP, b"0000000\0"),
        (SIZE, &number(stored)),
        (TIME, &number(time)),
        (TYPEFLAG, typeflag),
        (MAGIC, b"ustar  \0"),
    ];
    for (at, value) in fields {
        put(&mut header, at, value, DOING)?;
    }
    let mut map = vec![];
    if let Some(extents) = extents {
        map = sparse_map(&mut header, extents, size)?;
    }
    // Six digits, a zero, and a blank that stays from when the field was blank.
    let sum = alloc::format!("{:06o}\0 ", checksum(&header));
    put(&mut header, CHECKSUM, sum.as_bytes(), DOING)?;
    let mut output = header.to_vec();
    output.append(&mut map);
    Ok(output)
}

/// What comes behind `stored` bytes of content: zeros up to a whole block, the two blocks of zeros that end an archive,
/// and more up to a whole record, which also counts the `header` bytes before the content.
#[must_use]
pub fn tar_end(header: usize, stored: u64) -> Vec<u8> {
    const END: u64 = 2 * BLOCK as u64;
    let padding = padding(stored);
    let before = (header as u64).saturating_add(stored).saturating_add(padding).saturating_add(END);
    let fill = before.checked_rem(RECORD).map_or(0, |used| if used == 0 { 0 } else { RECORD.saturating_sub(used) });
    vec![0; padding.saturating_add(END).saturating_add(fill) as usize]
}

/// The sum of all lengths; `None` when the extents are not in order or not in the file.
fn stored_length(extents: &[Extent], size: u64) -> Option<u64> {
    let (mut end, mut sum) = (0, 0_u64);
    for extent in extents {
        if extent.at < end {
            return None;
        }
        end = extent.at.checked_add(extent.length).filter(|end| *end <= size)?;
        sum = sum.checked_add(extent.length)?;
    }
    Some(sum)
}

/// Puts the first extents into `header` and returns the blocks that the others are in.
fn sparse_map(header: &mut [u8; BLOCK], extents: &[Extent], size: u64) -> Result<Vec<u8>> {
    put(header, REAL_SIZE, &number(size), DOING)?;
    let mut extents = extents.to_vec();
    // A hole at the end is said by an extent of nothing behind it.
    if extents.last().is_none_or(|last| last.at.saturating_add(last.length) < size) {
        extents.push(Extent { at: size, length: 0 });
    }
    let (first, others) = extents.split_at(extents.len().min(SPARSE_ENTRIES));
    put_extents(header, SPARSE, first)?;
    put(header, IS_EXTENDED, &[u8::from(!others.is_empty())], DOING)?;
    let mut output = vec![];
    let mut blocks = others.chunks(EXTENSION_ENTRIES).peekable();
    while let Some(extents) = blocks.next() {
        let mut block = [0; BLOCK];
        put_extents(&mut block, 0, extents)?;
        let flag = u8::from(blocks.peek().is_some());
        put(&mut block, EXTENSION_ENTRIES.saturating_mul(SPARSE_ENTRY), &[flag], DOING)?;
        output.extend_from_slice(&block);
    }
    Ok(output)
}

fn put_extents(block: &mut [u8; BLOCK], at: usize, extents: &[Extent]) -> Result<()> {
    for (extent, at) in extents.iter().zip((at..).step_by(SPARSE_ENTRY)) {
        put(block, at, &number(extent.at), DOING)?;
        put(block, at.saturating_add(NUMBER), &number(extent.length), DOING)?;
    }
    Ok(())
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
        for length in [0, 1, 511, 512, 513, 9000, 20_000] {
            let content: Vec<u8> = (1..=251).cycle().take(length).collect();
            let mut archive = tar_header("disk.raw", length as u64, 1, None).unwrap();
            archive.extend_from_slice(&content);
            archive.extend(tar_end(512, length as u64));
            assert_eq!(archive.len() % 10_240, 0);
            assert!(read(&archive) == (Some(ByteCount(length as u64)), content));
        }
    }

    #[test]
    fn holes_come_back() {
        for count in [0, 1, 3, 4, 5, 25, 26, 60] {
            for tail in [0, 700] {
                let extents: Vec<Extent> =
                    (0..count).map(|index| Extent { at: index * 1000 + 9, length: 300 }).collect();
                let size = extents.last().map_or(0, |last| last.at + 300) + tail;
                let mut content = vec![0; size as usize];
                let header = tar_header("disk.raw", size, 1, Some(&extents)).unwrap();
                let mut archive = header.clone();
                for extent in &extents {
                    content[extent.at as usize..][..300].fill(extent.at as u8 | 1);
                    archive.extend_from_slice(&content[extent.at as usize..][..300]);
                }
                archive.extend(tar_end(header.len(), count * 300));
                assert!(read(&archive) == (Some(ByteCount(size)), content), "{count} {tail}");
            }
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
            assert_eq!(tar_header(name, 0, 0, None).unwrap_err().kind, Kind::Usage);
        }
        let extent = |at, length| Extent { at, length };
        for extents in [[extent(5, 1), extent(0, 1)], [extent(0, 6), extent(5, 1)], [extent(0, 1), extent(9, 2)]] {
            assert_eq!(tar_header("x", 10, 0, Some(&extents)).unwrap_err().kind, Kind::Usage);
        }
        assert!(tar_header("x", u64::MAX, 0, Some(&[extent(2, u64::MAX)])).is_err());
    }
}
