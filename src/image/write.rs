//! Writes an image onto a disk; compares one with a disk.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::hand::{Deed, Hand};
use super::partner::Partner;
use super::pump::{MEMORY, Poured, Pump};
use super::target::Target;
use super::task::Task;
use super::{Content, Expected, Image, Means, Progress, Source};
use crate::container;
use crate::error::{Error, Result};
use crate::probe::block::Sysfs;
use crate::units::{ByteCount, SectorSize};

const DOING: &str = "write the image to";

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

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

/// An image that says how far it was read.
trait Counted: Content {
    fn read(&self) -> u64;
}

impl Counted for Image<'_> {
    fn read(&self) -> u64 {
        Image::read(self)
    }
}

/// Writes the image, the first MiB last.
///
/// # Errors
/// Those of [`super::Source`] and [`super::target::Target`]; `Refused` when the target is too small, holds the source, or
/// has other sectors than the image was made for; `Corrupt` when it answers with other bytes than were written. Then the
/// target does not look like a disk that boots.
pub fn write(order: &Order<'_>, means: Means<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    let target = open_target(order)?;
    let named = |error: Error| error.to(order.target);
    let hand = Hand::new(&target.device, target.size, Deed::Write { verify: order.verify })?;
    // Before there is anything that a second process would have twice.
    let partner = Partner::beside(hand, MEMORY)?;
    let mut pump = Pump::new(partner, target.size, target.sector);
    let mut source = Source::open(order.source, means)?;
    let mut image = source.image(&order.expected)?;
    fits(&image, &target)?;
    (means.tell)(&format!("{} holds {}, which is overwritten", target.node, target.holds));
    check_sectors(pump.begin(&mut image).map_err(named)?, target.sector).map_err(named)?;
    pump.ask(Task::Prepare, &mut |_| {}).map_err(named)?;
    let of = image.stored.map(|size| size.0);
    let poured = pour(&mut pump, &mut image, of, progress).map_err(named)?;
    let mut told = Progress { read: image.read(), of, disk: poured.size, written: poured.bytes };
    pump.ask(Task::Settle { end: padded(poured.size, target.sector) }, &mut |at| {
        told.disk = at;
        progress(&told);
    })
    .map_err(named)?;
    pump.head().map_err(named)?;
    let poured = pump.poured();
    Ok(Outcome {
        size: ByteCount(poured.size),
        written: ByteCount(poured.bytes),
        zeroed: ByteCount(poured.zeros),
        sha256: order.expected.sha256,
        notes: Vec::new(),
    })
}

/// Compares the image with what the target holds from its beginning on.
///
/// # Errors
/// As [`write`]; `Corrupt` with the first offset at which they differ.
pub fn verify(order: &Order<'_>, means: Means<'_>, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome> {
    let _ = (means, progress);
    Err(Error::unsupported("verify the image", "verifying is not built yet").to(order.target))
}

fn open_target(order: &Order<'_>) -> Result<Target> {
    let target = Target::open(SYSFS, order.target)?;
    target.refuse_source(SYSFS, order.source)?;
    Ok(target)
}

/// Refuses a target that is known to be too small.
fn fits(image: &Image<'_>, target: &Target) -> Result<()> {
    match image.size.filter(|size| *size > target.size) {
        Some(size) => {
            let why = format!("it has {}, and the image has {size}", target.size);
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

/// Hands on all but the beginning.
fn pour(
    pump: &mut Pump<'_>,
    image: &mut dyn Counted,
    of: Option<u64>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Poured> {
    while let Some(poured) = pump.next(image)? {
        progress(&Progress { read: image.read(), of, disk: poured.size, written: poured.bytes });
    }
    Ok(pump.poured())
}

/// `size` up to the end of its sector.
const fn padded(size: u64, sector: SectorSize) -> u64 {
    size.saturating_add(sector.bytes().saturating_sub(1)) & !sector.bytes().saturating_sub(1)
}
