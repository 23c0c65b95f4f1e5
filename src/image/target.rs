//! The disk that is written to: whether it may be, what is on it, and how it is written.

use crate::error::{Error, Result};
use crate::units::{ByteCount, SectorSize};
use alloc::string::String;

/// A whole disk or a partition that nobody else uses, for as long as this lasts.
pub struct Target {
    /// Its node.
    pub node: String,
    /// Its size.
    pub size: ByteCount,
    /// Its logical sectors.
    pub sector: SectorSize,
    /// What is on it, in words: what would be overwritten.
    pub holds: String,
}

impl Target {
    /// Opens `path` so that nobody can mount it meanwhile.
    ///
    /// # Errors
    /// `Refused` when it is no block device, mounted, held by another device, or read-only; `Absent`; `Os`.
    pub fn open(path: &str) -> Result<Self> {
        Err(Error::unsupported("open the target", "targets are not built yet").to(path))
    }
}
