//! VMDKs in grains of 4 KiB, made by hand: packed ones with the directory at either end, and plain ones.

use super::*;
use crate::container::disk::contents;
use crate::container::{Format, Map};
use crate::error::Kind;
use alloc::vec;
use alloc::vec::Vec;

const GRAIN: usize = 4096;
/// Sectors: two tables of four grains, the last one not whole.
const CAPACITY: usize = 6 * 8 - 3;
const DESCRIPTOR_AT: usize = 512;
const DIRECTORY: usize = 1536;
const TABLES: [usize; 2] = [2048, 2560];
const GRAINS: usize = 3072;

fn descriptor(kind: &str, parent: &str) -> Vec<u8> {
    format!("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID={parent}\ncreateType=\"{kind}\"\n").into_bytes()
}

fn header(is_compressed: bool) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..][..bytes.len()].copy_from_slice(bytes);
    put(0, b"KDMV\x01");
    put(8, &(if is_compressed { COMPRESSED | MARKERS | 1 } else { ZERO_GRAINS | 1 }).to_le_bytes());
    put(12, &(CAPACITY as u64).to_le_bytes());
    put(20, &8_u64.to_le_bytes());
    put(28, &1_u64.to_le_bytes());
    put(36, &2_u64.to_le_bytes());
    put(44, &4_u32.to_le_bytes());
    put(56, &(DIRECTORY as u64 / 512).to_le_bytes());
    put(77, &[u8::from(is_compressed)]);
    header
}

fn grain(number: usize) -> Vec<u8> {
    (0..GRAIN).map(|at| (at / 200 * (number + 3) % 251) as u8).collect()
}

/// Grains 0, 2 and 5; the plain kind has one of declared zeros as grain 3.
fn image(is_compressed: bool) -> Vec<u8> {
    let mut file = vec![0; GRAINS];
    file[..512].copy_from_slice(&header(is_compressed));
    let text = descriptor(KINDS[usize::from(!is_compressed)], "ffffffff");
    file[DESCRIPTOR_AT..][..text.len()].copy_from_slice(&text);
    for (index, at) in TABLES.into_iter().enumerate() {
        file[DIRECTORY + 4 * index..][..4].copy_from_slice(&(at as u32 / 512).to_le_bytes());
    }
    for number in [0, 2, 5] {
        let entry = (file.len() / 512) as u32;
        if is_compressed {
            let packed = miniz_oxide::deflate::compress_to_vec_zlib(&grain(number), 6);
            file.extend_from_slice(&(number as u64 * 8).to_le_bytes());
            file.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            file.extend_from_slice(&packed);
            file.resize(file.len().next_multiple_of(512), 0);
        } else {
            file.extend_from_slice(&grain(number));
        }
        file[TABLES[number / 4] + number % 4 * 4..][..4].copy_from_slice(&entry.to_le_bytes());
    }
    if !is_compressed {
        file[TABLES[0] + 3 * 4] = 1;
    }
    file
}

/// With the directory at the end, as an exporter that cannot seek writes it.
fn at_end() -> Vec<u8> {
    let mut file = image(true);
    let footer = header(true);
    file[56..64].fill(0xff);
    let mut marker = [0; 512];
    (marker[0], marker[12]) = (1, 3);
    file.extend_from_slice(&marker);
    file.extend_from_slice(&footer);
    file.extend_from_slice(&[0; 512]);
    file
}

fn disk() -> Vec<u8> {
    let mut disk = vec![0; 6 * GRAIN];
    for number in [0, 2, 5] {
        disk[number * GRAIN..][..GRAIN].copy_from_slice(&grain(number));
    }
    disk.truncate(CAPACITY * 512);
    disk
}

fn read(file: &[u8]) -> Result<Vec<u8>> {
    contents(file, 1 << 16)
}

#[track_caller]
fn refused(mut file: Vec<u8>, at: usize, bytes: &[u8], kind: Kind, why: &str) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
    let error = read(&file).expect_err("it is refused");
    assert_eq!((error.kind, error.why.starts_with(why)), (kind, true), "{error}");
}

#[test]
fn every_kind_is_read() {
    for (file, variant, unit) in [
        (image(true), "streamOptimized", GRAIN as u64),
        (image(false), "monolithicSparse", 0),
        (at_end(), "streamOptimized", GRAIN as u64),
    ] {
        assert!(read(&file) == Ok(disk()), "{variant}");
        let file = file.as_slice();
        let mut map = Map::open(&file, ByteCount(file.len() as u64)).unwrap();
        assert_eq!((map.format(), map.variant(), map.unit()), (Format::Vmdk, variant, unit));
        assert_eq!(map.run_at(GRAIN as u64), Ok(Some(Run { length: GRAIN as u64, place: Place::Zero })));
        let last = map.run_at(5 * GRAIN as u64 + 9).unwrap().unwrap();
        assert_eq!(last.length, CAPACITY as u64 * 512 - 5 * GRAIN as u64 - 9);
    }
}

#[test]
fn a_last_grain_may_be_as_short_as_the_disk() {
    let mut file = image(true);
    let at = file.len() / 512 * 512;
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&grain(5)[..GRAIN - 3 * 512], 6);
    file.extend_from_slice(&40_u64.to_le_bytes());
    file.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    file.extend_from_slice(&packed);
    file[TABLES[1] + 4..][..4].copy_from_slice(&(at as u32 / 512).to_le_bytes());
    assert!(read(&file) == Ok(disk()));
}

#[test]
fn what_is_not_read_says_why() {
    use Kind::{Corrupt, Refused, Unsupported};
    let stream = || image(true);
    refused(stream(), 4, &[4], Unsupported, "its version, 4, or how it is packed");
    refused(stream(), 77, &[2], Unsupported, "its version, 1, or how it is packed");
    refused(stream(), 10, &[1], Unsupported, "its version, 1, or how it is packed");
    refused(stream(), 20, &[7], Unsupported, "its grains of 7 sectors");
    refused(stream(), 20, &[4], Unsupported, "its grains of 4 sectors");
    refused(stream(), 20, &[0, 0x20], Unsupported, "its grains of 8192 sectors");
    refused(stream(), 44, &[3], Unsupported, "its tables are of no known size");
    refused(stream(), 19, &[1], Unsupported, "its tables are of no known size");
    refused(stream(), 28, &[0], Unsupported, "it is one of several files");
    refused(stream(), 30, &[1], Corrupt, "its descriptor lies behind the end");
    refused(stream(), 60, &[1], Corrupt, "one of its tables lies behind the end");
    let text = |kind, parent| descriptor(kind, parent);
    refused(stream(), DESCRIPTOR_AT, &text("streamOptimized", "00000001"), Refused, "it is only the difference");
    refused(stream(), DESCRIPTOR_AT, &text("vmfs", "ffffffff"), Unsupported, "of its kinds only streamOptimized");
    assert_eq!(read(&image(true)[..511]).unwrap_err().kind, Corrupt);
}

#[test]
fn tables_and_markers_that_lead_astray_are_corrupt() {
    let corrupt = |is_compressed, at, bytes: &[u8], why| refused(image(is_compressed), at, bytes, Kind::Corrupt, why);
    corrupt(true, DIRECTORY + 2, &[1], "one of its tables lies behind the end");
    corrupt(true, TABLES[0] + 2, &[1], "a packed grain lies behind the end");
    corrupt(false, TABLES[0] + 2, &[1], "a grain lies behind the end");
    corrupt(true, GRAINS, &[8], "the marker of a grain says that it is another one");
    corrupt(true, GRAINS + 8, &[0, 0], "the marker of a grain states no length");
    corrupt(true, GRAINS + 8, &[0xff, 0xff], "the marker of a grain states no length");
    corrupt(true, GRAINS + 9, &[0x1f], "a packed grain lies behind the end");
    // A grain that is declared zeros, in a file that does not know them, lies in its own descriptor.
    let mut file = image(false);
    file[8] = 1;
    assert!(read(&file).is_ok_and(|found| found != disk()));
}

#[test]
fn every_length_gives_the_disk_or_an_error() {
    for file in [image(true), image(false), at_end()] {
        let needed = file.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        for length in 4..file.len() {
            match read(&file[..length]) {
                Ok(found) => assert!(found == disk() && length + 3 * 512 >= needed, "{length} of {}", file.len()),
                Err(error) => {
                    assert!(matches!(error.kind, Kind::Corrupt | Kind::Unsupported), "{length}: {error}");
                }
            }
        }
    }
}

#[test]
fn every_bit_gives_an_answer() {
    let disk = disk();
    // What comes before the packed bytes, which have tests of their own, and what comes behind them.
    let marked = GRAINS + GRAIN_MARKER as usize;
    let end = at_end().len();
    for (mut file, bytes) in [(image(true), 0..marked), (image(false), 0..GRAINS), (at_end(), end - 1536..end)] {
        let mut harmed = 0;
        for bit in bytes.start * 8..bytes.end * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            harmed += usize::from(read(&file).as_ref() != Ok(&disk));
            file[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(harmed > 200, "{harmed}");
    }
}
