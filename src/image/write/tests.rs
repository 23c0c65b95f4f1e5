//! Images onto disks in memory, which say what was done to them, and fail when they are told to.

use super::*;
use crate::disk::WriteAt;
use crate::error::Kind;
use crate::image::Piece;
use crate::image::hand::{Medium, REQUEST};
use alloc::vec;
use core::cell::{Cell, RefCell};

const MIB: usize = 1 << 20;
const BLOCK: usize = 64 << 10;

/// A disk that was full of something else.
struct Disk {
    bytes: RefCell<Vec<u8>>,
    deeds: RefCell<Vec<Done>>,
    /// The write of data, from 0, that fails; the byte that is not kept.
    fails: Cell<Option<usize>>,
    loses: Cell<Option<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Discard(usize, usize),
    Wrote(usize, usize),
    Zeroed(usize, usize),
    Flush,
    EmptyCache,
}

impl Disk {
    fn new(size: usize) -> Self {
        let (deeds, bytes) = (RefCell::new(Vec::new()), RefCell::new(vec![0xAA; size]));
        Self { bytes, deeds, fails: Cell::new(None), loses: Cell::new(None) }
    }

    fn done(&self) -> Vec<Done> {
        self.deeds.borrow().clone()
    }
}

impl ReadAt for Disk {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.bytes.borrow().as_slice().read_at(offset, buffer)
    }
}

impl WriteAt for Disk {
    fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()> {
        let at = offset.0 as usize;
        let is_aligned = [at, bytes.len(), bytes.as_ptr().addr()].iter().all(|number| number.is_multiple_of(512));
        assert!(is_aligned && !bytes.is_empty());
        let count = self.deeds.borrow().iter().filter(|done| matches!(done, Done::Wrote(..))).count();
        if self.fails.get() == Some(count) {
            return Err(Error::os(5, "write to"));
        }
        self.deeds.borrow_mut().push(Done::Wrote(at, bytes.len()));
        let mut disk = self.bytes.borrow_mut();
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        if let Some(lost) = self.loses.get().filter(|lost| (at..at + bytes.len()).contains(lost)) {
            disk[lost] ^= 4;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.deeds.borrow_mut().push(Done::Flush);
        Ok(())
    }
}

impl Medium for Disk {
    fn discard(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        self.deeds.borrow_mut().push(Done::Discard(at.0 as usize, length.0 as usize));
        Err(Error::os(95, "discard what is on"))
    }

    fn zero(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        let (at, length) = (at.0 as usize, length.0 as usize);
        assert!(at.is_multiple_of(512) && length.is_multiple_of(512) && length > 0);
        self.deeds.borrow_mut().push(Done::Zeroed(at, length));
        self.bytes.borrow_mut()[at..at + length].fill(0);
        Ok(())
    }

    fn empty_cache(&self) -> Result<()> {
        self.deeds.borrow_mut().push(Done::EmptyCache);
        Ok(())
    }
}

/// A disk in pieces of at most so many bytes; runs of zeros from a length on are told as such.
struct Pieces<'a> {
    disk: &'a [u8],
    at: usize,
    most: usize,
    told: usize,
    last: Result<Piece>,
}

impl<'a> Pieces<'a> {
    fn of(disk: &'a [u8], most: usize, told: usize) -> Self {
        Self { disk, at: 0, most, told, last: Ok(Piece::End) }
    }
}

impl Content for Pieces<'_> {
    fn next(&mut self, room: &mut [u8]) -> Result<Piece> {
        assert!(!room.is_empty());
        let rest = &self.disk[self.at..];
        if rest.is_empty() {
            return self.last.clone();
        }
        let zeros = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
        if zeros >= self.told {
            self.at += zeros;
            return Ok(Piece::Zeros(zeros as u64));
        }
        let length = rest.len().min(self.most).min(room.len());
        room[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(Piece::Bytes(length))
    }
}

impl Counted for Pieces<'_> {
    fn read(&self) -> u64 {
        self.at as u64
    }
}

/// 10 MiB and a bit: data, zeros that are no whole block, whole blocks of them, data that ends in mid block, zeros.
fn image() -> Vec<u8> {
    let mut disk = vec![0; 10 * MIB + 700];
    for (from, to) in [
        (0, 600),
        (MIB + 5, MIB + 9),
        (2 * MIB, 5 * MIB + 100),
        (7 * MIB + BLOCK - 1, 7 * MIB + BLOCK + 1),
        (9 * MIB, 9 * MIB + 3),
        (10 * MIB + 699, 10 * MIB + 700),
    ] {
        for (at, byte) in disk[from..to].iter_mut().enumerate() {
            *byte = (at * 7 + from) as u8 | 1;
        }
    }
    disk
}

fn run(disk: &Disk, deed: Deed, content: &mut Pieces<'_>) -> Result<Poured> {
    let size = ByteCount(disk.bytes.borrow().len() as u64);
    let partner = Partner::within(Hand::new(disk, size, deed)?, MEMORY)?;
    let mut pump = Pump::new(partner, size, SectorSize::B512);
    let mut prepare = |pump: &mut Pump<'_>| match deed {
        Deed::Compare => Ok(()),
        Deed::Write { .. } => pump.ask(Task::Prepare, &mut |_| {}),
    };
    transfer(&mut pump, content, &mut prepare, &mut |_, _, _, _| {})
}

const VERIFIED: Deed = Deed::Write { verify: true };

#[test]
fn an_image_arrives_whole_however_it_comes() {
    let image = image();
    let mut outcomes = Vec::new();
    for (most, told) in [
        (usize::MAX, usize::MAX),
        (usize::MAX, BLOCK),
        (usize::MAX, 1),
        (100_000, 512),
        (BLOCK, BLOCK - 1),
        (65_537, 3 * BLOCK),
        (511, 4096),
    ] {
        let disk = Disk::new(12 * MIB);
        let poured = run(&disk, VERIFIED, &mut Pieces::of(&image, most, told)).unwrap();
        assert!(disk.bytes.borrow().starts_with(&image), "{most} {told}");
        assert_eq!(disk.bytes.borrow()[image.len()..10 * MIB + 1024], [0; 324], "a sector is filled with zeros");
        assert_eq!(disk.bytes.borrow()[10 * MIB + 1024], 0xAA, "what is behind it is nobody's");
        assert_eq!(run(&disk, Deed::Compare, &mut Pieces::of(&image, most, told)), Ok(poured));
        outcomes.push(poured);
    }
    // The MiB in front, 4 bytes, 3 MiB and 100 bytes, 2 bytes over the seam of two blocks, 3 bytes, and the rest.
    let bytes = MIB + BLOCK + 3 * MIB + BLOCK + 2 * BLOCK + BLOCK + 1024;
    let size = image.len() as u64;
    let zeros = 10 * MIB + 1024 - bytes;
    assert_eq!(outcomes, vec![Poured { size, bytes: bytes as u64, zeros: zeros as u64 }; outcomes.len()]);
}

#[test]
fn the_first_mib_is_written_when_all_else_is_on_the_medium() {
    let (image, disk) = (image(), Disk::new(12 * MIB));
    run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap();
    let done = disk.done();
    use Done::{Discard, EmptyCache, Flush, Wrote, Zeroed};
    // A discard may take minutes, and a power cut within it must not leave the old table over missing data.
    assert_eq!(done[..4], [Zeroed(0, MIB), Zeroed(11 * MIB, MIB), Flush, Discard(MIB, 10 * MIB)]);
    assert_eq!(done[done.len() - 4..], [Flush, Wrote(0, MIB), Flush, EmptyCache]);
    let between = &done[4..done.len() - 4];
    assert!(between.iter().all(|done| matches!(done, Wrote(at, _) | Zeroed(at, _) if *at >= MIB)), "{between:?}");
    let zeroed = between.iter().filter(|done| matches!(done, Zeroed(..))).count();
    assert_eq!(zeroed, 4, "one command for each run: {between:?}");
}

#[test]
fn a_disk_of_edges_only_is_not_discarded() {
    for size in [512, MIB, 2 * MIB - 512, 2 * MIB] {
        let disk = Disk::new(size);
        run(&disk, VERIFIED, &mut Pieces::of(&[1; 512], usize::MAX, BLOCK)).unwrap();
        assert!(!disk.done().iter().any(|done| matches!(done, Done::Discard(..))), "{size}");
    }
}

#[test]
fn a_source_that_proves_wrong_leaves_no_beginning() {
    let (image, disk) = (image(), Disk::new(12 * MIB));
    let mut content = Pieces::of(&image, usize::MAX, BLOCK);
    content.last = Err(Error::refused("read the image", "its SHA-256 is another"));
    assert_eq!(run(&disk, VERIFIED, &mut content).unwrap_err().kind, Kind::Refused);
    assert_eq!(disk.bytes.borrow()[..MIB], vec![0; MIB]);
    assert_eq!(disk.bytes.borrow()[2 * MIB..3 * MIB], image[2 * MIB..3 * MIB], "though all else was written");
}

#[test]
fn a_write_that_fails_ends_everything() {
    let image = image();
    let whole = Disk::new(12 * MIB);
    run(&whole, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap();
    let writes = whole.done().iter().filter(|done| matches!(done, Done::Wrote(..))).count();
    assert!(writes > 5);
    for fails in 0..writes {
        let disk = Disk::new(12 * MIB);
        disk.fails.set(Some(fails));
        let error = run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
        assert_eq!((error.kind, error.doing), (Kind::Os(5), "write to"));
        assert!(error.why.starts_with("at byte "), "{error}");
        assert_eq!(disk.bytes.borrow()[..MIB], vec![0; MIB], "it does not look like a system");
    }
}

#[test]
fn a_disk_that_keeps_other_bytes_is_found_out_when_it_is_read_back() {
    let image = image();
    for lost in [300, 3 * MIB, 9 * MIB + 1] {
        let disk = Disk::new(12 * MIB);
        disk.loses.set(Some(lost));
        let error = run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
        assert_eq!((error.kind, error.doing), (Kind::Corrupt, "read back what was written to"), "{lost}");
        assert!(run(&disk, Deed::Write { verify: false }, &mut Pieces::of(&image, usize::MAX, BLOCK)).is_ok());
        let error = run(&disk, Deed::Compare, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
        assert_eq!((error.kind, &*error.why), (Kind::Corrupt, &*format!("they differ at byte {lost}")));
    }
}

#[test]
fn a_bit_where_zeros_belong_is_a_difference() {
    let (image, disk) = (image(), Disk::new(12 * MIB));
    run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap();
    disk.bytes.borrow_mut()[6 * MIB + 77] = 1;
    let error = run(&disk, Deed::Compare, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
    assert_eq!(&*error.why, format!("they differ at byte {}", 6 * MIB + 77));
    disk.bytes.borrow_mut()[6 * MIB + 77] = 0;
    disk.bytes.borrow_mut()[5] ^= 1;
    let error = run(&disk, Deed::Compare, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
    assert_eq!(&*error.why, "they differ at byte 5");
}

#[test]
fn an_image_too_large_is_noticed_before_a_byte_is_written_behind_the_end() {
    for (size, most, told) in
        [(3 * MIB, usize::MAX, BLOCK), (10 * MIB, 4096, BLOCK), (6 * MIB, usize::MAX, 1), (512, 99, 9)]
    {
        let (image, disk) = (image(), Disk::new(size));
        let error = run(&disk, VERIFIED, &mut Pieces::of(&image, most, told)).unwrap_err();
        assert_eq!((error.kind, error.doing), (Kind::Refused, "write the image to"));
        assert!(disk.bytes.borrow().iter().take(MIB).all(|byte| [0, 0xAA].contains(byte)));
    }
}

#[test]
fn the_smallest_images_are_a_beginning_only() {
    for length in [1, 512, 700, MIB - 1, MIB, MIB + 1, MIB + REQUEST, MIB + 4 * REQUEST] {
        let image: Vec<u8> = (0..length).map(|at| (at % 251) as u8 | 1).collect();
        let disk = Disk::new(10 * MIB);
        let poured = run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap();
        assert!(disk.bytes.borrow().starts_with(&image), "{length}");
        assert_eq!((poured.size, poured.bytes), (length as u64, length.next_multiple_of(512) as u64));
    }
}

#[test]
fn an_image_for_other_sectors_is_refused() {
    let mut start = vec![0; container::START];
    start[4096..4104].copy_from_slice(b"EFI PART");
    let error = check_sectors(&start, SectorSize::B512).unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.why.contains("sectors of 512 bytes") && error.why.contains("sectors of 4096"), "{error}");
    assert_eq!(check_sectors(&start, SectorSize::B4096), Ok(()));
    assert_eq!(check_sectors(&[0; 100], SectorSize::B512), Ok(()));
}

/// A disk that takes the process with it.
struct Deadly;

impl ReadAt for Deadly {
    fn read_at(&self, _: ByteCount, _: &mut [u8]) -> Result<()> {
        Ok(())
    }
}

impl WriteAt for Deadly {
    fn write_at(&self, _: ByteCount, _: &[u8]) -> Result<()> {
        crate::sys::process::terminate(crate::sys::process::own_number() as u32);
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

impl Medium for Deadly {
    fn discard(&self, _: ByteCount, _: ByteCount) -> Result<()> {
        Ok(())
    }

    fn zero(&self, _: ByteCount, _: ByteCount) -> Result<()> {
        Ok(())
    }

    fn empty_cache(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn that_the_other_process_died_is_noticed() {
    let (image, size) = (image(), ByteCount(12 << 20));
    let partner = Partner::beside(Hand::new(&Deadly, size, VERIFIED).unwrap(), MEMORY).unwrap();
    let mut pump = Pump::new(partner, size, SectorSize::B512);
    let mut content = Pieces::of(&image, usize::MAX, BLOCK);
    let error = transfer(&mut pump, &mut content, &mut |_| Ok(()), &mut |_, _, _, _| {}).unwrap_err();
    assert_eq!((error.kind, &*error.why), (Kind::Ended, "the process that does it has ended"));
}
