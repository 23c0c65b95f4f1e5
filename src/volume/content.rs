//! Bytes of a medium, and of files that lie on it in extents.
//!
//! Nothing is allocated before the range is known to lie on the medium and the sum to be within the reader's limit.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::corrupt;
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "read the volume on";

/// The device or image, and how large it is.
pub(super) struct Medium<'a> {
    bytes: Box<dyn ReadAt + 'a>,
    size: u64,
}

/// A run of bytes on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    /// Where it lies; `None` for a hole, which reads as zeros.
    at: Option<u64>,
    /// In bytes.
    length: u64,
}

/// A file or directory as the extents it consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    length: u64,
    /// How many of its bytes have no extent yet.
    missing: u64,
    extents: Vec<Extent>,
}

impl<'a> Medium<'a> {
    pub(super) fn new(bytes: Box<dyn ReadAt + 'a>, size: ByteCount) -> Self {
        Self { bytes, size: size.0 }
    }

    /// `length` bytes from `at`. Only for lengths that the format itself limits.
    pub(super) fn read(&self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.append(&mut out, Some(at), length)?;
        Ok(out)
    }

    /// The little-endian number of `length` bytes, at most four, at `at`.
    pub(super) fn number(&self, at: u64, length: usize) -> Result<u32> {
        let mut number = [0; 4];
        self.bytes.read_at(ByteCount(at), number.get_mut(..length).unwrap_or_default())?;
        Ok(u32::from_le_bytes(number))
    }

    /// All bytes of `content`.
    pub(super) fn content(&self, content: &Content) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for extent in &content.extents {
            // An extent may reach beyond the end of the file, whose length was found to be within its reader's limit.
            let left = content.length.saturating_sub(out.len() as u64);
            let Ok(length) = usize::try_from(extent.length.min(left)) else { break };
            self.append(&mut out, extent.at, length)?;
        }
        if out.len() as u64 == content.length {
            return Ok(out);
        }
        Err(corrupt(DOING, "a file or directory ends too early"))
    }

    /// Fills `buffer` with the bytes of `content` from `from` on, which must all be there.
    #[cfg(feature = "full")]
    pub(super) fn part(&self, content: &Content, from: u64, buffer: &mut [u8]) -> Result<()> {
        let (mut skip, mut rest) = (from, buffer);
        for extent in &content.extents {
            let Some(left) = extent.length.checked_sub(skip).filter(|left| *left > 0) else {
                skip = skip.saturating_sub(extent.length);
                continue;
            };
            let (now, later) = rest.split_at_mut(usize::try_from(left).unwrap_or(usize::MAX).min(rest.len()));
            match extent.at.map(|at| at.saturating_add(skip)) {
                None => now.fill(0),
                Some(at) if at.saturating_add(now.len() as u64) > self.size => {
                    return Err(corrupt(DOING, "a part lies behind the end of the medium"));
                }
                Some(at) => self.bytes.read_at(ByteCount(at), now)?,
            }
            (skip, rest) = (0, later);
            if rest.is_empty() {
                return Ok(());
            }
        }
        Err(corrupt(DOING, "a file or directory ends too early"))
    }

    fn append(&self, out: &mut Vec<u8>, at: Option<u64>, length: usize) -> Result<()> {
        if at.is_some_and(|at| at.checked_add(length as u64).is_none_or(|end| end > self.size)) {
            return Err(corrupt(DOING, "a part lies behind the end of the medium"));
        }
        let start = out.len();
        out.resize(start.saturating_add(length), 0);
        match (at, out.get_mut(start..)) {
            (Some(at), Some(part)) => self.bytes.read_at(ByteCount(at), part),
            _ => Ok(()),
        }
    }
}

impl Content {
    /// Something of `length` bytes, none of which has its place yet.
    ///
    /// # Errors
    /// `Refused` when that is more than `limit`.
    pub(super) fn new(length: u64, limit: usize) -> Result<Self> {
        if usize::try_from(length).is_ok_and(|length| length <= limit) {
            return Ok(Self { length, missing: length, extents: Vec::new() });
        }
        Err(Error::refused("read", format!("it is larger than {limit} bytes")))
    }

    /// Adds an extent, to the last one where it follows it.
    pub(super) fn push(&mut self, at: Option<u64>, length: u64) {
        self.missing = self.missing.saturating_sub(length);
        if let Some(last) = self.extents.last_mut() {
            let end = last.at.map(|start| start.saturating_add(last.length));
            if end == at {
                last.length = last.length.saturating_add(length);
                return;
            }
        }
        self.extents.push(Extent { at, length });
    }

    /// In bytes.
    #[cfg(feature = "full")]
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Whether every byte has its place.
    pub(super) const fn is_complete(&self) -> bool {
        self.missing == 0
    }
}
