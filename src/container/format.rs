//! What a file is, by its first bytes, and which formats are refused by name.

use crate::error::{Error, Result};
use crate::units::SectorSize;

use super::{tar, vhd, vmdk};

const DOING: &str = "read the image";

/// Bytes at the beginning of a file that tell its format, and of a disk that tell its sector size.
pub const START: usize = 4096 + SIGNATURE.len();

/// How the header of a GPT begins, in sector 1 (UEFI 2.10, 5.3.2).
const SIGNATURE: &[u8] = b"EFI PART";

/// An image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The bytes of the disk.
    Raw,
    /// QEMU's, versions 2 and 3.
    Qcow2,
    /// Microsoft's of 2006, fixed or dynamic.
    Vhd,
    /// VMware's, in one file.
    Vmdk,
    /// An archive with one image in it.
    Tar,
}

/// Where a magic number stands, the number, and what it means: a format, or the name of one that is not read.
type Row = (usize, &'static [u8], core::result::Result<Format, &'static str>);

/// Every magic number. What has none is raw: a disk may begin with anything, though not with one of these by chance.
const ROWS: &[Row] = &[
    (0, b"QFI\xfb\0\0\0\x01", Err("qcow")),
    (0, b"QFI\xfb", Ok(Format::Qcow2)),
    (0, &vhd::COOKIE, Ok(Format::Vhd)),
    (0, &vmdk::MAGIC, Ok(Format::Vmdk)),
    (0, b"COWD", Err("VMDK of the kind COWD")),
    (0, b"# Disk DescriptorFile", Err("VMDK whose data is in other files")),
    (0, b"vhdxfile", Err("VHDX")),
    (64, b"\x7f\x10\xda\xbe", Err("VDI")),
    (0, b"QED\0", Err("QED")),
    (0, b"WithoutFreeSpace", Err("Parallels")),
    (0, b"WithouFreSpacExt", Err("Parallels")),
    (0, b"PK\x03\x04", Err("ZIP")),
    (0, b"7z\xbc\xaf\x27\x1c", Err("7z")),
    (0, b"MSWIM\0\0\0", Err("WIM")),
];

impl Format {
    /// The format of a file that begins with `start`, [`START`] bytes or all there are. A fixed VHD looks raw: it is
    /// known by its end.
    ///
    /// # Errors
    /// `Unsupported` when it is a known one that wisp does not read.
    pub fn recognise(start: &[u8]) -> Result<Self> {
        let is_there = |row: &&Row| start.get(row.0..).is_some_and(|rest| rest.starts_with(row.1));
        match ROWS.iter().find(is_there) {
            Some((_, _, Ok(format))) => Ok(*format),
            Some((_, _, Err(name))) => {
                let advice = "make a qcow2 or raw image of it with `qemu-img convert`";
                Err(Error::unsupported(DOING, alloc::format!("its format, {name}, is not read; {advice}")))
            }
            None if tar::is_start(start) => Ok(Self::Tar),
            None => Ok(Self::Raw),
        }
    }

    /// Its usual name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "VHD",
            Self::Vmdk => "VMDK",
            Self::Tar => "tar",
        }
    }
}

/// The sectors that the GPT was made for on a disk that begins with `start`, [`START`] bytes of it; `None` when there is
/// none, or one for either. On a disk with other sectors nothing will find its partitions.
#[must_use]
pub fn sector_size(start: &[u8]) -> Option<SectorSize> {
    let is_at = |size: SectorSize| {
        let at = usize::try_from(size.bytes()).ok()?;
        start.get(at..)?.starts_with(SIGNATURE).then_some(size)
    };
    match (is_at(SectorSize::B512), is_at(SectorSize::B4096)) {
        (Some(_), Some(_)) => None,
        (small, large) => small.or(large),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (start, format) in [
            (b"QFI\xfb\0\0\0\x03".as_slice(), Format::Qcow2),
            (b"QFI\xfb\0\0\0\x02", Format::Qcow2),
            (b"conectix", Format::Vhd),
            (b"KDMV\x01\0\0\0", Format::Vmdk),
            (b"", Format::Raw),
            (b"QFI", Format::Raw),
            (&[0; START], Format::Raw),
        ] {
            assert_eq!(Format::recognise(start), Ok(format), "{start:?}");
        }
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name() {
        let mut vdi = [0; 512];
        vdi[64..68].copy_from_slice(b"\x7f\x10\xda\xbe");
        for (start, name) in [(vdi.as_slice(), "VDI"), (b"vhdxfile", "VHDX"), (b"QFI\xfb\0\0\0\x01", "qcow")] {
            let error = Format::recognise(start).unwrap_err();
            assert_eq!(error.kind, Kind::Unsupported);
            assert!(error.why.contains(&alloc::format!("its format, {name}, ")), "{error}");
        }
    }

    #[test]
    fn a_gpt_tells_its_sector_size() {
        let mut start = [0; START];
        assert_eq!(sector_size(&start), None);
        start[4096..].copy_from_slice(SIGNATURE);
        assert_eq!(sector_size(&start), Some(SectorSize::B4096));
        assert_eq!(sector_size(&start[..START - 1]), None);
        start[512..520].copy_from_slice(SIGNATURE);
        assert_eq!(sector_size(&start), None, "made for both");
        start[4096..].fill(0);
        assert_eq!(sector_size(&start), Some(SectorSize::B512));
        assert_eq!(sector_size(&start[..519]), None);
    }
}
