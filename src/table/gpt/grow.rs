//! Planning the growth of one GPT partition on top of a sound primary.
//!
//! Order, because the kernel reads only the primary: the backup first, at the very end of the disk, then the primary as
//! one short write (boot record, header, entries up to the changed one). A power cut during the first leaves the old
//! primary sound; one during the second leaves a state that `Copies::Interrupted` describes.
#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;

use super::replica::{Header, Place, Replica};
use super::restore::Restored;
use super::{Copies, Gpt, PRIMARY};
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::table::record::{BootRecord, MOST_SECTORS, PROTECTIVE};
use crate::table::span::find_overlap;
use crate::table::{Geometry, Growth, Partition, Rule, Span, Write};
use crate::units::{ByteCount, Lba};

/// What a disk that only emulates sectors of 512 bytes writes at once. Of a shorter write it makes one of this length,
/// with the bytes around it that it reads first; a power cut in between may take those as well. Other disks lose nothing.
const PHYSICAL_SECTOR: usize = 4096;

const GROW: &str = "change the GPT of";

/// Where the backup goes and what that leaves for partitions.
struct Tail {
    header: Lba,
    entries: Lba,
    last_usable: Lba,
}

/// Plans to grow partition `number`, and to put the backup and the protective MBR right.
pub(super) fn plan(gpt: &Gpt, disk: &dyn ReadAt, restored: Restored, number: u32, rule: &Rule) -> Result<Growth> {
    let Restored { primary, mut writes, mut notes } = restored;
    let geometry = gpt.geometry;
    let tail = Tail::of(&primary, geometry)?;
    check(&primary, gpt.partitions(), &tail, geometry)?;
    let before = gpt
        .partitions()
        .iter()
        .find(|partition| partition.number == number)
        .ok_or_else(|| Error::absent(GROW, alloc::format!("it has no partition {number}")))?
        .span();
    let limit = before.limit(gpt.partitions().iter().map(Partition::span), tail.last_usable);
    let after = before.grown(limit, rule, geometry.sector);

    let mut wanted = primary.clone();
    let mut through = None;
    if after != before {
        refuse_hybrid(&gpt.record, after)?;
        through = Some(wanted.set_last(number, after.last)?);
    }
    put_right((gpt, Some(disk)), &primary, wanted, through, &tail, &mut writes, &mut notes)?;
    Ok(Growth { before, after, writes, notes })
}

/// Plans to put the backup and the protective MBR right, and nothing else. What lies at the end of the disk is the caller's,
/// who has just overwritten all of it, or makes a file of it.
pub(super) fn relocate(gpt: &Gpt, restored: Restored) -> Result<(Vec<Write>, Vec<String>)> {
    let Restored { primary, mut writes, mut notes } = restored;
    let tail = Tail::of(&primary, gpt.geometry)?;
    check(&primary, gpt.partitions(), &tail, gpt.geometry)?;
    put_right((gpt, None), &primary, primary.clone(), None, &tail, &mut writes, &mut notes)?;
    Ok((writes, notes))
}

/// Plans the writes that make of the sound `primary` the one with the entries of `wanted`, of which those up to the
/// sector `through` of the array changed, and with its backup where `tail` says. With a `disk`, what it holds there is looked
/// at first.
fn put_right(
    (gpt, disk): (&Gpt, Option<&dyn ReadAt>),
    primary: &Replica,
    mut wanted: Replica,
    through: Option<usize>,
    tail: &Tail,
    writes: &mut Vec<Write>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let geometry = gpt.geometry;
    let place = Place {
        at: PRIMARY,
        alternate: tail.header,
        entries_at: primary.header.entries_at,
        last_usable: tail.last_usable,
        entries_crc: wanted.crc(),
    };
    let header = primary.header.emit(place)?;
    let primary_changes = header != primary.header.sector();
    wanted.header = Header::parse(header, PRIMARY)?;

    if primary_changes || gpt.copies == Copies::BackupDamaged {
        if primary.header.alternate != tail.header {
            notes.push(String::from("the backup GPT moves to the end of the disk"));
        } else if gpt.copies == Copies::BackupDamaged {
            notes.push(String::from("the damaged backup GPT is written anew"));
        }
        let backup = backup_write(&wanted, tail, geometry)?;
        if let Some(disk) = disk {
            refuse_foreign_tail(disk, primary, tail, &backup, geometry)?;
        }
        writes.push(backup);
    }
    let record = protective_record(&gpt.record, geometry)?;
    match (primary_changes, record) {
        (true, record) => {
            writes.extend(primary_writes(&wanted, record.as_ref().unwrap_or(&gpt.record), through, geometry));
        }
        (false, Some(record)) => writes.push(record.write("the protective MBR", Lba(0), geometry)),
        (false, None) => {}
    }
    Ok(())
}

impl Tail {
    /// The backup header belongs in the last sector and its entries right before it. While the backup is already there,
    /// a last usable sector that leaves more room than that was someone's wish and stays.
    fn of(primary: &Replica, geometry: Geometry) -> Result<Self> {
        let header = geometry.last();
        let smaller = || Error::refused(GROW, "the disk is smaller than its table says");
        if primary.header.alternate > header || primary.header.usable.last > header {
            return Err(smaller());
        }
        let sectors = primary.header.entries_sectors(geometry);
        let entries = Lba(header.0.checked_sub(sectors).ok_or_else(smaller)?);
        let mut last_usable = Lba(entries.0.saturating_sub(1));
        if primary.header.alternate == header {
            last_usable = last_usable.min(primary.header.usable.last);
        }
        Ok(Self { header, entries, last_usable })
    }
}

/// Refuses tables whose parts lie over each other: growing them could only make it worse.
fn check(primary: &Replica, partitions: &[Partition], tail: &Tail, geometry: Geometry) -> Result<()> {
    let header = &primary.header;
    let array = header.entries_span(header.entries_at, geometry);
    if array.first <= PRIMARY || array.last >= header.usable.first || header.usable.first > tail.last_usable {
        return Err(Error::refused(GROW, "its entries lie where partitions may"));
    }
    let space = Span { first: Lba(array.last.0.saturating_add(1)), last: tail.last_usable };
    for partition in partitions {
        let (number, span) = (partition.number, partition.span());
        if span.last < span.first {
            return Err(Error::refused(GROW, alloc::format!("partition {number} ends before it starts")));
        }
        if !space.contains(span) {
            return Err(Error::refused(GROW, alloc::format!("partition {number} reaches out of the usable sectors")));
        }
    }
    let spans = partitions.iter().map(|partition| (partition.span(), partition.number)).collect();
    match find_overlap(spans) {
        Some((one, other)) => Err(Error::refused(GROW, alloc::format!("partitions {one} and {other} overlap"))),
        None => Ok(()),
    }
}

/// Refuses to put the backup over sectors that the table never had and that hold something. Those up to the last sector
/// that the table knows of are its own; of those behind it each has to be empty, part of an old backup GPT, or what this
/// very backup has there, which a power cut kept from being written as a whole. The header of an old backup outlives its
/// entries where something else was written over those alone (metadata of a RAID, a few sectors before the end), so they
/// have to match its checksum or, where a power cut mixed two backups, each look like entries.
fn refuse_foreign_tail(
    disk: &dyn ReadAt,
    primary: &Replica,
    tail: &Tail,
    backup: &Write,
    geometry: Geometry,
) -> Result<()> {
    let first = tail.entries.max(Lba(primary.header.alternate.0.saturating_add(1)));
    let Some(count) = tail.header.0.checked_sub(first.0).map(|count| count.saturating_add(1)) else { return Ok(()) };
    let present = geometry.read_sectors(disk, first, count)?;
    let sector = usize::try_from(geometry.sector.bytes()).unwrap_or(usize::MAX).max(1);
    let old = Replica::read(disk, geometry, tail.header).ok();
    let is_sound = old.as_ref().is_some_and(Replica::is_sound);
    let holds_old = |at: Lba, present: &[u8]| {
        old.as_ref().is_some_and(|Replica { header, .. }| {
            let array = header.entries_span(header.entries_at, geometry);
            at == tail.header
                || array.contains(Span { first: at, last: at }) && (is_sound || header.can_have_entries(present))
        })
    };
    let known = usize::try_from(first.0.saturating_sub(tail.entries.0)).unwrap_or(usize::MAX);
    let wanted = backup.bytes.chunks(sector).skip(known);
    for ((at, present), wanted) in (first.0..).zip(present.chunks(sector)).zip(wanted) {
        let is_free = present.iter().all(|&byte| byte == 0) || present == wanted;
        if !is_free && !holds_old(Lba(at), present) {
            let why = alloc::format!(
                "sector {at}, behind what its table knows of, holds other data, which the backup GPT would overwrite; \
                 if nothing needs that, `sgdisk -e` moves the backup there"
            );
            return Err(Error::refused(GROW, why));
        }
    }
    Ok(())
}

/// Refuses to grow into or under a partition that the boot record describes as well.
fn refuse_hybrid(record: &BootRecord, after: Span) -> Result<()> {
    let mut others = record.entries().iter().filter(|entry| entry.is_used() && entry.kind != PROTECTIVE);
    if others.any(|entry| entry.span(Lba(0)).overlaps(after)) {
        return Err(Error::refused(GROW, "its hybrid MBR describes these sectors too, and the two would disagree"));
    }
    Ok(())
}

/// The protective MBR with the disk's size in it, where that is missing and nothing but GPT is described there.
fn protective_record(record: &BootRecord, geometry: Geometry) -> Result<Option<BootRecord>> {
    let wanted = u32::try_from(geometry.last().0).unwrap_or(MOST_SECTORS);
    let mut used = record.entries().iter().enumerate().filter(|(_, entry)| entry.is_used() || entry.kind != 0);
    let (Some((index, entry)), None) = (used.next(), used.next()) else { return Ok(None) };
    // The largest number is right on any disk: Windows writes nothing else.
    if entry.sectors == wanted || entry.sectors == MOST_SECTORS {
        return Ok(None);
    }
    let mut record = record.clone();
    record.set_sectors(index, wanted)?;
    Ok(Some(record))
}

/// The backup: entries and header lie next to each other, so one write holds both.
fn backup_write(primary: &Replica, tail: &Tail, geometry: Geometry) -> Result<Write> {
    let header = primary.header.emit(Place {
        at: tail.header,
        alternate: PRIMARY,
        entries_at: tail.entries,
        last_usable: tail.last_usable,
        entries_crc: primary.header.entries_crc,
    })?;
    let mut bytes = primary.entries.clone();
    bytes.extend_from_slice(&header);
    Ok(Write { what: "the backup GPT", at: geometry.sector.offset_of(tail.entries), bytes })
}

/// The primary: `record`, the header, and the sectors of the array from its first to the one numbered `through`. One
/// write where they lie next to each other, which they do on nearly every disk, filled up to [`PHYSICAL_SECTOR`] with
/// entries as they are; else the entries first, as either order leaves an interrupted state that is detected.
pub(super) fn primary_writes(
    primary: &Replica,
    record: &BootRecord,
    through: Option<usize>,
    geometry: Geometry,
) -> Vec<Write> {
    let header = primary.header.sector();
    let changed = through.map_or(0, |sector| sector.saturating_add(1).saturating_mul(header.len()));
    let entries = primary.entries.get(..changed).unwrap_or(&primary.entries);
    let mut bytes = [record.sector(), header].concat();
    let mut writes = Vec::new();
    if primary.header.entries_at == Lba(PRIMARY.0.saturating_add(1)) {
        let end = bytes.len().saturating_add(entries.len()).checked_next_multiple_of(PHYSICAL_SECTOR);
        let filled = end.and_then(|end| primary.entries.get(..end.saturating_sub(bytes.len())));
        bytes.extend_from_slice(filled.unwrap_or(entries));
    } else if !entries.is_empty() {
        let at = geometry.sector.offset_of(primary.header.entries_at);
        writes.push(Write { what: "the primary GPT entries", at, bytes: entries.to_vec() });
    }
    writes.push(Write { what: "the primary GPT", at: ByteCount(0), bytes });
    writes
}
