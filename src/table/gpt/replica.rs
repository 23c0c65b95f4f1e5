//! One of the two replicas of a GPT: a header and the array of entries it points to.
//!
//! A header is changed by patching its own bytes, so that revision, size and everything this program knows nothing
//! about survive. UEFI 2.10, sections 5.3.2 and 5.3.3.
#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;

use super::super::{Geometry, Partition, PartitionType, Span};
use crate::bytes::{ByteReader, ReadAt, put};
use crate::error::{Error, Result};
use crate::units::{Guid, Lba};

/// What a header begins with.
pub(super) const SIGNATURE: &[u8; 8] = b"EFI PART";

/// The smallest header there is; it may claim to be as large as its sector.
const LEAST_HEADER: u32 = 92;

/// The smallest entry; larger ones are this times a power of two.
const LEAST_ENTRY: u32 = 128;

/// The largest array that is read. Real ones have 16 KiB, and the largest that any tool makes has 128 KiB; a header
/// that claims more is no reason to fill the memory of an initramfs.
const MOST_ENTRIES_BYTES: u64 = 1 << 20;

/// Where an entry keeps its last LBA.
const ENTRY_LAST: usize = 40;

const PARSE: &str = "parse the GPT header of";
const PARSE_ENTRY: &str = "parse the GPT entries of";

/// A header whose own checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    sector: Vec<u8>,
    size: usize,
    /// Where this header lies.
    pub at: Lba,
    /// Where the other one lies.
    pub alternate: Lba,
    /// The sectors that partitions may use.
    pub usable: Span,
    /// The name of the disk.
    pub disk: Guid,
    /// Where the array of entries begins.
    pub entries_at: Lba,
    /// How many entries there are, used or not.
    pub count: u32,
    /// Bytes in an entry.
    pub entry_size: u32,
    /// The checksum of the array.
    pub entries_crc: u32,
}

/// What a header is to say once it is emitted; everything else stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where it will lie.
    pub at: Lba,
    /// Where the other one will lie.
    pub alternate: Lba,
    /// Where its entries will begin.
    pub entries_at: Lba,
    /// The last sector that partitions may use.
    pub last_usable: Lba,
    /// The checksum of the entries.
    pub entries_crc: u32,
}

/// A header with its entries, which may not be the ones it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    /// The header.
    pub header: Header,
    /// The array, up to the end of its last sector.
    pub entries: Vec<u8>,
}

impl Header {
    /// Parses the header that lies in the sector `at`.
    pub fn parse(sector: Vec<u8>, at: Lba) -> Result<Self> {
        let fields = ByteReader::new(&sector, PARSE);
        if fields.slice(0, SIGNATURE.len())? != SIGNATURE {
            return Err(Error::corrupt(PARSE, "there is no header"));
        }
        let header_size = fields.u32_le(12)?;
        let size = usize::try_from(header_size).unwrap_or(usize::MAX);
        if header_size < LEAST_HEADER || size > sector.len() {
            return Err(Error::corrupt(PARSE, alloc::format!("a header of {header_size} bytes")));
        }
        if fields.u32_le(16)? != checksum_without_itself(fields.slice(0, size)?)? {
            return Err(Error::corrupt(PARSE, "checksum does not match"));
        }
        let my_lba = Lba(fields.u64_le(24)?);
        if my_lba != at {
            return Err(Error::corrupt(PARSE, alloc::format!("it belongs to sector {my_lba}, not to {at}")));
        }
        let alternate = Lba(fields.u64_le(32)?);
        let usable = Span { first: Lba(fields.u64_le(40)?), last: Lba(fields.u64_le(48)?) };
        let disk = Guid(fields.array(56)?);
        let entries_at = Lba(fields.u64_le(72)?);
        let count = fields.u32_le(80)?;
        let entry_size = fields.u32_le(84)?;
        let entries_crc = fields.u32_le(88)?;
        if entry_size < LEAST_ENTRY || !entry_size.is_power_of_two() || count == 0 {
            return Err(Error::corrupt(PARSE, alloc::format!("{count} entries of {entry_size} bytes")));
        }
        let header = Self { sector, size, at, alternate, usable, disk, entries_at, count, entry_size, entries_crc };
        if header.entries_bytes() > MOST_ENTRIES_BYTES {
            return Err(Error::unsupported(PARSE, alloc::format!("{count} entries of {entry_size} bytes")));
        }
        Ok(header)
    }

    /// The bytes of the sector it lies in.
    pub fn sector(&self) -> &[u8] {
        &self.sector
    }

    /// The bytes of the array without what fills its last sector.
    pub fn entries_bytes(&self) -> u64 {
        u64::from(self.count).saturating_mul(u64::from(self.entry_size))
    }

    /// The sectors of the array.
    pub fn entries_sectors(&self, geometry: Geometry) -> u64 {
        self.entries_bytes().div_ceil(geometry.sector.bytes())
    }

    /// The sectors of the array if it began `at`.
    pub fn entries_span(&self, at: Lba, geometry: Geometry) -> Span {
        let last = at.0.saturating_add(self.entries_sectors(geometry)).saturating_sub(1);
        Span { first: at, last: Lba(last) }
    }

    /// This header with `place` in it and the checksum that follows, as a sector.
    pub fn emit(&self, place: Place) -> Result<Vec<u8>> {
        let mut sector = self.sector.clone();
        for (offset, lba) in [(24, place.at), (32, place.alternate), (48, place.last_usable), (72, place.entries_at)] {
            put(&mut sector, offset, &lba.0.to_le_bytes(), PARSE)?;
        }
        put(&mut sector, 88, &place.entries_crc.to_le_bytes(), PARSE)?;
        let crc = checksum_without_itself(ByteReader::new(&sector, PARSE).slice(0, self.size)?)?;
        put(&mut sector, 16, &crc.to_le_bytes(), PARSE)?;
        Ok(sector)
    }

    /// Whether a sector of the array that this header describes could look like `sector`: each entry is empty, or lies in
    /// the usable sectors.
    pub fn can_have_entries(&self, sector: &[u8]) -> bool {
        let size = usize::try_from(self.entry_size).unwrap_or(usize::MAX).max(1);
        let is_usable = |slot| match parse_entry(0, slot) {
            Ok(Some(partition)) => partition.first <= partition.last && self.usable.contains(partition.span()),
            _ => false,
        };
        sector.chunks(size).all(|slot| slot.iter().all(|&byte| byte == 0) || is_usable(slot))
    }
}

impl Replica {
    /// Reads the header in the sector `at` and the entries it points to.
    pub fn read(disk: &dyn ReadAt, geometry: Geometry, at: Lba) -> Result<Self> {
        let header = Header::parse(geometry.read_sectors(disk, at, 1)?, at)?;
        let entries = geometry.read_sectors(disk, header.entries_at, header.entries_sectors(geometry))?;
        Ok(Self { header, entries })
    }

    /// Whether the entries are those that the header was made for.
    pub fn is_sound(&self) -> bool {
        self.crc() == self.header.entries_crc
    }

    /// The checksum of the entries as they are.
    pub fn crc(&self) -> u32 {
        crc32fast::hash(self.array())
    }

    /// The entries, one slice each, used or not.
    pub fn slots(&self) -> impl Iterator<Item = &[u8]> {
        self.array().chunks_exact(usize::try_from(self.header.entry_size).unwrap_or(usize::MAX).max(1))
    }

    /// The used entries, sensible or not.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
        let mut partitions = Vec::new();
        for (number, slot) in (1..).zip(self.slots()) {
            partitions.extend(parse_entry(number, slot)?);
        }
        Ok(partitions)
    }

    /// Gives partition `number` another last sector; returns the sector of the array that it changed.
    pub fn set_last(&mut self, number: u32, last: Lba) -> Result<usize> {
        let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let size = usize::try_from(self.header.entry_size).unwrap_or(usize::MAX);
        let offset = index.saturating_mul(size).saturating_add(ENTRY_LAST);
        put(&mut self.entries, offset, &last.0.to_le_bytes(), PARSE_ENTRY)?;
        Ok(offset.checked_div(self.header.sector.len()).unwrap_or(0))
    }

    /// Whether `self`, whose header and entries do not belong together, is what a power cut leaves while it was being
    /// made equal to `finished`: at most one entry differs, only in its last sector, and there `finished` has more.
    pub fn was_becoming(&self, finished: &Self) -> bool {
        let shape = |header: &Header| (header.disk, header.usable.first, header.count, header.entry_size);
        if shape(&self.header) != shape(&finished.header) {
            return false;
        }
        let mut different = self.slots().zip(finished.slots()).filter(|(old, new)| old != new);
        match (different.next(), different.next()) {
            (None, _) => true,
            (Some((old, new)), None) => only_last_grew(old, new).unwrap_or(false),
            (Some(_), Some(_)) => false,
        }
    }

    /// Whether `self` is a backup of `primary` that needs no writing.
    pub fn backs(&self, primary: &Self, geometry: Geometry) -> bool {
        let say = |header: &Header| (header.disk, header.usable, header.count, header.entry_size, header.entries_crc);
        let (header, array) = (&self.header, self.header.entries_span(self.header.entries_at, geometry));
        let in_the_tail = array.first > header.usable.last && array.last < header.at;
        say(header) == say(&primary.header) && header.alternate == primary.header.at && in_the_tail
    }

    fn array(&self) -> &[u8] {
        let bytes = usize::try_from(self.header.entries_bytes()).unwrap_or(usize::MAX);
        self.entries.get(..bytes).unwrap_or(&self.entries)
    }
}

/// Whether `new` is `old` with a larger last sector.
fn only_last_grew(old: &[u8], new: &[u8]) -> Result<bool> {
    let behind = ENTRY_LAST.saturating_add(8);
    let rest = |slot: &[u8]| Some((slot.get(..ENTRY_LAST)?.to_vec(), slot.get(behind..)?.to_vec()));
    let last = |slot| ByteReader::new(slot, PARSE_ENTRY).u64_le(ENTRY_LAST);
    Ok(rest(old) == rest(new) && last(old)? < last(new)?)
}

/// The partition in one slot, if the slot is used.
fn parse_entry(number: u32, slot: &[u8]) -> Result<Option<Partition>> {
    let fields = ByteReader::new(slot, PARSE_ENTRY);
    let partition_type_guid = Guid(fields.array(0)?);
    let unique_partition_guid = Guid(fields.array(16)?);
    let starting_lba = Lba(fields.u64_le(32)?);
    let ending_lba = Lba(fields.u64_le(ENTRY_LAST)?);
    if partition_type_guid == Guid::ZERO {
        return Ok(None);
    }
    let partition_name = fields.slice(56, 72)?;
    Ok(Some(Partition {
        number,
        first: starting_lba,
        last: ending_lba,
        uuid: alloc::format!("{unique_partition_guid}"),
        name: parse_name(partition_name),
        kind: PartitionType::Gpt(partition_type_guid),
    }))
}

/// A name in UTF-16, up to its first NUL; what is no text becomes U+FFFD, as `blkid` shows it.
fn parse_name(bytes: &[u8]) -> Option<String> {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    let name: String = char::decode_utf16(units.take_while(|&unit| unit != 0))
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    (!name.is_empty()).then_some(name)
}

/// The checksum of a header, whose own four bytes count as zero.
fn checksum_without_itself(header: &[u8]) -> Result<u32> {
    let fields = ByteReader::new(header, PARSE);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(fields.slice(0, 16)?);
    hasher.update(&[0; 4]);
    hasher.update(fields.slice(20, header.len().saturating_sub(20))?);
    Ok(hasher.finalize())
}
