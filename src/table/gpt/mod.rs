//! The GUID partition table: which of its two replicas speaks, and in what state they are.
//!
//! The kernel takes the primary and nothing else, so the primary speaks while it is sound. When it is not, the kernel
//! sees no partition at all; then the backup speaks, and [`Copies`] says whether a power cut in the middle of our own
//! update explains the damage (finished without asking) or not (rebuilt only when the user said so).
//!
//! Hybrid MBRs: the boot record is left byte for byte as it is when any entry beside the protective one is used, and a
//! partition is not grown where such an entry overlaps it, because the two tables would then contradict each other.
//!
//! UEFI 2.10, section 5.3; `block/partitions/efi.c`.
#![forbid(unsafe_code)]

mod grow;
mod replica;
mod restore;

use alloc::string::String;
use alloc::vec::Vec;

use super::record::BootRecord;
use super::{Geometry, Growth, Partition, Rule, Write};
use crate::bytes::{ByteReader, ReadAt};
use crate::error::{Error, Kind, Result};
use crate::units::{ByteCount, Guid, Lba};
use replica::{Header, Replica, SIGNATURE};

/// Where the primary header lies; the specification gives no choice.
const PRIMARY: Lba = Lba(1);

/// The smallest and the largest logical sector that GPT disks are made with, as powers of two: a table for one of them
/// is looked for when none is found where this disk's own sector would have it.
const SECTOR_POWERS: core::ops::RangeInclusive<u32> = 9..=12;

const READ: &str = "read the GPT of";

/// In what state the two replicas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Both are sound and agree.
    Both,
    /// The primary is sound; the backup is damaged, missing, unreadable or says something else.
    BackupDamaged,
    /// The primary was being brought up to the sound backup when the power went.
    Interrupted,
    /// The primary is damaged in some other way, and the backup is sound.
    PrimaryDamaged,
}

/// A GUID partition table, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpt {
    geometry: Geometry,
    record: BootRecord,
    copies: Copies,
    /// The replica that speaks.
    spoken: Replica,
    /// The header of the primary, where it is sound and only its entries are not.
    torn: Option<Header>,
    partitions: Vec<Partition>,
}

impl Gpt {
    /// In what state the two replicas are.
    #[must_use]
    pub const fn copies(&self) -> Copies {
        self.copies
    }

    /// The GUID of the disk.
    #[must_use]
    pub const fn disk(&self) -> Guid {
        self.spoken.header.disk
    }

    /// The used entries in the order of their numbers.
    pub(super) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    pub(super) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Reads the table behind the protective MBR `record`.
    pub(super) fn read(disk: &dyn ReadAt, geometry: Geometry, record: BootRecord) -> Result<Self> {
        let (why, torn) = match Replica::read(disk, geometry, PRIMARY) {
            Ok(primary) if primary.is_sound() => return Self::with_sound_primary(disk, geometry, record, primary),
            Ok(primary) => ("the checksum of its entries does not match".into(), Some(primary)),
            Err(error) if error.kind == Kind::Corrupt => (error.why.clone(), None),
            Err(error) => return Err(error),
        };
        if torn.is_none() {
            refuse_other_sector_size(disk, geometry)?;
        }
        let Some(backup) = find_backup(disk, geometry, &record, torn.as_ref())? else {
            return Err(Error::corrupt(READ, alloc::format!("its primary is damaged ({why}), and so is its backup")));
        };
        let interrupted = torn.as_ref().is_some_and(|primary| primary.was_becoming(&backup));
        let copies = if interrupted { Copies::Interrupted } else { Copies::PrimaryDamaged };
        let partitions = backup.partitions()?;
        let torn = torn.map(|primary| primary.header);
        Ok(Self { geometry, record, copies, spoken: backup, torn, partitions })
    }

    fn with_sound_primary(disk: &dyn ReadAt, geometry: Geometry, record: BootRecord, primary: Replica) -> Result<Self> {
        let copies = match sound_replica(disk, geometry, primary.header.alternate) {
            Ok(Some(backup)) if backup.backs(&primary, geometry) => Copies::Both,
            Ok(_) => Copies::BackupDamaged,
            // A bad sector at the end of the disk must not hide partitions that the kernel sees. Where growing has to
            // write there, that fails before the primary is touched.
            Err(error) if matches!(error.kind, Kind::Os(_)) => Copies::BackupDamaged,
            Err(error) => return Err(error),
        };
        let partitions = primary.partitions()?;
        Ok(Self { geometry, record, copies, spoken: primary, torn: None, partitions })
    }

    /// Whether the one that speaks says that the other one, or it itself, lies in the last sector.
    pub(super) fn ends_the_disk(&self) -> bool {
        self.last_header() == self.geometry.last()
    }

    /// Where the one that speaks says that the later one of both lies.
    pub(super) fn last_header(&self) -> Lba {
        self.spoken.header.at.max(self.spoken.header.alternate)
    }

    /// Plans to put the primary right where it has to be.
    pub(super) fn restore(&self, disk: &dyn ReadAt, rule: &Rule) -> Result<Vec<Write>> {
        Ok(restore::plan(self, disk, rule)?.writes)
    }

    /// Plans to put the backup at the end of the disk, after the same.
    pub(super) fn relocate(&self, disk: &dyn ReadAt, rule: &Rule) -> Result<(Vec<Write>, Vec<String>)> {
        grow::relocate(self, restore::plan(self, disk, rule)?)
    }

    /// Plans the growth of partition `number`, after the same.
    pub(super) fn grow(&self, disk: &dyn ReadAt, number: u32, rule: &Rule) -> Result<Growth> {
        let restored = restore::plan(self, disk, rule)?;
        grow::plan(self, disk, restored, number, rule)
    }
}

/// The replica whose header lies at `at`, if that is on the disk and nothing is wrong with it.
fn sound_replica(disk: &dyn ReadAt, geometry: Geometry, at: Lba) -> Result<Option<Replica>> {
    if at <= PRIMARY || at > geometry.last() {
        return Ok(None);
    }
    match Replica::read(disk, geometry, at) {
        Ok(replica) => Ok(Some(replica).filter(Replica::is_sound)),
        Err(error) if matches!(error.kind, Kind::Corrupt | Kind::Unsupported) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The sound backup that belongs to a damaged primary. It is looked for at the end of the disk, where the primary says
/// that it is, and where the protective MBR says that the disk ended when the image was made. Of several, the one that
/// `torn` (a primary whose header is sound and whose entries are not) was becoming is taken, else the first.
fn find_backup(
    disk: &dyn ReadAt,
    geometry: Geometry,
    record: &BootRecord,
    torn: Option<&Replica>,
) -> Result<Option<Replica>> {
    let claimed = match torn {
        Some(primary) => primary.header.alternate,
        None => field(disk, geometry, 32)?,
    };
    let protected = record.entries().iter().find(|entry| entry.protects_gpt());
    let places = [geometry.last(), claimed, protected.map_or(Lba(0), |entry| entry.span(Lba(0)).last)];
    let mut found: Vec<Replica> = Vec::new();
    for at in places {
        let Some(backup) = sound_replica(disk, geometry, at)? else { continue };
        let belongs = torn.is_none_or(|primary| primary.header.disk == backup.header.disk);
        if !belongs || backup.header.alternate != PRIMARY {
            continue;
        }
        if found.iter().any(|other| other.header.disk != backup.header.disk) {
            return Err(Error::corrupt(READ, "its primary is damaged, and there are backups of two different disks"));
        }
        found.push(backup);
    }
    let best = found.iter().position(|backup| torn.is_some_and(|primary| primary.was_becoming(backup)));
    Ok(found.into_iter().nth(best.unwrap_or(0)))
}

/// A number in the sector of the primary header, whatever that sector holds.
fn field(disk: &dyn ReadAt, geometry: Geometry, offset: usize) -> Result<Lba> {
    let sector = geometry.read_sectors(disk, PRIMARY, 1)?;
    Ok(Lba(ByteReader::new(&sector, READ).u64_le(offset)?))
}

/// Fails when a primary header lies where a disk with another logical sector has it.
fn refuse_other_sector_size(disk: &dyn ReadAt, geometry: Geometry) -> Result<()> {
    let own = geometry.sector.bytes();
    let disk_bytes = geometry.sector.offset_of(Lba(geometry.sectors)).0;
    if geometry.read_sectors(disk, PRIMARY, 1)?.starts_with(SIGNATURE) {
        return Ok(());
    }
    let mut start = [0; SIGNATURE.len()];
    for other in SECTOR_POWERS.filter_map(|power| 1u64.checked_shl(power)) {
        if other == own || other.saturating_add(own) > disk_bytes {
            continue;
        }
        disk.read_at(ByteCount(other), &mut start)?;
        if start == *SIGNATURE {
            let why = alloc::format!("it was made for sectors of {other} bytes, and this disk has sectors of {own}");
            return Err(Error::unsupported(READ, why));
        }
    }
    Ok(())
}
