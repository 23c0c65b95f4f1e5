//! The files of one volume of the image; what goes wrong with them is remembered and told once.

use crate::error::{Error, Kind, Result};
use crate::volume::{File, Volume};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Bytes of a text. The largest are `modules.dep` of distributions' kernels, with some 800 KB.
const TEXT_LIMIT: usize = 4 << 20;

/// Bytes of an initramfs or a kernel image: those with every driver and its firmware have some 300 MB.
const LARGE_LIMIT: usize = 1 << 30;

/// The files of a volume. Nothing fails: what cannot be read is not there, and [`Files::complaint`] says why.
pub(super) struct Files<'a> {
    volume: Volume<'a>,
    complaint: RefCell<Option<Error>>,
}

impl<'a> Files<'a> {
    pub(super) const fn new(volume: Volume<'a>) -> Self {
        Self { volume, complaint: RefCell::new(None) }
    }

    /// The first thing that went wrong.
    pub(super) fn complaint(&self) -> Option<Error> {
        self.complaint.borrow().clone()
    }

    /// The text at `path`.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let bytes = self.sound(self.volume.read(path, TEXT_LIMIT))?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The large file at `path`.
    pub(super) fn file(&self, path: &str) -> Option<File<'_>> {
        self.sound(self.volume.file(path, LARGE_LIMIT))
    }

    /// The names in the directory at `path`.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        self.sound(self.volume.list(path)).unwrap_or_default()
    }

    /// Whether there is something of this name, be it a link that leads nowhere.
    pub(super) fn has(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.names(folder).iter().any(|there| there == name)
    }

    fn sound<T>(&self, result: Result<Option<T>>) -> Option<T> {
        result.unwrap_or_else(|error| {
            // Devices where a file was looked for are no damage.
            if error.kind != Kind::Unsupported {
                self.complaint.borrow_mut().get_or_insert(error);
            }
            None
        })
    }
}
