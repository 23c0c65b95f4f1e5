//! Which modules an initramfs has, wherever it lies.

use super::disk::Disk;
use super::loader::Entry;
use crate::bytes::{ReadAt, Window};
use crate::codec::{Input, Source};
use crate::container;
use crate::error::{Error, Result};
use crate::text::modules::Name;
use crate::units::ByteCount;

const DOING: &str = "read the initramfs";

/// Files that are read: microcode, the initramfs, and two more.
const FILES_LIMIT: usize = 4;

/// Tells `each` the name of every module in the initramfs of `entry` whose path has `folder` in it.
pub(super) fn modules(entry: &Entry<'_>, disk: &Disk<'_>, folder: &str, each: &mut dyn FnMut(Name<'_>)) -> Result<()> {
    let mut names = |reading: Reading<'_>| {
        container::initramfs_names(Input::new(reading), &mut |path| {
            if path.contains(".ko") && path.contains(folder) {
                each(Name::of_path(path));
            }
        })
    };
    if let Some((file, section)) = &entry.unified {
        let Some(section) = section else { return Ok(()) };
        let window = Window { whole: file, start: section.at, size: section.length };
        return names(Reading { file: &window, at: 0, size: section.length });
    }
    // What GRUB has as a variable is a distribution's addition, empty in its images.
    let files = || entry.boot.initramfs.iter().filter(|path| !path.starts_with('$'));
    if files().nth(FILES_LIMIT).is_some() {
        return Err(Error::refused(DOING, "it consists of too many files"));
    }
    for path in files() {
        let file = disk.boot_file(path);
        let file = file.ok_or_else(|| Error::absent(DOING, "it is not in the image").to(path.as_str()))?;
        names(Reading { file: &file, at: 0, size: file.size().0 }).map_err(|error| error.to(path.as_str()))?;
    }
    Ok(())
}

/// A file read from its beginning to its end.
struct Reading<'a> {
    file: &'a dyn ReadAt,
    at: u64,
    size: u64,
}

impl Source for Reading<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let now = into.get_mut(..left.min(into.len())).unwrap_or_default();
        let count = now.len();
        self.file.read_at(ByteCount(self.at), now)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}
