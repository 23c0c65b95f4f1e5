//! Writes an image onto a disk; compares one with a disk.
#![forbid(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use super::disk_writer::{DIFFER, DiskWriter, EDGE, HEAD, Mode};
use super::extent;
use super::pipeline::{MEMORY, Pipeline, Totals};
use super::protocol::{Command, Failure, Operation};
use super::relocate;
use super::target::Target;
use super::writer_process::WriterProcess;
use super::{Content, Environment, Expected, Image, Phase, Piece, Progress, Source, UNKNOWN_LENGTH};
use crate::bytes::ReadAt;
use crate::container;
use crate::error::{Error, Result};
use crate::probe::block::{Block, Sysfs};
use crate::table::{self, Geometry, Table};
use crate::text::checksum::Checksum;
use crate::units::{ByteCount, Lba, SectorSize};

const DOING: &str = "write the image to";

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

/// Judges the target before anything of it is overwritten.
pub type Confirm<'a> = dyn Fn(&Block) -> Result<()> + 'a;

/// What is to be written where.
#[derive(Clone, Copy, Default)]
pub struct WriteOptions<'a> {
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
    /// Write also what is not a disk image, or was cut off.
    pub raw: bool,
    /// Asked when the target is open and no other device can take its place any more.
    pub confirm: Option<&'a Confirm<'a>>,
    /// Set just before the first byte of the target is overwritten.
    pub begun: Option<&'a Cell<bool>>,
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
    /// The digest of the source, where it was asked for.
    pub checksum: Option<Checksum>,
    /// Sentences for the operator: what was overwritten, what was grown, what could not be.
    pub notes: Vec<String>,
}

/// What writing would do, in words, when nothing speaks against it. Nothing is written.
///
/// # Errors
/// As [`write()`], as far as they are known before the first byte is written.
pub fn look(order: &WriteOptions<'_>, means: Environment<'_>) -> Result<Vec<String>> {
    let target = open_target(order)?;
    let mut source = Source::open(order.source, means.for_target(&target.node, target.size))?;
    // What stands behind the `?` of a URL is for no one.
    let label = String::from(source.label());
    let mut image = source.image(&order.expected)?;
    fits(&image, &target)?;
    let beginning = beginning(&mut image)?;
    let judge = Judge::new(order, &image, Mode::Write { verify: false })?;
    judge.beginning(&beginning, beginning.len() as u64, &target).map_err(|error| error.to(order.target))?;
    let size = image.size.map_or_else(|| "a disk of unknown size".into(), |size| format!("a disk of {size}"));
    Ok(alloc::vec![format!("{label} holds {size}"), overwritten(&target)])
}

/// Writes the image, the first MiB last.
///
/// # Errors
/// Those of [`super::Source`] and [`super::target::Target`]; `Refused` when the target is too small, holds the source, or
/// has other sectors than the image was made for; `Corrupt` when it answers with other bytes than were written. Then the
/// target does not look like a disk that boots.
pub fn write(order: &WriteOptions<'_>, means: Environment<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    let target = open_target(order)?;
    let deed = Mode::Write { verify: order.verify };
    let mut outcome = carry(order, means, &target, deed, progress).map_err(|error| error.to(order.target))?;
    relocate::put_right(&target, &mut outcome.notes)?;
    if order.grow {
        // Nothing may have it for itself alone while it is mounted to grow.
        let (block, _pinned) = target.release();
        outcome.notes.extend(relocate::grow(SYSFS, &block, means.notify));
    }
    Ok(outcome)
}

/// Compares the image with what the target holds from its beginning on. What [`write()`] changes in a partition table for a
/// disk larger than the image may be there as in the image, or changed.
///
/// # Errors
/// As [`write()`]; `Corrupt` with the first offset at which they differ.
pub fn verify(
    order: &WriteOptions<'_>,
    means: Environment<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Outcome> {
    let target = Target::look(SYSFS, order.target)?;
    carry(order, means, &target, Mode::Compare, progress).map_err(|error| error.to(order.target))
}

/// All of the image goes to the target, or is compared with it.
fn carry(
    order: &WriteOptions<'_>,
    means: Environment<'_>,
    target: &Target,
    deed: Mode,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Outcome> {
    // The other process begins before there is anything that both would have.
    let partner = WriterProcess::start(DiskWriter::new(&target.device, target.size, deed)?, MEMORY)?;
    let mut pump = Pipeline::new(partner, target.size, target.sector);
    let mut source = Source::open(order.source, means.for_target(&target.node, target.size))?;
    let mut image = source.image(&order.expected)?;
    fits(&image, target)?;
    let judge = Judge::new(order, &image, deed)?;
    if judge.needs_watch() {
        image.watch(DOING);
    }
    let mut prepare = |pump: &mut Pipeline| {
        let length = pump.poured().size;
        judge.beginning(pump.beginning()?, length, target)?;
        if deed == Mode::Compare {
            return allow_relocation(pump, target);
        }
        (means.notify)(&overwritten(target));
        order.begun.iter().for_each(|begun| begun.set(true));
        pump.ask(Command::Prepare, &mut |_| {})?;
        // What becomes no image must not be mounted by what the kernel remembers of the partitions before.
        relocate::tell_kernel(target).iter().for_each(|why| (means.notify)(why));
        Ok(())
    };
    let of = image.total.map(|size| size.0);
    let main = if deed == Mode::Compare { Phase::Compare } else { Phase::Write };
    let poured = transfer(&mut pump, &mut image, &mut prepare, &mut |read, disk, written, read_back| {
        progress(&match read_back {
            Some(read) => Progress { phase: Phase::ReadBack, read, of: Some(disk), disk, written },
            None => Progress { phase: main, read, of, disk, written },
        });
    })?;
    Ok(Outcome {
        size: ByteCount(poured.size),
        written: ByteCount(poured.bytes),
        zeroed: ByteCount(poured.zeros),
        checksum: order.expected.checksum,
        notes: unverified_length(&image, &order.expected).into_iter().collect(),
    })
}

/// What speaks against an image before anything is overwritten.
struct Judge<'a> {
    /// Whether it must be a disk, and all of one.
    is_strict: bool,
    size: Option<ByteCount>,
    /// The whole disk, where it can be read at any offset.
    disk: Option<Box<dyn ReadAt + 'a>>,
}

impl<'a> Judge<'a> {
    fn new(order: &WriteOptions<'_>, image: &Image<'a>, deed: Mode) -> Result<Self> {
        let is_strict = !order.raw && deed != Mode::Compare;
        let disk = if is_strict { image.disk()? } else { None };
        Ok(Self { is_strict, size: image.size, disk })
    }

    /// Whether only the end of the image shows whether it was cut off.
    fn needs_watch(&self) -> bool {
        self.is_strict && self.disk.is_none()
    }

    /// Judges by the first MiB of an image, of which `length` bytes are its own.
    fn beginning(&self, beginning: &[u8], length: u64, target: &Target) -> Result<()> {
        check_sectors(beginning, target.sector)?;
        check_end(beginning, target.geometry())?;
        let size = if length < EDGE { Some(ByteCount(length)) } else { self.size };
        match &self.disk {
            _ if !self.is_strict => Ok(()),
            Some(disk) => extent::judge(&**disk, size, DOING),
            None => extent::judge(&beginning, size, DOING),
        }
    }
}

/// The first MiB of an image, or all of it.
fn beginning(image: &mut Image<'_>) -> Result<Vec<u8>> {
    let mut beginning = alloc::vec![0; HEAD];
    let mut filled = 0_usize;
    while let Some(room) = beginning.get_mut(filled..).filter(|room| !room.is_empty()) {
        let count = match image.next(room)? {
            Piece::Bytes(count) => count,
            Piece::Zeros(count) => {
                let within = usize::try_from(count).map_or(room.len(), |count| count.min(room.len()));
                room.get_mut(..within).unwrap_or_default().fill(0);
                within
            }
            Piece::End => break,
        };
        filled = filled.saturating_add(count);
    }
    beginning.truncate(filled);
    Ok(beginning)
}

/// Content that says how many bytes of its source were read.
trait Counted: Content {
    fn read(&self) -> u64;
}

impl Counted for Image<'_> {
    fn read(&self) -> u64 {
        Image::read(self)
    }
}

/// The order of things: the beginning is looked at before anything is done to the target, and comes last, when all of the
/// image was what it should be and is on the medium. `told` hears how much was read, reached and written, and how much of
/// the disk was read back once that has begun.
fn transfer(
    pump: &mut Pipeline,
    image: &mut dyn Counted,
    prepare: &mut dyn FnMut(&mut Pipeline) -> Result<()>,
    told: &mut dyn FnMut(u64, u64, u64, Option<u64>),
) -> Result<Totals> {
    pump.begin(image)?;
    prepare(pump)?;
    while let Some(poured) = pump.next(image)? {
        told(image.read(), poured.size, poured.bytes, None);
    }
    let (read, poured) = (image.read(), pump.poured());
    told(read, poured.size, poured.bytes, None);
    pump.settle(&mut |at| told(read, poured.size, poured.bytes, Some(at)))?;
    pump.head()?;
    Ok(pump.poured())
}

/// Takes what [`relocate::put_right`] writes for what should be there, where it is there.
fn allow_relocation(pump: &mut Pipeline, target: &Target) -> Result<()> {
    let beginning: &[u8] = pump.beginning()?;
    let Ok(writes) = relocate::relocation(&beginning, target.geometry()) else { return Ok(()) };
    // Who may not do that reads what is cached.
    let _ = target.device.empty_cache();
    let mut is_moved = false;
    for write in writes.iter().rev() {
        let mut found = alloc::vec![0; write.bytes.len()];
        target.pinned.read_at(write.at, &mut found)?;
        let is_there = found == write.bytes;
        if write.at.0 >= EDGE {
            if is_there {
                pump.stop_at(write.at.0);
            } else if is_moved {
                return Err(Failure::differs(Operation::Compare, write.at.0, DIFFER).error());
            }
        } else if is_there {
            let (at, beginning) = (usize::try_from(write.at.0).unwrap_or(HEAD), pump.beginning()?);
            if let Some(place) = beginning.get_mut(at..) {
                is_moved = true;
                place.iter_mut().zip(&write.bytes).for_each(|(place, byte)| *place = *byte);
            }
        }
    }
    Ok(())
}

/// What to say when nothing shows whether all of the image came.
fn unverified_length(image: &Image<'_>, expected: &Expected) -> Option<String> {
    let is_verified = image.has_known_end() || expected.size.is_some() || expected.checksum.is_some();
    (!is_verified).then(|| format!("{UNKNOWN_LENGTH}; its size or its SHA-256 would verify it"))
}

fn overwritten(target: &Target) -> String {
    format!("{} ({}) holds {}, which is overwritten", target.node, target.size, target.holds)
}

fn open_target(order: &WriteOptions<'_>) -> Result<Target> {
    let target = Target::open(SYSFS, order.target)?;
    target.refuse_source(SYSFS, order.source)?;
    order.confirm.map_or(Ok(()), |confirm| confirm(&target.block))?;
    Ok(target)
}

/// Refuses a target that is known to be too small.
fn fits(image: &Image<'_>, target: &Target) -> Result<()> {
    match image.size.filter(|size| *size > target.size) {
        Some(size) => {
            let why = format!("it has {} bytes, and the image has {}", target.size.0, size.0);
            Err(Error::refused(DOING, why).to(&*target.node))
        }
        None => Ok(()),
    }
}

/// Refuses an image whose partition table no kernel would find on this target.
fn check_sectors(beginning: &[u8], sector: SectorSize) -> Result<()> {
    let start = beginning.get(..container::START).unwrap_or(beginning);
    match container::sector_size(start).filter(|made_for| *made_for != sector) {
        Some(made_for) => {
            let (own, other) = (sector.bytes(), made_for.bytes());
            let why = format!("it has sectors of {own} bytes, and the image was made for sectors of {other}");
            Err(Error::refused(DOING, why))
        }
        None => Ok(()),
    }
}

/// Refuses an image whose partitions reach beyond this target, before anything is lost: not every source says how large
/// its disk is. Only a GPT is taken at its word; partitions of an MBR reach beyond their own disk in some hybrid images.
fn check_end(beginning: &[u8], geometry: Geometry) -> Result<()> {
    let Ok(Some(table @ Table::Gpt(_))) = table::read(&beginning, geometry) else { return Ok(()) };
    let end = table.partitions().iter().map(|part| part.last.0.saturating_add(1)).max().unwrap_or_default();
    if end <= geometry.sectors {
        return Ok(());
    }
    let bytes = |sectors| geometry.sector.offset_of(Lba(sectors));
    let why = format!("it has {}, and a partition of the image ends at {}", bytes(geometry.sectors), bytes(end));
    Err(Error::refused(DOING, why))
}

#[cfg(test)]
mod tests;
