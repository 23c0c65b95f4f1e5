//! GPT: every shape that is accepted, every reason to refuse, and the bytes that must survive.

use crate::make::{self, Gpt, MIB};
use crate::support::MemoryDisk;
use crate::{grow, grow_by, read, refusal};
use wisp::bytes::ReadAt;
use wisp::error::{Error, Kind, Result};
use wisp::table::{self, Copies, PartitionType, Rule, Span, Table};
use wisp::units::{ByteCount, Guid, Lba, SectorSize};

const GIB: u64 = 1024;

fn span(first: u64, last: u64) -> Span {
    Span { first: Lba(first), last: Lba(last) }
}

/// An image of 1 GiB with a boot partition and a root that fills the rest, as `sgdisk -n 1:2048:+64M -n 2:0:0` does.
fn image() -> Gpt {
    Gpt::of_mib(GIB, &[(1, MIB, 65 * MIB - 1), (2, 65 * MIB, GIB * MIB - 34)])
}

/// The image on a disk of 8 GiB.
fn image_on_8_gib() -> MemoryDisk {
    let mut disk = image().make();
    disk.resize(8 * GIB * MIB);
    disk
}

fn copies(disk: &MemoryDisk) -> Copies {
    match read(disk) {
        Table::Gpt(gpt) => gpt.copies(),
        Table::Mbr(_) => panic!("a GPT was made"),
    }
}

fn field(disk: &MemoryDisk, sector: u64, at: usize) -> u64 {
    u64::from_le_bytes(disk.sector(sector)[at..at + 8].try_into().unwrap())
}

fn repair() -> Rule {
    Rule { repair: true, ..Rule::default() }
}

#[test]
fn a_table_has_everything_about_its_partitions() {
    let disk = image().make();
    let table = read(&disk);
    assert_eq!((table.kind(), table.repair_needed(), table.partitions().len()), ("gpt", false, 2));
    let root = table.partition(2).unwrap();
    assert_eq!(root.span(), span(65 * MIB, GIB * MIB - 34));
    assert_eq!(root.uuid, make::unique(2));
    assert_eq!(root.name.as_deref(), Some("Größe 2"));
    let linux = Guid::parse("0fc63daf-8483-4772-8e79-3d69d8477de4").unwrap();
    assert_eq!(root.kind, PartitionType::Gpt(linux));
    let Table::Gpt(gpt) = &table else { panic!("a GPT was made") };
    assert_eq!(gpt.disk().to_string(), make::DISK);
    assert_eq!(table.partition(3), None);
    assert_eq!(refusal(&disk, 3).kind, Kind::Absent);
}

/// F.1/1 and F.1/12, F.1/13: the backup goes to the end, the protective MBR follows, and nothing else changes.
#[test]
fn an_image_on_a_larger_disk_grows_to_the_end_and_keeps_every_other_byte() {
    let before = image_on_8_gib();
    let mut disk = before.clone();
    let growth = grow(&mut disk, 2);
    let last = 8 * GIB * MIB - 1;
    assert_eq!(growth.before, span(65 * MIB, GIB * MIB - 34));
    assert_eq!(growth.after, span(65 * MIB, 8 * GIB * MIB - MIB - 1));
    assert_eq!(growth.notes, ["the backup GPT moves to the end of the disk"]);
    assert_eq!((field(&disk, 1, 32), field(&disk, 1, 48)), (last, last - 33));
    assert_eq!((field(&disk, last, 24), field(&disk, last, 32), field(&disk, last, 72)), (last, 1, last - 32));
    assert_eq!(disk.sector(0)[458..462], u32::try_from(last).unwrap().to_le_bytes());

    let mut restored = disk.sector(0);
    restored[458..462].copy_from_slice(&before.sector(0)[458..462]);
    assert_eq!(restored, before.sector(0), "boot code, signature and the rest of the protective entry");
    let mut restored = disk.sector(1);
    for changed in [16..20, 32..40, 48..56, 88..92] {
        restored[changed.clone()].copy_from_slice(&before.sector(1)[changed]);
    }
    assert_eq!(restored, before.sector(1), "GUID, revision, reserved bytes of the header");
    let mut restored = disk.sector(2);
    restored[168..176].copy_from_slice(&before.sector(2)[168..176]);
    assert_eq!(restored, before.sector(2), "types, GUIDs, attributes, names");
    assert_eq!(copies(&disk), Copies::Both);
}

#[test]
fn the_primary_is_one_write_of_a_whole_physical_sector_and_comes_last() {
    let disk = image_on_8_gib();
    let growth = read(&disk).grow(&disk, 2, Rule::default()).unwrap();
    let shape: Vec<_> = growth.writes.iter().map(|write| (write.what, write.at.0, write.bytes.len())).collect();
    let end = (8 * GIB) << 20;
    assert_eq!(shape, [("the backup GPT", end - 33 * 512, 33 * 512), ("the primary GPT", 0, 4096)]);
}

/// A disk with physical sectors of 4096 bytes must never have to read what it writes: the entries behind the changed
/// one fill the write. Where the array is too short for that, what lies behind it is no one's to write.
#[test]
fn the_write_of_the_primary_is_filled_with_entries_only() {
    for (number, count, expected) in
        [(1, 128, 4096), (30, 128, 8192), (128, 128, 34 * 512), (1, 24, 4096), (1, 16, 1536)]
    {
        let mut disk = Gpt { count, ..Gpt::of_mib(64, &[(number, MIB, 64 * MIB - 34)]) }.make();
        disk.resize(128 * MIB);
        let growth = read(&disk).grow(&disk, number.try_into().unwrap(), Rule::default()).unwrap();
        let primary = growth.writes.last().unwrap();
        assert_eq!((primary.at, primary.bytes.len()), (ByteCount(0), expected), "partition {number} of {count}");
        let mut before = vec![0; expected];
        disk.read_at(ByteCount(0), &mut before).unwrap();
        let changed = before.chunks(512).zip(primary.bytes.chunks(512)).filter(|(old, new)| old != new).count();
        assert_eq!(changed, 3, "the protective MBR, the header, one sector of entries");
    }
}

/// F.1/2.
#[test]
fn the_backup_moves_even_where_growing_is_not_worth_it() {
    let mut disk = Gpt::of_mib(GIB, &[(1, MIB, GIB * MIB - 34)]).make();
    disk.resize(GIB * MIB + 1024);
    let growth = grow(&mut disk, 1);
    assert!(!growth.grows() && growth.writes.len() == 2);
    assert_eq!(field(&disk, 1, 32), GIB * MIB + 1023);
}

/// F.1/3: a tool that looks for the number finds the wrong column.
#[test]
fn a_start_that_equals_the_size_confuses_nothing() {
    let mut disk = Gpt::of_mib(64, &[(1, 8 * MIB, 16 * MIB - 1), (2, 16 * MIB, 32 * MIB - 1)]).make();
    assert_eq!(grow(&mut disk, 2).after, span(16 * MIB, 63 * MIB - 1));
    assert_eq!(read(&disk).partition(1).unwrap().span(), span(8 * MIB, 16 * MIB - 1));
}

/// F.1/4: Ubuntu's images.
#[test]
fn the_order_of_numbers_is_not_the_order_on_disk() {
    let partitions = [(1, 227328, 4612062), (14, 2048, 10239), (15, 10240, 227327)];
    let mut disk = Gpt::of_mib(2252, &partitions).make();
    disk.resize(10 * GIB * MIB);
    assert_eq!(grow(&mut disk, 1).after, span(227328, (10 * GIB - 1) * MIB - 1));
    assert_eq!(refusal(&disk, 2).kind, Kind::Absent);
}

/// F.1/5.
#[test]
fn the_next_partition_is_the_limit() {
    let with_gap = Gpt::of_mib(GIB, &[(1, MIB, 100 * MIB - 1), (2, 500 * MIB, 600 * MIB - 1)]);
    assert_eq!(grow(&mut with_gap.make(), 1).after, span(MIB, 500 * MIB - 1));
    let unaligned = Gpt::of_mib(GIB, &[(1, MIB, 100 * MIB - 1), (2, 500 * MIB + 9, 600 * MIB - 1)]);
    assert_eq!(grow(&mut unaligned.make(), 1).after, span(MIB, 500 * MIB - 1));
    let without_gap = Gpt::of_mib(GIB, &[(1, MIB, 100 * MIB - 1), (2, 100 * MIB, 200 * MIB - 1)]);
    let growth = grow(&mut without_gap.make(), 1);
    assert!(!growth.grows() && growth.writes.is_empty());
}

/// F.1/6.
#[test]
fn a_disk_of_5_tib_is_used_whole() {
    let mut disk = image().make();
    disk.resize(5 * 1024 * GIB * MIB);
    assert_eq!(grow(&mut disk, 2).after.last, Lba((5 * 1024 * GIB - 1) * MIB - 1));
    assert_eq!(disk.sector(0)[458..462], [0xFF; 4]);
}

/// F.1/8 and F.1/10.
#[test]
fn an_unaligned_start_stays_where_it_is() {
    for first in [2049, 63, 34] {
        let mut disk = Gpt::of_mib(64, &[(1, first, 10_000)]).make();
        assert_eq!(grow(&mut disk, 1).after, span(first, 63 * MIB - 1));
    }
}

/// F.1/9: cryptsetup refuses a length that is no multiple of 4096 bytes on a disk with such physical sectors.
#[test]
fn the_length_is_a_multiple_where_luks_or_lvm_need_it() {
    let rule = Rule { length_multiple: ByteCount(4096), ..Rule::default() };
    let mut disk = Gpt::of_mib(64, &[(1, 2049, 10_000)]).make();
    let after = grow_by(&mut disk, 1, rule).after;
    assert_eq!((after.sectors() % 8, after.last), (0, Lba(63 * MIB - 8)));
    let mut disk = Gpt::of_mib(64, &[(1, 2048, 10_000)]).make();
    assert_eq!(grow_by(&mut disk, 1, rule).after, span(2048, 63 * MIB - 1));
}

/// F.1/11.
#[test]
fn a_hybrid_mbr_stays_as_it_is_and_its_partitions_do_not_grow() {
    let mut disk = image_on_8_gib();
    disk.patch(462, &make::boot_entry(0x80, 0x0C, u32::try_from(MIB).unwrap(), u32::try_from(64 * MIB).unwrap()));
    let record = disk.sector(0);
    assert!(grow(&mut disk, 2).grows(), "an entry for partition 1 does not concern partition 2");
    assert_eq!(disk.sector(0), record);

    let mut disk = image_on_8_gib();
    disk.patch(462, &make::boot_entry(0, 0x83, u32::try_from(65 * MIB).unwrap(), 4096));
    assert_eq!(refusal(&disk, 2).kind, Kind::Refused);
    let mut disk = image_on_8_gib();
    disk.patch(462, &make::boot_entry(0, 0x83, u32::try_from(2 * GIB * MIB).unwrap(), 4096));
    assert_eq!(refusal(&disk, 2).kind, Kind::Refused, "it would grow over a partition that only the MBR knows");
}

/// F.1/15.
#[test]
fn sectors_of_4096_bytes_have_a_shorter_tail() {
    let mut disk = Gpt::of_mib_4k(GIB, &[(1, 256, GIB * 256 - 6)]).make();
    disk.resize(8 * GIB * 256);
    let growth = grow(&mut disk, 1);
    let last = 8 * GIB * 256 - 1;
    assert_eq!(growth.after, span(256, (8 * GIB - 1) * 256 - 1));
    assert_eq!((field(&disk, 1, 32), field(&disk, 1, 48), field(&disk, last, 72)), (last, last - 5, last - 4));
    assert_eq!(growth.writes.iter().map(|write| write.bytes.len() / 4096).collect::<Vec<_>>(), [5, 3]);
}

/// F.1/16, both ways round.
#[test]
fn a_table_for_another_sector_size_is_refused_with_both_sizes() {
    let small = image().make();
    let mut bytes = vec![0; 1 << 20];
    ReadAt::read_at(&small, ByteCount(0), &mut bytes).unwrap();
    let geometry = table::Geometry { sector: SectorSize::B4096, sectors: 256 };
    let error = table::read(&bytes.as_slice(), geometry).unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert_eq!(error.why, "it was made for sectors of 512 bytes, and this disk has sectors of 4096");

    let large = Gpt::of_mib_4k(4, &[(1, 256, 511)]).make();
    let mut bytes = vec![0; 4 << 20];
    ReadAt::read_at(&large, ByteCount(0), &mut bytes).unwrap();
    let geometry = table::Geometry { sector: SectorSize::B512, sectors: 8192 };
    let error = table::read(&bytes.as_slice(), geometry).unwrap_err();
    assert_eq!(error.why, "it was made for sectors of 4096 bytes, and this disk has sectors of 512");
}

/// F.1/17, and header sizes, and arrays that do not follow the header.
#[test]
fn any_legal_shape_is_kept() {
    let base = || Gpt { first_usable: 2048, ..Gpt::of_mib(64, &[(1, 4096, 20_000)]) };
    for shape in [
        Gpt { entry_size: 256, ..base() },
        Gpt { entry_size: 1024, ..base() },
        Gpt { entry_size: 4096, count: 256, first_usable: 4096, ..base() },
        Gpt { count: 1, ..base() },
        Gpt { count: 16, ..base() },
        Gpt { count: 130, ..base() },
        Gpt { count: 256, ..base() },
        Gpt { header_size: 512, ..base() },
        Gpt { header_size: 96, entries_at: 40, ..base() },
        Gpt { entries_at: 2016, ..base() },
        Gpt { count: 16, ..Gpt::of_mib_4k(64, &[(1, 256, 2000)]) },
        Gpt { header_size: 4096, entry_size: 512, first_usable: 64, ..Gpt::of_mib_4k(64, &[(1, 256, 2000)]) },
    ] {
        let mut disk = shape.make();
        disk.resize(2 * shape.sectors);
        let before = disk.clone();
        let growth = grow(&mut disk, 1);
        assert!(growth.grows());
        let array = (shape.count * shape.entry_size).div_ceil(shape.sector.bytes());
        let last = 2 * shape.sectors - 1;
        assert_eq!((field(&disk, 1, 48), field(&disk, last, 72)), (last - array - 1, last - array));
        for range in [8..16, 20..32, 40..48, 56..88, 92..512] {
            assert_eq!(disk.sector(1)[range.clone()], before.sector(1)[range.clone()], "bytes {range:?} of the header");
        }
        let mut entries = disk.sector(shape.entries_at);
        entries[40..48].copy_from_slice(&before.sector(shape.entries_at)[40..48]);
        assert_eq!(entries, before.sector(shape.entries_at));
        assert_eq!(copies(&disk), Copies::Both);
    }
}

#[test]
fn an_array_larger_than_any_real_one_is_not_read() {
    let mut disk = image().make();
    let mut header = disk.sector(1);
    header[80..84].copy_from_slice(&8193u32.to_le_bytes());
    make::seal(&mut header);
    disk.write(512, &header);
    assert_eq!(table::read(&disk, disk.geometry()).unwrap_err().kind, Kind::Unsupported);
}

/// The last sector that partitions may use can be set lower on purpose (`last-lba:` of sfdisk): room for RAID metadata,
/// or cells of a flash disk that shall stay empty. As long as the disk is the one it was set for, it holds.
#[test]
fn a_lower_last_usable_sector_is_kept_until_the_disk_grows() {
    let mut disk = Gpt::of_mib(64, &[(1, MIB, 10 * MIB - 1)]).make();
    for at in [1, 64 * MIB - 1] {
        let mut header = disk.sector(at);
        header[48..56].copy_from_slice(&(32 * MIB - 1).to_le_bytes());
        make::seal(&mut header);
        disk.write(at * 512, &header);
    }
    assert_eq!(grow(&mut disk, 1).after, span(MIB, 32 * MIB - 1));
    disk.resize(128 * MIB);
    assert_eq!(grow(&mut disk, 1).after, span(MIB, 127 * MIB - 1));
}

#[test]
fn a_wrong_size_in_the_protective_mbr_is_put_right_alone() {
    let mut disk = image().make();
    disk.patch(458, &77u32.to_le_bytes());
    let growth = grow(&mut disk, 2);
    assert_eq!(
        growth.writes.iter().map(|write| (write.what, write.bytes.len())).collect::<Vec<_>>(),
        [("the protective MBR", 512)]
    );
    disk.patch(458, &u32::MAX.to_le_bytes());
    assert_eq!(grow(&mut disk, 2).writes, [], "the largest number is right everywhere");
}

#[test]
fn a_damaged_backup_is_rewritten() {
    for damage in [0, 33 * 512 - 500, 32 * 512 + 92] {
        let mut disk = image().make();
        let at = (GIB << 20) - 33 * 512 + damage;
        let sound = disk.clone();
        disk.patch(at, &[0x77]);
        if damage == 32 * 512 + 92 {
            assert_eq!(copies(&disk), Copies::Both, "bytes behind the header mean nothing");
            continue;
        }
        assert_eq!(copies(&disk), Copies::BackupDamaged);
        assert!(!read(&disk).repair_needed());
        let growth = grow(&mut disk, 2);
        assert_eq!(growth.notes, ["the damaged backup GPT is written anew"]);
        assert_eq!(growth.writes.len(), 1);
        assert_eq!(disk, sound);
    }
}

/// A disk of which some sectors can no longer be read.
struct BadSectors<'a>(&'a MemoryDisk, std::ops::RangeInclusive<u64>);

impl ReadAt for BadSectors<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let (first, last) = (offset.0 / 512, (offset.0 + buffer.len() as u64 - 1) / 512);
        if first <= *self.1.end() && last >= *self.1.start() {
            return Err(Error::os(5, "read"));
        }
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn a_backup_that_cannot_be_read_does_not_hide_a_sound_primary() {
    let disk = image().make();
    let last = GIB * MIB - 1;
    for bad in [last..=last, last - 32..=last - 32] {
        let failing = BadSectors(&disk, bad);
        let table = table::read(&failing, disk.geometry()).unwrap().expect("a table");
        assert_eq!(table.partitions(), read(&disk).partitions());
        assert!(matches!(&table, Table::Gpt(gpt) if gpt.copies() == Copies::BackupDamaged));
        let growth = table.grow(&failing, 2, Rule::default()).unwrap();
        assert_eq!(growth.writes.iter().map(|write| write.what).collect::<Vec<_>>(), ["the backup GPT"]);
    }
    let larger = image_on_8_gib();
    let failing = BadSectors(&larger, last..=last);
    let growth = table::read(&failing, larger.geometry()).unwrap().unwrap().grow(&failing, 2, Rule::default()).unwrap();
    let order: Vec<_> = growth.writes.iter().map(|write| write.what).collect();
    assert_eq!(order, ["the backup GPT", "the primary GPT"], "a bad place for the backup stops it before the primary");
    let primary = table::read(&BadSectors(&disk, 1..=1), disk.geometry());
    assert_eq!(primary.unwrap_err().kind, Kind::Os(5), "the primary itself has to be read");
}

/// F.1/18: the backup at the true end, and at the end that the disk had when the image was made.
#[test]
fn a_damaged_primary_is_rebuilt_only_on_request() {
    for larger in [1, 8] {
        for damaged in [vec![1], vec![2], (1..34).collect()] {
            let mut disk = image().make();
            disk.resize(larger * GIB * MIB);
            let mut sound = disk.clone();
            grow(&mut sound, 2);
            for &sector in &damaged {
                disk.write(sector * 512, &[0; 512]);
            }
            let untouched = disk.clone();
            assert_eq!(copies(&disk), Copies::PrimaryDamaged);
            assert!(read(&disk).repair_needed());
            let error = refusal(&disk, 2);
            assert_eq!(error.kind, Kind::Refused);
            assert!(error.why.contains("wisp.grow=repair"), "{error}");
            assert_eq!(disk, untouched);
            let growth = grow_by(&mut disk, 2, repair());
            assert_eq!(growth.notes[0], "the damaged primary GPT is rebuilt from its backup");
            assert_eq!(disk, sound);
        }
    }
}

#[test]
fn an_interrupted_update_is_finished_without_asking_and_damage_is_not() {
    let last_of_root = 2 * 512 + 168;
    let (smaller, larger) = ((GIB - 1) * MIB - 1, GIB * MIB - 33);
    for (value, name, expected) in [
        (smaller, "Größe", Copies::Interrupted),
        (larger, "Größe", Copies::PrimaryDamaged),
        (smaller, "Namen", Copies::PrimaryDamaged),
    ] {
        let mut disk = image().make();
        let sound = disk.clone();
        disk.patch(last_of_root, &value.to_le_bytes());
        let letter = u16::try_from(u32::from(name.chars().next().unwrap())).unwrap();
        disk.patch(2 * 512 + 128 + 56, &letter.to_le_bytes());
        assert_eq!(copies(&disk), expected);
        assert!(read(&disk).repair_needed());
        assert_eq!(read(&disk).partitions(), read(&sound).partitions(), "the backup speaks");
        if expected == Copies::PrimaryDamaged {
            assert_eq!(refusal(&disk, 2).kind, Kind::Refused);
            continue;
        }
        assert_eq!(grow(&mut disk, 2).notes, ["an interrupted update of the partition table is finished"]);
        assert_eq!(disk, sound);
    }
}

#[test]
fn entries_that_were_not_behind_the_header_are_found_again() {
    let shape = Gpt { first_usable: 2048, entries_at: 2016, ..Gpt::of_mib(64, &[(1, 2048, 20_000)]) };
    for behind_the_header in [&b""[..], b"a boot loader for a small board"] {
        let mut disk = shape.make();
        disk.patch(2 * 512, behind_the_header);
        let mut sound = disk.clone();
        grow(&mut sound, 1);
        disk.write(512, &[0; 512]);
        grow_by(&mut disk, 1, repair());
        assert_eq!(disk, sound);
    }
    let mut disk = Gpt { first_usable: 2048, ..Gpt::of_mib(64, &[(1, 2048, 20_000)]) }.make();
    disk.write(512, &[0; 512]);
    disk.patch(3 * 512, &[1]);
    disk.patch(2040 * 512, &[1]);
    let error = read(&disk).grow(&disk, 1, repair()).unwrap_err();
    assert_eq!(error.why, "nothing tells where its entries belong");
}

#[test]
fn backups_of_two_disks_are_no_ground_for_a_repair() {
    let mut disk = image_on_8_gib();
    let other = Gpt::of_mib(8 * GIB, &[(1, MIB, 2 * MIB)]).make();
    for at in 8 * GIB * MIB - 33..8 * GIB * MIB {
        disk.write(at * 512, &other.sector(at));
    }
    let mut header = disk.sector(8 * GIB * MIB - 1);
    header[56] ^= 1;
    make::seal(&mut header);
    disk.write((8 * GIB * MIB - 1) * 512, &header);
    assert_eq!(copies(&disk), Copies::Both, "the primary and its own backup are sound");
    disk.write(512, &[0; 512]);
    let error = table::read(&disk, disk.geometry()).unwrap_err();
    assert_eq!(error.why, "its primary is damaged, and there are backups of two different disks");
}

/// F.1/19.
#[test]
fn two_damaged_replicas_are_not_guessed_at() {
    let mut disk = image().make();
    disk.write(512, &[0; 512]);
    disk.write((GIB << 20) - 512, &[0; 512]);
    let error = table::read(&disk, disk.geometry()).unwrap_err();
    assert_eq!((error.kind, error.doing), (Kind::Corrupt, "read the GPT of"));
    assert_eq!(error.why, "its primary is damaged (there is no header), and so is its backup");
}

/// F.1/19: sound checksums over nonsense.
#[test]
fn a_table_that_contradicts_itself_is_not_written() {
    for (at, value, why) in [
        (40, 65 * MIB, "partitions 1 and 2 overlap"),
        (160, 64 * MIB, "partitions 1 and 2 overlap"),
        (160, 2, "partition 2 reaches out of the usable sectors"),
        (168, 64 * MIB, "partition 2 ends before it starts"),
        (168, GIB * MIB - 33, "partition 2 reaches out of the usable sectors"),
        (168, u64::MAX, "partition 2 reaches out of the usable sectors"),
    ] {
        let mut disk = image().make();
        make::falsify(&mut disk, at, &value.to_le_bytes());
        let error = refusal(&disk, 2);
        assert_eq!((error.kind, error.why.as_ref()), (Kind::Refused, why));
    }
    for (at, value) in [(40, 33), (40, u64::MAX), (72, MIB)] {
        let mut disk = image().make();
        let array: Vec<u8> = (2..34).flat_map(|at| disk.sector(at)).collect();
        disk.write(MIB * 512, &array);
        let mut header = disk.sector(1);
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        make::seal(&mut header);
        disk.write(512, &header);
        assert_eq!(refusal(&disk, 2).why, "its entries lie where partitions may");
    }
}

#[test]
fn a_disk_smaller_than_its_table_is_not_written() {
    let mut disk = image().make();
    disk.resize(GIB * MIB - 1);
    assert_eq!(refusal(&disk, 2).why, "the disk is smaller than its table says");
}

#[test]
fn a_table_that_changed_since_it_was_read_is_not_written() {
    let mut disk = image_on_8_gib();
    let table = read(&disk);
    grow(&mut disk, 2);
    assert_eq!(table.grow(&disk, 2, Rule::default()).unwrap_err().kind, Kind::Refused);
}

#[test]
fn without_a_protective_mbr_the_kernel_sees_no_gpt_and_neither_do_we() {
    let mut disk = image().make();
    disk.patch(454, &2u32.to_le_bytes());
    assert_eq!(table::read(&disk, disk.geometry()), Ok(None));
    let mut disk = image().make();
    disk.patch(510, &[0, 0]);
    assert_eq!(table::read(&disk, disk.geometry()), Ok(None));
    assert_eq!(table::read(&[].as_slice(), table::Geometry { sector: SectorSize::B512, sectors: 0 }), Ok(None));
}

/// F2: what lies behind the end that a table knows of belongs to someone else.
#[test]
fn a_backup_is_not_written_over_what_the_table_never_had() {
    for geometry_sectors in [64 * MIB, 10, 33, 34] {
        let shape = Gpt::of_mib(64, &[(1, MIB, 2 * MIB - 1)]);
        let plan = |disk: &MemoryDisk| {
            let table = table::read(disk, disk.geometry()).unwrap().unwrap();
            table.grow(disk, 1, Rule::default())
        };
        let last = shape.sectors + geometry_sectors - 1;
        let mut disk = shape.make();
        disk.resize(shape.sectors + geometry_sectors);
        let clean = plan(&disk).unwrap();
        assert!(!clean.writes.is_empty());
        // Behind the old end, and in the place of the new backup.
        for at in [last, last - 1, (last - 32).max(shape.sectors)] {
            let mut foreign = disk.clone();
            foreign.patch(at * 512 + 100, &[1]);
            let error = plan(&foreign).unwrap_err();
            assert_eq!(error.kind, Kind::Refused, "{at}: {error}");
            assert!(error.why.contains("other data"), "{error}");
        }
        // An old backup GPT of the disk, whatever it says of partitions, whole or begun to be overwritten.
        let old = Gpt::of_mib(64, &[(7, 5 * MIB, 6 * MIB - 1)]).make();
        let mut reused = disk.clone();
        let mut bytes: Vec<u8> =
            (old.geometry().sectors - 33..old.geometry().sectors).flat_map(|at| old.sector(at)).collect();
        bytes[32 * 512 + 24..32 * 512 + 32].copy_from_slice(&last.to_le_bytes());
        bytes[32 * 512 + 72..32 * 512 + 80].copy_from_slice(&(last - 32).to_le_bytes());
        make::seal(&mut bytes[32 * 512..]);
        if geometry_sectors >= 33 {
            reused.write((last - 32) * 512, &bytes);
            assert_eq!(plan(&reused).unwrap().writes, clean.writes);
            // The write of the new backup over it was cut.
            let backup = &clean.writes[0].bytes;
            for sectors in 1..33 {
                let mut torn = reused.clone();
                torn.write((last - 32) * 512, &backup[..sectors * 512]);
                assert_eq!(plan(&torn).unwrap().writes, clean.writes, "{sectors}");
            }
            // Its header survived, and something else was written over its entries.
            for (at, bytes) in [(last - 1, &[7; 512]), (last - 16, &[0xFC; 512]), (last - 32, &[1; 512])] {
                let mut foreign = reused.clone();
                foreign.write(at * 512, bytes);
                assert_eq!(plan(&foreign).unwrap_err().kind, Kind::Refused, "{at}");
            }
        }
    }
}
