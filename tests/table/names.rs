//! Names of partitions that the kernel shows on tables that no one should write to.

use crate::support::MemoryDisk;
use wisp::table::{self, Named, Names};
use wisp::units::{ByteCount, SectorSize};

const SECTOR: u64 = 512;
const SIGNATURE: u32 = 0x1234_abcd;

/// A disk of 2 MiB whose MBR has these entries: place, type, first sector, sectors.
fn mbr(entries: &[(usize, u8, u32, u32)]) -> MemoryDisk {
    let mut sector = vec![0; SECTOR as usize];
    sector[440..444].copy_from_slice(&SIGNATURE.to_le_bytes());
    for (place, kind, start, sectors) in entries {
        let at = 446 + (place - 1) * 16;
        sector[at + 4] = *kind;
        sector[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        sector[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut disk = MemoryDisk::new(SectorSize::new(SECTOR as u32).unwrap(), 4096);
    disk.write(0, &sector);
    disk
}

fn name(disk: &MemoryDisk, number: u32, first: u64) -> Option<Named> {
    Names::read(disk, disk.geometry()).unwrap().of(number, ByteCount(first * SECTOR))
}

fn part_uuid(number: u32) -> Option<Named> {
    Some(Named { uuid: format!("1234abcd-{number:02x}"), name: None })
}

/// isohybrid images: an entry that begins with the disk itself.
#[test]
fn an_entry_that_starts_in_sector_0_names_the_others() {
    let disk = mbr(&[(1, 0x17, 0, 2000), (3, 0x83, 2048, 1024)]);
    assert_eq!(table::read(&disk, disk.geometry()), Ok(None), "nothing is written by such a table");
    assert_eq!(name(&disk, 3, 2048), part_uuid(3));
    assert_eq!(name(&disk, 1, 0), part_uuid(1));
    assert_eq!((name(&disk, 2, 2048), name(&disk, 3, 2049)), (None, None), "what the kernel shows is something else");
}

#[test]
fn an_entry_behind_the_end_of_the_disk_hides_no_other() {
    let disk = mbr(&[(1, 0x83, 2048, 1024), (2, 0x83, 8192, 1024)]);
    assert_eq!(table::read(&disk, disk.geometry()), Ok(None));
    assert_eq!(name(&disk, 1, 2048), part_uuid(1));
}

#[test]
fn logical_partitions_need_an_extended_one() {
    let with = mbr(&[(1, 0x83, 64, 64), (2, 0x05, 2048, 1024)]);
    let without = mbr(&[(1, 0x83, 64, 64)]);
    assert_eq!((name(&with, 5, 2112), name(&without, 5, 2112)), (part_uuid(5), None));
}

/// `gpt` on the kernel command line: the kernel takes the table without its protective MBR.
#[test]
fn a_gpt_without_its_protective_mbr_names_what_the_kernel_shows() {
    let mut disk = super::make::Gpt::of_mib(16, &[(1, 2048, 4095), (3, 8192, 16383)]).make();
    let table = super::read(&disk);
    let first = table.partitions().first().unwrap();
    let expected = Some(Named { uuid: first.uuid.clone(), name: first.name.clone() });
    assert_eq!(name(&disk, first.number, first.first.0), expected);
    disk.write(0, &[0; SECTOR as usize]);
    assert_eq!(table::read(&disk, disk.geometry()), Ok(None));
    assert_eq!(name(&disk, first.number, first.first.0), expected);
    assert_eq!(name(&disk, first.number, first.first.0 + 1), None);
}
