//! Kernel modules at boot: what the devices ask for, with all that it needs, each once.
//!
//! Devices tell their wishes as modaliases in sysfs; `modules.alias` and `modules.dep` say which files answer them. The
//! files may be compressed. Nothing is executed: `install` lines of modprobe.d are not honoured.

#![forbid(unsafe_code)]

use crate::codec::Format;
use crate::error::{Error, Kind, Result};
use crate::sys::{device_node, file, module};
use crate::text::cmdline::Cmdline;
use crate::text::modules::{FILE_LIMIT, Index, Load, Name};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// `modules.alias` of a whole distribution kernel is 1 to 3 MiB.
const LIST_LIMIT: usize = 16 << 20;

/// What the kernel says of a file that is no module.
const ENOEXEC: i32 = 8;

/// Drivers that rarely hold a root or never do, by how their paths begin below `kernel/`: they are loaded when the
/// others did not bring it. In an initramfs of all machines they make every boot wait for what most do not need.
const LATE: [&str; 9] = [
    // Ask drives on cables whether they are there: 0.4 s under QEMU, whose default machine has the controller.
    "drivers/ata/ata_piix.",
    "drivers/ata/ata_generic.",
    "drivers/ata/pata_",
    // Starts a motor.
    "drivers/block/floppy.",
    // Switches each port on, and waits before it asks who is there.
    "drivers/usb/",
    // What a distribution's initramfs has besides.
    "drivers/gpu/",
    "drivers/input/",
    "drivers/net/",
    "sound/",
];

/// The text files of one kernel's modules, read once.
#[derive(Debug, Default)]
pub struct Lists {
    folder: String,
    dep: Vec<u8>,
    alias: Vec<u8>,
    softdep: Vec<u8>,
    builtin: Vec<u8>,
    config: BTreeMap<String, Vec<u8>>,
}

impl Lists {
    /// Reads what is there for the running kernel; a kernel with everything built in needs no files at all.
    #[must_use]
    pub fn read(kernel: &str) -> Self {
        let folder = format!("/lib/modules/{kernel}");
        let list = |name: &str| file::read(&format!("{folder}/{name}"), LIST_LIMIT).unwrap_or_default();
        let mut config = BTreeMap::new();
        // Of several files with one name the first counts, as for modprobe.
        for place in ["/etc/modprobe.d", "/lib/modprobe.d"] {
            let mut names = file::list(place).unwrap_or_default();
            names.retain(|name| name.ends_with(".conf") && !config.contains_key(name));
            let text = |name: &String| file::read(&format!("{place}/{name}"), LIST_LIMIT).unwrap_or_default();
            config.extend(names.into_iter().map(|name| (name.clone(), text(&name))));
        }
        let lists = [list("modules.dep"), list("modules.alias"), list("modules.softdep"), list("modules.builtin")];
        let [dep, alias, softdep, builtin] = lists;
        Self { folder, dep, alias, softdep, builtin, config }
    }

    /// Makes them searchable, with the module words of the kernel command line.
    #[must_use]
    pub fn index<'a>(&'a self, line: &'a Cmdline) -> Index<'a> {
        let mut index = Index::new();
        index.add_dep(&self.dep);
        index.add_alias(&self.alias);
        index.add_softdep(&self.softdep);
        index.add_builtin(&self.builtin);
        for text in self.config.values() {
            index.add_config(text);
        }
        for word in line.words() {
            index.add_argument(&word.name, word.value.as_deref());
        }
        index
    }
}

/// Loads modules, each once.
#[derive(Debug)]
pub struct Loader<'a> {
    folder: &'a str,
    index: Index<'a>,
    asked: BTreeSet<String>,
    tried: BTreeSet<Name<'a>>,
    /// What may come late, while it does.
    held_back: Option<Vec<Load<'a>>>,
    count: usize,
    failures: Vec<Error>,
}

impl<'a> Loader<'a> {
    /// Loads from the folder that `lists` were read from; with `in_turn`, holds back what may come late.
    #[must_use]
    pub fn new(lists: &'a Lists, line: &'a Cmdline, in_turn: bool) -> Self {
        let index = lists.index(line);
        let (asked, tried, held_back) = (BTreeSet::new(), BTreeSet::new(), in_turn.then(Vec::new));
        Self { folder: &lists.folder, index, asked, tried, held_back, count: 0, failures: Vec::new() }
    }

    /// Loads what answers to the module name or modalias `wanted`, if anything does: someone asked for it.
    pub fn load(&mut self, wanted: &str) {
        if self.asked.insert(wanted.into()) {
            self.insert(self.index.resolve(wanted));
        }
    }

    /// Loads what answers to the modalias of a device; or holds it back.
    pub fn load_for(&mut self, alias: &str) {
        if !self.asked.insert(alias.into()) {
            return;
        }
        let loads = self.index.resolve(alias);
        match &mut self.held_back {
            Some(held_back) if loads.iter().any(|load| is_late(load.path)) => held_back.extend(loads),
            _ => self.insert(loads),
        }
    }

    /// Loads what was held back, if anything was, and holds back nothing from now on.
    pub fn release(&mut self) -> bool {
        let held_back = self.held_back.take().unwrap_or_default();
        let any = !held_back.is_empty();
        self.insert(held_back);
        any
    }

    fn insert(&mut self, loads: Vec<Load<'a>>) {
        for load in loads {
            if self.tried.insert(Name::of_path(load.path)) {
                match insert(self.folder, &load) {
                    Ok(()) => self.count = self.count.saturating_add(1),
                    Err(error) => self.failures.push(error),
                }
            }
        }
    }

    /// Loads for every device that is there.
    pub fn load_for_all(&mut self, sysfs: &str) {
        for alias in collect_aliases(sysfs) {
            self.load_for(&alias);
        }
    }

    /// How many modules were loaded.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// What went wrong since the last call.
    pub fn take_failures(&mut self) -> Vec<Error> {
        core::mem::take(&mut self.failures)
    }
}

fn insert(folder: &str, load: &Load<'_>) -> Result<()> {
    let path = if load.path.starts_with('/') { load.path.into() } else { format!("{folder}/{}", load.path) };
    // Not by its content: reading a module, to see that the kernel could have read it, is what takes the time.
    if path.ends_with(".ko") {
        match module::load_file(&path, &load.options) {
            // Packed in spite of its name.
            Err(error) if error.kind == Kind::Os(ENOEXEC) => {}
            done => return done.map_err(|error| error.to(path)),
        }
    }
    let bytes = file::read(&path, FILE_LIMIT)?;
    let image = match Format::sniff(&bytes) {
        Some(format) => format.decode(&bytes, FILE_LIMIT).map_err(|error| error.to(&*path))?,
        None => bytes,
    };
    module::load(&image, &load.options).map_err(|error| error.to(path))
}

/// Whether the module at `path`, as `modules.dep` writes it, may come late.
fn is_late(path: &str) -> bool {
    path.strip_prefix("kernel/").is_some_and(|path| LATE.iter().any(|start| path.starts_with(start)))
}

/// The modaliases of all devices. Each device that a module could want is on a bus, and the buses list their devices
/// flat: walking the device tree instead would open thousands of directories more.
fn collect_aliases(sysfs: &str) -> Vec<String> {
    let mut aliases = Vec::new();
    for bus in file::list(&format!("{sysfs}/bus")).unwrap_or_default() {
        let devices = format!("{sysfs}/bus/{bus}/devices");
        for device in file::list(&devices).unwrap_or_default() {
            // Devices without one are built into the kernel, or need no driver.
            aliases.extend(device_node::attribute(&format!("{devices}/{device}/modalias")));
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rarely_holds_a_root_is_late() {
        for (path, late) in [
            ("kernel/drivers/ata/ata_piix.ko", true),
            ("kernel/drivers/ata/pata_acpi.ko.xz", true),
            ("kernel/drivers/usb/host/xhci-pci.ko.gz", true),
            ("kernel/sound/core/snd.ko", true),
            ("kernel/drivers/ata/ahci.ko", false),
            ("kernel/drivers/ata/libata.ko", false),
            ("kernel/drivers/block/virtio_blk.ko", false),
            ("/opt/kernel/sound/raid.ko", false),
            ("extra/drivers/usb/raid.ko", false),
        ] {
            assert_eq!(is_late(path), late, "{path}");
        }
    }

    /// None of these files is there, so each that is tried is a failure.
    #[test]
    fn what_is_late_waits_and_nothing_else_does() {
        let lists = Lists {
            folder: "/nowhere".into(),
            dep: b"kernel/drivers/ata/ata_piix.ko: kernel/drivers/ata/libata.ko\n\
                kernel/drivers/ata/libata.ko:\nkernel/drivers/block/virtio_blk.ko:\n"
                .to_vec(),
            ..Lists::default()
        };
        let line = Cmdline::default();
        let tried = |drivers: &mut Loader<'_>| {
            drivers.take_failures().iter().map(|error| Name::of_path(&error.to).0.into()).collect::<Vec<String>>()
        };
        for in_turn in [true, false] {
            let mut drivers = Loader::new(&lists, &line, in_turn);
            for name in ["ata_piix", "virtio_blk", "ata_piix"] {
                drivers.load_for(name);
            }
            let (at_once, late): (&[_], &[_]) = match in_turn {
                true => (&["virtio_blk"], &["libata", "ata_piix"]),
                false => (&["libata", "ata_piix", "virtio_blk"], &[]),
            };
            assert_eq!(tried(&mut drivers), at_once);
            assert_eq!(drivers.release(), in_turn);
            assert_eq!(tried(&mut drivers), late);
            assert!(!drivers.release(), "once");
        }
        let mut drivers = Loader::new(&lists, &line, true);
        drivers.load("ata_piix");
        assert_eq!(tried(&mut drivers), ["libata", "ata_piix"], "what was asked for by name is not held back");
    }
}
