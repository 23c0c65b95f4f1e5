//! Making a damaged primary GPT what its sound backup says, before anything else is planned.
//!
//! The backup stays untouched where it is until the primary is whole again, so there is one good replica at any time;
//! only then does `grow` move the backup to the end of the disk.
#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;

use super::grow::primary_writes;
use super::replica::{Header, Place, Replica, SIGNATURE};
use super::{Copies, Gpt, PRIMARY, field};
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::table::{Rule, Write};
use crate::units::Lba;

/// Where the array of the primary begins on nearly every disk.
const USUAL_ENTRIES: Lba = Lba(2);

const RESTORE: &str = "restore the primary GPT of";

/// The primary as it will be when the writes are done.
#[derive(Debug)]
pub(super) struct Restored {
    /// The sound primary.
    pub primary: Replica,
    /// What makes it so; empty when it already is.
    pub writes: Vec<Write>,
    /// What to tell the operator about it.
    pub notes: Vec<String>,
}

/// Plans to make the primary of `gpt` sound.
///
/// # Errors
/// `Refused` when the damage is none that our own update explains and `rule` does not allow a repair.
pub(super) fn plan(gpt: &Gpt, disk: &dyn ReadAt, rule: &Rule) -> Result<Restored> {
    let note = match gpt.copies {
        Copies::Both | Copies::BackupDamaged => {
            return Ok(Restored { primary: gpt.spoken.clone(), writes: Vec::new(), notes: Vec::new() });
        }
        Copies::Interrupted => "an interrupted update of the partition table is finished",
        Copies::PrimaryDamaged if rule.repair => "the damaged primary GPT is rebuilt from its backup",
        Copies::PrimaryDamaged => {
            return Err(Error::refused(
                RESTORE,
                "it is damaged; its backup is sound, and wisp.grow=repair would rebuild it from there",
            ));
        }
    };
    let backup = &gpt.spoken;
    let entries_at = find_entries(gpt, disk)?;
    let place = Place {
        at: PRIMARY,
        alternate: backup.header.at,
        entries_at,
        last_usable: backup.header.usable.last,
        entries_crc: backup.header.entries_crc,
    };
    // An interrupted primary has a sound header of its own, with reserved bytes of its own.
    let source = gpt.torn.as_ref().filter(|_| gpt.copies == Copies::Interrupted).unwrap_or(&backup.header);
    let header = source.emit(place)?;
    let sector = header.len();
    let present = gpt.geometry.read_sectors(disk, entries_at, backup.header.entries_sectors(gpt.geometry))?;
    let through =
        present.chunks(sector).zip(backup.entries.chunks(sector)).rposition(|(present, wanted)| present != wanted);
    let primary = Replica { header: Header::parse(header, PRIMARY)?, entries: backup.entries.clone() };
    let writes = primary_writes(&primary, &gpt.record, through, gpt.geometry);
    Ok(Restored { primary, writes, notes: alloc::vec![note.into()] })
}

/// Where the entries of the primary belong. A place is taken only on evidence, because boot loaders of small boards live
/// between the header and the first usable sector.
fn find_entries(gpt: &Gpt, disk: &dyn ReadAt) -> Result<Lba> {
    let backup = &gpt.spoken.header;
    let fits = |at: Lba| at >= USUAL_ENTRIES && backup.entries_span(at, gpt.geometry).last < backup.usable.first;
    if let Some(torn) = gpt.torn.as_ref()
        && torn.entries_bytes() == backup.entries_bytes()
        && fits(torn.entries_at)
    {
        return Ok(torn.entries_at);
    }
    let sectors = backup.entries_sectors(gpt.geometry);
    let sector = gpt.geometry.read_sectors(disk, PRIMARY, 1)?;
    let claimed = if sector.starts_with(SIGNATURE) { field(disk, gpt.geometry, 72)? } else { USUAL_ENTRIES };
    let right_before_partitions = Lba(backup.usable.first.0.saturating_sub(sectors));
    let places = [claimed, USUAL_ENTRIES, right_before_partitions];
    let mut empty = None;
    for at in places.into_iter().filter(|&at| fits(at)) {
        let present = gpt.geometry.read_sectors(disk, at, sectors)?;
        if present == gpt.spoken.entries {
            return Ok(at);
        }
        let free = USUAL_ENTRIES == right_before_partitions || present.iter().all(|&byte| byte == 0);
        empty = empty.or(free.then_some(at));
    }
    empty.ok_or_else(|| Error::refused(RESTORE, "nothing tells where its entries belong"))
}
