//! Finds the block device that a [`Name`] means, without udev and its links.
//!
//! Everything is looked at afresh each time, in the kernel's order of names. Where two devices answer to one name,
//! the first is taken, as findfs and the distributions' scripts do, and the answer says that it is ambiguous: booting
//! from one of two twins is what the user would get anyway, growing one of them is not what he asked for.

#![forbid(unsafe_code)]

use super::block::{Block, Sysfs};
use super::growth;
use super::serial;
use crate::bytes::{ReadAt, Window};
use crate::error::Result;
use crate::filesystem::{self, Kind, Superblock};
use crate::plan::claim::claim_of_disk;
use crate::sys::block::{Access, Device};
use crate::sys::node;
use crate::table::{self, Geometry, Partition, Table};
use crate::text::device::Name;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What was found for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The device.
    pub block: Block,
    /// The nodes of other devices that answer to the same name.
    pub twins: Vec<String>,
}

/// The device called `name`, if it is there by now.
#[must_use]
pub fn find(sysfs: Sysfs<'_>, name: &Name) -> Option<Found> {
    let alone = |block| Found { block, twins: Vec::new() };
    match name {
        Name::Path(path) => sysfs.block(node::block_number(path).ok()?).ok().map(alone),
        Name::Number(major, minor) => sysfs.block((*major, *minor)).ok().map(alone),
        Name::Uuid(uuid) => {
            first(matching(sysfs, |found| found.uuid.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(uuid))))
        }
        Name::Label(label) => first(matching(sysfs, |found| found.label.as_ref() == Some(label))),
        Name::PartUuid(uuid, offset) => first(partitions(sysfs, |partition, candidate| {
            let further = i64::from(candidate.number).checked_sub(i64::from(partition.number));
            partition.uuid.eq_ignore_ascii_case(uuid) && further == Some(i64::from(*offset))
        })),
        Name::PartLabel(label) => first(partitions(sysfs, |partition, candidate| {
            partition.number == candidate.number && partition.name.as_ref() == Some(label)
        })),
        Name::Serial(serial) => first(disks(sysfs, |disk| serial::of(sysfs, disk).as_ref() == Some(serial))),
        Name::Wwn(digits) => first(disks(sysfs, |disk| serial::wwn_of(sysfs, disk).as_ref() == Some(digits))),
    }
}

/// Whole disks that `wanted` holds of. A drive without a medium is none.
fn disks(sysfs: Sysfs<'_>, wanted: impl Fn(&str) -> bool) -> Vec<Block> {
    let mut found = sysfs.all();
    found.retain(|block| block.slice.is_none() && block.size.0 > 0 && wanted(&block.name));
    found
}

fn first(found: Vec<Block>) -> Option<Found> {
    let mut found = found.into_iter();
    Some(Found { block: found.next()?, twins: found.map(|twin| twin.node()).collect() })
}

/// Devices whose superblock is wanted. One that cannot be read or understood is not the one.
fn matching(sysfs: Sysfs<'_>, wanted: impl Fn(&Superblock) -> bool) -> Vec<Block> {
    let mut found = bearers(sysfs.all());
    found.retain(|block| matches!(growth::superblock(&block.node(), block.size), Ok(Some(found)) if wanted(&found)));
    found
}

/// All devices of the filesystem that `superblock` belongs to.
#[must_use]
pub fn members(sysfs: Sysfs<'_>, superblock: &Superblock) -> Vec<Block> {
    matching(sysfs, |found| found.kind == superblock.kind && found.uuid == superblock.uuid)
}

/// Those of `all` that may hold a filesystem: a disk with partitions does not, whatever the end of its last partition
/// looks like from there (RAID metadata 0.90 does not say where its member begins).
fn bearers(all: Vec<Block>) -> Vec<Block> {
    let disks: Vec<String> = all.iter().filter_map(|block| Some(block.slice.as_ref()?.disk.clone())).collect();
    all.into_iter().filter(|block| block.size.0 > 0 && !disks.contains(&block.name)).collect()
}

/// Partitions for which `wanted` holds of any entry of their table and themselves.
fn partitions(sysfs: Sysfs<'_>, wanted: impl Fn(&Partition, &Partition) -> bool) -> Vec<Block> {
    let all = sysfs.all();
    let mut found = Vec::new();
    for disk in all.iter().filter(|block| block.slice.is_none() && block.size.0 > 0) {
        let Ok(Some(table)) = table_of(disk) else { continue };
        for candidate in table.partitions() {
            if table.partitions().iter().any(|partition| wanted(partition, candidate)) {
                found.extend(all.iter().filter(|block| is_slice(block, disk, candidate.number)).cloned());
            }
        }
    }
    found
}

fn is_slice(block: &Block, disk: &Block, number: u32) -> bool {
    block.slice.as_ref().is_some_and(|slice| slice.disk == disk.name && slice.number == number)
}

/// The table on a whole disk.
///
/// # Errors
/// As [`table::read`], and `Os` from the device.
pub fn table_of(disk: &Block) -> Result<Option<Table>> {
    let device = Device::open(&disk.node(), Access::Read)?;
    let sector = device.sector_size()?;
    table::read(&device, Geometry { sector, sectors: sector.sectors_in(disk.size) })
}

/// The node of a device that holds no filesystem but others, which some program has to open: LUKS, LVM, an array.
#[must_use]
pub fn layer(sysfs: Sysfs<'_>) -> Option<String> {
    const LAYERS: [Kind; 4] = [Kind::Luks, Kind::LvmPhysicalVolume, Kind::LinuxRaid, Kind::Bcache];
    let is_layer = |found: &Superblock| LAYERS.contains(&found.kind);
    matching(sysfs, is_layer).first().map(Block::node)
}

/// One line for each device that is there, for the message that says why a root was not found.
#[must_use]
pub fn inventory(sysfs: Sysfs<'_>) -> Vec<String> {
    let all = sysfs.all();
    let empty = all.iter().filter(|block| block.size.0 > 0);
    empty.map(|block| describe(block, &all)).collect()
}

fn describe(block: &Block, all: &[Block]) -> String {
    let mut words = format!("{} ({})", block.node(), block.size);
    if let Ok(Some(found)) = growth::superblock(&block.node(), block.size) {
        words = format!("{words} {}", found.kind.name());
        for (tag, value) in [("UUID", &found.uuid), ("LABEL", &found.label)] {
            if let Some(value) = value {
                words = format!("{words} {tag}={value}");
            }
        }
    }
    let disk = block.slice.as_ref().and_then(|slice| all.iter().find(|disk| disk.name == slice.disk));
    let table = disk.and_then(|disk| table_of(disk).ok().flatten());
    let entry = block.slice.as_ref().zip(table.as_ref()).and_then(|(slice, table)| table.partition(slice.number));
    if let Some(partition) = entry {
        words = format!("{words} PARTUUID={}", partition.uuid);
    }
    words
}

/// The disk that holds `root`, of which the kernel sees no partition because its primary GPT needs to be written again
/// ([`Table::repair_needed`]): the one whose sound backup has the very partition that `root` names. None when several
/// could be it, and none that holds anything else than partitions: another disk than the root's is never touched.
#[must_use]
pub fn find_broken_disk(sysfs: Sysfs<'_>, root: &Name) -> Option<Block> {
    let all = sysfs.all();
    let has_slice = |disk: &Block| all.iter().any(|block| block.slice.as_ref().is_some_and(|it| it.disk == disk.name));
    let is_whole = |disk: &Block| disk.size.0 > 0 && disk.slice.is_none() && !has_slice(disk);
    let mut found = all.iter().filter(|disk| is_whole(disk) && is_broken_home(sysfs, disk, root).unwrap_or(false));
    let disk = found.next()?.clone();
    found.next().is_none().then_some(disk)
}

/// Whether the table of `disk` is damaged, its backup has the partition that `root` names, and nothing else is on it.
fn is_broken_home(sysfs: Sysfs<'_>, disk: &Block, root: &Name) -> Result<bool> {
    let device = Device::open(&disk.node(), Access::Read)?;
    let sector = device.sector_size()?;
    let geometry = Geometry { sector, sectors: sector.sectors_in(disk.size) };
    let Some(table) = table::read(&device, geometry)?.filter(Table::repair_needed) else { return Ok(false) };
    let is_home =
        table.partitions().iter().any(|partition| is_meant(disk, &table, partition, root, (&device, geometry)));
    Ok(is_home && sysfs.holders_of(&disk.name).is_empty() && claim_of_disk(&device, geometry, &table)?.is_none())
}

/// Whether `root` means this `partition` of `disk`, which the kernel does not see.
fn is_meant(
    disk: &Block,
    table: &Table,
    partition: &Partition,
    root: &Name,
    (device, geometry): (&dyn ReadAt, Geometry),
) -> bool {
    let content = || {
        let start = geometry.sector.offset_of(partition.first).0;
        let size = partition.span().bytes(geometry.sector);
        filesystem::recognise(&Window { whole: device, start, size: size.0 }, size).ok().flatten()
    };
    let number = partition.number;
    match root {
        Name::Path(path) => {
            let between = if disk.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
            *path == format!("{}{between}{number}", disk.node())
        }
        Name::Number(major, minor) => (*major, Some(*minor)) == (disk.number.0, disk.number.1.checked_add(number)),
        Name::PartUuid(uuid, offset) => table.partitions().iter().any(|named| {
            named.uuid.eq_ignore_ascii_case(uuid)
                && i64::from(number) == i64::from(named.number).saturating_add(i64::from(*offset))
        }),
        Name::PartLabel(label) => partition.name.as_ref() == Some(label),
        Name::Uuid(uuid) => content().and_then(|it| it.uuid).is_some_and(|it| it.eq_ignore_ascii_case(uuid)),
        Name::Label(label) => content().and_then(|it| it.label).as_ref() == Some(label),
        Name::Serial(_) | Name::Wwn(_) => false,
    }
}
