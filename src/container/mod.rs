//! File formats that hold other files: the archive an initramfs is, and the images that disks are shipped as. Pure.
//!
//! An image is read in one of two ways. A file or anything else that can be read at any offset is opened as a [`Map`],
//! which says of every part of the disk whether it is zeros, lies in the file as it is, or packed: one loop writes all
//! formats, and zeros need not be read. What comes through a pipe is a [`stream`](stream::open), which only raw, tar and
//! a fixed VHD can be. No other file is ever opened, whatever an image says, and no table is held whole.
#![forbid(unsafe_code)]

#[cfg(feature = "full")]
pub mod cpio;
#[cfg(feature = "full")]
mod cpio_reader;
mod disk;
mod format;
mod map;
mod qcow2;
#[cfg(feature = "full")]
mod qcow2_writer;
pub mod stream;
mod table;
mod tar;
#[cfg(feature = "full")]
mod tar_writer;
mod vhd;
#[cfg(feature = "full")]
mod vhd_writer;
mod vmdk;

#[cfg(feature = "full")]
pub use cpio_reader::names as initramfs_names;
pub use disk::Disk;
pub use format::{Format, START, sector_size};
pub use map::{Map, Packed, Place, Run};
#[cfg(feature = "full")]
pub use qcow2_writer::{Cluster, Qcow2};
#[cfg(feature = "full")]
pub use tar_writer::{tar_end, tar_header};
#[cfg(feature = "full")]
pub use vhd_writer::fixed_vhd_footer;

use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::ByteCount;

/// Where in a tar that can be read at any offset its one file is.
///
/// # Errors
/// `Corrupt` when it is not a tar; those of the source.
pub fn locate_in_tar(source: &dyn ReadAt, size: ByteCount) -> Result<Option<(ByteCount, ByteCount)>> {
    Ok(tar::locate(source, size.0)?.map(|(at, length)| (ByteCount(at), ByteCount(length))))
}

/// [`Error::corrupt`] for a fixed text, never inlined: that halves what each of the many checks costs.
#[cold]
#[inline(never)]
fn corrupt(doing: &'static str, why: &'static str) -> Error {
    Error::corrupt(doing, why)
}
