//! Whether an image is on a disk already, so that a machine whose command line stays the same does not write it at every
//! boot.
//!
//! wisp leaves no mark of its own on a disk that is somebody's image. What it goes by is there anyhow: the partitions of
//! both, by number, UUID and first sector, or the UUID of the filesystem where there are none. These live through growing
//! and through the life of most systems; one that gives its partitions new UUIDs is written again, and another build of
//! an image with the UUIDs of the former is not (`wisp.image.again`). Of the image its first MiB is read. A disk to which
//! something was not written to the end has none of it, as its first MiB comes last.

#![forbid(unsafe_code)]

use crate::bytes::ReadAt;
use crate::error::Result;
use crate::filesystem;
use crate::image::{Content as _, Expected, Means, Piece, Source};
use crate::probe::block::Block;
use crate::sys::block::{Access, Device};
use crate::table::{self, Geometry};
use crate::units::{ByteCount, MIB};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Whether what `target` holds seems to be the image `name`.
///
/// # Errors
/// Those of [`Source`].
pub fn is_there(name: &str, means: Means<'_>, target: &Block) -> Result<bool> {
    let device = Device::open(&target.node(), Access::Read)?;
    let sector = device.sector_size()?;
    let geometry = Geometry { sector, sectors: sector.sectors_in(target.size) };
    let there = marks(&device, geometry);
    if there.is_empty() {
        return Ok(false);
    }
    let mut source = Source::open(name, means)?;
    let head = Head(read_head(&mut source.image(&Expected::default())?)?);
    Ok(marks(&head, geometry) == there)
}

/// What tells a disk from others; empty where nothing does.
fn marks(disk: &dyn ReadAt, geometry: Geometry) -> Vec<String> {
    let size = ByteCount(geometry.sectors.saturating_mul(geometry.sector.bytes()));
    match table::read(disk, geometry) {
        Ok(Some(table)) => {
            let mark = |it: &table::Partition| format!("{} {} {}", it.number, it.uuid, it.first);
            table.partitions().iter().map(mark).collect()
        }
        Ok(None) => filesystem::recognise(disk, size).ok().flatten().and_then(|it| it.uuid).into_iter().collect(),
        Err(_) => Vec::new(),
    }
}

/// The first MiB, or what there is of it.
fn read_head(image: &mut crate::image::Image<'_>) -> Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(MIB).unwrap_or(0)];
    let mut at = 0usize;
    while let Some(room) = head.get_mut(at..).filter(|room| !room.is_empty()) {
        let count = match image.next(room)? {
            Piece::Bytes(count) => count,
            Piece::Zeros(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Piece::End => break,
        };
        at = at.saturating_add(count);
    }
    Ok(head)
}

/// A disk of which only the beginning is known; behind it are zeros, for all that is asked here.
struct Head(Vec<u8>);

impl ReadAt for Head {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let from = usize::try_from(offset.0).unwrap_or(usize::MAX);
        let known = self.0.get(from..).unwrap_or_default();
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = known.get(at).copied().unwrap_or(0);
        }
        Ok(())
    }
}
