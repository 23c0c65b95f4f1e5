//! Whether an image is on a disk already, so that a machine whose command line stays the same does not write it at every
//! boot.
//!
//! wisp leaves no mark of its own on a disk that is someone's image. What it goes by is there anyhow: the partitions of
//! both, by number, UUID and first sector, or the UUID of the filesystem where there are none. These live through growing
//! and through the life of most systems; one that gives its partitions new UUIDs is written again, and another build of
//! an image with the UUIDs of the former is not (`wisp.image.again`). Of the image its first MiB is read. A disk to which
//! something was not written to the end has none of it, as its first MiB comes last.

#![forbid(unsafe_code)]

use crate::bytes::ReadAt;
use crate::error::Result;
use crate::filesystem;
use crate::image::{Content as _, Environment, Expected, Piece, Source};
use crate::probe::block::Block;
use crate::sys::block::Access;
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
pub fn is_there(name: &str, means: Environment<'_>, target: &Block) -> Result<bool> {
    let device = target.open(Access::Read)?;
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
        Ok(None) => filesystem::detect(disk, size).ok().flatten().and_then(|it| it.uuid).into_iter().collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::SectorSize;

    const DISK: Geometry = Geometry { sector: SectorSize::B512, sectors: 1 << 20 };

    /// A boot record with this signature and one partition from `first`, so many sectors long.
    fn disk(signature: u32, first: u32, length: u32) -> Head {
        let mut record = vec![0; 512];
        record[440..444].copy_from_slice(&signature.to_le_bytes());
        record[450] = 0x83;
        record[454..458].copy_from_slice(&first.to_le_bytes());
        record[458..462].copy_from_slice(&length.to_le_bytes());
        record[510..].copy_from_slice(&[0x55, 0xaa]);
        Head(record)
    }

    #[test]
    fn a_disk_that_has_grown_is_the_same_and_another_one_is_not() {
        let there = marks(&disk(7, 2048, 4096), DISK);
        assert_eq!(there, ["1 00000007-01 2048"]);
        assert_eq!(marks(&disk(7, 2048, 8192), DISK), there);
        for other in [disk(8, 2048, 4096), disk(7, 4096, 4096)] {
            assert_ne!(marks(&other, DISK), there);
        }
    }

    #[test]
    fn what_was_not_written_to_the_end_is_nothing() {
        assert!(marks(&Head(vec![0; 4096]), DISK).is_empty());
        assert!(marks(&Head(Vec::new()), DISK).is_empty());
    }
}
