//! The names of partitions that the kernel already shows: read as leniently as the kernel reads its tables.
//!
//! Growing needs a table that is beyond doubt ([`super::read`]). For a name the kernel has decided already which partitions
//! exist: an MBR with an entry that starts in sector 0 (isohybrid images) or behind the end of the disk names its other
//! partitions all the same, and so does a GPT whose protective MBR is gone (`gpt` on the kernel command line). Nothing is
//! ever written by what this file says.
//!
//! `block/partitions/msdos.c`, `block/partitions/efi.c`.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;

use super::gpt::Gpt;
use super::record::BootRecord;
use super::{Geometry, Partition};
use crate::bytes::ReadAt;
use crate::error::Result;
use crate::units::{ByteCount, Lba};

/// Primary entries of an MBR; logical partitions have higher numbers.
const PRIMARIES: u32 = 4;

/// What the table on a disk calls its partitions.
#[derive(Clone, Debug)]
pub struct Names {
    geometry: Geometry,
    record: BootRecord,
    gpt: Option<Gpt>,
}

/// The names of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What `PARTUUID=` compares with.
    pub uuid: String,
    /// What `PARTLABEL=` compares with.
    pub name: Option<String>,
}

impl Names {
    /// Reads the tables of `disk`, on which the kernel shows partitions.
    ///
    /// # Errors
    /// Whatever `disk` fails with when its first sector is read.
    pub fn read(disk: &dyn ReadAt, geometry: Geometry) -> Result<Self> {
        let record = BootRecord::read(disk, geometry, Lba(0))?;
        // A disk without a GPT, or with one that is damaged, is not an error: its MBR may name the partition.
        let gpt = Gpt::read(disk, geometry, record.clone()).ok();
        Ok(Self { geometry, record, gpt })
    }

    /// The names of the partition that the kernel shows under `number`, starting `start` bytes behind the start of the disk;
    /// nothing when no table has such a partition.
    #[must_use]
    pub fn of(&self, number: u32, start: ByteCount) -> Option<Named> {
        let first = self.geometry.sector.sectors_in(start);
        let in_gpt = || {
            let is_meant = |partition: &&Partition| partition.number == number && partition.first.0 == first;
            let found = self.gpt.as_ref()?.partitions().iter().find(is_meant)?;
            Some(Named { uuid: found.uuid.clone(), name: found.name.clone() })
        };
        if self.record.is_signed() && self.record.protects_gpt() {
            return in_gpt();
        }
        if self.record.is_signed() && self.in_mbr(number, first) {
            let signature = self.record.signature().ok()?;
            return Some(Named { uuid: format!("{signature:08x}-{number:02x}"), name: None });
        }
        in_gpt()
    }

    /// Whether the MBR describes a partition `number` that starts there; a logical one is somewhere in the extended one.
    fn in_mbr(&self, number: u32, first: u64) -> bool {
        let entries = self.record.entries();
        if number > PRIMARIES {
            return entries.iter().any(|entry| entry.is_extended());
        }
        (1..).zip(entries).any(|(place, entry)| place == number && entry.is_used() && u64::from(entry.start) == first)
    }
}
