//! The ways in which people name a block device: `/dev/vda2`, `UUID=`, `LABEL=`, `PARTUUID=`, `PARTLABEL=`, `8:2`.
//!
//! As the kernel (`block/early-lookup.c`, Documentation/admin-guide/kernel-parameters `root=`) and as mount, blkid and
//! the distributions' initramfs read them. And two of our own for disks that hold nothing yet: `serial=`, `wwn=`.

#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A device, named but not yet found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSpec {
    /// A node: `/dev/vda2`.
    Path(String),
    /// The UUID of the filesystem, in lower case.
    Uuid(String),
    /// The label of the filesystem.
    Label(String),
    /// The UUID of the partition, in lower case, and how many partitions further the meant one is (`PARTNROFF`).
    PartUuid(String, i32),
    /// The name of the GPT partition.
    PartLabel(String),
    /// The serial number of a whole disk, as its maker or the cloud writes it.
    Serial(String),
    /// The name of a whole disk that no other one in the world has, in hexadecimal digits of lower case.
    Wwn(String),
    /// Major and minor number.
    Number(u32, u32),
}

impl DeviceSpec {
    /// Whether this is a link that only udev makes, below `/dev/disk`: it says nothing that the device itself shows.
    #[must_use]
    pub fn needs_udev(&self) -> bool {
        matches!(self, Self::Path(path) if path.starts_with("/dev/disk/"))
    }

    /// Reads a name.
    ///
    /// # Errors
    /// `Usage`: not one of the forms above; `Unsupported`: a form that needs more than a block device (nfs, ZFS).
    pub fn parse(text: &str) -> Result<Self> {
        const DOING: &str = "understand the device name";
        if let Some((tag, value)) = text.split_once('=') {
            let value = value.trim_matches('"');
            if value.is_empty() {
                return Err(Error::usage(DOING, "nothing stands behind the \"=\"").to(text));
            }
            return match tag {
                "UUID" => Ok(Self::Uuid(value.to_ascii_lowercase())),
                "LABEL" => Ok(Self::Label(value.into())),
                "PARTUUID" => part_uuid(value).ok_or_else(|| Error::usage(DOING, "PARTNROFF is no number").to(text)),
                "PARTLABEL" => Ok(Self::PartLabel(value.into())),
                "serial" => Ok(Self::Serial(value.into())),
                "wwn" => Ok(Self::Wwn(wwn_digits(value))),
                _ => Err(Error::unsupported(DOING, "wisp knows UUID, LABEL, PARTUUID and PARTLABEL").to(text)),
            };
        }
        if text.starts_with("/dev/") && text.len() > 5 {
            return Ok(match link(text) {
                Some(name) => name,
                None => Self::Path(text.into()),
            });
        }
        number(text).ok_or_else(|| {
            Error::unsupported(DOING, "it is neither a path below /dev, nor a tag, nor major:minor").to(text)
        })
    }
}

/// The links that udev would make: without udev they still say what is meant.
fn link(path: &str) -> Option<DeviceSpec> {
    let (folder, name) = path.strip_prefix("/dev/disk/by-")?.split_once('/')?;
    match folder {
        "uuid" => Some(DeviceSpec::Uuid(name.to_ascii_lowercase())),
        "label" => Some(DeviceSpec::Label(decode(name).unwrap_or_else(|| name.into()))),
        "partuuid" => Some(DeviceSpec::PartUuid(name.to_ascii_lowercase(), 0)),
        "partlabel" => Some(DeviceSpec::PartLabel(decode(name).unwrap_or_else(|| name.into()))),
        _ => None,
    }
}

/// `text` without the escapes of udev's links (`\x20` for a blank, sd_device(3), `encode_devnode_name`); nothing when it
/// has none. Bytes that are not UTF-8 become U+FFFD, as in the labels that they are compared with.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', b'x', high, low, after @ ..] => {
                digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        let (byte, behind) = escaped.unwrap_or((byte, behind));
        bytes.push(byte);
        rest = behind;
    }
    (bytes.len() < text.len()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// `UUID` or `UUID/PARTNROFF=N`, N possibly negative.
fn part_uuid(value: &str) -> Option<DeviceSpec> {
    let Some((uuid, offset)) = value.split_once('/') else {
        return Some(DeviceSpec::PartUuid(value.to_ascii_lowercase(), 0));
    };
    let offset = offset.strip_prefix("PARTNROFF=")?.parse().ok()?;
    Some(DeviceSpec::PartUuid(uuid.to_ascii_lowercase(), offset))
}

/// The digits of a world-wide name, whichever way it is written: `0x5000c500...` (udev), `naa.5000c500...`, `eui.0025...`
/// (the kernel).
#[must_use]
pub fn wwn_digits(text: &str) -> String {
    let bare = ["0x", "naa.", "eui."].iter().find_map(|front| text.strip_prefix(front)).unwrap_or(text);
    bare.to_ascii_lowercase()
}

/// `8:2`, or the kernel's packed hexadecimal `0802`.
fn number(text: &str) -> Option<DeviceSpec> {
    if let Some((major, minor)) = text.split_once(':') {
        return Some(DeviceSpec::Number(major.parse().ok()?, minor.parse().ok()?));
    }
    let packed = u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()?;
    // include/linux/kdev_t.h, new_decode_dev: minor in bits 0-7 and 20-31, major in bits 8-19.
    Some(DeviceSpec::Number((packed >> 8) & 0xfff, (packed & 0xff) | ((packed >> 12) & 0xfff00)))
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => out.write_str(path),
            Self::Uuid(uuid) => write!(out, "UUID={uuid}"),
            Self::Label(label) => write!(out, "LABEL={label}"),
            Self::PartUuid(uuid, 0) => write!(out, "PARTUUID={uuid}"),
            Self::PartUuid(uuid, offset) => write!(out, "PARTUUID={uuid}/PARTNROFF={offset}"),
            Self::PartLabel(label) => write!(out, "PARTLABEL={label}"),
            Self::Serial(serial) => write!(out, "serial={serial}"),
            Self::Wwn(digits) => write!(out, "wwn={digits}"),
            Self::Number(major, minor) => write!(out, "{major}:{minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use alloc::string::ToString;

    #[test]
    fn every_form_is_read_and_printed_back() {
        for text in [
            "/dev/vda2",
            "/dev/mapper/vg-root",
            "UUID=0e2d4f7b-1111-2222-3333-444444444444",
            "LABEL=my root",
            "LABEL=/",
            "PARTUUID=12345678-02",
            "PARTUUID=12345678-02/PARTNROFF=-1",
            "PARTLABEL=root-x86-64",
            "serial=S3Z9NB0K",
            "wwn=5000c500a1b2c3d4",
            "259:3",
        ] {
            assert_eq!(DeviceSpec::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_world_wide_name_is_one_however_it_is_written() {
        for text in ["wwn=0x5000C500A1B2C3D4", "wwn=naa.5000c500a1b2c3d4", "wwn=eui.5000c500a1b2c3d4"] {
            assert_eq!(DeviceSpec::parse(text), Ok(DeviceSpec::Wwn("5000c500a1b2c3d4".into())), "{text}");
        }
    }

    #[test]
    fn packed_numbers_are_unpacked_as_the_kernel_does() {
        assert_eq!(DeviceSpec::parse("0802"), Ok(DeviceSpec::Number(8, 2)));
        assert_eq!(DeviceSpec::parse("0xfe01"), Ok(DeviceSpec::Number(254, 1)));
        assert_eq!(DeviceSpec::parse("10010300"), Ok(DeviceSpec::Number(0x103, 0x10000)));
    }

    #[test]
    fn links_of_udev_are_understood_without_udev() {
        assert_eq!(DeviceSpec::parse("/dev/disk/by-uuid/ABCD-1234"), Ok(DeviceSpec::Uuid("abcd-1234".into())));
        assert_eq!(DeviceSpec::parse("/dev/disk/by-label/root"), Ok(DeviceSpec::Label("root".into())));
        assert_eq!(DeviceSpec::parse("/dev/disk/by-id/x"), Ok(DeviceSpec::Path("/dev/disk/by-id/x".into())));
        for (link, udev) in [("/dev/disk/by-id/x", true), ("/dev/disk/by-path/x", true), ("/dev/vda1", false)] {
            assert_eq!(DeviceSpec::parse(link).unwrap().needs_udev(), udev, "{link}");
        }
        assert!(!DeviceSpec::parse("/dev/disk/by-label/x").unwrap().needs_udev());
    }

    #[test]
    fn escapes_of_udev_are_undone() {
        for (link, name) in [
            ("/dev/disk/by-label/cloud\\x20root", DeviceSpec::Label("cloud root".into())),
            ("/dev/disk/by-label/a\\x2fb\\x5cx41", DeviceSpec::Label("a/b\\x41".into())),
            ("/dev/disk/by-label/\\xc3\\xa4", DeviceSpec::Label("\u{e4}".into())),
            ("/dev/disk/by-label/\\x4", DeviceSpec::Label("\\x4".into())),
            ("/dev/disk/by-label/\\xgg", DeviceSpec::Label("\\xgg".into())),
            ("/dev/disk/by-partlabel/Linux\\x20root\\x20(x86-64)", DeviceSpec::PartLabel("Linux root (x86-64)".into())),
        ] {
            assert_eq!(DeviceSpec::parse(link), Ok(name), "{link}");
        }
        // As a tag it may be what is meant: the literal name is looked for first.
        assert_eq!(DeviceSpec::parse("LABEL=cloud\\x20root"), Ok(DeviceSpec::Label("cloud\\x20root".into())));
        assert_eq!((decode("plain"), decode("\\xff").as_deref()), (None, Some("\u{fffd}")));
    }

    #[test]
    fn what_no_form_fits_is_refused_by_name() {
        for (text, kind) in [
            ("", Kind::Unsupported),
            ("vda2", Kind::Unsupported),
            ("/dev/", Kind::Unsupported),
            ("LABEL=", Kind::Usage),
            ("UUID=\"\"", Kind::Usage),
            ("ZFS=tank/root", Kind::Unsupported),
            ("PARTUUID=1/PARTNROFF=x", Kind::Usage),
            ("8:x", Kind::Unsupported),
        ] {
            let error = DeviceSpec::parse(text).unwrap_err();
            assert_eq!((error.kind, error.to.as_str()), (kind, text));
        }
    }
}
