//! What a file is, by its first bytes, and which formats are refused by name.

#[cfg(feature = "full")]
use crate::bytes::ByteReader;
use crate::error::{Error, Result};
#[cfg(feature = "full")]
use crate::units::ByteCount;
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
    (0, b"Bochs Virtual HD Image", Err("Bochs")),
    (0, b"#!/bin/sh\n#V2.0 Format\n", Err("cloop")),
];

/// What `qemu-img` does not read either: where the magic number stands, the number, its name.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"\x3a\xff\x26\xed\x01\0", "Android sparse image"),
    (0, b"EVF\x09\r\n\xff\0", "EWF (E01)"),
    (0, b"EVF2\r\n\x81\0", "EWF (Ex01)"),
    (0, b"LVF\x09\r\n\xff\0", "EWF (L01)"),
    (0, b"partclone-image", "partclone"),
    (0, b"PaRtImAgE-VoLuMe", "partimage"),
    (0, b"\xfe\xef\x01", "Ghost"),
    (4, b"SignedImage ", "FFU"),
    (0, b"MSWIM\0\0\0", "WIM"),
    (0, b"sprs\0\0\0\x03", "Apple sparse image"),
    (0, b"encrcdsa", "encrypted DMG"),
    (0, b"UBI#\x01\0\0\0", "UBI"),
    (0, b"\x27\x05\x19\x56", "U-Boot image"),
    (0, b"LZIP\x01", "lzip"),
    (0, b"LRZI\0", "lrzip"),
    (0, b"\xff\x06\0\0sNaPpY", "Snappy"),
    (0, b"7kSt", "ZPAQ"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"PK\x05\x06", "ZIP"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "RAR"),
    (0, b"MSCF\0\0\0\0", "CAB"),
    (0, b"!<arch>\n", "ar archive"),
    (0, b"070701", "cpio archive"),
    (0, b"xar!\0", "xar"),
    (0, b"\xed\xab\xee\xdb", "RPM package"),
    (0, b"version https://git-lfs", "Git LFS pointer"),
    (0, b"<!DOCTYPE", "HTML page"),
    (0, b"<!doctype", "HTML page"),
    (0, b"<html", "HTML page"),
    (0, b"<?xml", "XML"),
];

/// Bytes of the trailer of a DMG, and how it begins: signature, version 4, its own size.
pub(super) const TRAILER: usize = 512;
const KOLY: &[u8] = b"koly\0\0\0\x04\0\0\x02\0";

/// How a file of `compress` begins; in the third byte are the bits of its largest code, 9 to 16, and the flag of blocks.
const COMPRESS: &[u8] = b"\x1f\x9d";

impl Format {
    /// The format of a file that begins with `start`, [`START`] bytes or all there are. A fixed VHD looks raw: it is
    /// known by its end.
    ///
    /// # Errors
    /// `Unsupported` when it is a known one that wisp does not read.
    pub fn detect(start: &[u8]) -> Result<Self> {
        let is_there = |row: &&Row| start.get(row.0..).is_some_and(|rest| rest.starts_with(row.1));
        match ROWS.iter().find(is_there) {
            Some((_, _, Ok(format))) => Ok(*format),
            Some((_, _, Err(name))) => Err(not_read(name, QEMU_READS_IT)),
            None if tar::is_start(start) => Ok(Self::Tar),
            None => match foreign(start) {
                Some(name) => Err(not_read(name, "convert or unpack it to a raw or qcow2 image")),
                None => Ok(Self::Raw),
            },
        }
    }

    /// Refuses a file that begins like a raw disk and ends with `trailer`, if that is the one of a DMG.
    ///
    /// # Errors
    /// `Unsupported` when it is.
    pub(super) fn judge_trailer(trailer: &[u8; TRAILER]) -> Result<()> {
        if trailer.starts_with(KOLY) { Err(not_read("DMG", QEMU_READS_IT)) } else { Ok(()) }
    }

    /// The size of the disk in a file of this format that begins with `start`, where a field at a fixed place says so. It
    /// is not verified: [`Map::open`](super::Map::open) does that.
    #[cfg(feature = "full")]
    #[must_use]
    pub fn stated_size(self, start: &[u8]) -> Option<ByteCount> {
        let fields = ByteReader::new(start, DOING);
        match self {
            Self::Qcow2 => fields.u64_be(24).ok().map(ByteCount),
            Self::Vhd => fields.u64_be(48).ok().map(ByteCount),
            Self::Vmdk => fields.u64_le(12).ok()?.checked_mul(512).map(ByteCount),
            Self::Raw | Self::Tar => None,
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

const QEMU_READS_IT: &str = "make a qcow2 or raw image of it with `qemu-img convert`";

#[cold]
fn not_read(name: &str, advice: &str) -> Error {
    Error::unsupported(DOING, alloc::format!("its format, {name}, is not read; {advice}"))
}

fn foreign(start: &[u8]) -> Option<&'static str> {
    let is_there = |row: &&(usize, &[u8], &str)| start.get(row.0..).is_some_and(|rest| rest.starts_with(row.1));
    let is_compress = |flags: &u8| flags & 0x60 == 0 && (9..=16).contains(&(flags & 0x1f));
    match start.strip_prefix(COMPRESS).and_then(<[u8]>::first) {
        Some(flags) if is_compress(flags) => Some("compress (.Z)"),
        _ => FOREIGN.iter().find(is_there).map(|row| row.2),
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
    fn formats_are_detected_by_their_first_bytes() {
        for (start, format) in [
            (b"QFI\xfb\0\0\0\x03".as_slice(), Format::Qcow2),
            (b"QFI\xfb\0\0\0\x02", Format::Qcow2),
            (b"conectix", Format::Vhd),
            (b"KDMV\x01\0\0\0", Format::Vmdk),
            (b"", Format::Raw),
            (b"QFI", Format::Raw),
            (&[0; START], Format::Raw),
        ] {
            assert_eq!(Format::detect(start), Ok(format), "{start:?}");
        }
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name() {
        let mut vdi = [0; 512];
        vdi[64..68].copy_from_slice(b"\x7f\x10\xda\xbe");
        for (start, name) in [(vdi.as_slice(), "VDI"), (b"vhdxfile", "VHDX"), (b"QFI\xfb\0\0\0\x01", "qcow")] {
            let error = Format::detect(start).unwrap_err();
            assert_eq!(error.kind, Kind::Unsupported);
            assert!(error.why.contains(&alloc::format!("its format, {name}, ")), "{error}");
        }
    }

    #[test]
    fn what_is_not_a_disk_image_is_refused_by_name() {
        for (start, name) in [
            (b"\x3a\xff\x26\xed\x01\0\0\0\x1c\0\x0c\0".as_slice(), "Android sparse image"),
            (b"LZIP\x01\x0c", "lzip"),
            (b"\x1f\x9d\x90", "compress (.Z)"),
            (b"\x1f\x9d\x8c", "compress (.Z)"),
            (b"EVF\x09\x0d\x0a\xff\0\x01", "EWF (E01)"),
            (b"partclone-image0002", "partclone"),
            (b"Bochs Virtual HD Image\0", "Bochs"),
            (b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", "cloop"),
            (b"\xfe\xef\x01\x02", "Ghost"),
            (b"\x20\0\0\0SignedImage ", "FFU"),
            (b"Rar!\x1a\x07\x01\0", "RAR"),
            (b"<!DOCTYPE html>", "HTML page"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        ] {
            let error = Format::detect(start).unwrap_err();
            assert_eq!(error.kind, Kind::Unsupported);
            assert!(error.why.contains(&alloc::format!("its format, {name}, ")), "{error}");
        }
        for start in [b"\x1f\x9d\xff".as_slice(), b"\x1f\x9d", b"LZIP", b"#!/bin/sh\n"] {
            assert_eq!(Format::detect(start), Ok(Format::Raw), "{start:?}");
        }
    }

    #[test]
    fn a_gpt_shows_its_sector_size() {
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
