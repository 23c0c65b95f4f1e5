//! PCI controllers of disks that no driver is bound to, for the message that says why a root was not found.

#![forbid(unsafe_code)]

use crate::sys::{device_node, file, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Class codes of controllers behind which a disk may be: mass storage, and USB host controllers (PCI Code and ID
/// Assignment Specification, section 1).
const CLASSES: [&str; 2] = ["0x01", "0x0c03"];

/// A machine without any driver may have a hundred functions of this kind; the first ones say enough.
const LIMIT: usize = 16;

/// One sentence for each controller without a driver.
#[must_use]
pub fn without_driver(sysfs: &str) -> Vec<String> {
    let devices = format!("{sysfs}/bus/pci/devices");
    let names = file::list(&devices).unwrap_or_default();
    names.iter().filter_map(|name| sentence(&devices, name)).take(LIMIT).collect()
}

fn sentence(devices: &str, name: &str) -> Option<String> {
    let attribute = |what: &str| device_node::attribute(&format!("{devices}/{name}/{what}")).ok();
    let class = attribute("class")?;
    if !CLASSES.iter().any(|start| class.starts_with(start)) || tree::is_there(&format!("{devices}/{name}/driver")) {
        return None;
    }
    let hex = |text: String| String::from(text.trim_start_matches("0x"));
    let (vendor, device) = (hex(attribute("vendor")?), hex(attribute("device")?));
    Some(format!("no driver for the storage controller {name} ({vendor}:{device}, class {})", hex(class)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_storage_controllers_without_a_driver_are_named() {
        let root = std::env::temp_dir().join(format!("wisp-controllers-{}", std::process::id()));
        let devices = root.join("bus/pci/devices");
        for (name, class, bound) in [
            ("0000:00:01.0", "0x010400", false),
            ("0000:00:02.0", "0x0c0330", false),
            ("0000:00:03.0", "0x010601", true),
            ("0000:00:04.0", "0x020000", false),
            ("0000:00:05.0", "0x0c0500", false),
        ] {
            let folder = devices.join(name);
            fs::create_dir_all(&folder).unwrap();
            for (what, text) in [("class", class), ("vendor", "0x1000"), ("device", "0x0060")] {
                fs::write(folder.join(what), format!("{text}\n")).unwrap();
            }
            if bound {
                std::os::unix::fs::symlink("../../../../bus/pci/drivers/ahci", folder.join("driver")).unwrap();
            }
        }
        let found = without_driver(root.to_str().unwrap());
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(
            found,
            [
                "no driver for the storage controller 0000:00:01.0 (1000:0060, class 010400)",
                "no driver for the storage controller 0000:00:02.0 (1000:0060, class 0c0330)",
            ]
        );
        assert!(without_driver("/nonexistent").is_empty());
    }
}
