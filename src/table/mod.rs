//! Partition tables: GPT and MBR, read, checked and grown as bytes.
//!
//! [`read`] tells what the table says and how sound it is; [`Table::grow`] plans the writes that make one partition
//! larger and carries out none of them. A partition never moves, never shrinks and never touches another; on any doubt
//! the answer is an error and no write. The writes are ordered so that after any of them, and after any sector of the
//! one that a power cut tore, the table is sound or [`read`] detects what was going on and the next run finishes it.
//!
//! This module knows no device and no clock. Sources: UEFI 2.10 section 5.3 (GPT), the kernel's `block/partitions`
//! (which tables it sees, and how it counts logical partitions); failures of other tools: the tests in `tests/table`.
#![forbid(unsafe_code)]

mod gpt;
mod mbr;
mod names;
mod record;
mod span;

pub use gpt::{Copies, Gpt};
pub use mbr::Mbr;
pub use names::{Named, Names};
pub use span::Span;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::{ByteCount, Guid, Lba, MIB, SectorSize};
use record::BootRecord;

/// The whole disk in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The logical sector, in which tables count.
    pub sector: SectorSize,
    /// How many logical sectors the whole disk has.
    pub sectors: u64,
}

/// What a table says a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionType {
    /// The type GUID of a GPT entry.
    Gpt(Guid),
    /// The type byte of an MBR entry.
    Mbr(u8),
}

/// One partition, as the table describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The kernel's number, from 1; logical partitions of an MBR count from 5.
    pub number: u32,
    /// The first sector.
    pub first: Lba,
    /// The last sector, which still belongs to the partition.
    pub last: Lba,
    /// What `PARTUUID=` compares with: the unique GUID in lower case, or `ssssssss-nn` (disk signature, number) of an MBR.
    pub uuid: String,
    /// What `PARTLABEL=` compares with: the name of a GPT entry, where it has one.
    pub name: Option<String>,
    /// What it is for.
    pub kind: PartitionType,
}

/// A partition table, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// A GUID partition table, with its protective MBR.
    Gpt(Gpt),
    /// A master boot record, with the chain of extended boot records behind it.
    Mbr(Mbr),
}

/// What the caller wants of the new end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The unit that the end is aligned down to; a partition that gains less than one unit stays as it is.
    pub align: ByteCount,
    /// What the length must be a multiple of: 4096 where LUKS or an LVM physical volume lies in the partition, else 0.
    pub length_multiple: ByteCount,
    /// Whether a damaged primary GPT may be rebuilt from its backup.
    pub repair: bool,
}

/// The plan for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Where the partition lies now.
    pub before: Span,
    /// Where it lies when the writes are done; equal to `before` when it cannot grow.
    pub after: Span,
    /// What to write, in this order, with the device flushed after each; empty when nothing is to be done.
    pub writes: Vec<Write>,
    /// Sentences for the operator, which name no device.
    pub notes: Vec<String>,
}

/// Whole sectors to write in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What this is, for the report: "the backup GPT".
    pub what: &'static str,
    /// Where it goes, from the start of the disk.
    pub at: ByteCount,
    /// The bytes, a multiple of the logical sector.
    pub bytes: Vec<u8>,
}

/// Reads the partition table of `disk`; `None` where there is none that the kernel would see.
///
/// The two bytes 0x55AA do not make a table: boot sectors of whole-disk filesystems carry them too.
///
/// # Errors
/// `Corrupt` when both copies of a GPT are damaged or a chain of extended boot records never ends, `Unsupported` when
/// the table was made for another sector size or is larger than any real one, and whatever `disk` fails with.
pub fn read(disk: &dyn ReadAt, geometry: Geometry) -> Result<Option<Table>> {
    if geometry.sectors == 0 {
        return Ok(None);
    }
    let record = BootRecord::read(disk, geometry, Lba(0))?;
    if !record.is_signed() {
        return Ok(None);
    }
    if record.protects_gpt() {
        return Ok(Some(Table::Gpt(Gpt::read(disk, geometry, record)?)));
    }
    Ok(Mbr::read(disk, geometry, record)?.map(Table::Mbr))
}

/// Whether the record in the first sector of `disk` says that a GPT follows, wherever that is or whatever became of it.
///
/// # Errors
/// Whatever `disk` fails with.
pub fn promises_gpt(disk: &dyn ReadAt, geometry: Geometry) -> Result<bool> {
    let record = BootRecord::read(disk, geometry, Lba(0))?;
    Ok(record.is_signed() && record.protects_gpt())
}

impl Table {
    /// Every partition that the table describes, in the order of their numbers.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        match self {
            Self::Gpt(gpt) => gpt.partitions(),
            Self::Mbr(mbr) => mbr.partitions(),
        }
    }

    /// The partition with the kernel's `number`.
    #[must_use]
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions().iter().find(|partition| partition.number == number)
    }

    /// The word that `blkid` and `sfdisk` use for this kind of table.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Gpt(_) => "gpt",
            Self::Mbr(_) => "dos",
        }
    }

    /// Whether the kernel sees no partition on this disk until its primary GPT is written again.
    #[must_use]
    pub const fn repair_needed(&self) -> bool {
        match self {
            Self::Gpt(gpt) => matches!(gpt.copies(), Copies::Interrupted | Copies::PrimaryDamaged),
            Self::Mbr(_) => false,
        }
    }

    /// Plans how partition `number` grows to the next partition or the end of the disk. A table with flaws that do no
    /// harm (a backup GPT that is not at the end of the disk, for one) is put right even where nothing can grow.
    ///
    /// # Errors
    /// `Absent` when there is no such partition, `Refused` when writing could lose data or needs the user's word
    /// (`repair`), or when `disk` no longer holds this table, and whatever [`read`] fails with.
    pub fn grow(&self, disk: &dyn ReadAt, number: u32, rule: Rule) -> Result<Growth> {
        // Someone may have edited the table between the look and the lock: never write a plan for a table that is gone.
        if read(disk, self.geometry())?.as_ref() != Some(self) {
            return Err(Error::refused("grow a partition of", "its partition table changed since it was read"));
        }
        match self {
            Self::Gpt(gpt) => gpt.grow(disk, number, &rule),
            Self::Mbr(mbr) => mbr.grow(number, &rule),
        }
    }

    /// Plans how a damaged primary GPT becomes what its sound backup says, and nothing else; empty where nothing is
    /// damaged.
    ///
    /// # Errors
    /// `Refused` when the damage is none that an interrupted update of wisp explains and `rule.repair` is not given.
    pub fn restore(&self, disk: &dyn ReadAt, rule: Rule) -> Result<Vec<Write>> {
        match self {
            Self::Gpt(gpt) => gpt.restore(disk, &rule),
            Self::Mbr(_) => Ok(Vec::new()),
        }
    }

    /// Whether nothing can lie behind what the table knows of: the backup of a GPT is in the last sector. An MBR has none.
    #[must_use]
    pub fn ends_the_disk(&self) -> bool {
        match self {
            Self::Gpt(gpt) => gpt.ends_the_disk(),
            Self::Mbr(_) => true,
        }
    }

    /// The sector of the header of a GPT's backup, as the table says, wherever the disk ends. An MBR has none.
    #[must_use]
    pub fn backup(&self) -> Option<Lba> {
        match self {
            Self::Gpt(gpt) => Some(gpt.last_header()),
            Self::Mbr(_) => None,
        }
    }

    /// Plans how the backup of a GPT comes to the end of the disk, and the disk's size into its protective MBR; with
    /// sentences for the operator. No partition changes; empty where all of it is as it should be.
    ///
    /// # Errors
    /// As [`Table::grow`].
    pub fn relocate(&self, disk: &dyn ReadAt, rule: Rule) -> Result<(Vec<Write>, Vec<String>)> {
        match self {
            Self::Gpt(gpt) => gpt.relocate(disk, &rule),
            Self::Mbr(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    const fn geometry(&self) -> Geometry {
        match self {
            Self::Gpt(gpt) => gpt.geometry(),
            Self::Mbr(mbr) => mbr.geometry(),
        }
    }
}

impl PartitionType {
    /// Whether it is the byte of an extended partition, which holds a chain of logical ones.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        matches!(self, Self::Mbr(0x05 | 0x0F | 0x85))
    }
}

impl Partition {
    /// Where it lies.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span { first: self.first, last: self.last }
    }
}

impl Default for Rule {
    /// Ends on a MiB, any length, no repair.
    fn default() -> Self {
        Self { align: ByteCount(MIB), length_multiple: ByteCount(0), repair: false }
    }
}

impl Growth {
    /// Whether the partition becomes larger; the writes may be needed without it.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.after != self.before
    }
}

impl Geometry {
    /// The last sector of the disk.
    const fn last(self) -> Lba {
        Lba(self.sectors.saturating_sub(1))
    }

    /// `count` sectors from `at`.
    fn read_sectors(self, disk: &dyn ReadAt, at: Lba, count: u64) -> Result<Vec<u8>> {
        let length = count.checked_mul(self.sector.bytes()).and_then(|bytes| usize::try_from(bytes).ok());
        let end = at.0.checked_add(count).filter(|&end| end <= self.sectors);
        let (Some(length), Some(_)) = (length, end) else {
            return Err(Error::corrupt("read the partition table of", "it points behind the end of the disk"));
        };
        let mut bytes = vec![0; length];
        disk.read_at(self.sector.offset_of(at), &mut bytes)?;
        Ok(bytes)
    }
}
