//! What claims a disk as a whole although it shows a partition table: a member of a RAID whose metadata lies at the end
//! of the disk, or a database of Windows' dynamic disks.
//!
//! Such a disk shows the partitions of the array. Growing one of them there would overwrite the metadata. Offsets and
//! magics are those of libblkid's probes (`libblkid/src/superblocks/*_raid.c`), which counts in sectors of 512 bytes from
//! the end whatever the disk's own sector is; mdadm puts Intel's metadata on sectors of the disk. At most four reads.

use alloc::vec;
use alloc::vec::Vec;

use super::registry;
use super::{Kind, Superblock};
use crate::bytes::{ByteReader, ReadAt};
use crate::error::Result;
use crate::units::{ByteCount, SectorSize};

const DOING: &str = "read the RAID metadata of";
/// The unit in which libblkid counts.
const SECTOR: u64 = 512;
/// The smallest disk that libblkid takes for a member; below, the offsets from the end have no meaning.
const LEAST_DISK: u64 = 0x30000;
/// Sectors from the end that are read at once: all places but one of Promise's.
const TAIL_SECTORS: u64 = 991;
/// Where the private header of a dynamic disk lies on an MBR disk (the kernel's `block/partitions/ldm.h`, `OFF_PRIV1`).
const LDM_HEADER: u64 = 6 * SECTOR;
/// Where `HighPoint` HPT37x keeps its magic, from the start.
const HPT37X: u64 = 9 * SECTOR + 32;

/// One row of the table.
struct Format {
    /// The word that `blkid` prints as `TYPE`.
    name: &'static str,
    /// Where the metadata may lie, in sectors from the end.
    sectors: &'static [u64],
    /// Where the magic lies in it.
    at: usize,
    magics: &'static [&'static [u8]],
    /// Whether the rest agrees, for weak magics.
    agrees: fn(ByteReader<'_>) -> Result<bool>,
}

const FORMATS: &[Format] = &[
    strong("isw_raid_member", &[2], &[b"Intel Raid ISM Cfg Sig. "]),
    strong("ddf_raid_member", &[1, 257], &[b"\xde\x11\xde\x11", b"\x11\xde\x11\xde"]),
    strong("lsi_mega_raid_member", &[1], &[b"$XIDE$"]),
    strong("nvidia_raid_member", &[2], &[b"NVIDIA"]),
    strong("jmicron_raid_member", &[1], &[b"JM"]),
    strong("hpt45x_raid_member", &[11], &[b"\xf3\x16\x78\x5a", b"\xfd\x16\x78\x5a"]),
    strong(
        "promise_fasttrack_raid_member",
        &[16, 63, 255, 256, 399, 591, 675, 735, 911, 951, 974, 991, 3087],
        &[b"Promise Technology, Inc."],
    ),
    Format { at: 256, agrees: is_adaptec, ..strong("adaptec_raid_member", &[1], &[b"DPTM"]) },
    Format { at: 0x60, agrees: is_silicon, ..strong("silicon_medley_raid_member", &[1], &[b"\0\0\0\x2f"]) },
    Format { agrees: is_via, ..strong("via_raid_member", &[1], &[b"\x55\xaa"]) },
];

const fn strong(name: &'static str, sectors: &'static [u64], magics: &'static [&'static [u8]]) -> Format {
    Format { name, sectors, at: 0, magics, agrees: |_| Ok(true) }
}

/// The second magic.
fn is_adaptec(fields: ByteReader<'_>) -> Result<bool> {
    Ok(fields.u32_be(0)? == 0x37fc_4d1e)
}

/// The number of the disk, and the sum of all 16-bit words before the checksum with it.
fn is_silicon(fields: ByteReader<'_>) -> Result<bool> {
    const CHECKSUM: usize = 0x13e;
    let mut sum = fields.u16_le(CHECKSUM)?;
    for at in (0..CHECKSUM).step_by(2) {
        sum = sum.wrapping_add(fields.u16_le(at)?);
    }
    Ok(fields.u8(0x116)? < 8 && sum == 0)
}

/// The version, and the sum of the first 50 bytes.
fn is_via(fields: ByteReader<'_>) -> Result<bool> {
    const CHECKSUM: usize = 50;
    let sum = fields.slice(0, CHECKSUM)?.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    Ok(fields.u8(2)? <= 2 && fields.u8(CHECKSUM)? == sum)
}

/// The RAID metadata or database that claims the whole of `disk`, of `size` bytes, as `blkid` calls it.
///
/// # Errors
/// Whatever `disk` returns when its start or its end cannot be read.
pub fn find_firmware_raid(disk: &dyn ReadAt, size: ByteCount, sector: SectorSize) -> Result<Option<&'static str>> {
    if size.0 < LEAST_DISK {
        return Ok(None);
    }
    let head = read(disk, 0, 8 << 10)?;
    let begins = |at: u64, magic: &[u8]| {
        usize::try_from(at).ok().and_then(|at| head.get(at..)).is_some_and(|bytes| bytes.starts_with(magic))
    };
    if begins(LDM_HEADER, b"PRIVHEAD") {
        return Ok(Some("dynamic disk (LDM)"));
    }
    if begins(HPT37X, b"\xf0\x16\x78\x5a") || begins(HPT37X, b"\xfd\x16\x78\x5a") {
        return Ok(Some("hpt37x_raid_member"));
    }
    let sectors = size.0 / SECTOR;
    let tail_start = sectors.saturating_sub(TAIL_SECTORS).saturating_mul(SECTOR);
    let tail = read(disk, tail_start, size.0.saturating_sub(tail_start))?;
    for format in FORMATS {
        for before_end in format.sectors {
            let Some(at) = sectors.checked_sub(*before_end).map(|at| at.saturating_mul(SECTOR)) else { continue };
            if matches(format, disk, at, (tail_start, &tail))? {
                return Ok(Some(format.name));
            }
        }
    }
    let own = size.0.saturating_sub(sector.bytes().saturating_mul(2));
    let [intel, ..] = FORMATS else { return Ok(None) };
    Ok(matches(intel, disk, own, (tail_start, &tail))?.then_some(intel.name))
}

/// Whether the metadata of `format` lies at `at`; `tail` is what was read of the end already, and where that begins.
fn matches(format: &Format, disk: &dyn ReadAt, at: u64, tail: (u64, &[u8])) -> Result<bool> {
    let inside = at.checked_sub(tail.0).and_then(|at| usize::try_from(at).ok());
    let other;
    let bytes = match inside {
        Some(inside) => tail.1.get(inside..).unwrap_or_default(),
        None => {
            other = read(disk, at, SECTOR)?;
            &other
        }
    };
    let found = bytes.get(format.at..).is_some_and(|bytes| format.magics.iter().any(|magic| bytes.starts_with(magic)));
    Ok(found && (format.agrees)(ByteReader::new(bytes, DOING))?)
}

fn read(disk: &dyn ReadAt, at: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    disk.read_at(ByteCount(at), &mut bytes)?;
    Ok(bytes)
}

/// What else lies on the whole of `disk`, of `size` bytes, beside its partition table: a superblock that does not lie in
/// one of the `parts` (first byte, first byte behind), which are those of the partitions.
///
/// # Errors
/// As [`super::detect`].
pub fn find_content(disk: &dyn ReadAt, size: ByteCount, parts: &[(u64, u64)]) -> Result<Option<Superblock>> {
    let free = |at: u64| !parts.iter().any(|(first, end)| (*first..*end).contains(&at));
    registry::search(disk, size, &free).map(|found| found.map(|(superblock, _)| superblock))
}

impl Kind {
    /// Whether such a superblock on the whole disk means that the partitions seen on it are not for the taking: something
    /// assembles or opens the disk.
    #[must_use]
    pub const fn claims_disk(self) -> bool {
        matches!(
            self,
            Self::LinuxRaid
                | Self::LvmPhysicalVolume
                | Self::Luks
                | Self::Bcache
                | Self::Bcachefs
                | Self::Zfs
                | Self::Drbd
        )
    }

    /// Whether a partition table may live beside it on one disk: its superblock and a table do not overlap, or hybrid
    /// images have both on purpose.
    #[must_use]
    pub const fn leaves_room_for_table(self) -> bool {
        matches!(self, Self::Vfat | Self::Iso9660 | Self::Udf | Self::Btrfs)
    }
}
