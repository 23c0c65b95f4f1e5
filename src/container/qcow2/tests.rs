//! qcow2 in clusters of 512 bytes, made by hand field by field: every accept and every reject.

use super::*;
use crate::container::disk::contents;
use crate::container::{Format, Map};
use crate::error::Kind;
use alloc::vec;
use alloc::vec::Vec;

const CLUSTER: usize = 512;
const VIRTUAL: u64 = 70 * CLUSTER as u64 - 100;
/// Clusters of the file: the header, L1, two L2 tables (64 entries each), data.
const L1: usize = CLUSTER;
const L2: [usize; 2] = [2 * CLUSTER, 3 * CLUSTER];
const DATA: usize = 4 * CLUSTER;

/// Version, and what happens to the bytes before they are looked at.
fn image(version: u8) -> Vec<u8> {
    let mut file = vec![0; DATA + 5 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| file[at..][..bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb\0\0\0");
    put(7, &[version]);
    put(20, &9_u32.to_be_bytes());
    put(24, &VIRTUAL.to_be_bytes());
    put(36, &2_u32.to_be_bytes());
    put(40, &(L1 as u64).to_be_bytes());
    if version == 3 {
        put(96, &4_u32.to_be_bytes());
        put(100, &104_u32.to_be_bytes());
    }
    for (index, at) in L2.into_iter().enumerate() {
        put(L1 + 8 * index, &(at as u64 | 1 << 63).to_be_bytes());
    }
    for cluster in 0..3 {
        put(DATA + cluster * CLUSTER, &[cluster as u8 + 1; CLUSTER]);
    }
    let entry = |at: usize| (at as u64 | 1 << 63).to_be_bytes();
    put(L2[0], &entry(DATA));
    put(L2[0] + 8, &entry(DATA + CLUSTER));
    // A hole, and then the last cluster of the disk, which does not fill it.
    put(L2[1] + 5 * 8, &entry(DATA + 2 * CLUSTER));
    // One that is packed, across the border of two clusters.
    let packed = miniz_oxide::deflate::compress_to_vec(&packed_content(), 6);
    let at = DATA + 4 * CLUSTER - 40;
    put(at, &packed);
    let sectors = (at + packed.len() - 1) / 512 - at / 512;
    put(L2[0] + 7 * 8, &(at as u64 | (sectors as u64) << 61 | 1 << 62).to_be_bytes());
    if version == 3 {
        put(L2[0] + 9 * 8, &(DATA as u64 | 1).to_be_bytes());
    }
    file
}

fn packed_content() -> Vec<u8> {
    (0..CLUSTER).map(|at| (at / 9 * at / 5 % 7) as u8).collect()
}

fn disk() -> Vec<u8> {
    let mut disk = vec![0; VIRTUAL as usize];
    disk[..CLUSTER].fill(1);
    disk[CLUSTER..2 * CLUSTER].fill(2);
    disk[7 * CLUSTER..8 * CLUSTER].copy_from_slice(&packed_content());
    disk[69 * CLUSTER..].fill(3);
    disk
}

fn read(file: &[u8]) -> Result<Vec<u8>> {
    contents(file, 1 << 20)
}

fn patched(version: u8, at: usize, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut file = image(version);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    read(&file)
}

#[track_caller]
fn refused(version: u8, at: usize, bytes: &[u8], kind: Kind, why: &str) {
    let error = patched(version, at, bytes).expect_err("it is refused");
    assert_eq!((error.kind, error.why.starts_with(why)), (kind, true), "{error}");
}

#[test]
fn both_versions_are_read() {
    for version in [2, 3] {
        assert!(read(&image(version)) == Ok(disk()));
        let file = image(version);
        let file = file.as_slice();
        let mut map = Map::open(&file, ByteCount(file.len() as u64)).unwrap();
        assert_eq!((map.format(), map.size().0, map.unit()), (Format::Qcow2, VIRTUAL, 512));
        assert_eq!(map.variant(), if version == 2 { "version 2" } else { "version 3" });
        // Clusters that follow each other in both places are one run, from the middle of one too.
        let run = map.run_at(100).unwrap();
        assert_eq!(run, Some(Run { length: 2 * 512 - 100, place: Place::Stored(DATA as u64 + 100) }));
        let run = map.run_at(8 * 512).unwrap();
        assert_eq!(run, Some(Run { length: 61 * 512, place: Place::Zero }));
        let run = map.run_at(VIRTUAL - 1).unwrap().unwrap();
        assert_eq!(run.length, 1);
        assert_eq!(map.run_at(VIRTUAL), Ok(None));
    }
}

#[test]
fn zeros_are_no_data_wherever_their_cluster_is() {
    let map = |entry: u64| {
        let mut file = image(3);
        file[L2[0] + 72..][..8].copy_from_slice(&entry.to_be_bytes());
        read(&file)
    };
    assert!(map(1) == Ok(disk()));
    assert!(map(1 << 40 | 1) == Ok(disk()), "its cluster is not looked for");
    refused(2, L2[0] + 79, &[1], Kind::Corrupt, "an entry of an L2 table has bits that mean nothing");
}

#[test]
fn unsupported_formats_are_named() {
    use Kind::{Corrupt, Refused, Unsupported};
    refused(3, 7, &[4], Unsupported, "its version, 4, is not 2 or 3");
    refused(3, 79, &[2], Corrupt, "it is marked as corrupt");
    assert!(patched(3, 79, &[1]) == Ok(disk()), "dirty is not corrupt");
    refused(3, 79, &[4], Unsupported, "its data is in another file");
    refused(3, 79, &[32], Unsupported, "it has features that are not known: 0x20");
    refused(3, 35, &[1], Unsupported, "it is encrypted, by method 1");
    refused(3, 23, &[8], Unsupported, "its clusters of 2^8 bytes");
    refused(3, 23, &[22], Unsupported, "its clusters of 2^22 bytes");
    refused(3, 79, &[16], Unsupported, "its clusters of 2^9 bytes");
    refused(3, 100, &[0, 0, 0, 103], Corrupt, "its header is too short");
    let mut file = image(3);
    file[8..20].copy_from_slice(b"\0\0\0\0\0\0\x02\0\0\0\0\x06");
    file[512..518].copy_from_slice(b"a\x1b[2Jb");
    let error = read(&file).unwrap_err();
    assert_eq!(error.kind, Refused);
    assert!(error.why.starts_with("it is only the difference to a?[2Jb, "), "{error}");
    for length in [0xffff_u32, 1023] {
        let near_the_end = file.len() as u64 - 10;
        file[8..16].copy_from_slice(&near_the_end.to_be_bytes());
        file[16..20].copy_from_slice(&length.to_be_bytes());
        assert_eq!(read(&file).unwrap_err().kind, Corrupt);
    }
}

#[test]
fn the_compression_type_is_said_twice() {
    let with = |features: u8, length: u8, kind: u8| {
        let mut file = image(3);
        (file[79], file[103], file[104]) = (features, length, kind);
        read(&file).map_err(|error| error.kind)
    };
    assert!(with(0, 112, 0) == Ok(disk()));
    assert!(with(0, 104, 1) == Ok(disk()), "behind the end of the header is no field");
    assert_eq!(with(0, 112, 1), Err(Kind::Corrupt));
    assert_eq!(with(8, 112, 0), Err(Kind::Corrupt));
    assert_eq!(with(8, 104, 1), Err(Kind::Corrupt));
    assert_eq!(with(8, 112, 2), Err(Kind::Unsupported));
    // What is deflate is no zstd.
    assert_eq!(with(8, 112, 1), Err(Kind::Corrupt));
}

#[test]
fn tables_that_lead_astray_are_corrupt() {
    let corrupt = |at, bytes: &[u8], why| refused(3, at, bytes, Kind::Corrupt, why);
    corrupt(39, &[1], "its L1 table ends before the disk does");
    corrupt(24, &[0xff], "its L1 table ends before the disk does");
    corrupt(46, &[2, 1], "its L1 table is not at a cluster");
    corrupt(46, &[0, 0], "its L1 table is not at a cluster");
    corrupt(40, &[1], "one of its tables lies behind the end");
    corrupt(L1, &[0xff], "an entry of its L1 table has bits");
    corrupt(L1 + 7, &[1], "an entry of its L1 table has bits");
    corrupt(L1 + 3, &[1], "one of its tables lies behind the end");
    corrupt(L2[0], &[0xff - 0x40], "an entry of an L2 table has bits");
    corrupt(L2[0] + 7, &[2], "an entry of an L2 table has bits");
    corrupt(L2[0] + 3, &[1], "a cluster lies behind the end");
    corrupt(L2[0] + 7 * 8 + 3, &[1], "a packed cluster lies behind the end");
    let mut file = image(3);
    // Clusters of 1 KiB make what is in the middle of one of them an offset that no table may have.
    file[23] = 10;
    file[46] = 4;
    file[38..40].copy_from_slice(&[0, 9]);
    file.copy_within(512..1024, 1024);
    file[1024 + 6] = 2;
    let error = read(&file).unwrap_err();
    assert_eq!(error.why, "a table points at the middle of a cluster");
}

#[test]
fn subclusters_are_read_one_by_one() {
    const BITS: u32 = 14;
    const CLUSTER: usize = 1 << BITS;
    let part = CLUSTER / 32;
    let image = |bitmap: u64, descriptor: u64| {
        let mut file = vec![7_u8; 4 * CLUSTER];
        file[..3 * CLUSTER].fill(0);
        file[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        file[20..24].copy_from_slice(&BITS.to_be_bytes());
        file[24..32].copy_from_slice(&(CLUSTER as u64).to_be_bytes());
        file[39] = 1;
        file[40..48].copy_from_slice(&(CLUSTER as u64).to_be_bytes());
        file[79] = 16;
        file[103] = 104;
        file[CLUSTER..][..8].copy_from_slice(&(2 * CLUSTER as u64).to_be_bytes());
        file[2 * CLUSTER..][..8].copy_from_slice(&descriptor.to_be_bytes());
        file[2 * CLUSTER + 8..][..8].copy_from_slice(&bitmap.to_be_bytes());
        file
    };
    let at = 3 * CLUSTER as u64;
    let expected = |stored: u32| -> Vec<u8> {
        (0..CLUSTER).map(|at| if stored >> (at / part) & 1 == 1 { 7 } else { 0 }).collect()
    };
    for stored in [0, 1, 0b1011, u32::MAX, 1 << 31, 0x00ff_ff00] {
        assert!(read(&image(stored.into(), at)) == Ok(expected(stored)), "{stored:#b}");
        let zeros = u64::from(!stored) << 32;
        assert!(read(&image(u64::from(stored) | zeros, at)) == Ok(expected(stored)), "{stored:#b} and zeros");
    }
    assert!(read(&image(u64::from(u32::MAX) << 32, 0)) == Ok(expected(0)));
    assert_eq!(read(&image(1 | 1 << 32, at)).unwrap_err().why, "an entry of an L2 table contradicts itself");
    assert_eq!(read(&image(1, 0)).unwrap_err().why, "an entry of an L2 table contradicts itself");
    assert!(read(&image(1, at | 1)).unwrap_err().why.contains("bits that mean nothing"));
}

#[test]
fn every_length_gives_the_disk_or_an_error() {
    let file = image(3);
    // Behind the end of the packed cluster is nothing that is needed.
    let end = file.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for length in 0..file.len() {
        match read(&file[..length]) {
            Ok(found) if length >= 4 => assert!(found == disk() && length >= end - 4, "{length}"),
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind, Kind::Corrupt, "{length}: {error}"),
        }
    }
}

#[test]
fn every_bit_gives_an_answer() {
    let disk = disk();
    for version in [2, 3] {
        let mut file = image(version);
        let mut harmed = 0;
        for bit in 0..file.len() * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            harmed += usize::from(read(&file).as_ref() != Ok(&disk));
            file[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(harmed > 3 * CLUSTER * 8, "the data at least: {harmed}");
    }
}
