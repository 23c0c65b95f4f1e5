//! The devices that a root needs besides its own before it can be mounted: those that mount options name, the external
//! journal of ext4, the other devices and the seeds of btrfs.

#![forbid(unsafe_code)]

use super::device_wait::{LOOK_AGAIN, Watch};
use super::find_root::{SYSFS, Task};
use crate::filesystem::{Btrfs, Details, Ext, Journal, Kind, Superblock};
use crate::log::Log;
use crate::probe::block::Block;
use crate::probe::search;
use crate::settings::{ROOT_WAIT, Resume};
use crate::sys::mount::Flags;
use crate::sys::{clock, mount, resize};
use crate::text::device_spec::DeviceSpec;
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Mount options whose value is the path of another device: XFS, ext4, btrfs.
const PATHS: [&str; 4] = ["logdev", "rtdev", "journal_path", "device"];

/// The mount option whose value is the number of another device, as `new_encode_dev` packs it: ext4.
const NUMBER: &str = "journal_dev";

/// The devices that the mount `options` name.
#[must_use]
pub fn in_options(options: &str) -> Vec<DeviceSpec> {
    let named = |option: &str| {
        let (key, value) = option.split_once('=')?;
        if PATHS.contains(&key) {
            return DeviceSpec::parse(value).ok().filter(|_| value.starts_with("/dev/"));
        }
        (key == NUMBER).then(|| packed(value)).flatten()
    };
    options.split(',').filter_map(named).collect()
}

/// The device number in the text of a mount option, decimal or hexadecimal.
fn packed(text: &str) -> Option<DeviceSpec> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => text.parse().ok()?,
    };
    DeviceSpec::parse(&format!("{number:x}")).ok()
}

/// A device number as the ext4 superblock holds it (`include/linux/kdev_t.h`, `new_encode_dev`).
const fn pack((major, minor): (u32, u32)) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

impl Watch<'_> {
    /// Waits for everything that the root on `node` needs besides it, and has btrfs register it; returns mount options that
    /// the root needs besides the user's. What does not come in time is reported, and the mount decides.
    pub fn gather(&mut self, task: &Task<'_>, node: &str, content: Option<&Superblock>, log: &Log) -> String {
        let options = &task.settings.mount_options;
        for name in in_options(options) {
            if !self.wait_until(&mut || search::find(SYSFS, &name).is_some()) {
                log.warning(&format!("{name} is missing, which rootflags={options} names; continuing without it"));
            }
        }
        match content.map(|content| content.details) {
            Some(Details::Ext(Ext { mount, .. })) => {
                let is_named = options.split(',').any(|option| option.starts_with("journal_"));
                mount.journal.filter(|_| !is_named).map(|journal| self.find_journal(journal, log)).unwrap_or_default()
            }
            Some(Details::Btrfs(btrfs)) if btrfs.devices > 1 => {
                if let Some(content) = content {
                    self.gather_btrfs(task, node, content, btrfs, log);
                }
                String::new()
            }
            _ => String::new(),
        }
    }

    /// Waits for the external journal; the option that names it, where it no longer has the number that the superblock
    /// holds, which is all that the kernel goes by.
    fn find_journal(&mut self, journal: Journal, log: &Log) -> String {
        let Some(uuid) = journal.name() else { return String::new() };
        let name = DeviceSpec::Uuid(uuid);
        let mut found = None;
        self.wait_until(&mut || {
            found = search::find(SYSFS, &name);
            found.is_some()
        });
        match found {
            Some(found) if pack(found.block.number) == journal.number => String::new(),
            Some(found) => format!("journal_path={}", found.block.node()),
            None => {
                log.warning(&format!("the external journal of the root ({name}) is missing, continuing without it"));
                String::new()
            }
        }
    }

    /// Registers all devices of the btrfs that `content` belongs to, as `btrfs device scan` does; waits for them, unless
    /// `degraded` says that some may be missing. The devices of a seed have the UUID of that seed: where some are there, a
    /// mount shows whether they are what is missing.
    fn gather_btrfs(&mut self, task: &Task<'_>, node: &str, content: &Superblock, btrfs: Btrfs, log: &Log) {
        let settings = task.settings;
        let degraded = settings.mount_options.split(',').any(|option| option == "degraded");
        let (mut present, mut missing, mut tried) = (Vec::new(), btrfs.devices, 0);
        let complete = self.wait_until(&mut || {
            present = search::all_of(SYSFS, Kind::Btrfs);
            let members = present.iter().filter(|(_, found)| found.uuid == content.uuid).count();
            missing = btrfs.devices.saturating_sub(members as u64);
            let others = present.iter().filter(|(_, found)| found.uuid != content.uuid);
            let seeds = present.iter().any(|(_, found)| found.uuid != content.uuid && is_seed(found));
            if missing == 0 || degraded {
                return true;
            }
            if !seeds || (others.count() as u64) < missing || present.len() == tried {
                return false;
            }
            tried = present.len();
            register(present.iter().map(|(block, _)| block), log);
            // A suspended system must not find its root mounted by another one.
            settings.resume != Resume::Nowhere || can_mount(node, task.point, &settings.mount_options)
        });
        if degraded || !complete {
            let wanted = btrfs.devices;
            log.warning(&format!("{missing} of the {wanted} devices of the root are missing, continuing without"));
        }
        let is_wanted = |found: &Superblock| missing > 0 || found.uuid == content.uuid;
        register(present.iter().filter(|(_, found)| is_wanted(found)).map(|(block, _)| block), log);
    }

    /// Loads drivers, all of them if need be, until `look` holds; whether it did in time. `rootwait` is for the root, which
    /// is here: a device that is lost for good must not stop the boot.
    fn wait_until(&mut self, look: &mut dyn FnMut() -> bool) -> bool {
        let deadline = self.deadline.sooner(Deadline::after(clock::now(), ROOT_WAIT));
        loop {
            self.drivers.load_for_all(SYSFS.root);
            self.hear(Duration::ZERO);
            if look() {
                return true;
            }
            if self.drivers.release() {
                continue;
            }
            if deadline.has_passed(clock::now()) {
                return false;
            }
            self.hear(LOOK_AGAIN);
        }
    }
}

const fn is_seed(found: &Superblock) -> bool {
    matches!(found.details, Details::Btrfs(Btrfs { seed: true, .. }))
}

fn register<'a>(blocks: impl Iterator<Item = &'a Block>, log: &Log) {
    for block in blocks {
        if let Err(error) = resize::register_btrfs(&block.node()) {
            log.warning(&format!("{error}, continuing without it"));
        }
    }
}

/// Whether the kernel mounts the btrfs on `node` with what it has registered.
fn can_mount(node: &str, point: &str, options: &str) -> bool {
    let (flags, options) = mount::flags_of(options);
    let mounted = mount::unshare()
        .and_then(|()| mount::mount(node, point, Kind::Btrfs.mount_type(), flags | Flags::RDONLY, &options));
    mounted.and_then(|()| mount::unmount(point, false)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_devices() {
        let path = |path: &str| DeviceSpec::Path(path.into());
        for (options, names) in [
            ("", alloc::vec![]),
            ("noatime,subvol=@,logbufs=8", alloc::vec![]),
            ("logdev=/dev/sda,rtdev=/dev/sdb1", alloc::vec![path("/dev/sda"), path("/dev/sdb1")]),
            ("device=/dev/vda,device=/dev/vdb", alloc::vec![path("/dev/vda"), path("/dev/vdb")]),
            ("journal_path=/dev/disk/by-label/j", alloc::vec![DeviceSpec::Label("j".into())]),
            ("journal_dev=0xfe10,device=x", alloc::vec![DeviceSpec::Number(254, 16)]),
            ("journal_dev=2049", alloc::vec![DeviceSpec::Number(8, 1)]),
            ("journal_dev=x,logdev=", alloc::vec![]),
        ] {
            assert_eq!(in_options(options), names, "{options}");
        }
    }

    #[test]
    fn numbers_are_packed_as_the_kernel_does() {
        for number in [(8, 1), (254, 16), (259, 300)] {
            assert_eq!(packed(&format!("{}", pack(number))), Some(DeviceSpec::Number(number.0, number.1)));
        }
    }
}
