//! Any bytes as a disk: the table is read or refused, and what a plan writes moves, shrinks and loses no partition and
//! leaves nothing to do for a second plan.
//!
//! The first byte of the input chooses the sector size, how much larger than the input the disk is, whether checksums
//! are put right first, and whether a damaged primary may be rebuilt; the rest is the start of the disk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wisp::table::{self, Geometry, Rule, Table};
use wisp::units::{ByteCount, SectorSize};
use wisp_fuzz::Disk;

/// Partitions that are grown in one run: enough for every kind, few enough to stay fast.
const GROWN: usize = 16;

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let sector = if flags & 1 == 0 { SectorSize::B512 } else { SectorSize::B4096 };
    let mut start = bytes.to_vec();
    if flags & 2 == 0 {
        put_checksums_right(&mut start, sector.bytes() as usize);
    }
    // 0, 2 GiB, 64 GiB, or beyond what an MBR of 512-byte sectors can say.
    let beyond = [0, 2 << 30, 64 << 30, 5 << 40][usize::from(flags >> 2 & 3)];
    let size = (start.len() as u64 + beyond) & !4095;
    start.truncate(size as usize);
    let rule = Rule { repair: flags & 16 != 0, ..Rule::default() };
    let rule = if flags & 32 == 0 { rule } else { Rule { length_multiple: ByteCount(4096), ..rule } };
    let geometry = Geometry { sector, sectors: sector.sectors_in(ByteCount(size)) };
    let disk = Disk::new(&start, size);
    let Ok(Some(table)) = table::read(&disk, geometry) else { return };
    for number in table.partitions().iter().map(|partition| partition.number).take(GROWN) {
        grow(&disk, geometry, &table, number, rule);
    }
    if let Ok(writes) = table.restore(&disk, rule) {
        let mut disk = disk.clone();
        writes.iter().for_each(|write| disk.write(write));
        let restored = table::read(&disk, geometry).expect("a restored table reads").expect("and is there");
        assert_eq!(restored.partitions(), table.partitions());
    }
});

fn grow(disk: &Disk<'_>, geometry: Geometry, table: &Table, number: u32, rule: Rule) {
    let Ok(growth) = table.grow(disk, number, rule) else { return };
    assert_eq!(growth.before.first, growth.after.first, "a partition never moves");
    assert!(growth.before.last <= growth.after.last, "a partition never shrinks");
    assert!(growth.after.last.0 < geometry.sectors, "a partition ends on the disk");
    let mut disk = disk.clone();
    growth.writes.iter().for_each(|write| disk.write(write));
    let after = table::read(&disk, geometry).expect("what was written reads").expect("and is there");
    let find = |table: &Table, wanted: u32| table.partition(wanted).map(|partition| partition.span());
    assert_eq!(find(&after, number), Some(growth.after));
    for other in table.partitions().iter().filter(|other| other.number != number) {
        let now = after.partition(other.number).expect("no partition is lost");
        // The extended partition grows around the logical one.
        assert!(now == other || now.span().first == other.span().first && now.span().last == growth.after.last);
        assert!(!growth.grows() || !growth.after.overlaps(other.span()) || growth.before.overlaps(other.span()));
    }
    let second = after.grow(&disk, number, rule).expect("a second plan is possible");
    assert!(second.writes.is_empty(), "a second plan is empty");
}

/// Gives the GPT headers in the second and the last sector the checksums that their other bytes call for.
fn put_checksums_right(disk: &mut [u8], sector: usize) {
    let last = (disk.len() / sector).saturating_sub(1);
    for at in [sector, last * sector] {
        let Some(header) = disk.get(at..at + sector).filter(|header| header.starts_with(b"EFI PART")) else { continue };
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        let (length, count, size) = (number(12), number(80), number(84));
        let entries = number(72).checked_mul(sector).and_then(|from| {
            let bytes = count.checked_mul(size)?;
            disk.get(from..from.checked_add(bytes)?)
        });
        let entries_crc = entries.map(crc32fast::hash);
        if let Some(crc) = entries_crc {
            disk[at + 88..at + 92].copy_from_slice(&crc.to_le_bytes());
        }
        disk[at + 16..at + 20].fill(0);
        let crc = crc32fast::hash(&disk[at..at + length.min(sector)]);
        disk[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
    }
}
