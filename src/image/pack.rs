//! Makes of an image the file that a cloud imports.
//!
//! The disk passes once, in blocks of 64 KiB that are counted from its beginning however its pieces come (`blocks`), and
//! becomes a file that no one sees before it is whole (`form`). So the same disk gives the same bytes; the only time in
//! them is the caller's. Zeros are neither packed nor written, nor are the holes of a source read.
//!
//! A disk that has to be larger than it was gets zeros behind its end, and the backup of its GPT goes to the new one: the
//! table is looked for in the first MiB, and what changes there and at the end is laid over what passes. A disk never
//! becomes smaller.
#![forbid(unsafe_code)]

mod blocks;
mod encoder;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::extent;
use super::lint::{self, Finding};
use super::zero_aware_hash::BLOCK;
use super::{Cloud, Content as _, Environment, Expected, Image, Phase, Piece, Progress, Source, UNKNOWN_LENGTH};
use crate::container::sector_size;
use crate::error::{Error, Result};
use crate::sys::atomic_file::{AtomicFile, is_same};
use crate::sys::stdio;
use crate::table::{self, Geometry, Rule};
use crate::text::checksum::Checksum;
use crate::units::{ByteCount, MIB, SectorSize};
use blocks::Blocks;
use encoder::Output;

const DOING: &str = "pack the image";
const MOVING: &str = "move the backup GPT of";

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
pub struct PackOptions<'a> {
    /// A path, `-` or a URL.
    pub source: &'a str,
    /// The digest of the source, where it is known.
    pub checksum: Option<Checksum>,
    /// What the file is to be.
    pub format: Format,
    /// What the disk is to have at least; none: what it has.
    pub size: Option<ByteCount>,
    /// Pack also what is not a disk image, or was cut off.
    pub raw: bool,
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
pub fn pack(order: &PackOptions<'_>, means: Environment<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    if order.file == STANDARD && order.format != Format::TarGz {
        let why = format!("{} is not written from front to back, and needs a file", order.format.name());
        return Err(Error::usage(DOING, why));
    }
    if is_same(order.source, order.file) {
        return Err(Error::refused(DOING, "it is the source").to(order.file));
    }
    let mut source = Source::open(order.source, means)?;
    let expected = Expected { checksum: order.checksum, size: None };
    let image = source.image(&expected)?;
    if image.size.is_some() || order.size.is_some() {
        return pack_image(order, image, progress);
    }
    // What is compressed tells its size at its end. Most files have to have that in front.
    if order.source == STANDARD || image.stored.is_none() {
        return Err(
            Error::refused(DOING, "it tells only at its end how large its disk is: add --size").to(order.source)
        );
    }
    let size = Some(measure(image)?);
    let mut source = Source::open(order.source, means)?;
    let mut image = source.image(&Expected { size, ..expected })?;
    image.size = size;
    pack_image(order, image, progress)
}

/// Finds what would keep machines of the image from working at `cloud`; `again` where it is packed afterwards.
///
/// # Errors
/// Those of [`Source`]; `Refused` when the image cannot be read at any offset, or is needed again and comes only once.
pub fn check(name: &str, means: Environment<'_>, cloud: Cloud, again: bool) -> Result<Vec<Finding>> {
    const DOING: &str = "check the image";
    let mut source = Source::open(name, means)?;
    if again && source.comes_once() {
        let why = "it comes only once, and would be read for --check and for FILE: have it in a file";
        return Err(Error::refused(DOING, why).to(name));
    }
    let image = source.image(&Expected::default())?;
    let (Some(disk), Some(size)) = (image.disk()?, image.size) else {
        let why = "it can only be read from beginning to end, for its compression or where it comes from";
        return Err(Error::refused(DOING, why).to(name));
    };
    lint::run(&*disk, size, cloud)
}

/// How large the disk is.
fn measure(mut image: Image<'_>) -> Result<ByteCount> {
    let mut room = vec![0; BLOCK];
    let mut size = 0_u64;
    loop {
        let count = match image.next(&mut room)? {
            Piece::Bytes(count) => count as u64,
            Piece::Zeros(count) => count,
            Piece::End => return Ok(ByteCount(size)),
        };
        size = size.saturating_add(count);
    }
}

fn pack_image(order: &PackOptions<'_>, mut image: Image<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    let (has, of) = (image.size, image.total.map(|total| total.0));
    if let (Some(has), Some(wanted)) = (has, order.size)
        && has > wanted
    {
        return Err(Error::refused(DOING, format!("its disk has {} bytes already, and shrinks for nobody", has.0)));
    }
    let disk = order.format.round(order.size.max(has).unwrap_or_default())?;
    let is_verified = order.checksum.is_some() || image.has_known_end();
    let whole = if order.raw { None } else { image.disk()? };
    if whole.is_none() && !order.raw {
        image.watch(DOING);
    }
    let mut blocks = Blocks::new(image, disk)?;
    if !order.raw {
        let start = blocks.start();
        let judged =
            whole.map_or_else(|| extent::judge(&start, has, DOING), |whole| extent::judge(&*whole, has, DOING));
        judged.map_err(|error| error.to(order.source))?;
    }
    let mut notes = move_backup(&mut blocks, disk, has).map_err(|error| error.to(order.source))?;
    if !is_verified {
        notes.push(format!("{UNKNOWN_LENGTH}; its SHA-256 would verify it"));
    }
    let mut outcome = Outcome { disk, notes, ..Outcome::default() };
    let mut fill = |output: Output<'_>| {
        let mut form = encoder::begin(order.format, disk, order.time, output)?;
        while let Some((at, block)) = blocks.next()? {
            form.put(at, block)?;
            // The last block may end behind the disk.
            let length = disk.0.saturating_sub(at).min(block.len() as u64);
            let written = outcome.data.0.saturating_add(length);
            outcome.data = ByteCount(written);
            progress(&Progress { phase: Phase::Write, read: blocks.content().read(), of, disk: at, written });
        }
        outcome.file = form.finish()?;
        Ok(outcome.file)
    };
    if order.file == STANDARD {
        fill(&mut |_, bytes| match stdio::write(stdio::output(), bytes)? {
            true => Ok(()),
            false => Err(Error::refused(DOING, "nobody reads it any more").to("standard output")),
        })?;
    } else {
        let file = AtomicFile::begin(order.file)?;
        let length = fill(&mut |at, bytes| file.write_at(at, bytes))?;
        file.finish(length)?;
    }
    Ok(outcome)
}

/// Has the backup of a GPT lie at the end of the disk of `size` bytes, which had `before`; says so.
fn move_backup(blocks: &mut Blocks<Image<'_>>, size: ByteCount, before: Option<ByteCount>) -> Result<Vec<String>> {
    let start = blocks.start();
    let geometry = |sector: SectorSize| Geometry { sector, sectors: sector.sectors_in(size) };
    // There is a GPT, and its sectors have one size.
    let Some(sector) = sector_size(start) else {
        if Some(size) != before && table::promises_gpt(&start, geometry(SectorSize::B512))? {
            let why = "its primary is not there, and nothing would find the backup of a larger disk";
            return Err(Error::corrupt(MOVING, why));
        }
        return Ok(Vec::new());
    };
    let geometry = geometry(sector);
    let refused = |error: Error| Error::new(error.kind, MOVING, error.why.clone());
    let Some(table) = table::read(&start, geometry).map_err(refused)? else { return Ok(Vec::new()) };
    // What lies behind the start is not known. A backup that is where it should be is sound, or what it was made.
    if Some(size) == before && table.ends_the_disk() {
        return Ok(Vec::new());
    }
    let (writes, notes) = table.relocate(&start, Rule::default()).map_err(refused)?;
    blocks.change(writes);
    Ok(notes)
}
