//! Where the bytes of a disk lie in its image.

use alloc::boxed::Box;
use alloc::vec;

use super::format::{Format, START};
use super::{corrupt, qcow2, vhd, vmdk};
use crate::bytes::ReadAt;
use crate::codec::Packing;
use crate::error::{Error, Result};
use crate::units::ByteCount;

const DOING: &str = "read the image";

/// Pieces that are put together in one answer: a GiB of qcow2's usual clusters has a quarter of that. It bounds how
/// long an answer takes, not what it means.
const PIECES: usize = 64 << 10;

/// The largest cluster or grain, and so the largest buffer that packed data needs; qcow2 has none larger.
pub(super) const LARGEST_UNIT: u64 = 2 << 20;

/// Part of a disk that is all of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// At least one byte.
    pub length: u64,
    /// Where the first of these bytes is.
    pub place: Place,
}

/// Where bytes of a disk are in its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: they read as zeros.
    Zero,
    /// At this offset of the file, as they are.
    Stored(u64),
    /// In packed data; the run ends where that ends.
    Packed(Packed),
}

/// A cluster that [`Unpacker`](crate::codec::Unpacker) unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Where in the file the packed data begins.
    pub at: u64,
    /// Bytes from there that hold it, and perhaps a few more; at most twice [`Map::unit`].
    pub length: usize,
    /// How it is packed.
    pub packing: Packing,
    /// How many unpacked bytes come before the run's first: none, unless the run was asked for in mid cluster. At least
    /// this and the run's length together must come out.
    pub skip: usize,
}

/// What a format knows of its tables.
pub(super) trait Pieces {
    /// What is at `at`, below the disk's size, and how far that reaches: one cluster or many.
    fn piece(&mut self, source: &dyn ReadAt, at: u64) -> Result<Run>;
}

/// What a format makes of a file.
pub(super) struct Opened {
    pub(super) pieces: Box<dyn Pieces>,
    /// Bytes of the disk.
    pub(super) size: u64,
    pub(super) unit: u64,
    pub(super) variant: &'static str,
}

/// An open image: the disk's size, and where its bytes are.
///
/// Memory, whatever the image: two windows of 64 KiB onto its tables.
pub struct Map<'a> {
    source: &'a dyn ReadAt,
    format: Format,
    opened: Opened,
}

impl<'a> Map<'a> {
    /// Opens the image that `source`, of `size` bytes, is; what is of no known format is raw.
    ///
    /// # Errors
    /// `Corrupt` when it contradicts its format or ends too early, `Unsupported` when it is, or has, what wisp does not
    /// read, and is a tar; `Refused` when it is only the difference to another image; those of `source`.
    pub fn open(source: &'a dyn ReadAt, size: ByteCount) -> Result<Self> {
        let mut start = vec![0; usize::try_from(size.0).map_or(START, |size| size.min(START))];
        source.read_at(ByteCount(0), &mut start)?;
        let format = Format::detect(&start)?;
        let (format, opened) = match format {
            Format::Qcow2 => (format, qcow2::open(source, size.0)?),
            Format::Vhd => (format, vhd::open_dynamic(source, size.0)?),
            Format::Vmdk => (format, vmdk::open(source, size.0)?),
            Format::Tar => {
                return Err(Error::unsupported(DOING, "an image in a tar is read from beginning to end only"));
            }
            Format::Raw => match vhd::open_fixed(source, size.0)? {
                Some(opened) => (Format::Vhd, opened),
                None => (format, stored(size.0, "")),
            },
        };
        Ok(Self { source, format, opened })
    }

    /// What it is.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Which kind of its format, such as `version 3` or `dynamic`; empty where there is one only.
    #[must_use]
    pub const fn variant(&self) -> &'static str {
        self.opened.variant
    }

    /// The disk's size.
    #[must_use]
    pub const fn size(&self) -> ByteCount {
        ByteCount(self.opened.size)
    }

    /// What packed data unpacks to at most, a power of two up to 2 MiB; 0 when the format packs none.
    #[must_use]
    pub const fn unit(&self) -> u64 {
        self.opened.unit
    }

    /// What lies at `at` and on, as far as it is of one kind and in one piece; `None` behind the end of the disk. A run
    /// of zeros or stored bytes may go on in the next one: no answer looks at more than 65,536 clusters.
    ///
    /// # Errors
    /// `Corrupt` when a table, or what it points at, is not in the file or contradicts the format; those of the source.
    pub fn run_at(&mut self, at: u64) -> Result<Option<Run>> {
        if at >= self.opened.size {
            return Ok(None);
        }
        let mut run = self.piece(at)?;
        for _ in 0..PIECES {
            let end = at.saturating_add(run.length);
            let expected = match run.place {
                Place::Packed(_) => break,
                Place::Zero => Place::Zero,
                Place::Stored(start) => Place::Stored(start.saturating_add(run.length)),
            };
            if end >= self.opened.size {
                break;
            }
            // What is wrong with the next piece is reported when it is asked for.
            match self.piece(end) {
                Ok(next) if next.place == expected => run.length = run.length.saturating_add(next.length),
                _ => break,
            }
        }
        Ok(Some(run))
    }

    fn piece(&mut self, at: u64) -> Result<Run> {
        let mut run = self.opened.pieces.piece(self.source, at)?;
        run.length = run.length.min(self.opened.size.saturating_sub(at));
        if run.length == 0 {
            return Err(corrupt(DOING, "its tables lead nowhere"));
        }
        Ok(run)
    }
}

/// A disk that lies in its file from the first byte on.
struct Stored(u64);

impl Pieces for Stored {
    fn piece(&mut self, _: &dyn ReadAt, at: u64) -> Result<Run> {
        Ok(Run { length: self.0.saturating_sub(at), place: Place::Stored(at) })
    }
}

pub(super) fn stored(size: u64, variant: &'static str) -> Opened {
    Opened { pieces: Box::new(Stored(size)), size, unit: 0, variant }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use alloc::vec::Vec;

    /// One piece of four bytes for each entry.
    struct Listed(Vec<Place>);

    impl Pieces for Listed {
        fn piece(&mut self, _: &dyn ReadAt, at: u64) -> Result<Run> {
            let skip = at % 4;
            let place = *self.0.get((at / 4) as usize).ok_or_else(|| corrupt(DOING, "no more"))?;
            let place = if let Place::Stored(start) = place { Place::Stored(start + skip) } else { place };
            Ok(Run { length: 4 - skip, place })
        }
    }

    fn runs(places: Vec<Place>, size: u64) -> Vec<Run> {
        let opened = Opened { pieces: Box::new(Listed(places)), size, unit: 4, variant: "" };
        let empty: &[u8] = &[];
        let mut map = Map { source: &empty, format: Format::Raw, opened };
        let (mut runs, mut at) = (Vec::new(), 0);
        while let Some(run) = map.run_at(at).unwrap() {
            at += run.length;
            runs.push(run);
        }
        assert_eq!(at, size);
        runs
    }

    #[test]
    fn pieces_that_follow_each_other_are_one_run() {
        let packed = Place::Packed(Packed { at: 0, length: 1, packing: Packing::Zstd, skip: 0 });
        let stored = Place::Stored;
        let places =
            alloc::vec![Place::Zero, Place::Zero, stored(8), stored(12), stored(8), packed, packed, Place::Zero];
        let run = |length, place| Run { length, place };
        assert_eq!(
            runs(places, 30),
            [
                run(8, Place::Zero),
                run(8, stored(8)),
                run(4, stored(8)),
                run(4, packed),
                run(4, packed),
                run(2, Place::Zero)
            ]
        );
        assert_eq!(runs(Vec::new(), 0), []);
    }

    #[test]
    fn an_answer_looks_at_so_many_pieces() {
        let count = 2 * PIECES + 10;
        let runs = runs(alloc::vec![Place::Zero; count], 4 * count as u64);
        assert_eq!(runs.len(), 2 + 1);
    }

    #[test]
    fn anything_else_is_raw() {
        for bytes in [&[][..], b"x", &[7; 600]] {
            let mut map = Map::open(&bytes, ByteCount(bytes.len() as u64)).unwrap();
            assert_eq!((map.format(), map.size().0, map.unit()), (Format::Raw, bytes.len() as u64, 0));
            let all = Run { length: bytes.len() as u64, place: Place::Stored(0) };
            assert_eq!(map.run_at(0).unwrap(), (!bytes.is_empty()).then_some(all));
            assert_eq!(map.run_at(u64::MAX), Ok(None));
        }
        let longer = Map::open(&[0_u8; 8].as_slice(), ByteCount(9)).err().unwrap();
        assert_eq!(longer.kind, Kind::Corrupt);
    }
}
