//! The table of formats: where each one's magic lies, in which order they are asked, which ranges are read.
//!
//! **The order decides** where two formats are found. Members of an array come first: a mirror with metadata 1.0 has
//! an ordinary filesystem at its start. Then come containers, then filesystems by where they lie: anyone who makes one
//! overwrites what lay at its place, so what is nearer to the start is newer. FAT, which has no magic of its own, is
//! the last of those at the start. ZFS is asked last of all: its labels at the end of a device outlive a later mkfs.
//! `blkid` calls two filesystems ambivalent and names neither; wisp names the first in this order, which is the one
//! that the kernel would mount.
//!
//! A magic whose superblock contradicts itself, or an end of the device that cannot be read, is an error only when
//! nothing sound is found elsewhere.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::OnceCell;

use super::end_signatures::{self, SIGNATURE_LENGTH, Signature};
use super::{
    Superblock, bcache, btrfs, ext, f2fs, fat_exfat_ntfs, luks, lvm, raid, squashfs_erofs_iso, swap, xfs, zfs,
};
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::ByteCount;

/// A superblock whose magic matched.
pub(super) struct Found<'a> {
    /// From its first byte to the end of what was read.
    pub(super) bytes: &'a [u8],
    /// Where its first byte lies on the device.
    pub(super) offset: u64,
    /// The magic that matched, for formats with several.
    pub(super) magic: &'static [u8],
}

/// A range of the device, read when the first format asks for it.
#[derive(Clone, Copy)]
enum Region {
    /// The first 8 KiB: all that most formats need.
    Start,
    /// The first 72 KiB: btrfs at 64 KiB, ISO 9660 at 32 KiB, the swap magic of 64 KiB pages, the first ZFS label.
    Head,
    /// Where md metadata 1.0 lies.
    Raid10,
    /// Where md metadata 0.90 lies.
    Raid090,
    /// The last 4 KiB, read with `Raid10`.
    LastPage,
    /// The description in the last label of a ZFS pool member.
    LastZfsLabel,
}

impl Region {
    /// Whether it lies at the end of the device, where no filesystem that wisp mounts or grows has its superblock.
    const fn is_tail(self) -> bool {
        matches!(self, Self::Raid10 | Self::Raid090 | Self::LastPage | Self::LastZfsLabel)
    }
}

/// How many regions there are.
const REGIONS: usize = 5;
/// Enough of a superblock at the end of a device; none that is read there needs more.
const TAIL_LENGTH: u64 = 4096;
/// From md metadata 1.0 to the end: 8 KiB and what its alignment to 4 KiB adds.
const LAST_PAGES: u64 = 12 << 10;

/// One row of the table.
struct Format {
    region: Region,
    /// Pairs: where in the region the superblock starts, and where its magic lies, both from the region's start.
    places: &'static [(usize, usize)],
    magics: &'static [&'static [u8]],
    /// Reads the superblock; `None` when a weak magic turns out to be chance.
    parse: fn(&Found<'_>) -> Result<Option<Superblock>>,
}

/// In the order in which they are asked.
const FORMATS: &[Format] = &[
    Format { region: Region::Start, places: &[(0, 0), (4096, 4096)], magics: &[&raid::MAGIC], parse: raid::parse_1 },
    Format { region: Region::Raid10, places: &[(0, 0)], magics: &[&raid::MAGIC], parse: raid::parse_1 },
    Format { region: Region::Raid090, places: &[(0, 0)], magics: &[&raid::MAGIC], parse: raid::parse_0 },
    Format { region: Region::Start, places: &[(0, 0)], magics: &[b"LUKS\xba\xbe"], parse: luks::parse },
    Format {
        region: Region::Start,
        places: &[(0, 0), (512, 512), (1024, 1024), (1536, 1536)],
        magics: &[b"LABELONE"],
        parse: lvm::parse,
    },
    Format { region: Region::Start, places: &[(0, 0)], magics: &[b"XFSB"], parse: xfs::parse },
    Format { region: Region::Start, places: &[(1024, 1024 + 0x38)], magics: &[b"\x53\xef"], parse: ext::parse },
    Format { region: Region::Start, places: &[(1024, 1024)], magics: &[b"\x10\x20\xf5\xf2"], parse: f2fs::parse },
    Format {
        region: Region::Start,
        places: &[(1024, 1024)],
        magics: &[b"\xe2\xe1\xf5\xe0"],
        parse: squashfs_erofs_iso::parse_erofs,
    },
    Format { region: Region::Start, places: &[(0, 0)], magics: &[b"hsqs"], parse: squashfs_erofs_iso::parse_squashfs },
    Format {
        region: Region::Start,
        places: &[(4096, 4096 + 24)],
        magics: &[&bcache::BCACHEFS_MAGIC, &bcache::BCACHE_MAGIC],
        parse: bcache::parse,
    },
    Format { region: Region::Start, places: &[(1024, 0)], magics: &[swap::TUXONICE], parse: swap::parse },
    Format {
        region: Region::Start,
        places: &[(1024, 4096 - 10), (1024, 8192 - 10)],
        magics: swap::MAGICS,
        parse: swap::parse,
    },
    Format { region: Region::Start, places: &[(0, 3)], magics: &[b"EXFAT   "], parse: fat_exfat_ntfs::parse_exfat },
    Format { region: Region::Start, places: &[(0, 3)], magics: &[b"NTFS    "], parse: fat_exfat_ntfs::parse_ntfs },
    Format { region: Region::Start, places: &[(0, 510)], magics: &[b"\x55\xaa"], parse: fat_exfat_ntfs::parse_vfat },
    Format { region: Region::Head, places: &[(65536, 65536 + 64)], magics: &[b"_BHRfS_M"], parse: btrfs::parse },
    Format {
        region: Region::Head,
        places: &[(1024, 16384 - 10), (1024, 32768 - 10), (1024, 65536 - 10)],
        magics: swap::MAGICS,
        parse: swap::parse,
    },
    Format {
        region: Region::Head,
        places: squashfs_erofs_iso::UDF_PLACES,
        magics: squashfs_erofs_iso::UDF_MAGICS,
        parse: squashfs_erofs_iso::parse_udf,
    },
    Format {
        region: Region::Head,
        places: &[(32768, 32769)],
        magics: &[b"CD001"],
        parse: squashfs_erofs_iso::parse_iso9660,
    },
    Format { region: Region::Head, places: &[(16384, 16384)], magics: zfs::MAGICS, parse: zfs::parse },
    Format { region: Region::LastZfsLabel, places: &[(0, 0)], magics: zfs::MAGICS, parse: zfs::parse },
    Format {
        region: Region::LastPage,
        places: &[(0, end_signatures::DRBD_MAGIC_AT)],
        magics: end_signatures::DRBD_MAGICS,
        parse: end_signatures::parse_drbd,
    },
    Format {
        region: Region::Start,
        places: &[(1024, 1024 + end_signatures::NILFS_MAGIC_AT)],
        magics: &[&end_signatures::NILFS_MAGIC],
        parse: end_signatures::parse_nilfs,
    },
    Format {
        region: Region::LastPage,
        places: &[(0, end_signatures::NILFS_MAGIC_AT)],
        magics: &[&end_signatures::NILFS_MAGIC],
        parse: end_signatures::parse_nilfs,
    },
];

/// What `device`, of `size` bytes, holds; `None` when it is nothing known.
///
/// # Errors
/// `Corrupt` when a magic matches, its superblock contradicts itself, and nothing else is found; whatever `device`
/// returns when its start cannot be read, or its end cannot and nothing else is found.
pub fn detect(device: &dyn ReadAt, size: ByteCount) -> Result<Option<Superblock>> {
    search(device, size, &|_| true).map(|found| found.map(|(superblock, _)| superblock))
}

/// The same for a superblock at an offset for which `counts` holds, with that offset.
pub(super) fn search(
    device: &dyn ReadAt,
    size: ByteCount,
    counts: &dyn Fn(u64) -> bool,
) -> Result<Option<(Superblock, u64)>> {
    let ranges = Ranges { device, size: size.0, read: [const { OnceCell::new() }; REGIONS] };
    let mut complaint = None;
    for format in FORMATS {
        match ranges.ask(format, counts) {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(Complaint::Corrupt(error)) => complaint = complaint.or(Some(error)),
            Err(Complaint::Unreadable(error)) if format.region.is_tail() => complaint = complaint.or(Some(error)),
            Err(Complaint::Unreadable(error)) => return Err(error),
        }
    }
    complaint.map_or(Ok(None), Err)
}

/// Every signature at the end of `device`, if it has `size` bytes.
///
/// # Errors
/// Whatever `device` returns when it cannot be read.
pub(super) fn find_at_end(device: &dyn ReadAt, size: ByteCount) -> Result<Vec<Signature>> {
    let ranges = Ranges { device, size: size.0, read: [const { OnceCell::new() }; REGIONS] };
    let mut all = Vec::new();
    for format in FORMATS.iter().filter(|format| format.region.is_tail()) {
        match ranges.ask(format, &|_| true) {
            Ok(found) => all.extend(found.map(|(superblock, at)| Signature {
                kind: superblock.kind,
                at: ByteCount(at),
                length: SIGNATURE_LENGTH,
            })),
            Err(Complaint::Unreadable(error)) => return Err(error),
            // What contradicts itself is taken for nothing by anyone who reads it later.
            Err(Complaint::Corrupt(_)) => {}
        }
    }
    Ok(all)
}

/// Why a format was not found.
enum Complaint {
    /// The device failed.
    Unreadable(Error),
    /// The magic matches and the superblock contradicts itself.
    Corrupt(Error),
}

/// The regions of one device, each read at most once.
struct Ranges<'a> {
    device: &'a dyn ReadAt,
    size: u64,
    read: [OnceCell<(u64, Vec<u8>)>; REGIONS],
}

impl Ranges<'_> {
    /// The superblock of `format`, and where it lies, if that place counts.
    fn ask(
        &self,
        format: &Format,
        counts: &dyn Fn(u64) -> bool,
    ) -> core::result::Result<Option<(Superblock, u64)>, Complaint> {
        let (start, bytes) = self.region(format.region).map_err(Complaint::Unreadable)?;
        let mut complaint = None;
        for &(superblock_at, magic_at) in format.places {
            let (Some(bytes), Some(behind)) = (bytes.get(superblock_at..), bytes.get(magic_at..)) else { continue };
            let Some(magic) = format.magics.iter().find(|magic| behind.starts_with(magic)) else { continue };
            let offset = u64::try_from(superblock_at).map_or(u64::MAX, |at| start.saturating_add(at));
            match (format.parse)(&Found { bytes, offset, magic }) {
                Ok(Some(superblock)) if counts(offset) => return Ok(Some((superblock, offset))),
                Ok(_) => {}
                Err(error) => complaint = complaint.or(Some(Complaint::Corrupt(error))),
            }
        }
        complaint.map_or(Ok(None), Err)
    }

    /// Where `region` starts on the device, and its bytes: fewer or none when the device is too small for it.
    fn region(&self, region: Region) -> Result<(u64, &[u8])> {
        if let Region::LastPage = region {
            let (start, bytes) = self.region(Region::Raid10)?;
            let Some(at) = end_signatures::last_page(self.size) else { return Ok((0, &[])) };
            let inside = at.checked_sub(start).and_then(|inside| usize::try_from(inside).ok());
            return Ok((at, inside.and_then(|inside| bytes.get(inside..)).unwrap_or_default()));
        }
        let (slot, start, length) = match region {
            Region::Start => (0, Some(0), 8 << 10),
            Region::Head => (1, Some(0), 72 << 10),
            Region::Raid10 | Region::LastPage => (2, raid::offset_1_0(self.size), LAST_PAGES),
            Region::Raid090 => (3, raid::offset_0_90(self.size), TAIL_LENGTH),
            Region::LastZfsLabel => (4, zfs::last_description(self.size), TAIL_LENGTH),
        };
        let (Some(start), Some(cell)) = (start, self.read.get(slot)) else { return Ok((0, &[])) };
        if cell.get().is_none() {
            let length = usize::try_from(self.size.saturating_sub(start).min(length)).unwrap_or(0);
            let mut bytes = vec![0; length];
            self.device.read_at(ByteCount(start), &mut bytes)?;
            // The cell was seen empty just above, and no other process holds it.
            let _ = cell.set((start, bytes));
        }
        Ok(cell.get().map_or((0, &[]), |(start, bytes)| (*start, bytes.as_slice())))
    }
}
