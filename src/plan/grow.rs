//! How far a partition and the filesystem on it may grow, and by which steps.
//!
//! The two halves are judged apart and both always: a partition that already has its size must not keep the
//! filesystem from growing, and a table that cannot be changed must not keep the filesystem from filling what it has.
//! Order of the steps, so that power may go at any point: table (its own order is `table`'s), kernel, filesystem. A
//! filesystem is never grown past a table that is not on the medium yet.

#![forbid(unsafe_code)]

use super::claim::{refuse_claimed_disk, stale_signatures};
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::filesystem::{Details, Kind, Policy, Superblock};
use crate::settings::Mode;
use crate::table::{Geometry, Rule, Span, Table, Write};
use crate::units::{ByteCount, Lba, MIB};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DOING: &str = "grow";

/// Everything the judgement rests on.
#[derive(Debug)]
pub struct Facts {
    /// The node that is to grow: a partition, or a whole disk.
    pub device: String,
    /// Its size as the kernel sees it now.
    pub size: ByteCount,
    /// Where it lies, if it is a partition.
    pub slice: Option<PartitionInfo>,
    /// Layers between this node and the mounted filesystem, lowest first, in words: "LVM physical volume".
    pub layers: Vec<String>,
    /// What the node holds.
    pub content: Option<Superblock>,
    /// The size the mounted filesystem itself tells, in its blocks; `None` when it is not mounted or is ext, whose
    /// superblock on the device is always up to date.
    pub live_blocks: Option<u64>,
    /// The options that the filesystem is mounted with, or is going to be, separated by commas.
    pub mount_options: String,
    /// Whether it is mounted, and the filesystem itself is read-only.
    pub mounted_read_only: bool,
    /// The kernel's name of a device that uses this one as a whole: `dm-0`.
    pub holder: Option<String>,
    /// The RAID of the firmware that a whole disk without partitions belongs to, as `blkid` calls it.
    pub claim: Option<&'static str>,
}

/// A partition as the kernel sees it, and the table it stands in.
#[derive(Debug)]
pub struct PartitionInfo {
    /// The node of the disk.
    pub disk: String,
    /// The partition's number.
    pub number: u32,
    /// Where it starts on the disk.
    pub start: ByteCount,
    /// The disk's sectors.
    pub geometry: Geometry,
    /// Whether the kernel refuses to write to the disk.
    pub read_only: bool,
    /// The table on the disk, or why it cannot be read.
    pub table: Result<Option<Table>>,
    /// The kernel's name of a device that uses the whole disk: `md127`, `dm-0`.
    pub holder: Option<String>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Overwrite a stale signature with zeros, in space that no partition has yet, and flush.
    Erase(Write),
    /// Write these bytes to the disk and flush it.
    WriteTable(Write),
    /// Tell the kernel the partition's new length.
    TellKernel {
        /// The partition's number.
        number: u32,
        /// Where it starts.
        start: ByteCount,
        /// Its new length.
        length: ByteCount,
    },
    /// Ask the mounted filesystem to grow.
    GrowFilesystem(Goal),
}

/// How large a filesystem shall become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// What it is.
    pub kind: Kind,
    /// Bytes in a block.
    pub block_size: u32,
    /// Its size now, in blocks.
    pub from: u64,
    /// Its size then, in blocks.
    pub to: u64,
    /// Blocks in an allocation group, the unit in which ext grows.
    pub granule: u64,
    /// Which device of a btrfs.
    pub devid: u64,
}

/// The judgement on one half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no such half: a filesystem on a whole disk has no partition.
    Absent,
    /// It has its size already.
    Full(ByteCount),
    /// It changes; `before` and `after` are equal when only the table's backup moves.
    Change {
        /// The size now.
        before: ByteCount,
        /// The size then.
        after: ByteCount,
        /// How.
        steps: Vec<Step>,
    },
    /// It is not wisp's to grow, for this reason.
    Left(String),
    /// It must not be touched.
    Refused(Error),
}

/// The whole judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The partition in its table.
    pub partition: Decision,
    /// The filesystem in its partition.
    pub filesystem: Decision,
    /// What an operator should know besides.
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps().next().is_none()
    }

    /// All steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        [&self.partition, &self.filesystem].into_iter().flat_map(|half| match half {
            Decision::Change { steps, .. } => steps.as_slice(),
            _ => &[],
        })
    }

    /// Both halves refused for one reason: nothing is touched.
    fn untouched(error: Error) -> Self {
        Self { partition: Decision::Refused(error.clone()), filesystem: Decision::Refused(error), notes: Vec::new() }
    }
}

/// Judges. `disk` is read again only by `table`, for sectors it wants to see before changing them.
#[must_use]
pub fn plan(facts: &Facts, disk: Option<&dyn ReadAt>, mode: Mode) -> Plan {
    let refuse = |why: String| Plan::untouched(Error::refused(DOING, why).to(&*facts.device));
    if mode == Mode::Off {
        return refuse("it is switched off (wisp.grow=off)".into());
    }
    let layered = !facts.layers.is_empty();
    let policy = match &facts.content {
        Some(content) => content.kind.policy(),
        None if layered => Policy::Layer,
        None => return refuse("it holds no filesystem that wisp knows".into()),
    };
    if let (Policy::Refuse(why), Some(content)) = (policy, &facts.content) {
        return refuse(format!("it holds {}: {why}", content.kind.name()));
    }
    if let (Policy::Grow, Some(holder), false) = (policy, &facts.holder, layered) {
        return refuse(format!("{holder} uses it"));
    }
    let mut notes = Vec::new();
    let is_layer = layered || matches!(policy, Policy::Layer);
    let partition = match (&facts.slice, disk) {
        (Some(slice), Some(disk)) => {
            partition_half(facts, slice, disk, rule(mode, is_layer), &mut notes).unwrap_or_else(Decision::Refused)
        }
        _ => Decision::Absent,
    };
    let room = match &partition {
        Decision::Change { after, .. } => *after,
        _ => facts.size,
    };
    let filesystem = match &facts.content {
        Some(content) if !is_layer => filesystem_half(facts, content, room),
        _ => Decision::Left(format!("the {} on it was not grown", layer_name(facts))),
    };
    let growing = facts.content.as_ref().zip(goal(&filesystem));
    notes.extend(growing.and_then(|(content, goal)| crowded(content, goal)));
    notes.extend(facts.content.as_ref().and_then(|content| unreachable_space(content, room)));
    notes.extend(facts.content.as_ref().and_then(other_devices));
    let plan = Plan { partition, filesystem, notes };
    // A disk that belongs to something as a whole is not for the taking, and no one is to be told to repair its table.
    if !plan.is_empty() || matches!(plan.partition, Decision::Refused(_)) {
        if let Some(name) = facts.claim {
            return refuse(format!("it is a {name} as a whole"));
        }
        if let (Some(slice), Some(disk)) = (&facts.slice, disk)
            && let Ok(Some(table)) = &slice.table
            && let Err(error) = refuse_claimed_disk(slice, table, disk)
        {
            return Plan::untouched(error);
        }
    }
    match unreplayed(facts) {
        Some(why) if !plan.is_empty() => refuse(why),
        _ => plan,
    }
}

/// Why the journal of a filesystem may hold changes that its mount does not replay. They would be lost to whatever is
/// written before them, or be replayed over it later.
fn unreplayed(facts: &Facts) -> Option<String> {
    let skips = |word: &&str| match word.strip_prefix("rescue=") {
        Some(rescue) => rescue.split(':').any(|word| matches!(word, "nologreplay" | "all")),
        None => matches!(*word, "noload" | "norecovery" | "nologreplay"),
    };
    if let Some(option) = facts.mount_options.split(',').find(skips) {
        return Some(format!("the mount option {option} keeps its journal from being replayed"));
    }
    let dirty = facts.layers.is_empty() && facts.content.as_ref().is_some_and(Superblock::needs_recovery);
    (dirty && facts.mounted_read_only).then(|| UNREPLAYED.into())
}

/// Why a filesystem is left alone whose journal is still dirty after the mount that replays it.
pub const UNREPLAYED: &str = "its journal holds changes that its mount did not replay";

/// The other devices of a btrfs have to be named one by one.
fn other_devices(content: &Superblock) -> Option<String> {
    match content.details {
        Details::Btrfs(btrfs) if btrfs.devices > 1 => {
            let others = match btrfs.devices.saturating_sub(1) {
                1 => "another device, which keeps its size; `wisp grow DEVICE` grows it".into(),
                others => format!("{others} other devices, which keep their size; `wisp grow DEVICE` grows each"),
            };
            Some(format!("the filesystem has {others}"))
        }
        _ => None,
    }
}

/// An ext filesystem ends where its inodes would need more than 32 bits, which mkfs decided when it chose their density.
fn unreachable_space(content: &Superblock, room: ByteCount) -> Option<String> {
    let extent = content.extent.filter(|_| matches!(content.details, Details::Ext(_)))?;
    let most = ByteCount(extent.max_blocks.saturating_mul(u64::from(extent.block_size)));
    let rest = room.0.checked_sub(most.0).filter(|rest| *rest >= MIB)?;
    let name = content.kind.name();
    Some(format!("this {name} can grow to {most} and no further; {} of its partition stay unused", ByteCount(rest)))
}

/// What the filesystem shall become, if it shall change.
fn goal(filesystem: &Decision) -> Option<&Goal> {
    match filesystem {
        Decision::Change { steps, .. } => steps.iter().find_map(|step| match step {
            Step::GrowFilesystem(goal) => Some(goal),
            _ => None,
        }),
        _ => None,
    }
}

/// XFS keeps the allocation groups that it was made with: an image of 512 MiB on a disk of a TiB has thousands of them,
/// which works and is slow. Nothing but a new filesystem repairs that, so the owner of the image should know.
fn crowded(content: &Superblock, goal: &Goal) -> Option<String> {
    /// mkfs.xfs makes four of a small disk and some dozens of a large one.
    const MANY_GROUPS: u64 = 1000;
    let Details::Xfs(xfs) = content.details else { return None };
    let groups = goal.to.checked_div(u64::from(xfs.group_blocks))?;
    (groups > MANY_GROUPS)
        .then(|| format!("XFS has {groups} allocation groups then and will be slow; make the image with larger ones"))
}

/// The end is aligned to 1 MiB as sfdisk and growpart do; where LUKS or LVM may sit, the length is also a multiple of
/// 4096 bytes, without which cryptsetup refuses to open on disks that emulate 512-byte sectors.
fn rule(mode: Mode, is_layer: bool) -> Rule {
    Rule {
        align: ByteCount(MIB),
        length_multiple: ByteCount(if is_layer { 4096 } else { 512 }),
        repair: mode == Mode::Repair,
    }
}

/// What lies on the partition when it is no filesystem.
fn layer_name(facts: &Facts) -> String {
    match (facts.layers.first(), &facts.content) {
        (Some(layer), _) => layer.clone(),
        (None, Some(content)) => match content.kind {
            Kind::Luks => "LUKS volume".into(),
            Kind::LvmPhysicalVolume => "LVM physical volume".into(),
            other => other.name().into(),
        },
        (None, None) => "layer".into(),
    }
}

fn partition_half(
    facts: &Facts,
    slice: &PartitionInfo,
    disk: &dyn ReadAt,
    rule: Rule,
    notes: &mut Vec<String>,
) -> Result<Decision> {
    let refused = |why: &'static str| Error::refused("grow the partition", why).to(&*facts.device);
    if slice.read_only {
        return Err(refused("the disk is read-only"));
    }
    let table = match &slice.table {
        Ok(Some(table)) => table,
        Ok(None) => {
            return Err(refused(
                "the kernel sees a partition, and the disk has no GPT, and no MBR whose entries are all valid (one may \
                 start in sector 0 or behind the end of the disk)",
            ));
        }
        Err(error) => return Err(error.clone().to(&*slice.disk)),
    };
    let growth = table.grow(disk, slice.number, rule).map_err(|error| error.to(&*facts.device))?;
    notes.extend(growth.notes);
    let bytes = |lba: Lba| slice.geometry.sector.offset_of(lba).0;
    let on_disk = length_of(slice, growth.before);
    if bytes(growth.before.first) != slice.start.0 || on_disk < facts.size {
        return Err(refused("the table on the disk and the kernel's view of it differ"));
    }
    let after = length_of(slice, growth.after);
    let mut steps = Vec::new();
    if after > facts.size {
        let erased = stale_signatures(facts.size, slice, disk, after).map_err(|error| error.to(&*facts.device))?;
        if !erased.is_empty() && table.repair_needed() {
            return Err(refused(
                "a stale signature lies where it would end, and its table is damaged: repair that first",
            ));
        }
        for (kind, write) in erased {
            notes.push(format!("a stale {} signature in the space that the partition gains is erased", kind.name()));
            steps.push(Step::Erase(write));
        }
    }
    steps.extend(growth.writes.into_iter().map(Step::WriteTable));
    if after > facts.size {
        steps.push(Step::TellKernel { number: slice.number, start: slice.start, length: after });
    }
    Ok(match steps.is_empty() {
        true => Decision::Full(facts.size),
        false => Decision::Change { before: facts.size, after, steps },
    })
}

/// The bytes of `span` on the disk of `slice`.
fn length_of(slice: &PartitionInfo, span: Span) -> ByteCount {
    span.bytes(slice.geometry.sector)
}

/// Judges the filesystem half again for the `room` that its partition has in the end.
#[must_use]
pub fn refit(facts: &Facts, room: ByteCount) -> Decision {
    match &facts.content {
        Some(content) => filesystem_half(facts, content, room),
        None => Decision::Absent,
    }
}

fn filesystem_half(facts: &Facts, content: &Superblock, room: ByteCount) -> Decision {
    let (Some(extent), Some(to)) = (&content.extent, content.largest_within(room)) else {
        return Decision::Left(format!("wisp cannot tell the size of {}", content.kind.name()));
    };
    let block = u64::from(extent.block_size);
    let from = facts.live_blocks.unwrap_or(extent.blocks);
    let bytes = |blocks: u64| ByteCount(blocks.saturating_mul(block));
    if to <= from {
        return Decision::Full(bytes(from));
    }
    if let Some(why) = content.obstacle() {
        return Decision::Refused(Error::refused("grow the filesystem on", why).to(&*facts.device));
    }
    let goal = Goal {
        kind: content.kind,
        block_size: extent.block_size,
        from,
        to,
        granule: extent.granule,
        devid: match content.details {
            Details::Btrfs(btrfs) => btrfs.devid,
            _ => 0,
        },
    };
    Decision::Change { before: bytes(from), after: bytes(to), steps: Vec::from([Step::GrowFilesystem(goal)]) }
}
