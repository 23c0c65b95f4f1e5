//! Microsoft's virtual hard disk ("Virtual Hard Disk Image Format Specification" 1.0), fixed and dynamic.
//!
//! The size is what the footer calls `current_size`: the geometry beside it is that of old BIOSes and often smaller.

use alloc::boxed::Box;

use super::corrupt;
use super::format::Format;
use super::map::{Opened, Pieces, Place, Run, stored};
use super::table::{Table, Window};
use crate::bytes::{ByteReader, ReadAt};
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "read the VHD image";

/// How the footer begins.
pub(super) const COOKIE: [u8; 8] = *b"conectix";
/// How the header of a dynamic disk begins.
const HEADER_COOKIE: [u8; 8] = *b"cxsparse";

pub(super) const FOOTER: usize = 512;
const HEADER: usize = 1024;
const SECTOR: u64 = 512;

/// Where either has its checksum.
pub(super) const FOOTER_CHECKSUM: usize = 64;
const HEADER_CHECKSUM: usize = 36;

/// `disk_type`.
pub(super) const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// The version of both, 1.0.
pub(super) const VERSION: u32 = 0x0001_0000;

/// A block is a power of two of sectors, 2 MiB unless someone wished otherwise. Its bitmap has a bit for each and fills
/// sectors, so that it begins and ends with them.
const BLOCK_BITS: core::ops::RangeInclusive<u32> = 12..=28;

/// The entry of a block that was never written.
const NO_BLOCK: u32 = u32::MAX;

struct Dynamic {
    /// Of the file, without its footer.
    size: u64,
    block_bits: u32,
    bat: Table,
    blocks: Window,
    bitmap: Window,
}

/// The footer, when its cookie and checksum are right.
pub(super) struct Footer {
    disk_type: u32,
    data_offset: u64,
    pub(super) current_size: u64,
}

impl Footer {
    /// `None` when `bytes` are anything else.
    pub(super) fn parse(bytes: &[u8; FOOTER]) -> Result<Option<Self>> {
        let fields = ByteReader::new(bytes, DOING);
        if !bytes.starts_with(&COOKIE) || fields.u32_be(FOOTER_CHECKSUM)? != checksum(bytes, FOOTER_CHECKSUM) {
            return Ok(None);
        }
        let (data_offset, current_size) = (fields.u64_be(16)?, fields.u64_be(48)?);
        Ok(Some(Self { disk_type: fields.u32_be(60)?, data_offset, current_size }))
    }

    /// Whether it ends a fixed disk that lies whole in the `length` bytes before it.
    ///
    /// # Errors
    /// `Corrupt` when it ends a fixed disk of which fewer bytes are there.
    pub(super) fn ends_fixed(&self, length: u64) -> Result<bool> {
        if self.disk_type == FIXED && self.current_size > length {
            return Err(corrupt(DOING, "its footer states more bytes than it has: it was cut off"));
        }
        Ok(self.disk_type == FIXED)
    }
}

/// The ones' complement of the sum of all bytes but the checksum's own.
pub(super) fn checksum(bytes: &[u8], at: usize) -> u32 {
    let own = at..at.saturating_add(4);
    let others = bytes.iter().enumerate().filter(|(index, _)| !own.contains(index));
    !others.fold(0_u32, |sum, (_, &byte)| sum.wrapping_add(byte.into()))
}

/// The footer at `at`; `None` when there is something else.
fn footer_at(source: &dyn ReadAt, at: u64) -> Result<Option<Footer>> {
    let mut bytes = [0; FOOTER];
    source.read_at(ByteCount(at), &mut bytes)?;
    Footer::parse(&bytes)
}

/// Opens a file that does not begin like an image but may end like one; `None` when it does not.
pub(super) fn open_fixed(source: &dyn ReadAt, size: u64) -> Result<Option<Opened>> {
    let Some(length) = size.checked_sub(FOOTER as u64) else { return Ok(None) };
    let mut last = [0; FOOTER];
    source.read_at(ByteCount(length), &mut last)?;
    Format::judge_trailer(&last)?;
    match Footer::parse(&last)? {
        Some(footer) if footer.ends_fixed(length)? => Ok(Some(stored(footer.current_size, "fixed"))),
        _ => Ok(None),
    }
}

/// Opens a file that begins with the copy of a footer.
pub(super) fn open_dynamic(source: &dyn ReadAt, size: u64) -> Result<Opened> {
    let Some(length) = size.checked_sub(FOOTER as u64) else { return Err(corrupt(DOING, "it ends too early")) };
    let Some(footer) = footer_at(source, 0)? else {
        return Err(corrupt(DOING, "checksum of its first sector does not match"));
    };
    match footer.disk_type {
        DYNAMIC => {}
        DIFFERENCING => return Err(Error::refused(DOING, "it is only the difference to another image")),
        other => return Err(Error::unsupported(DOING, alloc::format!("its type, {other}, is not known"))),
    }
    // Both are the same; what ends otherwise was cut off, and better found so than at its first missing block.
    if footer_at(source, length)?.is_none_or(|last| last.current_size != footer.current_size) {
        return Err(corrupt(DOING, "its last sector is not its footer: it was cut off"));
    }
    let mut header = [0; HEADER];
    if footer.data_offset.checked_add(HEADER as u64).is_none_or(|end| end > length) {
        return Err(corrupt(DOING, "its header lies behind the end of the file"));
    }
    source.read_at(ByteCount(footer.data_offset), &mut header)?;
    let fields = ByteReader::new(&header, DOING);
    if !header.starts_with(&HEADER_COOKIE) || fields.u32_be(HEADER_CHECKSUM)? != checksum(&header, HEADER_CHECKSUM) {
        return Err(corrupt(DOING, "checksum of its header does not match"));
    }
    let (entries, block) = (u64::from(fields.u32_be(28)?), fields.u32_be(32)?);
    let block_bits = block.trailing_zeros();
    if fields.u32_be(24)? != VERSION || !block.is_power_of_two() || !BLOCK_BITS.contains(&block_bits) {
        return Err(Error::unsupported(DOING, alloc::format!("its version, or a block size of {block}, is not known")));
    }
    let needed = footer.current_size.div_ceil(block.into());
    if needed > entries {
        return Err(corrupt(DOING, "its table of blocks ends before the disk does"));
    }
    let bat = Table::new(fields.u64_be(16)?, needed.saturating_mul(4), length, DOING)?;
    let (blocks, bitmap) = (Window::default(), Window::default());
    let pieces = Box::new(Dynamic { size: length, block_bits, bat, blocks, bitmap });
    Ok(Opened { pieces, size: footer.current_size, unit: 0, variant: "dynamic" })
}

impl Pieces for Dynamic {
    fn piece(&mut self, source: &dyn ReadAt, at: u64) -> Result<Run> {
        let block = 1_u64 << self.block_bits;
        let within = at & block.saturating_sub(1);
        let entry = self.blocks.entry(source, self.bat, (at >> self.block_bits).saturating_mul(4), DOING)?;
        let entry = u32::from_be_bytes(entry);
        if entry == NO_BLOCK {
            return Ok(Run { length: block.saturating_sub(within), place: Place::Zero });
        }
        let bitmap_at = u64::from(entry).saturating_mul(SECTOR);
        let bitmap_length = (block / SECTOR / 8).next_multiple_of(SECTOR);
        let bitmap = Table::new(bitmap_at, bitmap_length, self.size, DOING)?;
        let start = bitmap_at.saturating_add(bitmap_length);
        if start.checked_add(block).is_none_or(|end| end > self.size) {
            return Err(corrupt(DOING, "a block lies behind the end of the file"));
        }
        // Eight sectors a byte, the first one in its highest bit; as far as they are alike, within one byte.
        let sector = within / SECTOR;
        let [bits] = self.bitmap.entry(source, bitmap, sector / 8, DOING)?;
        let rest = bits << (sector & 7) as u32;
        let is_written = rest & 0x80 != 0;
        let alike = if is_written { rest.leading_ones() } else { rest.leading_zeros() };
        let alike = u64::from(alike).min(8_u64.saturating_sub(sector & 7));
        let length = alike.saturating_mul(SECTOR).saturating_sub(within & SECTOR.saturating_sub(1));
        let place = if is_written { Place::Stored(start.saturating_add(within)) } else { Place::Zero };
        Ok(Run { length, place })
    }
}

#[cfg(test)]
mod tests;
