//! Power cuts: the disk stops after any write, and in the middle of any write. What is left must be a table that the
//! kernel takes, with nothing smaller than before, or one that is detected as interrupted; and the next run must end
//! with the very bytes that an undisturbed one writes.
//!
//! A disk writes a sector whole or not at all; of a request for several it may have written any.

use crate::make::{self, Gpt, MIB};
use crate::support::MemoryDisk;
use wisp::table::{self, Copies, Growth, Rule, Table, Write};

/// A partition as the kernel sees it: number, first sector, last sector, unique GUID.
type Seen = (u64, u64, u64, Vec<u8>);

/// What `block/partitions/efi.c` makes of a disk, from its description and not from our parser: the protective MBR and
/// the primary, or nothing.
fn as_the_kernel_sees(disk: &MemoryDisk) -> Option<Vec<Seen>> {
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let geometry = disk.geometry();
    let record = disk.sector(0);
    let protected = (446..510).step_by(16).any(|at| record[at + 4] == 0xEE && word(&record, at + 8) == 1);
    if record[510..512] != [0x55, 0xAA] || !protected {
        return None;
    }
    let header = disk.sector(1);
    let size = word(&header, 12) as usize;
    if &header[..8] != b"EFI PART" || size < 92 || size > header.len() {
        return None;
    }
    let mut sealed = header.clone();
    make::seal(&mut sealed);
    let usable_ends_on_disk = number(&header, 48) < geometry.sectors && number(&header, 40) <= number(&header, 48);
    if sealed != header || number(&header, 24) != 1 || !usable_ends_on_disk {
        return None;
    }
    let (count, entry_size) = (u64::from(word(&header, 80)), u64::from(word(&header, 84)));
    let bytes = (count * entry_size) as usize;
    let sectors = bytes.div_ceil(geometry.sector.bytes() as usize);
    let array: Vec<u8> = (number(&header, 72)..).take(sectors).flat_map(|at| disk.sector(at)).take(bytes).collect();
    if crc32fast::hash(&array) != word(&header, 88) {
        return None;
    }
    let used = (1..).zip(array.chunks(entry_size as usize)).filter(|(_, entry)| entry[..16] != [0; 16]);
    Some(used.map(|(index, e)| (index, number(e, 32), number(e, 40), e[16..32].to_vec())).collect())
}

/// Every disk that a power cut during `writes` can leave, the undisturbed end included.
fn states(start: &MemoryDisk, writes: &[Write]) -> Vec<MemoryDisk> {
    let mut states = vec![start.clone()];
    let mut disk = start.clone();
    let size = start.geometry().sector.bytes();
    for write in writes {
        let sectors = (write.at.0..).step_by(size as usize).zip(write.bytes.chunks(size as usize));
        // Whether a sector that stays as it was is written or not makes no difference.
        let sectors: Vec<_> = sectors.filter(|(at, bytes)| disk.sector(at / size) != *bytes).collect();
        let few = sectors.len() <= 6;
        let subsets: Vec<Vec<usize>> = if few {
            (1u32..1 << sectors.len())
                .map(|set| (0..sectors.len()).filter(|&at| set >> at & 1 == 1).collect())
                .collect()
        } else {
            let from_the_front = (1..=sectors.len()).map(|end| (0..end).collect());
            let from_the_back = (1..sectors.len()).map(|start| (start..sectors.len()).collect());
            from_the_back.chain(from_the_front).collect()
        };
        for subset in subsets {
            let mut torn = disk.clone();
            for index in subset {
                torn.write(sectors[index].0, sectors[index].1);
            }
            states.push(torn);
        }
        disk.apply(write);
    }
    states.push(disk);
    states
}

fn copies(disk: &MemoryDisk) -> Copies {
    match table::read(disk, disk.geometry()).unwrap().expect("a table") {
        Table::Gpt(gpt) => gpt.copies(),
        Table::Mbr(_) => Copies::Both,
    }
}

fn plan(disk: &MemoryDisk, number: u32, rule: Rule) -> Growth {
    let table = table::read(disk, disk.geometry()).unwrap().expect("a table");
    table.grow(disk, number, rule).unwrap()
}

fn finish(disk: &MemoryDisk, number: u32, rule: Rule) -> MemoryDisk {
    let mut disk = disk.clone();
    plan(&disk, number, rule).writes.iter().for_each(|write| disk.apply(write));
    disk
}

/// Cuts the power everywhere while partition `number` of `start` grows, and everywhere again while the next run
/// finishes what the first cut left. Returns how many of the states were of the interrupted kind.
fn cut_everywhere(start: &MemoryDisk, number: u32, rule: Rule) -> usize {
    let old = table::read(start, start.geometry()).unwrap().expect("a table");
    let old: Vec<_> = old.partitions().to_vec();
    let end = finish(start, number, rule);
    let mut interrupted = 0;
    let mut check = |state: &MemoryDisk| {
        let copies = copies(state);
        match as_the_kernel_sees(state) {
            Some(seen) => {
                assert_eq!(seen.len(), old.len());
                for ((index, first, last, uuid), before) in seen.iter().zip(&old) {
                    assert_eq!((*index, *first), (before.number.into(), before.first.0));
                    assert_eq!(wisp::units::Guid(uuid[..].try_into().unwrap()).to_string(), before.uuid);
                    let grows = *index == u64::from(number);
                    assert!(*last == before.last.0 || grows && *last > before.last.0, "nothing shrinks");
                }
                assert!(matches!(copies, Copies::Both | Copies::BackupDamaged));
            }
            None if rule.repair => assert!(matches!(copies, Copies::Interrupted | Copies::PrimaryDamaged)),
            None => {
                assert_eq!(copies, Copies::Interrupted);
                interrupted += 1;
            }
        }
        assert!(finish(state, number, rule) == end, "the next run ends where an undisturbed one does");
    };
    for state in states(start, &plan(start, number, rule).writes) {
        check(&state);
        // Where the kernel takes the table, the next run is one like the first; else it has to restore something.
        if as_the_kernel_sees(&state).is_none() {
            states(&state, &plan(&state, number, rule).writes).iter().for_each(&mut check);
        }
    }
    assert_eq!(plan(&end, number, rule).writes, []);
    interrupted
}

fn image() -> Gpt {
    Gpt::of_mib(64, &[(1, MIB, 8 * MIB - 1), (2, 8 * MIB, 64 * MIB - 34)])
}

fn enlarged(shape: &Gpt, by: u64) -> MemoryDisk {
    let mut disk = shape.make();
    disk.resize(shape.sectors + by);
    disk
}

/// F.1/23.
#[test]
fn an_image_on_a_larger_disk_survives_every_cut() {
    let interrupted = cut_everywhere(&enlarged(&image(), 64 * MIB), 2, Rule::default());
    assert!(interrupted >= 4, "header without entry and entry without header, each with either MBR");
}

#[test]
fn other_shapes_survive_every_cut() {
    let with_room = || Gpt { first_usable: 2048, ..image() };
    for shape in [
        Gpt::of_mib_4k(64, &[(1, 256, 2047), (2, 2048, 64 * 256 - 6)]),
        Gpt { entry_size: 512, ..with_room() },
        Gpt { count: 2, ..image() },
        Gpt { entries_at: 100, ..with_room() },
        Gpt { entries_at: 100, count: 8, ..with_room() },
    ] {
        assert!(cut_everywhere(&enlarged(&shape, 64 * shape.sectors / 64), 2, Rule::default()) > 0);
    }
}

#[test]
fn growth_without_a_larger_disk_survives_every_cut() {
    let shape = Gpt::of_mib(64, &[(1, MIB, 8 * MIB - 1), (2, 8 * MIB, 16 * MIB - 1), (3, 48 * MIB, 50 * MIB - 1)]);
    assert!(cut_everywhere(&shape.make(), 2, Rule::default()) > 0);
    assert!(cut_everywhere(&shape.make(), 3, Rule::default()) > 0);
}

/// The new backup lies partly over the old one.
#[test]
fn a_disk_that_grew_by_a_few_sectors_survives_every_cut() {
    for by in [1, 2, 31, 32, 33, 40] {
        let shape = Gpt::of_mib(64, &[(1, MIB, 8 * MIB - 1), (2, 8 * MIB, 16 * MIB - 1)]);
        cut_everywhere(&enlarged(&shape, by), 2, Rule::default());
    }
}

#[test]
fn a_damaged_backup_survives_every_cut() {
    let mut disk = image().make();
    disk.write((64 * MIB - 1) * 512, &[0; 512]);
    cut_everywhere(&disk, 2, Rule::default());
}

#[test]
fn an_update_interrupted_before_the_disk_grew_again_survives_every_cut() {
    let start = enlarged(&image(), 64 * MIB);
    let writes = plan(&start, 2, Rule::default()).writes;
    let mut tested = 0;
    for mut state in states(&start, &writes) {
        if as_the_kernel_sees(&state).is_some() {
            continue;
        }
        state.resize(256 * MIB);
        // With the old header and the old protective MBR nothing on the disk tells where the newer backup lies.
        if copies(&state) == Copies::Interrupted {
            cut_everywhere(&state, 2, Rule::default());
            tested += 1;
        }
    }
    assert_eq!(tested, 3);
}

#[test]
fn a_repair_survives_every_cut() {
    let repair = Rule { repair: true, ..Rule::default() };
    for larger in [0, 16, 64 * MIB] {
        for damaged in [vec![1], vec![2], (1..34).collect()] {
            let mut disk = enlarged(&image(), larger);
            damaged.iter().for_each(|at| disk.write(at * 512, &[0; 512]));
            cut_everywhere(&disk, 2, repair);
        }
    }
}

#[test]
fn logical_partitions_survive_every_cut() {
    const M: u32 = 2048;
    let mut start = make::mbr(64, &[(0x83, M, 9 * M), (0x0F, 10 * M, 20 * M)]);
    make::boot_record(&mut start, 10 * MIB, &[(0x83, M, 9 * M), (0x05, 10 * M, 10 * M)]);
    make::boot_record(&mut start, 20 * MIB, &[(0x83, M, 9 * M)]);
    for number in [1, 5, 6] {
        let end = finish(&start, number, Rule::default());
        for state in states(&start, &plan(&start, number, Rule::default()).writes) {
            let (old, new) = (table::read(&start, start.geometry()), table::read(&state, state.geometry()));
            let (old, new) = (old.unwrap().unwrap(), new.unwrap().unwrap());
            assert_eq!(old.partitions().len(), new.partitions().len());
            for (old, new) in old.partitions().iter().zip(new.partitions()) {
                assert_eq!((old.number, old.first, &old.uuid, old.kind), (new.number, new.first, &new.uuid, new.kind));
                assert!(new.last == old.last || new.last > old.last && [number, 2].contains(&new.number));
            }
            assert!(finish(&state, number, Rule::default()) == end);
        }
    }
}
