//! Whole files and directory listings.
//!
//! Reads have a limit and writes are atomic: a reader of a file written here sees the old content or the new one,
//! even when the power goes in between. Block devices are not for this file.

#![forbid(unsafe_code)]

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::{Errno, retry_on_intr};

use crate::codec::Source;
use crate::error::{Error, Result};

/// What is asked of the kernel at once where it does not tell a file's size (/proc, /sys): a page.
const CHUNK: usize = 4096;

/// Names that one directory may list: the largest real ones, /dev and the block class of a machine with thousands of
/// disks, stay far below.
const NAMES_LIMIT: usize = 1 << 16;

const LIST: &str = "list";

/// The whole file at `path`, which may be one of those whose size the kernel does not know beforehand.
///
/// # Errors
/// `Os` from the kernel, `Refused` when the file holds more than `limit` bytes.
pub fn read(path: &str, limit: usize) -> Result<Vec<u8>> {
    const DOING: &str = "read";
    let failed = |errno| os(errno, DOING, path);
    let file = open(path, OFlags::RDONLY).map_err(failed)?;
    let size = fs::fstat(&file).map_err(failed)?.st_size;
    // A file whose size is not told, as in /proc, is rarely longer than a page.
    let told = usize::try_from(size).ok().filter(|size| *size > 0);
    let expected = told.unwrap_or(CHUNK).min(limit);
    // One byte more than expected, so that a file that did not grow ends with one call that reads nothing.
    let mut content = Vec::with_capacity(expected.saturating_add(1));
    loop {
        if content.len() > limit {
            return Err(Error::refused(DOING, format!("it is larger than {limit} bytes")).to(path));
        }
        if content.spare_capacity_mut().is_empty() {
            content.reserve(CHUNK);
        }
        let count = retry_on_intr(|| rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content)));
        if count.map_err(failed)? == 0 {
            return Ok(content);
        }
    }
}

/// A file, a pipe or a device that is read piece by piece.
pub struct Stream<F: AsFd>(pub F);

impl Stream<OwnedFd> {
    /// What lies at `path`, from its beginning on.
    ///
    /// # Errors
    /// `Os` from the kernel.
    pub fn open(path: &str) -> Result<Self> {
        Ok(Self(open(path, OFlags::RDONLY).map_err(|errno| os(errno, "open", path))?))
    }
}

impl<F: AsFd> Source for Stream<F> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        retry_on_intr(|| rustix::io::read(&self.0, &mut *into)).map_err(|errno| super::refused(errno, "read"))
    }
}

/// Whether `path` leads to anything at all; a dangling symbolic link does not.
#[must_use]
pub fn exists(path: &str) -> bool {
    fs::stat(path).is_ok()
}

/// Whether `path` leads to a directory.
#[must_use]
pub fn is_directory(path: &str) -> bool {
    fs::stat(path).is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode).is_dir())
}

/// Whether `path` itself is a regular file.
#[must_use]
pub fn is_regular(path: &str) -> bool {
    fs::lstat(path).is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode).is_file())
}

/// Whether `path` leads to a file that its owner may execute.
#[must_use]
pub fn is_executable(path: &str) -> bool {
    fs::stat(path).is_ok_and(|facts| facts.st_mode & 0o100 != 0)
}

/// The names in the directory `path` but `.` and `..`, sorted by their bytes. Names that are not UTF-8, which nothing
/// that wisp looks for has, are left out.
///
/// # Errors
/// `Os` from the kernel, `Refused` when there are more than 65536 names.
pub fn list(path: &str) -> Result<Vec<String>> {
    let directory = open(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|errno| os(errno, LIST, path))?;
    list_open(directory, path)
}

/// The same for an open directory, which errors call `path`.
pub(super) fn list_open(directory: OwnedFd, path: &str) -> Result<Vec<String>> {
    let failed = |errno| os(errno, LIST, path);
    let mut names = BTreeSet::new();
    for entry in fs::Dir::new(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." {
            continue;
        }
        if names.len() >= NAMES_LIMIT {
            return Err(Error::refused(LIST, format!("it holds more than {NAMES_LIMIT} names")).to(path));
        }
        names.insert(name.to_string());
    }
    Ok(names.into_iter().collect())
}

/// Makes `path` a file that holds `content`, with exactly the permission bits `mode`: written beside it under a
/// temporary name, flushed, and renamed. On an error the old file is still there.
///
/// # Errors
/// `Os` from the kernel; `Refused` when `path` is there and no regular file: renaming over a device node or a
/// symbolic link would replace it, which no one means.
pub fn write_atomically(path: &str, content: &[u8], mode: u32) -> Result<()> {
    replace(path, content, mode, None, Until::Removed)
}

/// The same for a file that ends with the boot, as those below `/run` do: no medium is waited for.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_for_this_boot(path: &str, content: &[u8], mode: u32) -> Result<()> {
    replace(path, content, mode, None, Until::Reboot)
}

/// How long a file is to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Removed,
    Reboot,
}

/// Replaces the file at `path`, likewise; with the owner that `owner` shows.
pub(super) fn replace(path: &str, content: &[u8], mode: u32, owner: Option<Stat>, until: Until) -> Result<()> {
    const DOING: &str = "write";
    let failed = |errno| os(errno, DOING, path);
    match fs::lstat(path) {
        Ok(facts) if !FileType::from_raw_mode(facts.st_mode).is_file() => {
            return Err(Error::refused(DOING, "it is there and no regular file").to(path));
        }
        Ok(_) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(errno)),
    }
    let temporary = format!("{path}.wisp");
    let mut written = write_new(&temporary, content, mode, owner, until);
    if written == Err(Errno::EXIST) {
        // A left-over of a run that was cut off; if it cannot be removed, creating it afresh says why.
        let _ = fs::unlink(&temporary);
        written = write_new(&temporary, content, mode, owner, until);
    }
    let written = written.and_then(|()| fs::rename(&temporary, path));
    if let Err(errno) = written {
        // The write has failed already, and its reason is the one to tell.
        let _ = fs::unlink(&temporary);
        return Err(failed(errno));
    }
    if until == Until::Reboot { Ok(()) } else { flush_directory_of(path).map_err(failed) }
}

/// Makes the finished file `new` the one at `path`, when all of it is on the medium.
///
/// # Errors
/// `Os`.
pub fn put_in_place(new: &str, path: &str) -> Result<()> {
    let put = || {
        fs::fsync(open(new, OFlags::RDONLY)?)?;
        fs::rename(new, path)?;
        flush_directory_of(path)
    };
    put().map_err(|errno| os(errno, "replace", path))
}

/// Gives the file at `path` the permission bits `mode`.
///
/// # Errors
/// `Os`.
pub fn set_mode(path: &str, mode: u32) -> Result<()> {
    fs::chmod(path, Mode::from_raw_mode(mode)).map_err(|errno| os(errno, "set the mode of", path))
}

/// Writes all of `content`, where the file's position is.
pub(super) fn write_whole(file: impl AsFd, content: &[u8]) -> rustix::io::Result<()> {
    let mut left = content;
    while !left.is_empty() {
        let count = retry_on_intr(|| rustix::io::write(&file, left))?;
        if count == 0 {
            return Err(Errno::IO);
        }
        left = left.get(count..).unwrap_or_default();
    }
    Ok(())
}

fn write_new(path: &str, content: &[u8], mode: u32, owner: Option<Stat>, until: Until) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(mode);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = retry_on_intr(|| fs::open(path, flags, mode))?;
    // Only root can give a file away, and an owner who is not root has the file already.
    if let Some(facts) = owner.filter(|_| rustix::process::geteuid().is_root()) {
        fs::fchown(&file, Some(Uid::from_raw(facts.st_uid)), Some(Gid::from_raw(facts.st_gid)))?;
    }
    // The process's umask cut `mode` at creation.
    fs::fchmod(&file, mode)?;
    write_whole(&file, content)?;
    if until == Until::Reboot { Ok(()) } else { fs::fsync(&file) }
}

/// Makes a rename in the directory of `path` survive a power cut.
fn flush_directory_of(path: &str) -> rustix::io::Result<()> {
    fs::fsync(open(directory_of(path), OFlags::RDONLY | OFlags::DIRECTORY)?)
}

/// The directory that the last name of `path` is in.
pub(super) fn directory_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
        None => ".",
    }
}

fn open(path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    retry_on_intr(|| fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()))
}

fn os(errno: Errno, doing: &'static str, path: &str) -> Error {
    Error::os(errno.raw_os_error(), doing).to(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn folder(name: &str) -> String {
        let path = std::env::temp_dir().join(format!("wisp-file-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().to_string()
    }

    #[test]
    fn a_file_is_written_whole_with_its_mode_and_read_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("write");
        let path = format!("{folder}/file");
        for content in [&[7u8; 10_000][..], b"", b"short"] {
            write_atomically(&path, content, 0o640).unwrap();
            assert_eq!(read(&path, 10_000).unwrap(), content);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(list(&folder).unwrap(), ["file"], "no temporary file stays behind");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn reading_stops_at_the_limit_and_knows_files_without_a_size() {
        let folder = folder("limit");
        let path = format!("{folder}/file");
        std::fs::write(&path, [1; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert_eq!(read(&path, 99).unwrap_err().kind, Kind::Refused);
        assert!(read("/proc/self/status", 1 << 16).unwrap().starts_with(b"Name:"));
        assert_eq!(read("/proc/self/status", 10).unwrap_err().kind, Kind::Refused);
        assert_eq!(read(&format!("{folder}/none"), 1).unwrap_err().kind, Kind::Os(2));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_regular_files_are_replaced() {
        let folder = folder("refuse");
        let link = format!("{folder}/link");
        std::os::unix::fs::symlink("target", &link).unwrap();
        assert_eq!(write_atomically(&link, b"x", 0o644).unwrap_err().kind, Kind::Refused);
        assert_eq!(write_atomically(&folder, b"x", 0o644).unwrap_err().kind, Kind::Refused);
        assert!(!exists(&link) && is_directory(&folder) && !is_directory(&link));
        let missing = format!("{folder}/none/file");
        assert_eq!(write_atomically(&missing, b"x", 0o644).unwrap_err().kind, Kind::Os(2));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn names_are_listed_in_order() {
        let folder = folder("list");
        for name in ["b", "a", "c.d"] {
            std::fs::write(format!("{folder}/{name}"), "").unwrap();
        }
        assert_eq!(list(&folder).unwrap(), ["a", "b", "c.d"]);
        assert_eq!(list(&format!("{folder}/a")).unwrap_err().kind, Kind::Os(20));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
