//! Makes of an image the file that a cloud imports.
//!
//! The disk passes once, in blocks of 64 KiB that are counted from its beginning however its pieces come (`blocks`), and
//! becomes a file that nobody sees before it is whole (`form`). So the same disk gives the same bytes; the only time in
//! them is the caller's. Zeros are neither packed nor written, nor are the holes of a source read.
//!
//! A disk that has to be larger than it was gets zeros behind its end, and the backup of its GPT goes to the new one: the
//! table is looked for in the first MiB, and what changes there and at the end is laid over what passes. A disk never
//! becomes smaller.
#![forbid(unsafe_code)]

mod blocks;
mod form;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Cloud, Content as _, Expected, Means, Piece, Progress, Source};
use crate::container::sector_size;
use crate::error::{Error, Kind, Result};
use crate::sys::replacement::{Replacement, is_same};
use crate::sys::stdio;
use crate::table::{self, Geometry, Rule, Write};
use crate::units::{ByteCount, MIB, SectorSize};
use blocks::Blocks;
use form::Form;

const DOING: &str = "pack the image";

const GIB: u64 = 1 << 30;

/// Standard input as a source, standard output as a file.
const STANDARD: &str = "-";

/// What clouds import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The disk as it is.
    Raw,
    /// A fixed VHD.
    Vhd,
    /// The disk as `disk.raw` in a tar file of before POSIX, packed by gzip.
    TarGz,
    /// A qcow2 of version 3 with packed clusters.
    Qcow2,
}

impl Format {
    /// The word for it, and what its disk's size is a multiple of.
    const fn row(self) -> (&'static str, u64) {
        match self {
            // What the kernel makes a disk of at least.
            Self::Raw => ("raw", 512),
            // Azure takes no other.
            Self::Vhd => ("vhd", MIB),
            // Google Compute Engine takes no other.
            Self::TarGz => ("tar.gz", GIB),
            Self::Qcow2 => ("qcow2", 512),
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// What `cloud` imports; first what it is given unless the user wants another.
    #[must_use]
    pub const fn of(cloud: Cloud) -> &'static [Self] {
        match cloud {
            // Others have seen VHDs fail there.
            Cloud::Aws => &[Self::Raw, Self::Vhd],
            Cloud::Azure => &[Self::Vhd],
            Cloud::Gcp => &[Self::TarGz],
            Cloud::Oci => &[Self::Qcow2],
            Cloud::NoCloud => &[Self::Qcow2, Self::Raw],
        }
    }

    /// The size of the disk in such a file, where it is to have `size` bytes at least.
    fn round(self, size: ByteCount) -> Result<ByteCount> {
        let rounded = size.0.checked_next_multiple_of(self.row().1);
        rounded.map(ByteCount).ok_or_else(|| Error::refused(DOING, "no disk is that large"))
    }
}

/// What is to be packed, and how.
pub struct Order<'a> {
    /// A path, `-` or a URL.
    pub source: &'a str,
    /// The SHA-256 of the source, where it is known.
    pub sha256: Option<[u8; 32]>,
    /// What the file is to be.
    pub format: Format,
    /// What the disk is to have at least; none: what it has.
    pub size: Option<ByteCount>,
    /// The path of the file to make, or `-` for a format that is written from front to back.
    pub file: &'a str,
    /// When the file says that it was made, in seconds since 1970.
    pub time: u64,
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes of the disk.
    pub disk: ByteCount,
    /// Bytes of the file, holes among them.
    pub file: ByteCount,
    /// Bytes of the disk in blocks that are not all zeros.
    pub data: ByteCount,
    /// Sentences for the operator.
    pub notes: Vec<String>,
}

/// Packs the image.
///
/// # Errors
/// Those of [`Source`]; `Refused` when the file would be the source, when the disk would have to become smaller, when it
/// must be larger and its partition table bears no change, and when a pipe does not tell how large its disk is; `Os`.
/// Then there is no file, or the one that was there before.
pub fn pack(order: &Order<'_>, means: Means<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    if order.source != STANDARD && is_same(order.source, order.file) {
        return Err(Error::refused(DOING, "it is the source").to(order.file));
    }
    let mut source = Source::open(order.source, means)?;
    let mut expected = Expected { sha256: order.sha256, size: None };
    let mut size = source.image(&expected)?.size;
    if size.is_none() && order.size.is_none() {
        size = Some(measure(order, means, &expected)?);
        // It was the right one a moment ago, and the size must still be the same.
        expected = Expected { sha256: None, size };
    }
    if let (Some(has), Some(wanted)) = (size, order.size)
        && has > wanted
    {
        return Err(Error::refused(DOING, format!("its disk has {} bytes already, and shrinks for nobody", has.0)));
    }
    let disk = order.format.round(order.size.max(size).unwrap_or_default())?;
    let image = source.image(&expected)?;
    let of = image.stored.map(|stored| stored.0);
    let mut blocks = Blocks::new(image, disk)?;
    let notes = move_backup(&mut blocks, disk, size)?;
    let mut outcome = Outcome { disk, notes, ..Outcome::default() };
    let mut step = |blocks: &Blocks<super::Image<'_>>, at: u64, data: u64| {
        progress(&Progress { read: blocks.content().read(), of, disk: at, written: data });
    };
    if order.file == STANDARD {
        if order.format != Format::TarGz {
            return Err(Error::usage(DOING, "only a tar.gz is written from front to back").to(order.format.name()));
        }
        let mut write = |_: ByteCount, bytes: &[u8]| match stdio::write(stdio::output(), bytes)? {
            true => Ok(()),
            false => Err(Error::refused(DOING, "nobody reads it any more").to("standard output")),
        };
        fill(order, &mut blocks, &mut write, &mut outcome, &mut step)?;
    } else {
        let file = Replacement::begin(order.file)?;
        fill(order, &mut blocks, &mut |at, bytes| file.write_at(at, bytes), &mut outcome, &mut step)?;
        file.finish(outcome.file)?;
    }
    Ok(outcome)
}
