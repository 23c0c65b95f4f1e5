//! Tars made by hand, and what must not be believed of them. The good ones are those that tools make, and ours.

use super::*;
use crate::codec::read_all;
use crate::container::stream;
use crate::error::Kind;

/// Fields of a header, octal numbers without an end.
fn header(typeflag: u8, size: &[u8], fields: &[(usize, &[u8])]) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    header[..8].copy_from_slice(b"disk.raw");
    header[SIZE..][..size.len()].copy_from_slice(size);
    header[TYPEFLAG] = typeflag;
    header[MAGIC..][..6].copy_from_slice(b"ustar\0");
    for (at, bytes) in fields {
        header[*at..][..bytes.len()].copy_from_slice(bytes);
    }
    let sum = alloc::format!("{:06o}\0 ", checksum(&header));
    header[CHECKSUM..][..8].copy_from_slice(sum.as_bytes());
    header
}

fn read(parts: &[&[u8]]) -> Result<Vec<u8>> {
    let archive = parts.concat();
    let mut content = stream::open(Input::new(archive.as_slice()))?.content;
    read_all(&mut content, 1 << 20)
}

#[track_caller]
fn refused(parts: &[&[u8]], kind: Kind, why: &str) {
    let error = read(parts).expect_err("it is refused");
    assert_eq!((error.kind, error.why.starts_with(why)), (kind, true), "{error}");
}

const ONE: [u8; BLOCK] = [1; BLOCK];
const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// A map of extents, in octal digits, from `at` of the block it is put into.
fn map(at: usize, extents: &[(u64, u64)]) -> Vec<(usize, Vec<u8>)> {
    let number = |value: u64| alloc::format!("{value:011o}").into_bytes();
    let entries = extents.iter().zip((at..).step_by(SPARSE_ENTRY));
    entries.flat_map(|((start, length), at)| [(at, number(*start)), (at + NUMBER, number(*length))]).collect()
}

fn with_holes(stored: &[u8], size: u64, extents: &[(u64, u64)], more: &[(usize, &[u8])]) -> [u8; BLOCK] {
    let size = alloc::format!("{size:011o}");
    let map = map(SPARSE, extents);
    let mut fields: Vec<(usize, &[u8])> = map.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect();
    fields.push((REAL_SIZE, size.as_bytes()));
    fields.extend_from_slice(more);
    header(b'S', stored, &fields)
}

#[test]
fn numbers_are_octal_or_themselves() {
    let value = |size: &[u8]| read(&[&header(b'0', size, &[]), &ONE, &END]).map(|bytes| bytes.len());
    for size in [
        b"00000001000\0".as_slice(),
        b"       1000 ",
        b"1000\0xxxxxxx",
        b"\x80\0\0\0\0\0\0\0\0\0\x02\0",
        b"000000001000",
    ] {
        assert_eq!(value(size), Ok(512), "{size:?}");
    }
    assert_eq!(read(&[&header(b'0', b"", &[]), &END]), Ok(Vec::new()));
    for size in [b"8".as_slice(), b"-1", b"0x200", &[0xff; 12], b"\x80\x01\0\0\0\0\0\0\0\0\0\0"] {
        assert_eq!(value(size).unwrap_err().kind, Kind::Corrupt, "{size:?}");
    }
    // Larger than anything, and so it ends too early.
    assert_eq!(value(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff").unwrap_err().kind, Kind::Corrupt);
}

#[test]
fn a_posix_header_may_state_the_size() {
    let record = b"13 size=512\n";
    let posix = |records: &[u8]| {
        let mut block = [0; BLOCK];
        block[..records.len()].copy_from_slice(records);
        let size = alloc::format!("{:o}", records.len());
        [header(b'x', size.as_bytes(), &[]), block].concat()
    };
    let file = header(b'0', b"0", &[]);
    assert!(read(&[&posix(b"12 size=512\n"), &file, &ONE, &END]) == Ok(ONE.to_vec()));
    assert!(read(&[&posix(b"9 mode=1\n12 size=512\n7 a=b=\n"), &file, &ONE, &END]) == Ok(ONE.to_vec()));
    refused(&[&posix(record), &file], Kind::Corrupt, "a POSIX header is not made of records");
    for bad in [b"x".as_slice(), b" \n"] {
        let found = read(&[&posix(bad), &file, &END]);
        assert!(found.is_ok_and(|found| found.is_empty()) || bad != b"x", "what has no blank is no record");
    }
    for bad in [b"0 a=b\n".as_slice(), b"99 a=b\n", b"6 a=bc", b"1 \n", b"99999999999999999999 a=b\n"] {
        refused(&[&posix(bad), &file], Kind::Corrupt, "a POSIX header is not made of records");
    }
    refused(&[&posix(b"11 size=5x\n"), &file], Kind::Corrupt, "a POSIX header states no size");
    refused(&[&posix(b"22 GNU.sparse.major=1\n"), &file], Kind::Unsupported, "its holes are noted as POSIX wants");
    refused(&[&header(b'x', b"1000000", &[])], Kind::Refused, "a header has more than 64 KiB");
    refused(&[&header(b'x', b"777", &[]), b"short"], Kind::Corrupt, "it ends too early");
}

#[test]
fn a_map_of_holes_accounts_for_every_byte() {
    let two = [ONE, [2; BLOCK]].concat();
    let good = with_holes(b"2000", 3000, &[(512, 512), (2048, 512), (3000, 0)], &[]);
    let mut disk = vec![0; 3000];
    disk[512..1024].fill(1);
    disk[2048..2560].fill(2);
    assert!(read(&[&good, &two, &END]) == Ok(disk));
    let corrupt = |stored: &[u8], extents: &[_]| {
        let header = with_holes(stored, 3000, extents, &[]);
        refused(&[&header, &two, &END], Kind::Corrupt, "the map of its holes contradicts itself");
    };
    corrupt(b"2000", &[(512, 512)]);
    corrupt(b"1000", &[(512, 512), (2048, 512)]);
    corrupt(b"2000", &[(512, 512), (1000, 512)]);
    corrupt(b"2000", &[(512, 512), (0, 512)]);
    corrupt(b"2000", &[(512, 512), (2489, 512)]);
    corrupt(b"2000", &[(512, 512), (u64::MAX >> 31, 512)]);
}

#[test]
fn a_map_that_does_not_end_is_refused() {
    let first = with_holes(b"0", 3000, &[], &[(IS_EXTENDED, &[1])]);
    let mut more = [0; BLOCK];
    more[EXTENSION_ENTRIES * SPARSE_ENTRY] = 1;
    let blocks = more.repeat(EXTENSIONS + 1);
    refused(&[&first, &blocks], Kind::Refused, "the file in it has more than 126,000 holes");
    refused(&[&first, &more], Kind::Corrupt, "it ends too early");
    more[EXTENSION_ENTRIES * SPARSE_ENTRY] = 0;
    assert_eq!(read(&[&first, &more, &END]).map(|disk| disk.len()), Ok(3000));
}

#[test]
fn what_is_no_file_is_passed_and_there_is_one_file() {
    let file = header(b'0', b"1000", &[]);
    let directory = header(b'5', b"0", &[]);
    let long_name = header(b'L', b"1000", &[]);
    let link = header(b'2', b"1000", &[]);
    assert!(read(&[&directory, &long_name, &ONE, &link, &file, &ONE, &directory, &END]) == Ok(ONE.to_vec()));
    assert!(read(&[&file, &ONE]) == Ok(ONE.to_vec()), "without an end");
    assert!(read(&[&file, &ONE, &END, b"whatever"]) == Ok(ONE.to_vec()));
    refused(&[&directory, &END], Kind::Absent, "no file is in it");
    refused(&[&file, &ONE, &file, &ONE, &END], Kind::Unsupported, "it holds more than one file");
    refused(&[&header(b'M', b"0", &[])], Kind::Unsupported, "it holds an entry of a type that is not known");
    refused(&[&directory.repeat(HEADERS + 1)], Kind::Unsupported, "it begins with more than 64 entries");
    refused(&[&directory, &ONE], Kind::Corrupt, "checksum of a header does not match");
}

#[test]
fn every_length_gives_the_disk_or_an_error() {
    let holes = with_holes(b"1000", 3000, &[(512, 512)], &[]);
    let archive = [holes.as_slice(), &ONE, &END].concat();
    let disk = read(&[&archive]).unwrap();
    for length in BLOCK..archive.len() {
        match read(&[&archive[..length]]) {
            Ok(found) => assert!(found == disk && length >= 2 * BLOCK, "{length}"),
            Err(error) => assert_eq!(error.kind, Kind::Corrupt, "{length}"),
        }
    }
}

#[test]
fn every_bit_of_a_header_is_missed() {
    let holes = with_holes(b"1000", 3000, &[(512, 512)], &[]);
    let mut archive = [holes.as_slice(), &ONE, &END].concat();
    let disk = read(&[&archive]).unwrap();
    let mut blanks = 0;
    for bit in 0..BLOCK * 8 {
        archive[bit / 8] ^= 1 << (bit % 8);
        // Without its first header it is raw, and all of it the disk; the blank behind the checksum is nothing.
        let found = read(&[&archive]);
        let is_raw = found.as_ref().is_ok_and(|found| *found == archive);
        blanks += usize::from(found.as_ref() == Ok(&disk));
        assert!(is_raw || found.is_err() || found == Ok(disk.clone()), "bit {bit}");
        archive[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(blanks < 32, "{blanks}");
}
