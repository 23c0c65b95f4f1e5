//! What a disk's maker, or the cloud, calls it: its serial number and its world-wide name.
//!
//! Where sysfs has them differs from driver to driver (drivers/block/virtio_blk.c, drivers/nvme/host/sysfs.c,
//! drivers/scsi/scsi_sysfs.c; the page of SCSI is 80h of SPC-4, 7.8.15).

#![forbid(unsafe_code)]

use super::block::Sysfs;
use crate::sys::{device_node, file};
use crate::text::device_spec::wwn_digits;
use alloc::format;
use alloc::string::String;

/// virtio-blk; NVMe and MMC.
const SERIALS: [&str; 2] = ["serial", "device/serial"];

/// NVMe; SCSI.
const NAMES: [&str; 2] = ["wwid", "device/wwid"];

/// The page of SCSI with the serial number: four bytes of header, up to 252 of text.
const PAGE: &str = "device/vpd_pg80";
const PAGE_HEADER: usize = 4;
const PAGE_LIMIT: usize = 256;

/// The serial number of the disk that the kernel calls `name`, if it has one.
#[must_use]
pub fn of(sysfs: Sysfs<'_>, name: &str) -> Option<String> {
    let shown = SERIALS.iter().find_map(|place| attribute(sysfs, name, place));
    shown.or_else(|| {
        let page = file::read(&format!("{}/class/block/{name}/{PAGE}", sysfs.root), PAGE_LIMIT).ok()?;
        let text = core::str::from_utf8(page.get(PAGE_HEADER..)?).ok()?;
        Some(text.trim_matches(|letter: char| letter == '\0' || letter.is_ascii_whitespace()).into())
    })
}

/// The digits of its world-wide name, if it has one.
#[must_use]
pub fn wwn_of(sysfs: Sysfs<'_>, name: &str) -> Option<String> {
    NAMES.iter().find_map(|place| attribute(sysfs, name, place)).map(|text| wwn_digits(&text))
}

fn attribute(sysfs: Sysfs<'_>, name: &str, place: &str) -> Option<String> {
    let text = device_node::attribute(&format!("{}/class/block/{name}/{place}", sysfs.root)).ok()?;
    Some(text.trim()).filter(|text| !text.is_empty()).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_driver_shows_them_somewhere_else() {
        let root = std::env::temp_dir().join(format!("wisp-serial-{}", std::process::id()));
        for (disk, place, bytes) in [
            ("vda", "serial", b"vol-1".as_slice()),
            ("nvme0n1", "device/serial", b"S3Z9   \n"),
            ("nvme0n1", "wwid", b"eui.0025385B71\n"),
            ("sda", "device/vpd_pg80", b"\x00\x80\x00\x08  drive-2"),
            ("sda", "device/wwid", b"naa.5000C500A1\n"),
            ("vdb", "serial", b"\n"),
        ] {
            let path = root.join("class/block").join(disk).join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let sysfs = Sysfs { root: root.to_str().unwrap() };
        let told = ["vda", "nvme0n1", "sda", "vdb"].map(|disk| (of(sysfs, disk), wwn_of(sysfs, disk)));
        fs::remove_dir_all(&root).unwrap();
        let text = |text: &str| Some(String::from(text));
        assert_eq!(told[0], (text("vol-1"), None));
        assert_eq!(told[1], (text("S3Z9"), text("0025385b71")));
        assert_eq!(told[2], (text("drive-2"), text("5000c500a1")));
        assert_eq!(told[3], (None, None));
    }
}
