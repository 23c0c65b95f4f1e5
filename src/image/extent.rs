//! Whether an image holds a disk at all, and whether it ends before what it describes: its filesystems, its partitions.
//!
//! Where a filesystem states its own size, that counts, not the size of its partition: images that end behind a small
//! filesystem in a large partition are usual (OpenWrt's squashfs images, which have no backup of their GPT either). A
//! disk that can only be read from beginning to end is judged at its end, by the superblocks that [`Watch`] keeps.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::bytes::{ByteReader, ReadAt, Window};
use crate::container::{START, sector_size};
use crate::error::{Error, Kind, Result};
use crate::filesystem::{self, Kind as Content, Superblock};
use crate::table::{self, Geometry, Partition, Table};
use crate::units::{ByteCount, SectorSize};

/// The least that is kept at each place: the range in which [`filesystem::detect`] looks at the start of a partition.
const KEPT: usize = 72 << 10;

/// All that is kept: a hundred places. Images have up to 15 partitions, each looked at in up to four places.
const KEPT_LIMIT: usize = 100 * KEPT;

/// How to write a source in spite of a refusal.
const ADVICE: &str = "with --raw (wisp.image.raw on the kernel command line) it is taken as it is";

/// Refuses a disk of `size` bytes, or of an unknown size, before anything of the target is overwritten. Only its
/// beginning may be readable.
///
/// # Errors
/// `Refused` when it holds nothing that a disk begins with, or ends too early; `Os` when it cannot be read.
pub(super) fn judge(disk: &dyn ReadAt, size: Option<ByteCount>, doing: &'static str) -> Result<()> {
    if !is_disk(disk, size)? {
        let why = "the source is not a disk image: it has no partition table, no known filesystem and no boot sector";
        return Err(Error::refused(doing, format!("{why}; {ADVICE}")));
    }
    size.map_or(Ok(()), |size| refuse_cut(disk, size, doing))
}

/// The same when all of the image has come.
fn refuse_cut(disk: &dyn ReadAt, size: ByteCount, doing: &'static str) -> Result<()> {
    match find_cut(disk, size) {
        Some(why) => Err(Error::refused(doing, format!("the image was cut off: {why}; {ADVICE}"))),
        None => Ok(()),
    }
}

/// Whether there is anything that a disk begins with.
fn is_disk(disk: &dyn ReadAt, size: Option<ByteCount>) -> Result<bool> {
    let end = size.unwrap_or(ByteCount(u64::MAX));
    let start = start_of(disk, end)?;
    // The mark of a boot sector, which every table has too.
    if start.get(510..512) == Some(&[0x55, 0xaa]) {
        return Ok(true);
    }
    match filesystem::detect(disk, end) {
        Ok(found) => Ok(found.is_some()),
        Err(error) if matches!(error.kind, Kind::Corrupt | Kind::Unsupported) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What of a disk lies behind its end, `size`, as a sentence; `None` where all is there, as far as can be read.
#[must_use]
pub fn find_cut(disk: &dyn ReadAt, size: ByteCount) -> Option<String> {
    let start = start_of(disk, size).ok()?;
    let sector = sector_size(&start).unwrap_or(SectorSize::B512);
    let read = |end| table::read(disk, Geometry { sector, sectors: sector.sectors_in(end) }).unwrap_or_default();
    let mut table = read(size);
    if table.is_none() {
        if let Some(held) = filesystem::detect(disk, size).ok().flatten() {
            let end = reach(disk, &held).filter(|end| *end > size)?;
            return Some(format!("its {} has {end}, and the image ends at {size}", held.kind.name()));
        }
        // An MBR is not taken for one where a partition begins behind the end of the disk.
        table = read(ByteCount(u64::MAX));
    }
    let table = table?;
    table.partitions().iter().find_map(|part| find_cut_in(disk, size, &table, part, sector))
}

/// What of `part` lies behind the end of the disk.
fn find_cut_in(
    disk: &dyn ReadAt,
    size: ByteCount,
    table: &Table,
    part: &Partition,
    sector: SectorSize,
) -> Option<String> {
    let (start, length, number) = (sector.offset_of(part.first), part.span().bytes(sector), part.number);
    if start >= size {
        return Some(format!("partition {number} begins at {start}, and the image ends at {size}"));
    }
    let window = Window { whole: disk, start: start.0, size: length.0 };
    let held = filesystem::detect(&window, length).ok().flatten();
    let end = held.as_ref().and_then(|held| reach(&window, held));
    if let (Some(held), Some(end)) = (&held, end) {
        let end = ByteCount(start.0.saturating_add(end.0));
        let name = held.kind.name();
        return (end > size)
            .then(|| format!("the {name} of partition {number} ends at {end}, and the image at {size}"));
    }
    let end = ByteCount(start.0.saturating_add(length.0));
    // These fill their partition. Anything else may be shorter, but not where the backup of a GPT is missing too.
    let fills = held.is_some_and(|held| matches!(held.kind, Content::Luks | Content::LvmPhysicalVolume));
    let lost_backup = table.backup().is_some_and(|at| sector.offset_of(at) >= size);
    (end > size && (fills || lost_backup)).then(|| format!("partition {number} ends at {end}, and the image at {size}"))
}

/// Where on its device the filesystem ends that `held` was found for, if it says so.
fn reach(device: &dyn ReadAt, held: &Superblock) -> Option<ByteCount> {
    if let Some(extent) = held.extent {
        return Some(extent.bytes());
    }
    let mut sector = [0; 512];
    device.read_at(ByteCount(0), &mut sector).ok()?;
    let fields = ByteReader::new(&sector, "read the size of");
    match held.kind {
        // `bytes_used` (kernel header `squashfs_fs.h`).
        Content::Squashfs => fields.u64_le(40).ok().map(ByteCount),
        // Sectors in 16 bits, or, where those are 0, in 32; with bytes in each (Microsoft's FAT specification, 3.1).
        Content::Vfat => {
            let (bytes, few, many) = (fields.u16_le(11).ok()?, fields.u16_le(19).ok()?, fields.u32_le(32).ok()?);
            let sectors = if few == 0 { u64::from(many) } else { u64::from(few) };
            Some(ByteCount(sectors.saturating_mul(u64::from(bytes))))
        }
        _ => None,
    }
}

/// [`START`] bytes, or all there are.
fn start_of(disk: &dyn ReadAt, size: ByteCount) -> Result<Vec<u8>> {
    let mut start = vec![0; usize::try_from(size.0).map_or(START, |size| size.min(START))];
    disk.read_at(ByteCount(0), &mut start)?;
    Ok(start)
}

/// Keeps what [`find_cut`] reads of a disk that passes once. Which places those are is found by asking it.
pub(super) struct Watch {
    doing: &'static str,
    /// Where on the disk the next piece begins.
    at: u64,
    kept: Kept,
}

/// Places of a disk.
struct Kept {
    places: Vec<Place>,
    /// Where something was read that is not kept.
    missing: RefCell<Vec<(u64, usize)>>,
}

struct Place {
    start: u64,
    /// What has come of it, and how much it is to be.
    bytes: Vec<u8>,
    length: usize,
}

impl Place {
    fn is_whole(&self) -> bool {
        self.bytes.len() >= self.length
    }
}

impl Watch {
    /// For a disk of which nothing has passed; `doing` begins what is said of one that was cut off.
    pub fn new(doing: &'static str) -> Self {
        let first = Place { start: 0, bytes: Vec::new(), length: KEPT };
        Self { doing, at: 0, kept: Kept { places: vec![first], missing: RefCell::default() } }
    }

    /// So many bytes of the disk pass: `bytes`, or zeros where those are fewer.
    pub fn pass(&mut self, bytes: &[u8], length: u64) {
        // Each round adds places, of which there are few.
        while self.take(bytes, length) && self.want() {}
        self.at = self.at.saturating_add(length);
    }

    /// Judges the disk, of which all has passed.
    ///
    /// # Errors
    /// `Refused` when it was cut off.
    pub fn finish(&self) -> Result<()> {
        refuse_cut(&self.kept, ByteCount(self.at), self.doing)
    }

    /// Keeps what belongs to the places; whether one of them became whole.
    fn take(&mut self, bytes: &[u8], length: u64) -> bool {
        let mut is_news = false;
        for place in self.kept.places.iter_mut().filter(|place| !place.is_whole()) {
            let next = place.start.saturating_add(place.bytes.len() as u64);
            let Some(skip) = next.checked_sub(self.at).filter(|skip| *skip < length) else { continue };
            let missing = place.length.saturating_sub(place.bytes.len());
            let count = usize::try_from(length.saturating_sub(skip)).map_or(missing, |count| count.min(missing));
            let end = place.bytes.len().saturating_add(count);
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            let rest = bytes.get(skip..).unwrap_or_default();
            place.bytes.extend_from_slice(rest.get(..count).unwrap_or(rest));
            place.bytes.resize(end, 0);
            is_news |= place.is_whole();
        }
        is_news
    }

    /// Adds the places that were missed and are not yet past; whether there are any.
    fn want(&mut self) -> bool {
        let _ = find_cut(&self.kept, ByteCount(u64::MAX));
        let before = self.kept.places.len();
        for (start, length) in self.kept.missing.take() {
            let length = length.max(KEPT);
            let total = self.kept.places.iter().fold(length, |sum, place| sum.saturating_add(place.length));
            let is_known = self.kept.places.iter().any(|place| place.start == start && place.length >= length);
            if start >= self.at && !is_known && total <= KEPT_LIMIT {
                self.kept.places.push(Place { start, bytes: Vec::new(), length });
            }
        }
        self.kept.places.len() > before
    }
}

impl ReadAt for Kept {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let found = self.places.iter().find_map(|place| {
            let at = usize::try_from(offset.0.checked_sub(place.start)?).ok()?;
            place.bytes.get(at..at.checked_add(buffer.len())?)
        });
        if let Some(found) = found {
            buffer.copy_from_slice(found);
            return Ok(());
        }
        if let Ok(mut missing) = self.missing.try_borrow_mut() {
            missing.push((offset.0, buffer.len()));
        }
        Err(Error::corrupt("read", "the range was not kept"))
    }
}

#[cfg(test)]
mod tests;
