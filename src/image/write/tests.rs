//! Images onto disks that say what was done to them, and fail where a test wants it.

use super::*;
use crate::disk::WriteAt;
use crate::error::Kind;
use crate::image::Piece;
use crate::image::disk_writer::{Medium, REQUEST};
use alloc::vec;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

const MIB: usize = 1 << 20;
const BLOCK: usize = 64 << 10;

/// A disk that was full of something else. It is in files, for the process that writes to it is another one.
struct Disk {
    medium: File,
    deeds: File,
    size: usize,
    written: Cell<usize>,
    /// The write of data, from 0, that fails, and how; the byte that is not kept.
    fails: RefCell<Option<(usize, Error)>>,
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

/// A file without a name.
fn file() -> File {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("wisp-disk-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).append(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

impl Disk {
    fn new(size: usize) -> Self {
        // What is opened to append ignores offsets.
        let (mut filled, deeds) = (file(), file());
        filled.write_all(&vec![0xAA; size]).unwrap();
        let own = std::os::fd::AsRawFd::as_raw_fd(&filled);
        let medium = File::options().read(true).write(true).open(format!("/proc/self/fd/{own}")).unwrap();
        let (written, fails, loses) = (Cell::new(0), RefCell::new(None), Cell::new(None));
        Self { medium, deeds, size, written, fails, loses }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        self.medium.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        self.medium.write_all_at(bytes, at as u64).unwrap();
    }

    fn note(&self, done: Done) {
        let numbers = match done {
            Done::Discard(at, length) => [0, at, length],
            Done::Wrote(at, length) => [1, at, length],
            Done::Zeroed(at, length) => [2, at, length],
            Done::Flush => [3, 0, 0],
            Done::EmptyCache => [4, 0, 0],
        };
        let record: Vec<u8> = numbers.into_iter().flat_map(usize::to_le_bytes).collect();
        (&self.deeds).write_all(&record).unwrap();
    }

    fn done(&self) -> Vec<Done> {
        let mut records = vec![0; self.deeds.metadata().unwrap().len() as usize];
        self.deeds.read_exact_at(&mut records, 0).unwrap();
        let numbers: Vec<usize> = records.as_chunks().0.iter().map(|bytes| usize::from_le_bytes(*bytes)).collect();
        let done = |&[kind, at, length]: &[usize; 3]| match kind {
            0 => Done::Discard(at, length),
            1 => Done::Wrote(at, length),
            2 => Done::Zeroed(at, length),
            3 => Done::Flush,
            _ => Done::EmptyCache,
        };
        numbers.as_chunks().0.iter().map(done).collect()
    }
}

impl ReadAt for Disk {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.medium.read_exact_at(buffer, offset.0).map_err(|_| Error::corrupt("read from", "it ends too early"))
    }
}

/// Panicking is nothing for a child process.
fn require(is_right: bool, why: &'static str) -> Result<()> {
    if is_right { Ok(()) } else { Err(Error::usage("write to", why)) }
}

impl WriteAt for Disk {
    fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()> {
        let at = offset.0 as usize;
        let is_aligned = [at, bytes.len(), bytes.as_ptr().addr()].iter().all(|number| number.is_multiple_of(512));
        require(is_aligned && !bytes.is_empty() && at + bytes.len() <= self.size, "it is not aligned, or not within")?;
        let count = self.written.replace(self.written.get() + 1);
        if let Some((_, error)) = self.fails.borrow().as_ref().filter(|(fails, _)| *fails == count) {
            return Err(error.clone());
        }
        self.note(Done::Wrote(at, bytes.len()));
        self.put(at, bytes);
        if let Some(lost) = self.loses.get().filter(|lost| (at..at + bytes.len()).contains(lost)) {
            self.put(lost, &[bytes[lost - at] ^ 4]);
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.note(Done::Flush);
        Ok(())
    }
}

impl Medium for Disk {
    fn discard(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        self.note(Done::Discard(at.0 as usize, length.0 as usize));
        Err(Error::os(95, "discard what is on"))
    }

    fn zero(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        let (at, length) = (at.0 as usize, length.0 as usize);
        let is_aligned = at.is_multiple_of(512) && length.is_multiple_of(512) && length > 0;
        require(is_aligned && at + length <= self.size, "it is not aligned, or not within")?;
        self.note(Done::Zeroed(at, length));
        self.put(at, &vec![0; length]);
        Ok(())
    }

    fn empty_cache(&self) -> Result<()> {
        self.note(Done::EmptyCache);
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

fn run(disk: &Disk, deed: Mode, content: &mut Pieces<'_>) -> Result<Totals> {
    run_on(disk, disk.size, deed, content)
}

fn run_on(disk: &dyn Medium, size: usize, deed: Mode, content: &mut Pieces<'_>) -> Result<Totals> {
    let size = ByteCount(size as u64);
    let partner = WriterProcess::start(DiskWriter::new(disk, size, deed)?, MEMORY)?;
    let mut pump = Pipeline::new(partner, size, SectorSize::B512);
    let mut prepare = |pump: &mut Pipeline| match deed {
        Mode::Compare => Ok(()),
        Mode::Write { .. } => pump.ask(Command::Prepare, &mut |_| {}),
    };
    transfer(&mut pump, content, &mut prepare, &mut |_, _, _, _| {})
}

const VERIFIED: Mode = Mode::Write { verify: true };

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
        assert!(disk.bytes().starts_with(&image), "{most} {told}");
        assert_eq!(disk.bytes()[image.len()..10 * MIB + 1024], [0; 324], "a sector is filled with zeros");
        assert_eq!(disk.bytes()[10 * MIB + 1024], 0xAA, "what is behind it stays");
        assert_eq!(run(&disk, Mode::Compare, &mut Pieces::of(&image, most, told)), Ok(poured));
        outcomes.push(poured);
    }
    // The MiB in front, 4 bytes, 3 MiB and 100 bytes, 2 bytes over the seam of two blocks, 3 bytes, and the rest.
    let bytes = MIB + BLOCK + 3 * MIB + BLOCK + 2 * BLOCK + BLOCK + 1024;
    let size = image.len() as u64;
    let zeros = 10 * MIB + 1024 - bytes;
    assert_eq!(outcomes, vec![Totals { size, bytes: bytes as u64, zeros: zeros as u64 }; outcomes.len()]);
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
    // So many bytes that the first of them are written before the last one comes.
    let image: Vec<u8> = (0..12 * MIB).map(|at| (at % 251) as u8 | 1).collect();
    let disk = Disk::new(13 * MIB);
    let mut content = Pieces::of(&image, usize::MAX, BLOCK);
    content.last = Err(Error::refused("read the image", "its SHA-256 is another"));
    assert_eq!(run(&disk, VERIFIED, &mut content).unwrap_err().kind, Kind::Refused);
    assert_eq!(disk.bytes()[..MIB], vec![0; MIB]);
    assert_eq!(disk.bytes()[MIB..3 * MIB], image[MIB..3 * MIB], "though the rest was begun");
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
        disk.fails.replace(Some((fails, Error::os(5, "write to"))));
        let error = run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
        assert_eq!((error.kind, error.doing), (Kind::Os(5), "write to"));
        assert!(error.why.starts_with("at byte "), "{error}");
        assert_eq!(disk.bytes()[..MIB], vec![0; MIB], "it does not look like a system");
    }
}

#[test]
fn what_fails_in_the_other_process_keeps_its_kind_and_its_reason() {
    let image = image();
    for (error, why) in [
        (Error::os(5, "write to"), "at byte 1048576"),
        (Error::new(Kind::Os(121), "write to", "the device says so"), "the device says so at byte 1048576"),
        (Error::corrupt("write to", "it ends too early"), "it ends too early at byte 1048576"),
        (Error::new(Kind::TimedOut, "wait for", "no answer"), "no answer at byte 1048576"),
    ] {
        let disk = Disk::new(12 * MIB);
        disk.fails.replace(Some((0, error.clone())));
        let found = run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
        assert_eq!((found.kind, found.doing, &*found.why), (error.kind, "write to", why));
    }
    // A disk that ends before it should is not one that holds other bytes.
    let disk = Disk::new(4 * MIB);
    let error = run_on(&disk, 12 * MIB, Mode::Compare, &mut Pieces::of(&vec![0xAA; 8 * MIB], usize::MAX, BLOCK));
    assert_eq!(error.unwrap_err().to_string(), "compare the image with: it ends too early at byte 3145728");
}

#[test]
fn a_disk_that_keeps_other_bytes_is_found_out_when_it_is_read_back() {
    let image = image();
    for lost in [300, 3 * MIB, 9 * MIB + 1] {
        let disk = Disk::new(12 * MIB);
        disk.loses.set(Some(lost));
        let error = run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
        assert_eq!((error.kind, error.doing), (Kind::Corrupt, "read back what was written to"), "{lost}");
        assert!(run(&disk, Mode::Write { verify: false }, &mut Pieces::of(&image, usize::MAX, BLOCK)).is_ok());
        let error = run(&disk, Mode::Compare, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
        assert_eq!((error.kind, &*error.why), (Kind::Corrupt, &*format!("they differ at byte {lost}")));
    }
}

#[test]
fn a_bit_where_zeros_belong_is_a_difference() {
    let (image, disk) = (image(), Disk::new(12 * MIB));
    run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap();
    disk.put(6 * MIB + 77, &[1]);
    let error = run(&disk, Mode::Compare, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
    assert_eq!(&*error.why, format!("they differ at byte {}", 6 * MIB + 77));
    disk.put(6 * MIB + 77, &[0]);
    disk.put(5, &[image[5] ^ 1]);
    let error = run(&disk, Mode::Compare, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
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
        assert!(disk.bytes().iter().take(MIB).all(|byte| [0, 0xAA].contains(byte)));
    }
}

#[test]
fn the_smallest_images_are_a_beginning_only() {
    for length in [1, 512, 700, MIB - 1, MIB, MIB + 1, MIB + REQUEST, MIB + 4 * REQUEST] {
        let image: Vec<u8> = (0..length).map(|at| (at % 251) as u8 | 1).collect();
        let disk = Disk::new(10 * MIB);
        let poured = run(&disk, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap();
        assert!(disk.bytes().starts_with(&image), "{length}");
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

/// A disk that keeps nothing before it is flushed, and whose power fails in the middle of a long discard.
struct Cut<'a> {
    disk: &'a Disk,
    cached: RefCell<Vec<(usize, Vec<u8>)>>,
}

impl ReadAt for Cut<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.disk.read_at(offset, buffer)
    }
}

impl WriteAt for Cut<'_> {
    fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()> {
        self.cached.borrow_mut().push((offset.0 as usize, bytes.to_vec()));
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.cached.take().iter().for_each(|(at, bytes)| self.disk.put(*at, bytes));
        Ok(())
    }
}

impl Medium for Cut<'_> {
    fn discard(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        // What is discarded may read as anything.
        self.disk.put(at.0 as usize, &vec![0x55; length.0 as usize / 2]);
        self.disk.note(Done::Discard(at.0 as usize, length.0 as usize));
        crate::sys::fork::terminate(crate::sys::fork::own_number() as u32);
        Ok(())
    }

    fn zero(&self, at: ByteCount, length: ByteCount) -> Result<()> {
        self.write_at(at, &vec![0; length.0 as usize])
    }

    fn empty_cache(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_power_cut_within_the_discard_leaves_no_table_over_missing_data() {
    let (image, disk) = (image(), Disk::new(12 * MIB));
    let cut = Cut { disk: &disk, cached: RefCell::default() };
    let error = run_on(&cut, disk.size, VERIFIED, &mut Pieces::of(&image, usize::MAX, BLOCK)).unwrap_err();
    assert_eq!(error.kind, Kind::Ended);
    let bytes = disk.bytes();
    assert!(
        matches!(*disk.done(), [Done::Discard(..)]) && bytes.contains(&0x55) && bytes.contains(&0xAA),
        "half of it"
    );
    assert!(bytes[..MIB] == vec![0; MIB] && bytes[11 * MIB..] == vec![0; MIB], "both tables are gone from the medium");
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
        crate::sys::fork::terminate(crate::sys::fork::own_number() as u32);
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
    let partner = WriterProcess::start(DiskWriter::new(&Deadly, size, VERIFIED).unwrap(), MEMORY).unwrap();
    let mut pump = Pipeline::new(partner, size, SectorSize::B512);
    let mut content = Pieces::of(&image, usize::MAX, BLOCK);
    let error = transfer(&mut pump, &mut content, &mut |_| Ok(()), &mut |_, _, _, _| {}).unwrap_err();
    assert_eq!((error.kind, &*error.why), (Kind::Ended, "the process that does it has ended"));
}

#[test]
fn that_a_disk_was_begun_is_known_before_its_first_byte_goes() {
    let folder = std::env::temp_dir().join(format!("wisp-begun-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, disk) = (folder.join("source"), folder.join("disk"));
    if let Some(device) = crate::image::target::tests::Loop::over(&disk, 8 << 20) {
        let begun = Cell::new(false);
        let write = |size: usize, confirm: &dyn Fn(&Block) -> Result<()>| {
            // That its digest is another is only known behind its last byte.
            std::fs::write(&source, vec![7; size]).unwrap();
            let checksum = Some(Checksum::parse("sha256", &"0".repeat(64)).unwrap());
            let expected = Expected { checksum, size: None };
            let (mut heard, source) = (0, source.to_str().unwrap());
            let (confirm, begun) = (Some(confirm), Some(&begun));
            let order = WriteOptions {
                source,
                expected,
                target: &device.0,
                raw: true,
                confirm,
                begun,
                ..WriteOptions::default()
            };
            let means = Environment { servers: &[], notify: &|_| {}, policy: crate::fetch::Policy::IMAGE, spool: None };
            let error = super::write(&order, means, &mut |progress| heard = progress.disk).unwrap_err();
            (error.kind, heard)
        };
        let refuse = |_: &Block| Err(Error::refused("write to", "it is another disk"));
        assert_eq!(write(MIB, &refuse), (Kind::Refused, 0));
        assert!(!begun.get() && std::fs::read(&disk).unwrap().iter().all(|byte| *byte == 0));
        let (kind, heard) = write(999, &|_| Ok(()));
        assert_eq!((kind.may_retry(), heard, begun.get()), (false, 0, false), "the beginning did not come");
        let (kind, heard) = write(MIB, &|_| Ok(()));
        assert_eq!((kind.may_retry(), heard, begun.get()), (false, 0, true), "no progress was shown, but it is begun");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
