//! The master boot record, with the chain of extended boot records that holds the logical partitions.
//!
//! Partitions are found and numbered as the kernel does it (`block/partitions/msdos.c`). A boot sector of a filesystem
//! must never pass for a table: its entries would be program code or text.
#![forbid(unsafe_code)]

mod grow;

use alloc::vec::Vec;

use super::record::{BootRecord, Entry, PROTECTIVE};
use super::{Geometry, Growth, Partition, PartitionType, Rule, Span};
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::Lba;

/// The number of the first logical partition; the four before it belong to the MBR.
const FIRST_LOGICAL: u32 = 5;

/// How many extended boot records a chain may have. The kernel shows at most 256 partitions of a disk, so a longer
/// chain is one that leads back to itself.
const MOST_LINKS: usize = 256;

/// Entries of an extended boot record that have a meaning: a partition, and the next record.
const MEANINGFUL: usize = 2;

const READ: &str = "read the MBR of";

/// A master boot record, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbr {
    geometry: Geometry,
    record: BootRecord,
    chain: Chain,
    partitions: Vec<Partition>,
}

/// The extended boot records in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chain {
    links: Vec<Link>,
    logicals: Vec<Logical>,
    /// Why the chain cannot be trusted to show every logical partition.
    flaw: Option<&'static str>,
}

/// One extended boot record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    at: Lba,
    record: BootRecord,
    /// The entry that points to the next one.
    next: Option<usize>,
}

/// Which entry of which extended boot record a logical partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Logical {
    number: u32,
    link: usize,
    entry: usize,
    span: Span,
    kind: u8,
}

impl Mbr {
    /// Every partition: the used primary ones by their place, an extended one among them, then the logical ones.
    pub(super) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    pub(super) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Reads the table in `record`, the signed first sector; `None` when that is no table.
    pub(super) fn read(disk: &dyn ReadAt, geometry: Geometry, record: BootRecord) -> Result<Option<Self>> {
        if !is_table(&record, geometry) {
            return Ok(None);
        }
        let mut extended = record.entries().iter().filter(|entry| entry.is_extended());
        let chain = match (extended.next(), extended.next()) {
            (None, _) => Chain::default(),
            (Some(entry), None) => Chain::read(disk, geometry, entry.span(Lba(0)))?,
            (Some(_), Some(_)) => return Err(Error::unsupported(READ, "it has two extended partitions")),
        };
        let signature = record.signature()?;
        let partition = |number: u32, span: Span, kind: u8| Partition {
            number,
            first: span.first,
            last: span.last,
            uuid: alloc::format!("{signature:08x}-{number:02x}"),
            name: None,
            kind: PartitionType::Mbr(kind),
        };
        let primaries = primaries(&record).map(|(number, entry)| partition(number, entry.span(Lba(0)), entry.kind));
        let logicals = chain.logicals.iter().map(|logical| partition(logical.number, logical.span, logical.kind));
        let partitions = primaries.chain(logicals).collect();
        Ok(Some(Self { geometry, record, chain, partitions }))
    }

    /// Plans the growth of partition `number`.
    pub(super) fn grow(&self, number: u32, rule: &Rule) -> Result<Growth> {
        grow::plan(self, number, rule)
    }
}

impl Chain {
    /// Follows the chain that begins with the first sector of `container`.
    fn read(disk: &dyn ReadAt, geometry: Geometry, container: Span) -> Result<Self> {
        let mut chain = Self::default();
        let mut next = Some(container.first);
        for _ in 0..MOST_LINKS {
            let Some(at) = next else { return Ok(chain) };
            if at < container.first || at > container.last.min(geometry.last()) {
                return Ok(chain.flawed("its chain of logical partitions leads out of the extended one"));
            }
            let record = BootRecord::read(disk, geometry, at)?;
            if !record.is_signed() {
                // An extended partition in which nothing was ever made has no record at all.
                let empty = chain.links.is_empty();
                return Ok(if empty { chain } else { chain.flawed("its chain of logical partitions is broken") });
            }
            next = chain.push(at, record, container);
        }
        Err(Error::corrupt(READ, "its chain of logical partitions never ends"))
    }

    /// Adds the record at `at` with its partitions; returns where the next record lies.
    fn push(&mut self, at: Lba, record: BootRecord, container: Span) -> Option<Lba> {
        if record.entries().iter().skip(MEANINGFUL).any(|entry| entry.is_used()) {
            self.flaw = Some("an extended boot record holds more than a partition and a link");
        }
        for (entry, found) in record.entries().iter().enumerate().take(MEANINGFUL) {
            if !found.is_used() || found.is_extended() {
                continue;
            }
            let before = u32::try_from(self.logicals.len()).unwrap_or(u32::MAX);
            let (number, span) = (FIRST_LOGICAL.saturating_add(before), found.span(at));
            self.logicals.push(Logical { number, link: self.links.len(), entry, span, kind: found.kind });
        }
        let next = record.entries().iter().take(MEANINGFUL).position(|entry| entry.is_extended());
        let target = next.and_then(|index| record.entries().get(index)).map(|entry| entry.span(container.first).first);
        self.links.push(Link { at, record, next });
        target
    }

    fn flawed(mut self, why: &'static str) -> Self {
        self.flaw = Some(why);
        self
    }
}

/// The used entries of the MBR with the kernel's numbers.
fn primaries(record: &BootRecord) -> impl Iterator<Item = (u32, &Entry)> {
    (1..).zip(record.entries()).filter(|(_, entry)| entry.is_used())
}

/// Whether a signed first sector is a table: something is described, no entry has an impossible status, and every used
/// one starts on the disk, behind the record itself.
fn is_table(record: &BootRecord, geometry: Geometry) -> bool {
    let sensible = |entry: &Entry| {
        let starts_well = entry.start != 0 && u64::from(entry.start) < geometry.sectors;
        matches!(entry.status, 0 | 0x80) && entry.kind != PROTECTIVE && (starts_well || !entry.is_used())
    };
    record.entries().iter().all(sensible) && primaries(record).next().is_some()
}
