//! Kernel modules at boot: what the devices ask for, with all that it needs, each once.
//!
//! Devices tell their wishes as modaliases in sysfs; `modules.alias` and `modules.dep` say which files answer them. The
//! files may be compressed. Nothing is executed: `install` lines of modprobe.d are not honoured.

#![forbid(unsafe_code)]

use crate::codec::Format;
use crate::error::{Error, Result};
use crate::sys::{file, module, node};
use crate::text::cmdline::Cmdline;
use crate::text::modules::{Index, Load};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The largest modules of any distribution (graphics drivers) unpack to some 30 MiB; storage drivers are far smaller.
const MODULE_LIMIT: usize = 64 << 20;
/// `modules.alias` of a whole distribution kernel is 1 to 3 MiB.
const LIST_LIMIT: usize = 16 << 20;

/// The text files of one kernel's modules, read once.
#[derive(Debug, Default)]
pub struct Lists {
    folder: String,
    dep: Vec<u8>,
    alias: Vec<u8>,
    softdep: Vec<u8>,
    builtin: Vec<u8>,
    config: Vec<Vec<u8>>,
}

impl Lists {
    /// Reads what is there for the running kernel; a kernel with everything built in needs no files at all.
    #[must_use]
    pub fn read(kernel: &str) -> Self {
        let folder = format!("/lib/modules/{kernel}");
        let list = |name: &str| file::read(&format!("{folder}/{name}"), LIST_LIMIT).unwrap_or_default();
        let mut config = Vec::new();
        for place in ["/lib/modprobe.d", "/etc/modprobe.d"] {
            let names = file::list(place).unwrap_or_default();
            let wanted = names.iter().filter(|name| name.ends_with(".conf"));
            config.extend(wanted.filter_map(|name| file::read(&format!("{place}/{name}"), LIST_LIMIT).ok()));
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
        for text in &self.config {
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
    loaded: BTreeSet<&'a str>,
    failures: Vec<Error>,
}

impl<'a> Loader<'a> {
    /// Loads from the folder that `lists` were read from.
    #[must_use]
    pub fn new(lists: &'a Lists, line: &'a Cmdline) -> Self {
        let index = lists.index(line);
        let (asked, loaded) = (BTreeSet::new(), BTreeSet::new());
        Self { folder: &lists.folder, index, asked, loaded, failures: Vec::new() }
    }

    /// Loads what answers to the module name or modalias `wanted`, if anything does.
    pub fn load(&mut self, wanted: &str) {
        if !self.asked.insert(wanted.into()) {
            return;
        }
        for load in self.index.resolve(wanted) {
            if self.loaded.insert(load.path)
                && let Err(error) = insert(self.folder, &load)
            {
                self.failures.push(error);
            }
        }
    }

    /// Loads for every device that is there.
    pub fn load_for_all(&mut self, sysfs: &str) {
        for alias in collect_aliases(sysfs) {
            self.load(&alias);
        }
    }

    /// How many modules were loaded.
    #[must_use]
    pub fn count(&self) -> usize {
        self.loaded.len().saturating_sub(self.failures.len())
    }

    /// What went wrong since the last call.
    pub fn take_failures(&mut self) -> Vec<Error> {
        core::mem::take(&mut self.failures)
    }
}

fn insert(folder: &str, load: &Load<'_>) -> Result<()> {
    let path = if load.path.starts_with('/') { load.path.into() } else { format!("{folder}/{}", load.path) };
    let bytes = file::read(&path, MODULE_LIMIT)?;
    let image = match Format::sniff(&bytes) {
        Some(format) => format.decode(&bytes, MODULE_LIMIT).map_err(|error| error.to(&*path))?,
        None => bytes,
    };
    module::load(&image, &load.options).map_err(|error| error.to(path))
}

/// The modaliases of all devices. Each device that a module could want is on a bus, and the buses list their devices
/// flat: walking the device tree instead would open thousands of directories more.
fn collect_aliases(sysfs: &str) -> Vec<String> {
    let mut aliases = Vec::new();
    for bus in file::list(&format!("{sysfs}/bus")).unwrap_or_default() {
        let devices = format!("{sysfs}/bus/{bus}/devices");
        for device in file::list(&devices).unwrap_or_default() {
            // Devices without one are built into the kernel, or need no driver.
            aliases.extend(node::attribute(&format!("{devices}/{device}/modalias")));
        }
    }
    aliases
}
