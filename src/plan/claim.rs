//! What a disk and its ends belong to beside the table: whether something claims the whole disk, and what an earlier use
//! left where a partition is going to end.

#![forbid(unsafe_code)]

use super::grow::PartitionInfo;
use crate::bytes::{ReadAt, Window};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::filesystem::{self, Kind};
use crate::table::{Geometry, PartitionType, Table, Write};
use crate::units::{ByteCount, Lba};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Refuses a disk that belongs to something as a whole, whose metadata the table's end or the grown partition would
/// overwrite. Metadata inside of a partition are that partition's.
pub(super) fn refuse_claimed_disk(slice: &PartitionInfo, table: &Table, disk: &dyn ReadAt) -> Result<()> {
    const DOING: &str = "change the partition table of";
    /// The byte of an MBR partition that is one of Windows' dynamic disks.
    const DYNAMIC: PartitionType = PartitionType::Mbr(0x42);
    let refused = |why: String| Err(Error::refused(DOING, why).to(&*slice.disk));
    if let Some(holder) = &slice.holder {
        return refused(format!("{holder} uses the whole disk"));
    }
    if table.partitions().iter().any(|partition| partition.kind == DYNAMIC) {
        return refused("it is a dynamic disk (LDM)".into());
    }
    match claim_of_disk(disk, slice.geometry, table).map_err(|error| error.to(&*slice.disk))? {
        Some(name) => refused(format!("the whole disk is a {name}")),
        None => Ok(()),
    }
}

/// What claims a whole disk beside the `table` on it, as `blkid` calls it.
///
/// # Errors
/// Whatever `disk` fails with.
pub fn claim_of_disk(disk: &dyn ReadAt, geometry: Geometry, table: &Table) -> Result<Option<&'static str>> {
    let size = geometry.sector.offset_of(Lba(geometry.sectors));
    if let Some(name) = filesystem::find_firmware_raid(disk, size, geometry.sector)? {
        return Ok(Some(name));
    }
    let bytes = |lba: Lba| geometry.sector.offset_of(lba).0;
    let parts: Vec<(u64, u64)> = table
        .partitions()
        .iter()
        // An extended partition holds nothing but records and logical partitions.
        .filter(|partition| !partition.kind.is_extended())
        .map(|partition| (bytes(partition.first), bytes(Lba(partition.last.0.saturating_add(1)))))
        .collect();
    // What contradicts itself claims nothing.
    let content = match filesystem::find_content(disk, size, &parts) {
        Err(error) if error.kind == ErrorKind::Corrupt => None,
        found => found?,
    };
    let lies_over_table = |kind: Kind| table.repair_needed() && !kind.leaves_room_for_table();
    Ok(content.map(|content| content.kind).filter(|kind| kind.claims_disk() || lies_over_table(*kind)).map(Kind::name))
}

/// The writes that make the signatures vanish by which a partition that grows from `before` to `after` would be taken for
/// something else: what an earlier use of the disk left at its new end.
pub(super) fn stale_signatures(
    before: ByteCount,
    slice: &PartitionInfo,
    disk: &dyn ReadAt,
    after: ByteCount,
) -> Result<Vec<(Kind, Write)>> {
    let window = Window { whole: disk, start: slice.start.0, size: after.0 };
    let mut writes = Vec::new();
    for signature in filesystem::find_signatures(&window, after)? {
        let (at, name) = (signature.at, signature.kind.name());
        if at < before {
            let why =
                format!("at its new size it would be taken for {name}, whose signature lies in space it has already");
            return Err(Error::refused("grow the partition", why));
        }
        let sector = slice.geometry.sector.bytes();
        let start = slice.start.0.saturating_add(at.0);
        let first = start.saturating_sub(start.checked_rem(sector).unwrap_or(0));
        let length = start.saturating_add(signature.length).saturating_sub(first).next_multiple_of(sector);
        let bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        writes.push((signature.kind, Write { what: "a stale signature", at: ByteCount(first), bytes }));
    }
    Ok(writes)
}
