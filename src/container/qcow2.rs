//! QEMU's qcow2, versions 2 and 3 (QEMU, docs/interop/qcow2): two levels of tables, clusters of 512 bytes to 2 MiB.
//!
//! Read only, and only what the active tables say: reference counts and snapshots are for who writes. So an image that is
//! marked dirty, whose counts may be wrong, is read, and one that is marked corrupt is not.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use super::corrupt;
use super::map::{LARGEST_UNIT, Opened, Packed, Pieces, Place, Run};
use super::table::{Table, Window};
use crate::bytes::{ByteReader, ReadAt};
use crate::codec::Packing;
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "read the qcow2 image";

/// The fields of a version 3 header that are looked at, and a version 2 header.
const HEADER: usize = 105;
const HEADER_2: u64 = 72;
const HEADER_3: u32 = 104;

/// A cluster is `1 << cluster_bits` bytes; QEMU itself has no larger ones.
const CLUSTER_BITS: core::ops::RangeInclusive<u32> = 9..=LARGEST_UNIT.trailing_zeros();
/// With extended L2 entries it has 32 parts, which are not smaller than a sector.
const EXTENDED_CLUSTER_BITS: u32 = 14;
const SUBCLUSTERS: u32 = 32;

/// `incompatible_features`.
const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// Bytes of a backing file's name.
const NAME_LIMIT: u32 = 1023;

/// The offset in an entry of either table, and the bits beside it that mean nothing and are not set.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const L1_RESERVED: u64 = 0x7f00_0000_0000_01ff;
const L2_RESERVED: u64 = 0x3f00_0000_0000_01fe;
/// In an entry of an L2 table.
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1 << 0;

struct Qcow2 {
    /// Of the file.
    size: u64,
    /// Of the disk.
    virtual_size: u64,
    cluster_bits: u32,
    /// Entries of an L2 table, as a power of two.
    entries_bits: u32,
    is_version_2: bool,
    is_extended: bool,
    packing: Packing,
    table: Table,
    l1: Window,
    l2: Window,
}

/// Reads the header.
pub(super) fn open(source: &dyn ReadAt, size: u64) -> Result<Opened> {
    let mut header = [0; HEADER];
    let there = size.min(HEADER as u64) as usize;
    source.read_at(ByteCount(0), header.get_mut(..there).unwrap_or_default())?;
    let fields = ByteReader::new(header.get(..there).unwrap_or_default(), DOING);
    let version = fields.u32_be(4)?;
    let (features, header_length) = match version {
        2 => (0, 0),
        3 => (fields.u64_be(72)?, fields.u32_be(100)?),
        _ => return Err(Error::unsupported(DOING, format!("its version, {version}, is not 2 or 3"))),
    };
    if size < HEADER_2 || version == 3 && header_length < HEADER_3 {
        return Err(corrupt(DOING, "its header is too short"));
    }
    judge(features)?;
    refuse_backing(source, fields, size)?;
    match fields.u32_be(32)? {
        0 => {}
        method => return Err(Error::unsupported(DOING, format!("it is encrypted, by method {method}"))),
    }
    let is_extended = features & EXTENDED_L2 != 0;
    let cluster_bits = fields.u32_be(20)?;
    if !CLUSTER_BITS.contains(&cluster_bits) || is_extended && cluster_bits < EXTENDED_CLUSTER_BITS {
        return Err(Error::unsupported(DOING, format!("its clusters of 2^{cluster_bits} bytes are of no known size")));
    }
    let compression_type = if header_length > HEADER_3 { fields.u8(104)? } else { 0 };
    let packing = match (compression_type, features & COMPRESSION_TYPE != 0) {
        (0, false) => Packing::Deflate,
        (1, true) => Packing::Zstd,
        (0 | 1, _) => return Err(corrupt(DOING, "its header contradicts itself about compression")),
        (other, _) => return Err(Error::unsupported(DOING, format!("its compression type, {other}, is not known"))),
    };
    let virtual_size = fields.u64_be(24)?;
    let entries_bits = cluster_bits.saturating_sub(if is_extended { 4 } else { 3 });
    // At most 39: no shift by it loses all bits.
    let covered = 1_u64 << entries_bits.saturating_add(cluster_bits);
    let needed = virtual_size.div_ceil(covered);
    let table_at = fields.u64_be(40)?;
    if needed > u64::from(fields.u32_be(36)?) {
        return Err(corrupt(DOING, "its L1 table ends before the disk does"));
    }
    let cluster = 1_u64 << cluster_bits;
    if needed > 0 && (table_at == 0 || !table_at.is_multiple_of(cluster)) {
        return Err(corrupt(DOING, "its L1 table is not at a cluster"));
    }
    let table = Table::new(table_at, needed.saturating_mul(8), size, DOING)?;
    let is_version_2 = version == 2;
    let (l1, l2) = (Window::default(), Window::default());
    let qcow2 =
        Qcow2 { size, virtual_size, cluster_bits, entries_bits, is_version_2, is_extended, packing, table, l1, l2 };
    let variant = if is_version_2 { "version 2" } else { "version 3" };
    Ok(Opened { pieces: Box::new(qcow2), size: virtual_size, unit: cluster, variant })
}

/// Whether an image with these incompatible features can be read.
fn judge(features: u64) -> Result<()> {
    if features & CORRUPT != 0 {
        return Err(corrupt(DOING, "it is marked as corrupt; `qemu-img check -r all` repairs what can be repaired"));
    }
    if features & EXTERNAL_DATA != 0 {
        return Err(Error::unsupported(DOING, "its data is in another file, which is never opened"));
    }
    let unknown = features & !(DIRTY | COMPRESSION_TYPE | EXTENDED_L2);
    if unknown != 0 {
        return Err(Error::unsupported(DOING, format!("it has features that are not known: {unknown:#x}")));
    }
    Ok(())
}

/// Another file is never opened: not on the word of an image.
fn refuse_backing(source: &dyn ReadAt, fields: ByteReader<'_>, size: u64) -> Result<()> {
    let at = fields.u64_be(8)?;
    if at == 0 {
        return Ok(());
    }
    let length = fields.u32_be(16)?;
    if length > NAME_LIMIT || at.checked_add(length.into()).is_none_or(|end| end > size) {
        return Err(corrupt(DOING, "the name of its backing file is not in the file"));
    }
    let mut name = [0; NAME_LIMIT as usize];
    let name = name.get_mut(..length as usize).unwrap_or_default();
    source.read_at(ByteCount(at), name)?;
    // It goes to a terminal.
    let name: String = name.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' }).collect();
    let advice = "`qemu-img convert` makes one image of both";
    Err(Error::refused(DOING, format!("it is only the difference to {name}, which is not opened; {advice}")))
}

impl Pieces for Qcow2 {
    fn piece(&mut self, source: &dyn ReadAt, at: u64) -> Result<Run> {
        let covered_bits = self.entries_bits.saturating_add(self.cluster_bits);
        let entry = self.l1.entry(source, self.table, (at >> covered_bits).saturating_mul(8), DOING)?;
        let entry = u64::from_be_bytes(entry);
        if entry & L1_RESERVED != 0 {
            return Err(corrupt(DOING, "an entry of its L1 table has bits that mean nothing"));
        }
        let covered = 1_u64 << covered_bits;
        let Some(l2_at) = self.cluster_at(entry)? else {
            return Ok(Run { length: covered.saturating_sub(at & covered.saturating_sub(1)), place: Place::Zero });
        };
        let cluster = 1_u64 << self.cluster_bits;
        let l2 = Table::new(l2_at, cluster, self.size, DOING)?;
        let index = at >> self.cluster_bits & (1_u64 << self.entries_bits).saturating_sub(1);
        let within = at & cluster.saturating_sub(1);
        let (descriptor, subclusters) = if self.is_extended {
            let [descriptor, subclusters] = halves(self.l2.entry(source, l2, index.saturating_mul(16), DOING)?);
            (descriptor, Some(subclusters))
        } else {
            (u64::from_be_bytes(self.l2.entry(source, l2, index.saturating_mul(8), DOING)?), None)
        };
        if descriptor & COMPRESSED != 0 {
            return self.packed(descriptor, within);
        }
        if descriptor & L2_RESERVED != 0 || descriptor & ZERO != 0 && (self.is_version_2 || self.is_extended) {
            return Err(corrupt(DOING, "an entry of an L2 table has bits that mean nothing"));
        }
        let host = self.cluster_at(descriptor)?;
        match subclusters {
            Some(subclusters) => self.subclusters(at, within, host, subclusters),
            None if descriptor & ZERO != 0 => self.plain(at, None, within, cluster),
            None => self.plain(at, host, within, cluster),
        }
    }
}

impl Qcow2 {
    /// The offset that an entry has, if it has one.
    fn cluster_at(&self, entry: u64) -> Result<Option<u64>> {
        let at = entry & OFFSET;
        if at & (1_u64 << self.cluster_bits).saturating_sub(1) != 0 {
            return Err(corrupt(DOING, "a table points at the middle of a cluster"));
        }
        Ok((at != 0).then_some(at))
    }

    /// From `within` to `end` of a cluster that is at `host` of the file or nowhere.
    fn plain(&self, at: u64, host: Option<u64>, within: u64, end: u64) -> Result<Run> {
        let length = end.saturating_sub(within);
        let Some(host) = host else { return Ok(Run { length, place: Place::Zero }) };
        let start = host.saturating_add(within);
        // The last cluster may end with the disk.
        let length = length.min(self.virtual_size.saturating_sub(at));
        if start.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(corrupt(DOING, "a cluster lies behind the end of the file: it was cut off"));
        }
        Ok(Run { length, place: Place::Stored(start) })
    }

    /// The parts of a cluster from `within` on that are of one kind.
    fn subclusters(&self, at: u64, within: u64, host: Option<u64>, subclusters: u64) -> Result<Run> {
        let (zero, allocated) = (subclusters >> 32, subclusters & u64::from(u32::MAX));
        if zero & allocated != 0 || allocated != 0 && host.is_none() {
            return Err(corrupt(DOING, "an entry of an L2 table contradicts itself"));
        }
        let part_bits = self.cluster_bits.saturating_sub(SUBCLUSTERS.trailing_zeros());
        let first = (within >> part_bits) as u32;
        let is_stored = |index: u32| allocated >> index & 1 != 0;
        let same = |index: &u32| is_stored(*index) == is_stored(first);
        let end = (first..SUBCLUSTERS).take_while(same).last().unwrap_or(first).saturating_add(1);
        self.plain(at, host.filter(|_| is_stored(first)), within, u64::from(end) << part_bits)
    }

    /// A cluster that is packed: where, to the byte; and how long, in sectors.
    fn packed(&self, descriptor: u64, within: u64) -> Result<Run> {
        let offset_bits = 70_u32.saturating_sub(self.cluster_bits);
        let sectors = (descriptor & !(COMPRESSED | 1 << 63)) >> offset_bits;
        let at = descriptor & (1_u64 << offset_bits).saturating_sub(1);
        let room = sectors.saturating_add(1).saturating_mul(512).saturating_sub(at & 511);
        // The last sector need not be whole.
        let length = room.min(self.size.saturating_sub(at)) as usize;
        if length == 0 {
            return Err(corrupt(DOING, "a packed cluster lies behind the end of the file: it was cut off"));
        }
        let packed = Packed { at, length, packing: self.packing, skip: within as usize };
        Ok(Run { length: (1_u64 << self.cluster_bits).saturating_sub(within), place: Place::Packed(packed) })
    }
}

/// An extended entry: the descriptor, and the bitmap of its subclusters.
fn halves(entry: [u8; 16]) -> [u64; 2] {
    let entry = u128::from_be_bytes(entry);
    [(entry >> 64) as u64, entry as u64]
}

#[cfg(test)]
mod tests;
