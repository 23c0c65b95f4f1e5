//! Checked access to bytes that someone else wrote.
//!
//! Every on-disk and on-wire format is read through [`ByteReader`], so no offset or length from outside can reach past a
//! buffer, and the one thing the pure rooms ask of the world is [`ReadAt`]: these bytes, at this offset, all or error.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::units::ByteCount;

/// A thing that can be read at any offset: a block device, a file, or bytes in memory.
pub trait ReadAt {
    /// Fills the whole of `buffer` from `offset`, or fails.
    ///
    /// # Errors
    /// `Os` when the device fails, `Corrupt` when the range lies (partly) behind the end.
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()>;
}

impl ReadAt for &[u8] {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let source = usize::try_from(offset.0)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or_else(|| Error::corrupt("read", "the range lies behind the end"))?;
        buffer.copy_from_slice(source);
        Ok(())
    }
}

/// Part of something that can be read, as something of its own.
pub struct Window<'a> {
    /// The whole.
    pub whole: &'a dyn ReadAt,
    /// Where its first byte is there.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
}

impl ReadAt for Window<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let end = offset.0.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        let start = end.and_then(|_| self.start.checked_add(offset.0));
        let start = start.ok_or_else(|| Error::corrupt("read", "the range lies behind the end"))?;
        self.whole.read_at(ByteCount(start), buffer)
    }
}

/// A block of bytes under its specification's name; every read is checked against the end.
#[derive(Clone, Copy, Debug)]
pub struct ByteReader<'a> {
    bytes: &'a [u8],
    doing: &'static str,
}

impl<'a> ByteReader<'a> {
    /// `doing` completes the error when a field lies behind the end: "parse the GPT header".
    #[must_use]
    pub const fn new(bytes: &'a [u8], doing: &'static str) -> Self {
        Self { bytes, doing }
    }

    /// `length` bytes from `at`.
    ///
    /// # Errors
    /// `Corrupt` when they lie behind the end.
    pub fn slice(self, at: usize, length: usize) -> Result<&'a [u8]> {
        at.checked_add(length).and_then(|end| self.bytes.get(at..end)).ok_or_else(|| ends_too_early(self.doing))
    }

    /// Exactly `N` bytes from `at`.
    ///
    /// # Errors
    /// `Corrupt` when they lie behind the end.
    pub fn array<const N: usize>(self, at: usize) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(at, N)?);
        Ok(out)
    }

    /// The byte at `at`.
    ///
    /// # Errors
    /// `Corrupt` when it lies behind the end.
    pub fn u8(self, at: usize) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array(at)?))
    }

    /// A little-endian number at `at`.
    ///
    /// # Errors
    /// `Corrupt` when it lies behind the end.
    pub fn u16_le(self, at: usize) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    /// A little-endian number at `at`.
    ///
    /// # Errors
    /// `Corrupt` when it lies behind the end.
    pub fn u32_le(self, at: usize) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    /// A little-endian number at `at`.
    ///
    /// # Errors
    /// `Corrupt` when it lies behind the end.
    pub fn u64_le(self, at: usize) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    /// A big-endian number at `at`.
    ///
    /// # Errors
    /// `Corrupt` when it lies behind the end.
    pub fn u16_be(self, at: usize) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array(at)?))
    }

    /// A big-endian number at `at`.
    ///
    /// # Errors
    /// `Corrupt` when it lies behind the end.
    pub fn u32_be(self, at: usize) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array(at)?))
    }

    /// A big-endian number at `at`.
    ///
    /// # Errors
    /// `Corrupt` when it lies behind the end.
    pub fn u64_be(self, at: usize) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array(at)?))
    }
}

/// Never inlined: it stands behind every field of every format, and is met hardly ever.
#[cold]
#[inline(never)]
fn ends_too_early(doing: &'static str) -> Error {
    Error::corrupt(doing, "it ends too early")
}

/// Overwrites `bytes` from `at` with `value`; the counterpart of [`ByteReader`] for emitting.
///
/// # Errors
/// `Corrupt` when it would reach behind the end, with `doing` naming what was being emitted.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8], doing: &'static str) -> Result<()> {
    at.checked_add(value.len())
        .and_then(|end| bytes.get_mut(at..end))
        .ok_or_else(|| ends_too_early(doing))?
        .copy_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_both_byte_orders() {
        let fields = ByteReader::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9], "parse a test");
        assert_eq!(fields.u8(8), Ok(9));
        assert_eq!(fields.u16_le(0), Ok(0x0201));
        assert_eq!(fields.u16_be(0), Ok(0x0102));
        assert_eq!(fields.u32_le(1), Ok(0x0504_0302));
        assert_eq!(fields.u32_be(1), Ok(0x0203_0405));
        assert_eq!(fields.u64_le(1), Ok(0x0908_0706_0504_0302));
        assert_eq!(fields.u64_be(1), Ok(0x0203_0405_0607_0809));
    }

    #[test]
    fn nothing_reaches_behind_the_end() {
        let short = Error::corrupt("parse a test", "it ends too early");
        let fields = ByteReader::new(&[0; 8], "parse a test");
        assert_eq!(fields.u64_le(1), Err(short.clone()));
        assert_eq!(fields.slice(usize::MAX, 2), Err(short.clone()));
        assert_eq!(put(&mut [0; 4], 3, &[1, 2], "parse a test"), Err(short));
        let mut buffer = [0; 4];
        assert!([0u8; 8].as_slice().read_at(ByteCount(5), &mut buffer).is_err());
        assert!([0u8; 8].as_slice().read_at(ByteCount(u64::MAX), &mut buffer).is_err());
        assert_eq!([7u8; 8].as_slice().read_at(ByteCount(4), &mut buffer), Ok(()));
        assert_eq!(buffer, [7; 4]);
    }
}
