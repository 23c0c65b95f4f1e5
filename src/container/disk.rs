//! The disk inside an image, read at any offset: for anyone who looks for partitions and files on it, and need not care
//! what it comes in. Who reads all of it asks the [`Map`] instead, and is spared the zeros.

use alloc::vec::Vec;
use core::cell::RefCell;

use super::corrupt;
use super::map::{Map, Packed, Place, Run};
use crate::bytes::ReadAt;
use crate::codec::Unpacker;
use crate::error::Result;
use crate::units::ByteCount;

const DOING: &str = "read the disk in the image";

/// A disk in an image. Beside the map's memory it holds one cluster, packed and unpacked: 6 MiB with the largest.
pub struct Disk<'a> {
    source: &'a dyn ReadAt,
    size: ByteCount,
    state: RefCell<State<'a>>,
}

struct State<'a> {
    map: Map<'a>,
    unpacker: Unpacker,
    /// The run that was met last, behind its offset on the disk.
    run: Option<(u64, Run)>,
    packed: Vec<u8>,
    cluster: Vec<u8>,
    /// Where in the file the cluster that is held was, and how much of it there is.
    held: Option<(u64, usize)>,
}

impl<'a> Disk<'a> {
    /// The disk of `map`, which is a map of `source`.
    #[must_use]
    pub fn new(source: &'a dyn ReadAt, map: Map<'a>) -> Self {
        let cluster = alloc::vec![0; usize::try_from(map.unit()).unwrap_or_default()];
        let size = map.size();
        let state = State { map, unpacker: Unpacker::new(), run: None, packed: Vec::new(), cluster, held: None };
        Self { source, size, state: RefCell::new(state) }
    }

    /// Its size.
    #[must_use]
    pub const fn size(&self) -> ByteCount {
        self.size
    }
}

impl ReadAt for Disk<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let Ok(mut state) = self.state.try_borrow_mut() else { return Err(corrupt(DOING, "it is being read")) };
        let (mut at, mut rest) = (offset.0, buffer);
        while !rest.is_empty() {
            let (skip, run) = state.run_at(at)?;
            let left = usize::try_from(run.length.saturating_sub(skip)).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(left.min(rest.len()));
            match run.place {
                Place::Zero => now.fill(0),
                Place::Stored(start) => self.source.read_at(ByteCount(start.saturating_add(skip)), now)?,
                Place::Packed(packed) => {
                    let start = packed.skip.saturating_add(skip as usize);
                    let cluster = state.unpacked(self.source, packed)?;
                    let part = cluster.get(start..).and_then(|part| part.get(..now.len()));
                    now.copy_from_slice(part.ok_or_else(|| corrupt(DOING, "a cluster is too short"))?);
                }
            }
            at = at.saturating_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }
}

impl State<'_> {
    /// The run that `at` is in, and how far.
    fn run_at(&mut self, at: u64) -> Result<(u64, Run)> {
        if let Some((start, run)) = self.run
            && let Some(skip) = at.checked_sub(start).filter(|skip| *skip < run.length)
        {
            return Ok((skip, run));
        }
        let run = self.map.run_at(at)?.ok_or_else(|| corrupt(DOING, "the range lies behind the end"))?;
        self.run = Some((at, run));
        Ok((0, run))
    }

    fn unpacked(&mut self, source: &dyn ReadAt, packed: Packed) -> Result<&[u8]> {
        let length = match self.held {
            Some((at, length)) if at == packed.at => length,
            _ => {
                self.held = None;
                self.packed.resize(packed.length, 0);
                source.read_at(ByteCount(packed.at), &mut self.packed)?;
                let length = self.unpacker.unpack(packed.packing, &self.packed, &mut self.cluster)?;
                self.held = Some((packed.at, length));
                length
            }
        };
        Ok(self.cluster.get(..length).unwrap_or_default())
    }
}

/// The disk in `file`, for the tests of the formats; of one that claims to be larger than `limit`, as much.
#[cfg(test)]
pub(super) fn contents(file: &[u8], limit: usize) -> Result<Vec<u8>> {
    let map = Map::open(&file, ByteCount(file.len() as u64))?;
    let mut disk = alloc::vec![0; usize::try_from(map.size().0).map_or(limit, |size| size.min(limit))];
    Disk::new(&file, map).read_at(ByteCount(0), &mut disk)?;
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn nothing_is_behind_the_end() {
        let bytes: Vec<u8> = (0..=255).collect();
        let bytes = bytes.as_slice();
        let disk = Disk::new(&bytes, Map::open(&bytes, ByteCount(256)).unwrap());
        let mut buffer = [0; 4];
        assert_eq!((disk.size(), disk.read_at(ByteCount(252), &mut buffer)), (ByteCount(256), Ok(())));
        assert_eq!(buffer, [252, 253, 254, 255]);
        for at in [253, 256, u64::MAX] {
            assert_eq!(disk.read_at(ByteCount(at), &mut buffer).unwrap_err().kind, Kind::Corrupt);
        }
        assert_eq!(disk.read_at(ByteCount(u64::MAX), &mut []), Ok(()));
    }
}
