//! VMware's virtual disk in one file ("Virtual Disk Format 5.0"): `streamOptimized`, as in an OVA, and `monolithicSparse`.
//!
//! A grain directory points at grain tables, and these at grains; of what is kept twice the first copy is read. In a
//! stream-optimised file the directory may come last, and each grain is packed behind a marker that says which it is.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;

use super::corrupt;
use super::map::{LARGEST_UNIT, Opened, Packed, Pieces, Place, Run};
use super::table::{Table, Window};
use crate::bytes::{ByteReader, ReadAt};
use crate::codec::Packing;
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "read the VMDK image";

/// `magicNumber`, as it stands in the file.
pub(super) const MAGIC: [u8; 4] = *b"KDMV";

const SECTOR: u64 = 512;
const SECTOR_BITS: u32 = SECTOR.trailing_zeros();

/// `version`: 2 has the entry for grains of zeros, 3 something for backups beside the disk.
const VERSIONS: core::ops::RangeInclusive<u32> = 1..=3;

/// `flags`.
const ZERO_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;

/// `gdOffset` when the directory comes last.
const AT_END: u64 = u64::MAX;
/// What such a file ends with: the footer, which is a second header, and the marker of the end of the stream; before the
/// footer is its own marker, of this type.
const FOOTER_FROM_END: u64 = 2 * SECTOR;
const FOOTER_MARKER_FROM_END: u64 = 3 * SECTOR;
const FOOTER_MARKER: u32 = 3;

/// A grain is a power of two of sectors above 8; the usual one is 64 KiB.
const GRAIN_BITS: core::ops::RangeInclusive<u32> = 12..=LARGEST_UNIT.trailing_zeros();
/// Entries of a grain table: 512 in every file there is. What is larger is not a table of grains.
const TABLE_ENTRIES: core::ops::RangeInclusive<u32> = 1..=65536;
/// Sectors of the largest disk, 64 TiB: all products of sizes stay far below what overflows.
const CAPACITY: u64 = 1 << (46 - SECTOR_BITS);

/// The entry of a grain of zeros.
const ZERO_GRAIN: u32 = 1;

/// Before a packed grain: its first sector, and the length of what follows.
const GRAIN_MARKER: u64 = 12;

/// Bytes of the descriptor that are looked at: what is asked of it stands in its first lines.
const DESCRIPTOR: u64 = 4096;
/// The kinds that lie whole in one file, as `createType` says it, in quotes.
const KINDS: [&str; 2] = ["streamOptimized", "monolithicSparse"];

struct Vmdk {
    /// Of the file.
    size: u64,
    /// Of the disk, in sectors.
    capacity: u64,
    grain_bits: u32,
    /// Entries of a grain table, a power of two.
    entries_bits: u32,
    has_zero_grains: bool,
    is_compressed: bool,
    directory: Table,
    tables: Window,
    grains: Window,
}

/// Reads the header or the footer, and the descriptor.
pub(super) fn open(source: &dyn ReadAt, size: u64) -> Result<Opened> {
    let mut header = read_header(source, 0, size)?;
    let variant = kind(source, ByteReader::new(&header, DOING), size)?;
    if ByteReader::new(&header, DOING).u64_le(56)? == AT_END {
        header = read_footer(source, size)?;
    }
    let fields = ByteReader::new(&header, DOING);
    let (version, flags) = (fields.u32_le(4)?, fields.u32_le(8)?);
    let (capacity, grain) = (fields.u64_le(12)?, fields.u64_le(20)?);
    let entries = fields.u32_le(44)?;
    let is_compressed = flags & COMPRESSED != 0;
    let known = VERSIONS.contains(&version)
        && (flags & MARKERS != 0) == is_compressed
        && fields.u16_le(77)? == u16::from(is_compressed);
    if !known {
        return Err(Error::unsupported(DOING, format!("its version, {version}, or how it is packed, is not known")));
    }
    let grain_bits = grain.trailing_zeros().saturating_add(SECTOR_BITS);
    if !grain.is_power_of_two() || !GRAIN_BITS.contains(&grain_bits) {
        return Err(Error::unsupported(DOING, format!("its grains of {grain} sectors are of no known size")));
    }
    if !entries.is_power_of_two() || !TABLE_ENTRIES.contains(&entries) || capacity > CAPACITY {
        return Err(Error::unsupported(DOING, "its tables are of no known size"));
    }
    let entries_bits = entries.trailing_zeros();
    let disk = capacity << SECTOR_BITS;
    let needed = disk.div_ceil(1_u64 << grain_bits.saturating_add(entries_bits));
    let directory_at = fields.u64_le(56)?.saturating_mul(SECTOR);
    let directory = Table::new(directory_at, needed.saturating_mul(4), size, DOING)?;
    let has_zero_grains = flags & ZERO_GRAINS != 0;
    let (tables, grains) = (Window::default(), Window::default());
    let vmdk =
        Vmdk { size, capacity, grain_bits, entries_bits, has_zero_grains, is_compressed, directory, tables, grains };
    let unit = if is_compressed { 1_u64 << grain_bits } else { 0 };
    Ok(Opened { pieces: Box::new(vmdk), size: disk, unit, variant })
}

fn read_header(source: &dyn ReadAt, at: u64, size: u64) -> Result<[u8; SECTOR as usize]> {
    let mut header = [0; SECTOR as usize];
    if at.checked_add(SECTOR).is_none_or(|end| end > size) {
        return Err(corrupt(DOING, "it ends too early"));
    }
    source.read_at(ByteCount(at), &mut header)?;
    Ok(header)
}

/// The footer, where it must be.
fn read_footer(source: &dyn ReadAt, size: u64) -> Result<[u8; SECTOR as usize]> {
    let cut_off = || corrupt(DOING, "it does not end with its footer: it was cut off");
    let marker_at = size.checked_sub(FOOTER_MARKER_FROM_END).ok_or_else(cut_off)?;
    let marker = read_header(source, marker_at, size)?;
    let footer = read_header(source, size.saturating_sub(FOOTER_FROM_END), size)?;
    let fields = ByteReader::new(&marker, DOING);
    let is_marker = fields.u32_le(8)? == 0 && fields.u32_le(12)? == FOOTER_MARKER;
    if is_marker && footer.starts_with(&MAGIC) { Ok(footer) } else { Err(cut_off()) }
}

/// What the descriptor says this is. Without one it is a part of a disk: the others lie in other files.
fn kind(source: &dyn ReadAt, header: ByteReader<'_>, size: u64) -> Result<&'static str> {
    let at = header.u64_le(28)?.saturating_mul(SECTOR);
    let length = header.u64_le(36)?.saturating_mul(SECTOR).min(DESCRIPTOR);
    if at == 0 || length == 0 {
        return Err(Error::unsupported(DOING, "it is one of several files, which are never opened"));
    }
    if at.checked_add(length).is_none_or(|end| end > size) {
        return Err(corrupt(DOING, "its descriptor lies behind the end of the file"));
    }
    let mut descriptor = vec![0; length as usize];
    source.read_at(ByteCount(at), &mut descriptor)?;
    let value = |name: &str| {
        let mut lines = descriptor.split(|byte| matches!(byte, b'\n' | b'\r' | 0));
        let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        core::str::from_utf8(value).ok().map(|value| value.trim().trim_matches('"'))
    };
    if value("parentCID").is_some_and(|parent| !parent.eq_ignore_ascii_case("ffffffff")) {
        return Err(Error::refused(DOING, "it is only the difference to another image"));
    }
    let stated = value("createType").unwrap_or_default();
    KINDS
        .into_iter()
        .find(|kind| kind.eq_ignore_ascii_case(stated))
        .ok_or_else(|| Error::unsupported(DOING, "of its kinds only streamOptimized and monolithicSparse are read"))
}

impl Pieces for Vmdk {
    fn piece(&mut self, source: &dyn ReadAt, at: u64) -> Result<Run> {
        let covered_bits = self.grain_bits.saturating_add(self.entries_bits);
        let covered = 1_u64 << covered_bits;
        let table = self.tables.entry(source, self.directory, (at >> covered_bits).saturating_mul(4), DOING)?;
        let table = u64::from(u32::from_le_bytes(table));
        if table == 0 {
            return Ok(Run { length: covered.saturating_sub(at & covered.saturating_sub(1)), place: Place::Zero });
        }
        let table = Table::new(table.saturating_mul(SECTOR), 4_u64 << self.entries_bits, self.size, DOING)?;
        let index = at >> self.grain_bits & (1_u64 << self.entries_bits).saturating_sub(1);
        let entry = u32::from_le_bytes(self.grains.entry(source, table, index.saturating_mul(4), DOING)?);
        let grain = 1_u64 << self.grain_bits;
        let within = at & grain.saturating_sub(1);
        let disk = self.capacity << SECTOR_BITS;
        let length = grain.saturating_sub(within).min(disk.saturating_sub(at));
        let host = u64::from(entry).saturating_mul(SECTOR);
        let place = match entry {
            0 => Place::Zero,
            ZERO_GRAIN if self.has_zero_grains => Place::Zero,
            _ if self.is_compressed => self.packed(source, host, at.saturating_sub(within), within)?,
            _ => {
                let start = host.saturating_add(within);
                if start.saturating_add(length) > self.size {
                    return Err(corrupt(DOING, "a grain lies behind the end of the file: it was cut off"));
                }
                Place::Stored(start)
            }
        };
        Ok(Run { length, place })
    }
}

impl Vmdk {
    /// The grain that begins at `grain_at` of the disk, behind the marker at `host`.
    fn packed(&self, source: &dyn ReadAt, host: u64, grain_at: u64, within: u64) -> Result<Place> {
        let cut_off = || corrupt(DOING, "a packed grain lies behind the end of the file: it was cut off");
        if host.saturating_add(GRAIN_MARKER) > self.size {
            return Err(cut_off());
        }
        let mut marker = [0; GRAIN_MARKER as usize];
        source.read_at(ByteCount(host), &mut marker)?;
        let fields = ByteReader::new(&marker, DOING);
        if fields.u64_le(0)? != grain_at >> SECTOR_BITS {
            return Err(corrupt(DOING, "the marker of a grain says that it is another one"));
        }
        let length = fields.u32_le(8)?;
        if length == 0 || u64::from(length) > 2_u64 << self.grain_bits {
            return Err(corrupt(DOING, "the marker of a grain states no length that a packed grain can have"));
        }
        let at = host.saturating_add(GRAIN_MARKER);
        if at.saturating_add(length.into()) > self.size {
            return Err(cut_off());
        }
        Ok(Place::Packed(Packed { at, length: length as usize, packing: Packing::Zlib, skip: within as usize }))
    }
}

#[cfg(test)]
mod tests;
