//! Damaged and lying tables: every truncation and every flipped bit of real ones gives a value or an error, and a plan
//! that comes out all the same shrinks nothing, moves nothing and stays on the disk.

use crate::make::{self, Gpt};
use wisp::bytes::ReadAt;
use wisp::table::{self, Copies, Geometry, Rule, Table};
use wisp::units::{ByteCount, SectorSize};

/// Reads the disk and plans every growth there is; says in what state the copies of a GPT are.
fn examine(disk: &[u8], geometry: Geometry) -> Option<Copies> {
    let table = table::read(&disk, geometry).ok()??;
    for partition in table.partitions() {
        let rule = Rule { repair: true, ..Rule::default() };
        let Ok(growth) = table.grow(&disk, partition.number, rule) else { continue };
        assert_eq!(growth.after.first, growth.before.first);
        assert!(growth.after.last >= growth.before.last && growth.after.last.0 < geometry.sectors);
        for write in &growth.writes {
            let size = geometry.sector.bytes();
            assert_eq!((write.at.0 % size, write.bytes.len() as u64 % size), (0, 0));
            assert!(write.at.0 + write.bytes.len() as u64 <= geometry.sectors * size);
        }
    }
    match table {
        Table::Gpt(gpt) => Some(gpt.copies()),
        Table::Mbr(_) => Some(Copies::Both),
    }
}

fn gpt_bytes() -> (Vec<u8>, Geometry) {
    let disk = Gpt { count: 16, ..Gpt::of_mib(4, &[(1, 64, 2047), (2, 2048, 4095)]) }.make();
    let mut bytes = vec![0; 4 << 20];
    disk.read_at(ByteCount(0), &mut bytes).unwrap();
    (bytes, disk.geometry())
}

fn mbr_bytes() -> (Vec<u8>, Geometry) {
    let mut disk = make::mbr(4, &[(0x83, 64, 1000), (0x0F, 2048, 3000)]);
    make::boot_record(&mut disk, 2048, &[(0x83, 8, 1000), (0x05, 1100, 900)]);
    make::boot_record(&mut disk, 3148, &[(0x83, 8, 892)]);
    let mut bytes = vec![0; 4 << 20];
    disk.read_at(ByteCount(0), &mut bytes).unwrap();
    (bytes, disk.geometry())
}

#[test]
fn every_flipped_bit_of_a_gpt_is_noticed() {
    let (mut bytes, geometry) = gpt_bytes();
    assert_eq!(examine(&bytes, geometry), Some(Copies::Both));
    let end = bytes.len();
    let primary = (512..512 + 92).chain(1024..1024 + 2048);
    let backup = (end - 512..end - 512 + 92).chain(end - 512 - 2048..end - 512);
    for at in primary.chain(backup) {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let copies = examine(&bytes, geometry);
            let expected = if at < end / 2 {
                matches!(copies, Some(Copies::PrimaryDamaged | Copies::Interrupted))
            } else {
                copies == Some(Copies::BackupDamaged)
            };
            assert!(expected, "bit {bit} of byte {at}: {copies:?}");
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn every_flipped_bit_of_boot_records_is_survived() {
    for (mut bytes, geometry) in [gpt_bytes(), mbr_bytes()] {
        for at in [0, 2048 * 512, 3148 * 512].into_iter().flat_map(|sector| sector..sector + 512) {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                examine(&bytes, geometry);
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn every_truncation_is_survived() {
    for ((bytes, geometry), is_gpt) in [(gpt_bytes(), true), (mbr_bytes(), false)] {
        let around = |middle: usize| middle.saturating_sub(600)..(middle + 600).min(bytes.len());
        let lengths = (0..4096).chain(around(2048 * 512)).chain(around(3148 * 512)).chain(around(bytes.len()));
        for length in lengths {
            let cut = &bytes[..length];
            let (disk_that_fails, disk_that_ends) = (geometry, Geometry { sectors: length as u64 / 512, ..geometry });
            for geometry in [disk_that_fails, disk_that_ends] {
                let copies = examine(cut, geometry);
                assert!(!is_gpt || copies != Some(Copies::Both), "{length} bytes do not hold both copies");
            }
            examine(cut, Geometry { sector: SectorSize::B4096, sectors: length as u64 / 4096 });
        }
    }
}

#[test]
fn every_field_at_its_extremes_is_survived() {
    for (bytes, geometry) in [gpt_bytes(), mbr_bytes()] {
        for field in (512..604).step_by(4).chain((1024..1280).step_by(8)).chain((440..512).step_by(2)) {
            for value in [[0; 8], [0xFF; 8], (geometry.sectors - 1).to_le_bytes(), (1u64 << 63).to_le_bytes()] {
                for width in [2, 4, 8] {
                    let mut disk = bytes.clone();
                    disk[field..field + width].copy_from_slice(&value[..width]);
                    examine(&disk, geometry);
                    // The same again with checksums that approve of it.
                    let array = crc32fast::hash(&disk[1024..1024 + 2048]);
                    disk[600..604].copy_from_slice(&array.to_le_bytes());
                    let header_size = u32::from_le_bytes(disk[524..528].try_into().unwrap());
                    if (20..=512).contains(&header_size) {
                        make::seal(&mut disk[512..1024]);
                    }
                    examine(&disk, geometry);
                }
            }
        }
    }
}
