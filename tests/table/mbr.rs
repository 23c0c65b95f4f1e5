//! MBR: primary and logical partitions, the 2 TiB limit, and what must not pass for a table.

use crate::make::{self, MIB, RecordEntry};
use crate::support::MemoryDisk;
use crate::{grow, grow_by, read, refusal};
use wisp::error::Kind;
use wisp::table::{self, PartitionType, Rule, Span};
use wisp::units::{ByteCount, Lba, SectorSize};

const M: u32 = 2048;

fn span(first: u64, last: u64) -> Span {
    Span { first: Lba(first), last: Lba(last) }
}

/// p1, then an extended p2 with p5 and p6 in it, on 1 GiB; each record lies 1 MiB before its partition.
fn with_logicals() -> MemoryDisk {
    let mut disk = make::mbr(1024, &[(0x83, M, 99 * M), (0x0F, 100 * M, 300 * M)]);
    make::boot_record(&mut disk, 100 * MIB, &[(0x83, M, 99 * M), (0x05, 100 * M, 150 * M)]);
    make::boot_record(&mut disk, 200 * MIB, &[(0x82, M, 149 * M)]);
    disk
}

#[test]
fn a_table_has_everything_about_its_partitions() {
    let disk = with_logicals();
    let table = read(&disk);
    assert_eq!((table.kind(), table.repair_needed()), ("dos", false));
    let seen: Vec<_> = table.partitions().iter().map(|p| (p.number, p.span(), p.uuid.as_str(), p.kind)).collect();
    assert_eq!(
        seen,
        [
            (1, span(MIB, 100 * MIB - 1), "deadbeef-01", PartitionType::Mbr(0x83)),
            (2, span(100 * MIB, 400 * MIB - 1), "deadbeef-02", PartitionType::Mbr(0x0F)),
            (5, span(101 * MIB, 200 * MIB - 1), "deadbeef-05", PartitionType::Mbr(0x83)),
            (6, span(201 * MIB, 350 * MIB - 1), "deadbeef-06", PartitionType::Mbr(0x82)),
        ]
    );
    assert_eq!(refusal(&disk, 3).kind, Kind::Absent);
    assert_eq!(refusal(&disk, 7).kind, Kind::Absent);
}

/// F.1/12 and F.1/10: eight bytes of one sector change.
#[test]
fn a_primary_partition_grows_and_the_rest_of_the_sector_stays() {
    let before = make::mbr(1024, &[(0x0C, M, 9 * M), (0x83, 10 * M, 50 * M)]);
    let mut disk = before.clone();
    let growth = grow(&mut disk, 2);
    assert_eq!((growth.after, growth.notes.len()), (span(10 * MIB, 1023 * MIB - 1), 0));
    assert_eq!(growth.writes.iter().map(|write| (write.at.0, write.bytes.len())).collect::<Vec<_>>(), [(0, 512)]);
    let mut sector = disk.sector(0);
    assert_eq!(sector[467..470], [0xFE, 0xFF, 0xFF]);
    sector[467..470].copy_from_slice(&before.sector(0)[467..470]);
    sector[474..478].copy_from_slice(&before.sector(0)[474..478]);
    assert_eq!(sector, before.sector(0));
}

/// F.1/5.
#[test]
fn the_next_partition_is_the_limit() {
    let mut disk = make::mbr(1024, &[(0x83, 500 * M, 10 * M), (0x83, M, 9 * M), (0x83, 400 * M, 10 * M)]);
    assert_eq!(grow(&mut disk, 2).after, span(MIB, 400 * MIB - 1));
    assert!(!grow(&mut disk, 2).grows());
}

/// F.1/8 and F.1/9.
#[test]
fn an_unaligned_start_stays_where_it_is() {
    for first in [63, 2049] {
        let mut disk = make::mbr(64, &[(0x83, first, 9 * M)]);
        assert_eq!(grow(&mut disk, 1).after, span(first.into(), 63 * MIB - 1));
        let mut disk = make::mbr(64, &[(0x83, first, 9 * M)]);
        let rule = Rule { length_multiple: ByteCount(4096), ..Rule::default() };
        assert_eq!(grow_by(&mut disk, 1, rule).after.sectors() % 8, 0);
    }
}

/// As growpart does; on an aligned disk the alignment alone keeps the last MiB free.
#[test]
fn room_for_a_gpt_stays_free() {
    let mut disk = make::mbr(64, &[(0x83, M, 9 * M)]);
    disk.resize(64 * MIB + 33);
    assert_eq!(grow(&mut disk, 1).after.last, Lba(64 * MIB - 1));
    let mut disk = make::mbr(64, &[(0x83, M, 9 * M)]);
    disk.resize(64 * MIB + 32);
    assert_eq!(grow(&mut disk, 1).after.last, Lba(63 * MIB - 1));
}

/// F.1/7.
#[test]
fn behind_2_tib_the_mbr_ends_and_says_so() {
    let mut disk = make::mbr(1024, &[(0x83, M, 50 * M)]);
    disk.resize(3 << 31);
    let growth = grow(&mut disk, 1);
    assert_eq!(growth.after, span(MIB, (1 << 32) - 1));
    assert_eq!(growth.notes, ["the MBR can address 2 TiB; 1 TiB at the end of the disk stay unused"]);
    let mut disk = MemoryDisk::new(SectorSize::B4096, 6 << 30);
    make::boot_record(&mut disk, 0, &[(0x83, 256, 1000)]);
    let growth = grow(&mut disk, 1);
    assert_eq!(growth.after, span(256, (1 << 32) - 1));
    assert_eq!(growth.notes, ["the MBR can address 16 TiB; 8 TiB at the end of the disk stay unused"]);
}

#[test]
fn a_partition_behind_the_limit_does_not_shrink() {
    let mut disk = make::mbr(64, &[(0x83, M, 64 * M - 2048)]);
    assert!(!grow(&mut disk, 1).grows());
    let mut disk = make::mbr(64, &[(0x83, u32::MAX - 10, u32::MAX)]);
    disk.resize(1 << 34);
    assert!(!grow(&mut disk, 1).grows());
}

/// F.1/14.
#[test]
fn the_extended_partition_grows_around_its_last_logical_one() {
    let mut disk = with_logicals();
    let growth = grow(&mut disk, 6);
    assert_eq!(growth.after, span(201 * MIB, 1023 * MIB - 1));
    let order: Vec<_> = growth.writes.iter().map(|write| (write.what, write.at.0 / 512)).collect();
    assert_eq!(
        order,
        [
            ("the extended partition in the MBR", 0),
            ("the link to the extended boot record", 100 * MIB),
            ("the extended boot record", 200 * MIB),
        ]
    );
    assert!(growth.writes.iter().all(|write| write.bytes.len() == 512));
    assert_eq!(read(&disk).partition(2).unwrap().span(), span(100 * MIB, 1023 * MIB - 1));
    assert_eq!(disk.sector(100 * MIB)[474..478], (823 * M).to_le_bytes(), "the link covers record and partition");
}

#[test]
fn a_logical_partition_in_the_middle_ends_before_the_next_record() {
    let mut disk = make::mbr(1024, &[(0x83, M, 99 * M), (0x05, 100 * M, 300 * M)]);
    make::boot_record(&mut disk, 100 * MIB, &[(0x83, M, 9 * M), (0x05, 100 * M, 150 * M)]);
    make::boot_record(&mut disk, 200 * MIB, &[(0x82, M, 149 * M)]);
    let growth = grow(&mut disk, 5);
    assert_eq!((growth.after, growth.writes.len()), (span(101 * MIB, 200 * MIB - 1), 1));
}

#[test]
fn a_logical_partition_grows_in_room_that_the_extended_one_has() {
    let mut disk = with_logicals();
    disk.patch(478, &make::boot_entry(0, 0x83, 400 * M, 600 * M));
    let growth = grow(&mut disk, 6);
    assert_eq!((growth.after, growth.writes.len()), (span(201 * MIB, 400 * MIB - 1), 2));
    assert_eq!(read(&disk).partition(2).unwrap().span(), span(100 * MIB, 400 * MIB - 1));
}

#[test]
fn a_primary_partition_ends_before_the_extended_one() {
    let mut disk = with_logicals();
    assert!(!grow(&mut disk, 1).grows());
    let error = refusal(&disk, 2);
    assert_eq!((error.kind, error.why.as_ref()), (Kind::Refused, "partition 2 is the extended one"));
}

#[test]
fn an_extended_partition_without_a_record_is_empty() {
    let disk = make::mbr(1024, &[(0x83, M, 9 * M), (0x85, 100 * M, 300 * M)]);
    assert_eq!(read(&disk).partitions().len(), 2);
    assert_eq!(refusal(&disk, 5).kind, Kind::Absent);
    assert_eq!(grow(&mut disk.clone(), 1).after, span(MIB, 100 * MIB - 1));
}

/// F.1/19, and chains that lie.
#[test]
fn a_table_that_contradicts_itself_is_not_written() {
    let overlapping = make::mbr(1024, &[(0x83, M, 20 * M), (0x83, 20 * M, 9 * M)]);
    assert_eq!(refusal(&overlapping, 2).why, "partitions 1 and 2 overlap");
    let beyond = make::mbr(64, &[(0x83, M, 9 * M), (0x83, 20 * M, 44 * M + 1)]);
    assert_eq!(refusal(&beyond, 1).why, "the disk is smaller than its table says: partition 2 ends behind it");
    let zero = make::mbr(64, &[(0x83, M, 9 * M), (0x83, 20 * M, 0)]);
    assert_eq!(refusal(&zero, 2).kind, Kind::Absent, "a partition of no sectors is none");

    let cases: [(u64, &[RecordEntry], &str); 6] = [
        (
            200,
            &[(0x83, M, 149 * M), (0x05, 350 * M, M)],
            "its chain of logical partitions leads out of the extended one",
        ),
        (200, &[(0x83, M, 149 * M), (0x05, 250 * M, M)], "its chain of logical partitions is broken"),
        (
            200,
            &[(0x83, M, 149 * M), (0, 0, 0), (0x83, M, M)],
            "an extended boot record holds more than a partition and a link",
        ),
        (200, &[(0x83, M, 300 * M)], "partition 6 reaches out of the extended one"),
        (100, &[(0x83, M, 100 * M), (0x05, 100 * M, 150 * M)], "partition 5 overlaps an extended boot record"),
        (200, &[(0x83, M, 49 * M), (0x83, 20 * M, 49 * M)], "partitions 6 and 7 overlap"),
    ];
    for (record, entries, why) in cases {
        let mut disk = with_logicals();
        make::boot_record(&mut disk, record * MIB, entries);
        let error = refusal(&disk, 5);
        assert_eq!((error.kind, error.why.as_ref()), (Kind::Refused, why));
        assert!(!grow(&mut disk, 1).grows(), "the primary ones are not concerned");
    }
}

#[test]
fn a_chain_that_leads_back_to_itself_ends() {
    let mut disk = with_logicals();
    make::boot_record(&mut disk, 200 * MIB, &[(0x82, M, 149 * M), (0x05, 0, 99 * M), (0, 0, 0), (0, 0, 0)]);
    disk.patch(200 * MIB * 512 + 462, &make::boot_entry(0, 0x05, 100 * M, 99 * M));
    let error = table::read(&disk, disk.geometry()).unwrap_err();
    assert_eq!((error.kind, error.why.as_ref()), (Kind::Corrupt, "its chain of logical partitions never ends"));
    let two = make::mbr(1024, &[(0x05, M, 9 * M), (0x0F, 100 * M, 300 * M)]);
    assert_eq!(table::read(&two, two.geometry()).unwrap_err().kind, Kind::Unsupported);
}

/// F.1/20: what ends in 0x55AA and is no table. The texts are what the boot sectors of FAT, NTFS and extlinux have
/// where a table has its entries: words for the person at the screen.
#[test]
fn a_boot_sector_of_a_filesystem_is_no_table() {
    let of = |at: u64, text: &[u8]| {
        let mut disk = MemoryDisk::new(SectorSize::B512, 64 * MIB);
        disk.patch(0, &[0xEB, 0x58, 0x90]);
        disk.patch(at, text);
        disk.patch(510, &[0x55, 0xAA]);
        table::read(&disk, disk.geometry())
    };
    assert_eq!(of(440, &[]), Ok(None), "mkfs.fat leaves the place of the entries empty");
    assert_eq!(of(430, b"Remove disks or other media.\xFF\r\nDisk error\xFF\r\nPress any key to"), Ok(None));
    assert_eq!(of(446, b"A disk read error occurred\0\r\nBOOTMGR is compressed\0\r\nPress Ctrl"), Ok(None));
    let code: Vec<u8> = (0..64).map(|place| (place * 37 + 11) as u8).collect();
    assert_eq!(of(446, &code), Ok(None));
    // Even where every status happens to be possible, code does not point to sectors of the disk.
    assert_eq!(of(446, &make::boot_entry(0, 0x83, 0, 4096)), Ok(None));
    assert_eq!(of(446, &make::boot_entry(0, 0x83, 0x2F2E_2D2C, 4096)), Ok(None));
    assert_eq!(of(446, &make::boot_entry(0x80, 0xEE, 7, 4096)), Ok(None));
}
