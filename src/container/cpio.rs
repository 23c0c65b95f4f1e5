//! The `newc` cpio archive that the Linux kernel unpacks as an initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst). Written here, for the kernel to read.
//!
//! The same entries give the same bytes, in whatever order they were added: sorted by path, numbered again, owned by
//! root, with time 0. The kernel creates no missing parent, so every entry brings the directories above it.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::error::{Error, Result};

const DOING: &str = "put into the cpio archive";

/// Header and data of each entry begin at a multiple of this.
const ALIGNMENT: usize = 4;
/// The kernel takes paths of up to PATH_MAX bytes, the NUL included.
const PATH_LIMIT: usize = 4096 - 1;
/// The path of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

const S_IFMT: u32 = 0o170_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// The permission bits of directories that were not added themselves.
const DIRECTORY_MODE: u32 = 0o755;

/// One entry but for its path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry<'a> {
    /// File type and permission bits.
    mode: u32,
    /// Major and minor number of a device node.
    device: (u32, u32),
    /// A file's content, a symbolic link's target.
    data: Cow<'a, [u8]>,
}

/// An archive while its entries are being collected.
#[derive(Clone, Debug, Default)]
pub struct Archive<'a> {
    entries: BTreeMap<String, Entry<'a>>,
}

impl<'a> Archive<'a> {
    /// An archive without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A directory with the permission bits 0755, and those above it. That it is there already is no error.
    ///
    /// # Errors
    /// `Usage` when `path` is no path inside the archive, or something else is there.
    pub fn add_directory(&mut self, path: &str) -> Result<()> {
        self.add(path, Entry { mode: S_IFDIR | DIRECTORY_MODE, ..Entry::default() })
    }

    /// A regular file with the permission bits `mode`.
    ///
    /// # Errors
    /// `Usage` when `path` is no path inside the archive, or something else is there; `Refused` when the file has
    /// 4 GiB or more, which the format cannot say.
    pub fn add_file(&mut self, path: &str, mode: u32, content: impl Into<Cow<'a, [u8]>>) -> Result<()> {
        self.add(path, Entry { mode: S_IFREG | mode & 0o7777, data: content.into(), ..Entry::default() })
    }

    /// A symbolic link to `target`.
    ///
    /// # Errors
    /// `Usage` when `path` is no path inside the archive, or something else is there.
    pub fn add_symlink(&mut self, path: &str, target: &'a str) -> Result<()> {
        self.add(path, Entry { mode: S_IFLNK | 0o777, data: target.as_bytes().into(), ..Entry::default() })
    }

    /// A character device with the permission bits `mode`.
    ///
    /// # Errors
    /// `Usage` when `path` is no path inside the archive, or something else is there.
    pub fn add_character_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) -> Result<()> {
        self.add(path, Entry { mode: S_IFCHR | mode & 0o7777, device: (major, minor), ..Entry::default() })
    }

    fn add(&mut self, path: &str, entry: Entry<'a>) -> Result<()> {
        // The unpacker works in its root, which a leading slash would only repeat.
        let path = path.trim_matches('/');
        let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if path.len() > PATH_LIMIT || path == TRAILER || !path.split('/').all(sound) {
            return Err(Error::usage(DOING, "it is no path that an archive can hold").to(path));
        }
        if u32::try_from(entry.data.len()).is_err() {
            return Err(Error::refused(DOING, "it is larger than 4 GiB").to(path));
        }
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default();
            self.insert(parent, Entry { mode: S_IFDIR | DIRECTORY_MODE, ..Entry::default() })?;
        }
        self.insert(path, entry)
    }

    fn insert(&mut self, path: &str, entry: Entry<'a>) -> Result<()> {
        match self.entries.get(path) {
            Some(there) if *there != entry => Err(Error::usage(DOING, "something else is there").to(path)),
            Some(_) => Ok(()),
            None => {
                self.entries.insert(path.to_string(), entry);
                Ok(())
            }
        }
    }

    /// The archive's bytes. A directory sorts before what is in it, as the kernel needs it.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut output = Vec::new();
        let mut inode = 0_u32;
        for (path, entry) in &self.entries {
            inode = inode.saturating_add(1);
            // A directory's second link is its own `.`; those of the directories in it no one looks at.
            let links = if entry.mode & S_IFMT == S_IFDIR { 2 } else { 1 };
            emit_entry(&mut output, path, inode, links, entry);
        }
        emit_entry(&mut output, TRAILER, 0, 1, &Entry::default());
        output
    }
}

fn emit_entry(output: &mut Vec<u8>, path: &str, c_ino: u32, c_nlink: u32, entry: &Entry<'_>) {
    let (c_uid, c_gid, c_mtime, c_maj, c_min) = (0, 0, 0, 0, 0);
    let c_mode = entry.mode;
    // Both fit: `add` checked them.
    let c_filesize = entry.data.len() as u32;
    let c_namesize = path.len().saturating_add(1) as u32;
    let (c_rmaj, c_rmin) = entry.device;
    // Of the format `crc` only.
    let c_chksum = 0;
    output.extend_from_slice(b"070701");
    for field in
        [c_ino, c_mode, c_uid, c_gid, c_nlink, c_mtime, c_filesize, c_maj, c_min, c_rmaj, c_rmin, c_namesize, c_chksum]
    {
        output.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    output.extend_from_slice(path.as_bytes());
    output.push(0);
    align(output);
    output.extend_from_slice(&entry.data);
    align(output);
}

/// Entries begin at multiples of four bytes, and so does all data in them.
fn align(output: &mut Vec<u8>) {
    output.resize(output.len().next_multiple_of(ALIGNMENT), 0);
}
