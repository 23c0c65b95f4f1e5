//! Planning the growth of one MBR partition: one sector for a primary one; for a logical one first the extended
//! partition around it, then the link to its record, then the record, so that each part always lies in the one around.
#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;

use super::{FIRST_LOGICAL, Logical, Mbr, primaries};
use crate::error::{Error, Result};
use crate::table::span::find_overlap;
use crate::table::{Growth, Partition, Rule, Span, Write};
use crate::units::Lba;

/// The sector behind the last one that a 32-bit start and a 32-bit length are sure to reach in every reader.
const ADDRESSABLE: u64 = 1 << 32;

/// Sectors kept free at the end of the disk, as growpart does, so that the disk can be made a GPT disk one day.
const ROOM_FOR_GPT: u64 = 33;

const GROW: &str = "grow a partition in the MBR of";

/// Plans to grow partition `number`.
pub(super) fn plan(mbr: &Mbr, number: u32, rule: &Rule) -> Result<Growth> {
    check_primaries(mbr)?;
    let partition = mbr
        .partitions
        .iter()
        .find(|partition| partition.number == number)
        .ok_or_else(|| Error::absent(GROW, alloc::format!("it has no partition {number}")))?;
    if number < FIRST_LOGICAL { grow_primary(mbr, partition, rule) } else { grow_logical(mbr, number, rule) }
}

fn grow_primary(mbr: &Mbr, partition: &Partition, rule: &Rule) -> Result<Growth> {
    let index = usize::try_from(partition.number.saturating_sub(1)).unwrap_or(usize::MAX);
    let extended = mbr.record.entries().get(index).is_some_and(|entry| entry.is_extended());
    if extended {
        return Err(Error::refused(GROW, alloc::format!("partition {} is the extended one", partition.number)));
    }
    let before = partition.span();
    let limit = before.limit(primary_spans(mbr), end_of_disk(mbr));
    let after = before.grown(limit, rule, mbr.geometry.sector);
    let mut writes = Vec::new();
    if after != before {
        let mut record = mbr.record.clone();
        record.grow(index, entry_sectors(after)?)?;
        writes.push(record.write("the MBR", Lba(0), mbr.geometry));
    }
    Ok(Growth { before, after, writes, notes: notes(mbr, limit) })
}

fn grow_logical(mbr: &Mbr, number: u32, rule: &Rule) -> Result<Growth> {
    let (index, outer) = check_logicals(mbr)?;
    let find = || {
        let logical = mbr.chain.logicals.iter().find(|logical| logical.number == number)?;
        Some((logical, mbr.chain.links.get(logical.link)?))
    };
    let (logical, link) = find().ok_or_else(|| Error::absent(GROW, alloc::format!("it has no partition {number}")))?;
    let before = logical.span;
    let around = outer.limit(primary_spans(mbr), end_of_disk(mbr)).max(outer.last);
    let limit = before.limit(inner_spans(mbr).map(|(span, _)| span), around);
    let after = before.grown(limit, rule, mbr.geometry.sector);
    let mut writes = Vec::new();
    if after.last > outer.last {
        let mut record = mbr.record.clone();
        record.grow(index, entry_sectors(Span { first: outer.first, last: after.last })?)?;
        writes.push(record.write("the extended partition in the MBR", Lba(0), mbr.geometry));
    }
    if after != before {
        let with_record = Span { first: link.at, last: after.last };
        writes.extend(grow_link(mbr, logical, with_record)?);
        let mut record = link.record.clone();
        record.grow(logical.entry, entry_sectors(after)?)?;
        writes.push(record.write("the extended boot record", link.at, mbr.geometry));
    }
    Ok(Growth { before, after, writes, notes: notes(mbr, limit) })
}

/// The write that makes the entry pointing to the record of `logical` cover all of `with_record`; none for the first
/// record, to which the MBR points, and none where the entry is large enough.
fn grow_link(mbr: &Mbr, logical: &Logical, with_record: Span) -> Result<Option<Write>> {
    let previous = logical.link.checked_sub(1).and_then(|index| mbr.chain.links.get(index));
    let Some((previous, entry)) = previous.and_then(|link| Some((link, link.next?))) else { return Ok(None) };
    let sectors = entry_sectors(with_record)?;
    if previous.record.entries().get(entry).is_some_and(|entry| entry.sectors >= sectors) {
        return Ok(None);
    }
    let mut record = previous.record.clone();
    record.grow(entry, sectors)?;
    Ok(Some(record.write("the link to the extended boot record", previous.at, mbr.geometry)))
}

/// The last sector that a partition may have when none follows it.
fn end_of_disk(mbr: &Mbr) -> Lba {
    let free = mbr.geometry.last().0.saturating_sub(ROOM_FOR_GPT);
    Lba(free.min(ADDRESSABLE.saturating_sub(1)))
}

/// Says what stays unused when it is the MBR itself that ends the growth.
fn notes(mbr: &Mbr, limit: Lba) -> Vec<String> {
    if limit.0.saturating_add(1) != ADDRESSABLE {
        return Vec::new();
    }
    let bytes = |sectors| mbr.geometry.sector.offset_of(Lba(sectors));
    let (reach, unused) = (bytes(ADDRESSABLE), bytes(mbr.geometry.sectors.saturating_sub(ADDRESSABLE)));
    alloc::vec![alloc::format!("the MBR can address {reach}; {unused} at the end of the disk stay unused")]
}

fn primary_spans(mbr: &Mbr) -> impl Iterator<Item = Span> {
    primaries(&mbr.record).map(|(_, entry)| entry.span(Lba(0)))
}

/// The logical partitions and, with the number 0, the records that describe them.
fn inner_spans(mbr: &Mbr) -> impl Iterator<Item = (Span, u32)> {
    let records = mbr.chain.links.iter().map(|link| (Span { first: link.at, last: link.at }, 0));
    records.chain(mbr.chain.logicals.iter().map(|logical| (logical.span, logical.number)))
}

fn check_primaries(mbr: &Mbr) -> Result<()> {
    if let Some((number, _)) = primaries(&mbr.record).find(|(_, entry)| entry.span(Lba(0)).last > mbr.geometry.last()) {
        let why = alloc::format!("the disk is smaller than its table says: partition {number} ends behind it");
        return Err(Error::refused(GROW, why));
    }
    let spans = primaries(&mbr.record).map(|(number, entry)| (entry.span(Lba(0)), number)).collect();
    refuse_overlap(spans)
}

/// Checks the logical partitions; returns the extended one, with its place in the MBR.
fn check_logicals(mbr: &Mbr) -> Result<(usize, Span)> {
    if let Some(flaw) = mbr.chain.flaw {
        return Err(Error::refused(GROW, flaw));
    }
    let extended = mbr.record.entries().iter().enumerate().find(|(_, entry)| entry.is_extended());
    let (index, container) = extended
        .map(|(index, entry)| (index, entry.span(Lba(0))))
        .ok_or_else(|| Error::absent(GROW, "it has no extended partition"))?;
    if let Some((_, number)) = inner_spans(mbr).find(|(span, _)| !container.contains(*span)) {
        return Err(Error::refused(GROW, alloc::format!("partition {number} reaches out of the extended one")));
    }
    refuse_overlap(inner_spans(mbr).collect())?;
    Ok((index, container))
}

fn refuse_overlap(spans: Vec<(Span, u32)>) -> Result<()> {
    match find_overlap(spans) {
        Some((0, number) | (number, 0)) => {
            Err(Error::refused(GROW, alloc::format!("partition {number} overlaps an extended boot record")))
        }
        Some((one, other)) => Err(Error::refused(GROW, alloc::format!("partitions {one} and {other} overlap"))),
        None => Ok(()),
    }
}

/// The length of `span` as an entry holds it.
fn entry_sectors(span: Span) -> Result<u32> {
    u32::try_from(span.sectors()).map_err(|_| Error::refused(GROW, "the MBR cannot hold so large a partition"))
}
