//! Finds the block device that a [`DeviceSpec`] means, without udev and its links.
//!
//! Everything is looked at afresh each time, in the kernel's order of names. Where two devices answer to one name,
//! the first is taken, as findfs and the distributions' scripts do, and the answer says that it is ambiguous: booting
//! from one of two twins is what the user would get anyway, growing one of them is not what he asked for.

#![forbid(unsafe_code)]

use super::block::{Block, Sysfs};
use super::disk_serial;
use super::grow_facts;
use crate::bytes::{ReadAt, Window};
use crate::error::Result;
use crate::filesystem::{self, Kind, Superblock};
use crate::plan::claim::claim_of_disk;
use crate::sys::block::{Access, Device};
use crate::sys::device_node;
use crate::table::{self, Geometry, Named, Names, Partition, Table};
use crate::text::device_spec::{self, DeviceSpec};
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
pub fn find(sysfs: Sysfs<'_>, name: &DeviceSpec) -> Option<Found> {
    first(candidates(sysfs, name))
}

/// The filesystem called `name`: as [`find`], but what cannot be mounted (swap with the label of the root) counts only
/// where nothing else has the name.
#[must_use]
pub fn find_filesystem(sysfs: Sysfs<'_>, name: &DeviceSpec) -> Option<Found> {
    let mut found = candidates(sysfs, name);
    if found.len() > 1 {
        let mountable: Vec<bool> = found.iter().map(is_mountable).collect();
        if mountable.contains(&true) {
            let mut keep = mountable.into_iter();
            found.retain(|_| keep.next().unwrap_or(true));
        }
    }
    first(found)
}

/// Whether `block` may hold something that can be mounted; what wisp does not know may be mounted by `rootfstype=`.
fn is_mountable(block: &Block) -> bool {
    match grow_facts::superblock(&block.node(), block.size) {
        Ok(Some(found)) => found.kind.module().is_some(),
        _ => true,
    }
}

/// Every device called `name`, in the kernel's order of names.
fn candidates(sysfs: Sysfs<'_>, name: &DeviceSpec) -> Vec<Block> {
    let numbered = |number| Vec::from_iter(sysfs.block(number));
    match name {
        DeviceSpec::Path(path) => device_node::block_number(path).map(numbered).unwrap_or_default(),
        DeviceSpec::Number(major, minor) => numbered((*major, *minor)),
        DeviceSpec::Uuid(uuid) => {
            matching(sysfs, |found| found.uuid.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(uuid)))
        }
        DeviceSpec::Label(label) => {
            literal_or_decoded(label, &|label| matching(sysfs, |found| found.label.as_deref() == Some(label)))
        }
        DeviceSpec::PartUuid(uuid, 0) => partitions(sysfs, |named| named.uuid.eq_ignore_ascii_case(uuid)),
        DeviceSpec::PartUuid(uuid, offset) => {
            let bases = partitions(sysfs, |named| named.uuid.eq_ignore_ascii_case(uuid));
            let meant = |block: &Block| bases.iter().any(|base| is_further(block, base, *offset));
            sysfs.all().into_iter().filter(meant).collect()
        }
        DeviceSpec::PartLabel(label) => {
            literal_or_decoded(label, &|label| partitions(sysfs, |named| named.name.as_deref() == Some(label)))
        }
        DeviceSpec::Serial(serial) => disks(sysfs, |disk| disk_serial::of(sysfs, disk).as_ref() == Some(serial)),
        DeviceSpec::Wwn(digits) => disks(sysfs, |disk| disk_serial::wwn_of(sysfs, disk).as_ref() == Some(digits)),
    }
}

/// The devices that `look` finds under `label` as it is written, else under what it means with the escapes of udev
/// (`my\x20root`), as other initramfs take it.
fn literal_or_decoded(label: &str, look: &dyn Fn(&str) -> Vec<Block>) -> Vec<Block> {
    let found = look(label);
    match device_spec::decode(label) {
        Some(decoded) if found.is_empty() => look(&decoded),
        _ => found,
    }
}

/// Whether `block` is on the disk of the partition `base`, `offset` partitions further.
fn is_further(block: &Block, base: &Block, offset: i32) -> bool {
    let (Some(slice), Some(base)) = (&block.slice, &base.slice) else { return false };
    let further = i64::from(slice.number).checked_sub(i64::from(base.number));
    slice.disk == base.disk && further == Some(i64::from(offset))
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
    found
        .retain(|block| matches!(grow_facts::superblock(&block.node(), block.size), Ok(Some(found)) if wanted(&found)));
    found
}

/// All devices that hold something of `kind`.
#[must_use]
pub fn all_of(sysfs: Sysfs<'_>, kind: Kind) -> Vec<(Block, Superblock)> {
    let content = |block: Block| {
        let found = grow_facts::superblock(&block.node(), block.size).ok()??;
        (found.kind == kind).then_some((block, found))
    };
    bearers(sysfs.all()).into_iter().filter_map(content).collect()
}

/// Why `block`, found under a `name` that several devices may have, is not what was meant: it can never be mounted, nor
/// hold a layer in which the filesystem is.
#[must_use]
pub fn unmountable(name: &DeviceSpec, block: &Block) -> Option<String> {
    const NO_FILESYSTEM: [Kind; 3] = [Kind::Swap, Kind::Hibernation, Kind::ExtJournal];
    if !matches!(name, DeviceSpec::Uuid(_) | DeviceSpec::Label(_) | DeviceSpec::PartLabel(_)) {
        return None;
    }
    let found = grow_facts::superblock(&block.node(), block.size).ok()??;
    let why = || format!("only {} has that name, and it holds {}", block.node(), found.kind.name());
    NO_FILESYSTEM.contains(&found.kind).then(why)
}

/// Those of `all` that may hold a filesystem: a disk with partitions does not, whatever the end of its last partition
/// looks like from there (RAID metadata 0.90 does not say where its member begins).
fn bearers(all: Vec<Block>) -> Vec<Block> {
    let disks: Vec<String> = all.iter().filter_map(|block| Some(block.slice.as_ref()?.disk.clone())).collect();
    all.into_iter().filter(|block| block.size.0 > 0 && !disks.contains(&block.name)).collect()
}

/// Partitions that the kernel shows and of whose names in their table `wanted` holds.
fn partitions(sysfs: Sysfs<'_>, wanted: impl Fn(&Named) -> bool) -> Vec<Block> {
    let all = sysfs.all();
    let mut found = Vec::new();
    for disk in all.iter().filter(|block| block.slice.is_none() && block.size.0 > 0) {
        let mut slices = all.iter().filter(|block| is_on(block, disk)).peekable();
        if slices.peek().is_none() {
            continue;
        }
        let Ok(names) = names_of(disk) else { continue };
        found.extend(slices.filter(|block| named(&names, block).is_some_and(|named| wanted(&named))).cloned());
    }
    found
}

fn is_on(block: &Block, disk: &Block) -> bool {
    block.slice.as_ref().is_some_and(|slice| slice.disk == disk.name)
}

/// What the tables of a whole disk call its partitions.
fn names_of(disk: &Block) -> Result<Names> {
    let device = Device::open(&disk.node(), Access::Read)?;
    let sector = device.sector_size()?;
    Names::read(&device, Geometry { sector, sectors: sector.sectors_in(disk.size) })
}

/// The names of the partition `block` among those of its disk.
fn named(names: &Names, block: &Block) -> Option<Named> {
    let slice = block.slice.as_ref()?;
    names.of(slice.number, slice.start)
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
    if let Ok(Some(found)) = grow_facts::superblock(&block.node(), block.size) {
        words = format!("{words} {}", found.kind.name());
        for (tag, value) in [("UUID", &found.uuid), ("LABEL", &found.label)] {
            if let Some(value) = value {
                words = format!("{words} {tag}={value}");
            }
        }
    }
    let disk = block.slice.as_ref().and_then(|slice| all.iter().find(|disk| disk.name == slice.disk));
    let names = disk.and_then(|disk| names_of(disk).ok());
    if let Some(named) = names.and_then(|names| named(&names, block)) {
        words = format!("{words} PARTUUID={}", named.uuid);
    }
    words
}

/// The disk that holds `root`, of which the kernel sees no partition because its primary GPT needs to be written again
/// ([`Table::repair_needed`]): the one whose sound backup has the very partition that `root` names. None when several
/// could be it, and none that holds anything else than partitions: another disk than the root's is never touched.
#[must_use]
pub fn find_broken_disk(sysfs: Sysfs<'_>, root: &DeviceSpec) -> Option<Block> {
    let all = sysfs.all();
    let has_slice = |disk: &Block| all.iter().any(|block| block.slice.as_ref().is_some_and(|it| it.disk == disk.name));
    let is_whole = |disk: &Block| disk.size.0 > 0 && disk.slice.is_none() && !has_slice(disk);
    let mut found = all.iter().filter(|disk| is_whole(disk) && is_broken_home(sysfs, disk, root).unwrap_or(false));
    let disk = found.next()?.clone();
    found.next().is_none().then_some(disk)
}

/// Whether the table of `disk` is damaged, its backup has the partition that `root` names, and nothing else is on it.
fn is_broken_home(sysfs: Sysfs<'_>, disk: &Block, root: &DeviceSpec) -> Result<bool> {
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
    root: &DeviceSpec,
    (device, geometry): (&dyn ReadAt, Geometry),
) -> bool {
    let content = || {
        let start = geometry.sector.offset_of(partition.first).0;
        let size = partition.span().bytes(geometry.sector);
        filesystem::detect(&Window { whole: device, start, size: size.0 }, size).ok().flatten()
    };
    let number = partition.number;
    match root {
        DeviceSpec::Path(path) => {
            let between = if disk.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
            *path == format!("{}{between}{number}", disk.node())
        }
        DeviceSpec::Number(major, minor) => {
            (*major, Some(*minor)) == (disk.number.0, disk.number.1.checked_add(number))
        }
        DeviceSpec::PartUuid(uuid, offset) => table.partitions().iter().any(|named| {
            named.uuid.eq_ignore_ascii_case(uuid)
                && i64::from(number) == i64::from(named.number).saturating_add(i64::from(*offset))
        }),
        DeviceSpec::PartLabel(label) => partition.name.as_ref() == Some(label),
        DeviceSpec::Uuid(uuid) => content().and_then(|it| it.uuid).is_some_and(|it| it.eq_ignore_ascii_case(uuid)),
        DeviceSpec::Label(label) => content().and_then(|it| it.label).as_ref() == Some(label),
        DeviceSpec::Serial(_) | DeviceSpec::Wwn(_) => false,
    }
}
