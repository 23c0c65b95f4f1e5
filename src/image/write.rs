//! Writes an image onto a disk; compares one with a disk.

use super::{Expected, Means, Progress};
use crate::error::{Error, Result};
use crate::units::ByteCount;
use alloc::string::String;

/// What is to be written where.
pub struct Order<'a> {
    /// A path, `-` or a URL.
    pub source: &'a str,
    /// What the user knows of it.
    pub expected: Expected,
    /// The node of a block device.
    pub target: &'a str,
    /// Read everything back from the medium before the first MiB is written.
    pub verify: bool,
    /// Grow the last partition and its filesystem to the end of the disk afterwards.
    pub grow: bool,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Bytes of the disk.
    pub size: ByteCount,
    /// Those written as data,
    pub written: ByteCount,
    /// and those the device was told to make zeros.
    pub zeroed: ByteCount,
    /// The SHA-256 of the source, where it was asked for.
    pub sha256: Option<[u8; 32]>,
    /// Sentences for the operator: what was overwritten, what was grown, what could not be.
    pub notes: Vec<String>,
}

use alloc::vec::Vec;

/// Writes the image, the first MiB last.
///
/// # Errors
/// Those of [`super::Source`] and [`super::target::Target`]; `Refused` when the target is too small, holds the source, or
/// has other sectors than the image was made for; `Corrupt` when it answers with other bytes than were written. Then the
/// target does not look like a disk that boots.
pub fn write(order: &Order<'_>, means: Means<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    let _ = (means, progress);
    Err(Error::unsupported("write the image", "writing is not built yet").to(order.target))
}

/// Compares the image with what the target holds from its beginning on.
///
/// # Errors
/// As [`write`]; `Corrupt` with the first offset at which they differ.
pub fn verify(order: &Order<'_>, means: Means<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    let _ = (means, progress);
    Err(Error::unsupported("verify the image", "verifying is not built yet").to(order.target))
}
