//! A disk whose map says where its bytes are.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::digest::Digest;
use super::locator::Seekable;
use super::{Body, DOING, Piece};
use crate::bytes::ReadAt;
use crate::codec::Unpacker;
use crate::container::{Disk, Map, Packed, Place, Run};
use crate::error::{Error, Result};
use crate::sys::input::Extent;
use crate::text::checksum::Checksum;
use crate::units::ByteCount;

pub(super) struct RandomAccess<'a> {
    source: &'a dyn Seekable,
    map: Map<'a>,
    /// Where on the disk the next byte is.
    at: u64,
    /// What is left of the run that the next byte is in.
    run: Option<Run>,
    /// Bytes of the source that were read, or need not be.
    read: u64,
    /// Of a source that is read in the order of its bytes: so many of them are in the digest.
    digest: Option<Digest>,
    clusters: Clusters,
}

/// The packed clusters of an image.
struct Clusters {
    unpacker: Unpacker,
    packed: Vec<u8>,
    /// The cluster that did not fit into the caller's room, and where it was packed.
    cluster: Vec<u8>,
    held: Option<u64>,
}

impl<'a> RandomAccess<'a> {
    /// The disk of `map`, a map of `source`. With a digest, all of the disk must be stored in its own order from the
    /// source's first byte on, or `source` must be one that was checked.
    pub(super) fn new(source: &'a dyn Seekable, map: Map<'a>, checksum: Option<Checksum>) -> Self {
        let clusters = Clusters { unpacker: Unpacker::new(), packed: Vec::new(), cluster: Vec::new(), held: None };
        Self { source, map, at: 0, run: None, read: 0, digest: checksum.map(Digest::new), clusters }
    }

    /// One read, or zeros or the end, which only come when nothing else would come before them in one answer.
    fn step(&mut self, room: &mut [u8], is_first: bool) -> Result<Option<Piece>> {
        let Some(run) = self.current()? else {
            if is_first {
                self.finish()?;
            }
            return Ok(is_first.then_some(Piece::End));
        };
        // Its map was asked twice. A source that showed another one the second time must not slip bytes past the digest.
        if self.digest.is_some() && run.place != Place::Stored(self.at) {
            return Err(Error::corrupt(DOING, "it changed while it was being read"));
        }
        let fits = |count: u64| usize::try_from(count).map_or(room.len(), |count| count.min(room.len()));
        let count = match run.place {
            Place::Zero if is_first => {
                self.pass(run, run.length);
                return Ok(Some(Piece::Zeros(run.length)));
            }
            Place::Zero => return Ok(None),
            Place::Stored(start) => match self.source.extent(start) {
                Extent::Hole(_) if !is_first => return Ok(None),
                Extent::Hole(end) => {
                    let count = run.length.min(end.saturating_sub(start)).max(1);
                    if let Some(digest) = &mut self.digest {
                        digest.update_zeros(count);
                    }
                    self.read = self.read.saturating_add(count);
                    self.pass(run, count);
                    return Ok(Some(Piece::Zeros(count)));
                }
                Extent::Data(end) => {
                    let count = fits(run.length.min(end.saturating_sub(start)).max(1));
                    let now = room.get_mut(..count).unwrap_or_default();
                    self.source.read_at(ByteCount(start), now)?;
                    if let Some(digest) = &mut self.digest {
                        digest.update(now);
                    }
                    self.read = self.read.saturating_add(count as u64);
                    count
                }
            },
            Place::Packed(packed) => {
                let unit = usize::try_from(self.map.unit()).unwrap_or_default();
                if !is_first && room.len() < unit {
                    return Ok(None);
                }
                let count = fits(run.length);
                let now = room.get_mut(..unit.max(count).min(room.len())).unwrap_or_default();
                self.read = self.read.saturating_add(self.clusters.unpack(self.source, packed, unit, count, now)?);
                count
            }
        };
        self.pass(run, count as u64);
        Ok(Some(Piece::Bytes(count)))
    }

    /// What is left of the run that the next byte is in.
    fn current(&mut self) -> Result<Option<Run>> {
        if self.run.is_none() {
            self.run = self.map.run_at(self.at)?;
        }
        Ok(self.run)
    }

    /// Goes on behind `count` bytes of `run`.
    fn pass(&mut self, run: Run, count: u64) {
        self.at = self.at.saturating_add(count);
        let length = run.length.saturating_sub(count);
        let place = match run.place {
            Place::Zero => Place::Zero,
            Place::Stored(start) => Place::Stored(start.saturating_add(count)),
            Place::Packed(packed) => {
                Place::Packed(Packed { skip: packed.skip.saturating_add(count as usize), ..packed })
            }
        };
        self.run = (length > 0).then_some(Run { length, place });
    }

    /// Compares the digest, of which what follows the disk, a footer, is a part too.
    fn finish(&mut self) -> Result<()> {
        let Some(mut digest) = self.digest.take() else { return Ok(()) };
        let (mut at, size) = (self.at, self.source.size());
        let mut rest = vec![0; STEP];
        while at < size {
            let count = size.saturating_sub(at).min(STEP as u64) as usize;
            let now = rest.get_mut(..count).unwrap_or_default();
            self.source.read_at(ByteCount(at), now)?;
            digest.update(now);
            at = at.saturating_add(count as u64);
        }
        digest.check()
    }
}

impl<'a> Body<'a> for RandomAccess<'a> {
    fn next(&mut self, room: &mut [u8]) -> Result<Piece> {
        let mut filled = 0_usize;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.step(rest, filled == 0)? {
                Some(Piece::Bytes(count)) => filled = filled.saturating_add(count),
                Some(piece) => return Ok(piece),
                None => break,
            }
        }
        Ok(Piece::Bytes(filled))
    }

    fn read(&self) -> u64 {
        self.read
    }

    fn disk(&self) -> Result<Option<Box<dyn ReadAt + 'a>>> {
        let map = Map::open(self.source, ByteCount(self.source.size()))?;
        Ok(Some(Box::new(Disk::new(self.source, map))))
    }

    fn data(&self) -> Result<Option<ByteCount>> {
        if !self.source.is_near() {
            return Ok(None);
        }
        let mut map = Map::open(self.source, ByteCount(self.source.size()))?;
        let (mut at, mut data) = (0_u64, 0_u64);
        while let Some(run) = map.run_at(at)? {
            let (length, is_data) = match run.place {
                Place::Zero => (run.length, false),
                Place::Packed(_) => (run.length, true),
                Place::Stored(start) => match self.source.extent(start) {
                    Extent::Data(end) => (run.length.min(end.saturating_sub(start)).max(1), true),
                    Extent::Hole(end) => (run.length.min(end.saturating_sub(start)).max(1), false),
                },
            };
            at = at.saturating_add(length);
            data = data.saturating_add(if is_data { length } else { 0 });
        }
        Ok(Some(ByteCount(data)))
    }
}

/// Bytes of what follows the disk that are hashed at once.
const STEP: usize = 128 << 10;

impl Clusters {
    /// Puts `count` bytes of a cluster of at most `unit` bytes into `room`, and returns how many were read for it.
    fn unpack(
        &mut self,
        source: &dyn Seekable,
        packed: Packed,
        unit: usize,
        count: usize,
        room: &mut [u8],
    ) -> Result<u64> {
        let too_short = || Error::corrupt(DOING, "a cluster is too short");
        let is_held = self.held == Some(packed.at);
        if !is_held {
            self.packed.resize(packed.length, 0);
            source.read_at(ByteCount(packed.at), &mut self.packed)?;
        }
        if packed.skip == 0 && room.len() == unit && !is_held {
            let length = self.unpacker.unpack(packed.packing, &self.packed, room)?;
            return if length < count { Err(too_short()) } else { Ok(packed.length as u64) };
        }
        if !is_held {
            self.held = None;
            self.cluster.resize(unit, 0);
            let length = self.unpacker.unpack(packed.packing, &self.packed, &mut self.cluster)?;
            self.cluster.truncate(length);
            self.held = Some(packed.at);
        }
        let part = self.cluster.get(packed.skip..).and_then(|part| part.get(..count)).ok_or_else(too_short)?;
        room.get_mut(..count).ok_or_else(too_short)?.copy_from_slice(part);
        Ok(if is_held { 0 } else { packed.length as u64 })
    }
}
