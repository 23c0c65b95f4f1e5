//! One boot record: four entries and a signature. The MBR, every extended boot record and the protective MBR of a GPT
//! have this shape.
//!
//! Boot code, disk signature and entries that do not change are never touched: a record is edited in its own bytes.
#![forbid(unsafe_code)]

use alloc::vec::Vec;

use super::{Geometry, PartitionType, Span, Write};
use crate::bytes::{ByteReader, ReadAt, put};
use crate::error::Result;
use crate::units::Lba;

/// The type of the entry that keeps tools without GPT away from a GPT disk.
pub(super) const PROTECTIVE: u8 = 0xEE;

/// The largest number of sectors that an entry can hold; of a protective one it also means "more than that".
pub(super) const MOST_SECTORS: u32 = u32::MAX;

/// Entries in a record.
const ENTRIES: usize = 4;

/// Cylinder, head and sector of an end that these three bytes cannot express; every kernel of this century ignores them.
const CHS_BEYOND: [u8; 3] = [0xFE, 0xFF, 0xFF];

const PARSE: &str = "parse the boot record of";

/// A boot record in its sector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootRecord {
    sector: Vec<u8>,
    entries: [Entry; ENTRIES],
}

/// One entry, as it stands there; the meaning of `start` depends on the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// 0x80 for the active partition, 0 for the others; anything else is no entry.
    pub status: u8,
    /// The type byte.
    pub kind: u8,
    /// The first sector.
    pub start: u32,
    /// How many sectors.
    pub sectors: u32,
}

impl BootRecord {
    /// Reads the sector `at`, whatever it holds.
    pub fn read(disk: &dyn ReadAt, geometry: Geometry, at: Lba) -> Result<Self> {
        let sector = geometry.read_sectors(disk, at, 1)?;
        let fields = ByteReader::new(&sector, PARSE);
        let mut entries = [Entry::default(); ENTRIES];
        for (entry, offset) in entries.iter_mut().zip(entry_offsets()) {
            let status = fields.u8(offset)?;
            let kind = fields.u8(offset.saturating_add(4))?;
            let start = fields.u32_le(offset.saturating_add(8))?;
            let sectors = fields.u32_le(offset.saturating_add(12))?;
            *entry = Entry { status, kind, start, sectors };
        }
        Ok(Self { sector, entries })
    }

    /// The four entries, used or not.
    pub const fn entries(&self) -> &[Entry; ENTRIES] {
        &self.entries
    }

    /// Whether it ends as every boot record does, filesystem or table.
    pub fn is_signed(&self) -> bool {
        ByteReader::new(&self.sector, PARSE).slice(510, 2) == Ok(&[0x55, 0xAA])
    }

    /// Whether the kernel looks for a GPT: some protective entry starts right behind the record.
    pub fn protects_gpt(&self) -> bool {
        self.entries.iter().any(|entry| entry.protects_gpt())
    }

    /// The 32-bit number that names an MBR disk.
    pub fn signature(&self) -> Result<u32> {
        ByteReader::new(&self.sector, PARSE).u32_le(440)
    }

    /// The bytes of its sector, as they were read or as they were edited.
    pub fn sector(&self) -> &[u8] {
        &self.sector
    }

    /// Gives the entry at `index` this many sectors, and nothing else.
    pub fn set_sectors(&mut self, index: usize, sectors: u32) -> Result<()> {
        put(&mut self.sector, offset_in_entry(index, 12), &sectors.to_le_bytes(), PARSE)?;
        if let Some(entry) = self.entries.get_mut(index) {
            entry.sectors = sectors;
        }
        Ok(())
    }

    /// Gives the entry at `index` this many sectors, and an end that old tools do not misread.
    pub fn grow(&mut self, index: usize, sectors: u32) -> Result<()> {
        self.set_sectors(index, sectors)?;
        put(&mut self.sector, offset_in_entry(index, 5), &CHS_BEYOND, PARSE)
    }

    /// The write that puts this record at sector `at`.
    pub fn write(&self, what: &'static str, at: Lba, geometry: Geometry) -> Write {
        Write { what, at: geometry.sector.offset_of(at), bytes: self.sector.clone() }
    }
}

impl Entry {
    /// Whether the kernel makes a partition of it.
    pub const fn is_used(self) -> bool {
        self.sectors != 0
    }

    /// Whether it is the protective entry that a GPT needs.
    pub const fn protects_gpt(self) -> bool {
        self.kind == PROTECTIVE && self.start == 1
    }

    /// Whether it holds a chain of logical partitions.
    pub const fn is_extended(self) -> bool {
        self.is_used() && PartitionType::Mbr(self.kind).is_extended()
    }

    /// Where it lies when `start` counts from `base`.
    pub const fn span(self, base: Lba) -> Span {
        let first = base.0.saturating_add(self.start as u64);
        Span { first: Lba(first), last: Lba(first.saturating_add(self.sectors as u64).saturating_sub(1)) }
    }
}

/// Where the entries lie in the sector, whatever its size.
fn entry_offsets() -> impl Iterator<Item = usize> {
    (446..510).step_by(16)
}

/// Where the byte `at` of the entry at `index` lies in the sector; behind its end where there is no such entry, so that
/// a write there fails instead of going somewhere else.
fn offset_in_entry(index: usize, at: usize) -> usize {
    entry_offsets().nth(index).map_or(usize::MAX, |offset| offset.saturating_add(at))
}
