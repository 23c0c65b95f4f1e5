//! Dynamic VHDs in blocks of 4 KiB, made by hand; the fixed ones are tested where they are made.

use super::*;
use crate::container::disk::contents;
use crate::container::{Format, Map};
use crate::error::Kind;
use alloc::vec;
use alloc::vec::Vec;

const BLOCK: usize = 4096;
const VIRTUAL: u64 = 3 * BLOCK as u64 - 1024;
/// The copy of the footer, the header, the table, and two blocks behind their bitmaps.
const HEADER_AT: usize = 512;
const BAT: usize = 1536;
const BLOCKS: [usize; 2] = [2048, 2048 + 512 + BLOCK];
const LENGTH: usize = 2048 + 2 * (512 + BLOCK) + 512;

fn footer(disk_type: u32) -> [u8; 512] {
    let mut footer = [0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[16..24].copy_from_slice(&(HEADER_AT as u64).to_be_bytes());
    footer[48..56].copy_from_slice(&VIRTUAL.to_be_bytes());
    footer[60..64].copy_from_slice(&disk_type.to_be_bytes());
    sum(&mut footer, 64);
    footer
}

fn sum(bytes: &mut [u8], at: usize) {
    bytes[at..at + 4].fill(0);
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    bytes[at..at + 4].copy_from_slice(&(!sum).to_be_bytes());
}

/// Block 0 with all sectors but the third, block 1 nowhere, block 2 with its first sector and its last.
fn image() -> Vec<u8> {
    let mut file = vec![0; LENGTH];
    let mut put = |at: usize, bytes: &[u8]| file[at..][..bytes.len()].copy_from_slice(bytes);
    put(0, &footer(3));
    put(LENGTH - 512, &footer(3));
    let mut header = [0; 1024];
    header[..8].copy_from_slice(b"cxsparse");
    header[16..24].copy_from_slice(&(BAT as u64).to_be_bytes());
    header[24..28].copy_from_slice(&VERSION.to_be_bytes());
    header[28..32].copy_from_slice(&3_u32.to_be_bytes());
    header[32..36].copy_from_slice(&(BLOCK as u32).to_be_bytes());
    sum(&mut header, 36);
    put(HEADER_AT, &header);
    put(BAT, &[0xff; 512]);
    put(BAT, &(BLOCKS[0] as u32 / 512).to_be_bytes());
    put(BAT + 8, &(BLOCKS[1] as u32 / 512).to_be_bytes());
    put(BLOCKS[0], &[0b1101_1111]);
    put(BLOCKS[0] + 512, &[1; BLOCK]);
    put(BLOCKS[1], &[0b1000_0001]);
    put(BLOCKS[1] + 512, &[2; BLOCK]);
    file
}

fn disk() -> Vec<u8> {
    let mut disk = vec![0; VIRTUAL as usize];
    disk[..BLOCK].fill(1);
    disk[1024..1536].fill(0);
    disk[2 * BLOCK..][..512].fill(2);
    disk
}

fn read(file: &[u8]) -> Result<Vec<u8>> {
    contents(file, 1 << 16)
}

/// With these bytes at `at`, and checksums that are right again.
fn patched(at: usize, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut file = image();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    sum(&mut file[..512], 64);
    sum(&mut file[HEADER_AT..HEADER_AT + 1024], 36);
    read(&file)
}

#[track_caller]
fn refused(at: usize, bytes: &[u8], kind: Kind, why: &str) {
    let error = patched(at, bytes).expect_err("it is refused");
    assert_eq!((error.kind, error.why.starts_with(why)), (kind, true), "{error}");
}

#[test]
fn sectors_come_by_their_bitmaps() {
    let file = image();
    assert!(read(&file) == Ok(disk()));
    let file = file.as_slice();
    let mut map = Map::open(&file, ByteCount(LENGTH as u64)).unwrap();
    assert_eq!((map.format(), map.variant(), map.size().0), (Format::Vhd, "dynamic", VIRTUAL));
    let data = BLOCKS[0] as u64 + 512;
    for (at, length, place) in [
        (0, 1024, Place::Stored(data)),
        (1000, 24, Place::Stored(data + 1000)),
        (1024, 512, Place::Zero),
        (1535, 1, Place::Zero),
        (1536, 2560, Place::Stored(data + 1536)),
        (4096, 4096, Place::Zero),
        (8192, 512, Place::Stored(BLOCKS[1] as u64 + 512)),
        (8704, VIRTUAL - 8704, Place::Zero),
    ] {
        assert_eq!(map.run_at(at), Ok(Some(Run { length, place })), "at {at}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    use Kind::{Corrupt, Refused, Unsupported};
    assert!(patched(0, b"conectix") == Ok(disk()));
    refused(63, &[4], Refused, "it is only the difference to another image");
    refused(63, &[5], Unsupported, "its type, 5, is not known");
    refused(54, &[0], Corrupt, "its last sector is not its footer");
    refused(16, &[1], Corrupt, "its header lies behind the end");
    refused(22, &[4, 0], Corrupt, "checksum of its header does not match");
    refused(HEADER_AT + 24, &[0, 2], Unsupported, "its version, or a block size of 4096, is not known");
    refused(HEADER_AT + 32, &[0, 0, 8, 0], Unsupported, "its version, or a block size of 2048, is not known");
    refused(HEADER_AT + 32, &[0x20, 0, 0, 0], Unsupported, "its version, or a block size");
    refused(HEADER_AT + 32, &[0, 0, 0x18, 0], Unsupported, "its version, or a block size of 6144, is not known");
    refused(HEADER_AT + 31, &[2], Corrupt, "its table of blocks ends before the disk does");
    refused(HEADER_AT + 16, &[1], Corrupt, "one of its tables lies behind the end");
    refused(BAT, &[1], Corrupt, "one of its tables lies behind the end");
    refused(BAT + 3, &[14], Corrupt, "a block lies behind the end of the file");
}

#[test]
fn every_length_but_the_whole_is_missed() {
    let file = image();
    for length in 0..LENGTH {
        match read(&file[..length]) {
            // Too short to begin like one.
            Ok(_) => assert!(length < 8, "{length}"),
            Err(error) => assert_eq!(error.kind, Kind::Corrupt, "{length}: {error}"),
        }
    }
}

#[test]
fn every_bit_gives_an_answer() {
    let disk = disk();
    let mut file = image();
    let mut harmed = 0;
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        harmed += usize::from(read(&file).as_ref() != Ok(&disk));
        file[bit / 8] ^= 1 << (bit % 8);
    }
    // Every bit of the checked parts, and of the data that is not declared a hole.
    assert!(harmed > (512 + 1024 + 3584 + 512) * 8, "{harmed}");
}

#[test]
fn a_footer_without_its_checksum_is_data() {
    let mut file = vec![3; 1024];
    file.extend_from_slice(&footer(FIXED));
    let size = |file: &[u8]| Map::open(&file, ByteCount(file.len() as u64)).map(|map| map.size().0);
    assert_eq!(size(&file).unwrap_err().kind, Kind::Corrupt, "it was cut off");
    file.splice(0..0, vec![3; VIRTUAL as usize]);
    assert_eq!(size(&file), Ok(VIRTUAL));
    let last = file.len() - 1;
    file[last] ^= 1;
    assert_eq!(size(&file), Ok(file.len() as u64));
    assert_eq!(size(&file[..511]), Ok(511));
}
