//! A large file that is written piece by piece and takes its place in the end, whole. Until then it has no name where the
//! file system allows that, and so nothing is left of it, whatever ends the program; elsewhere it lies beside its place.

#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::{String, ToString as _};

use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::{file, refused};
use crate::error::{Error, Result};
use crate::units::ByteCount;

/// Everybody may read it, as far as the umask allows: it holds what its source holds, and no more.
const MODE: u32 = 0o644;

/// A file that is being written.
pub struct AtomicFile {
    descriptor: OwnedFd,
    path: String,
    temporary: String,
    is_named: bool,
}

impl AtomicFile {
    /// Begins a file to be put at `path`, where another may be.
    ///
    /// # Errors
    /// `Os` from the kernel; `Refused` when something is there that is no regular file.
    pub fn begin(path: &str) -> Result<Self> {
        const DOING: &str = "write";
        let failed = |errno| refused(errno, DOING).to(path);
        match fs::lstat(path) {
            Ok(facts) if !FileType::from_raw_mode(facts.st_mode).is_file() => {
                return Err(Error::refused(DOING, "it is there and no regular file").to(path));
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let temporary = format!("{path}.wisp");
        let mode = Mode::from_raw_mode(MODE);
        let (descriptor, is_named) =
            match retry_on_intr(|| fs::open(file::directory_of(path), flags | OFlags::TMPFILE, mode)) {
                Ok(descriptor) => (descriptor, false),
                // Each of them is an answer of kernels or file systems that have no such files.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                    remove(&temporary).map_err(failed)?;
                    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                    (retry_on_intr(|| fs::open(&*temporary, flags, mode)).map_err(failed)?, true)
                }
                Err(errno) => return Err(failed(errno)),
            };
        Ok(Self { descriptor, path: path.to_string(), temporary, is_named })
    }

    /// Writes the whole of `bytes` at `offset`. What is never written reads as zeros and takes no room.
    ///
    /// # Errors
    /// `Os`.
    pub fn write_at(&self, offset: ByteCount, bytes: &[u8]) -> Result<()> {
        let (mut offset, mut rest) = (offset.0, bytes);
        while !rest.is_empty() {
            let count = retry_on_intr(|| rustix::io::pwrite(&self.descriptor, rest, offset));
            let count = count.and_then(|count| if count == 0 { Err(Errno::IO) } else { Ok(count) });
            let count = count.map_err(|errno| self.failed(errno))?;
            rest = rest.get(count..).unwrap_or_default();
            offset = offset.saturating_add(count as u64);
        }
        Ok(())
    }

    /// Puts it in its place, `length` bytes long, when all of it is on the medium.
    ///
    /// # Errors
    /// `Os`; then what was there before still is.
    pub fn finish(mut self, length: ByteCount) -> Result<()> {
        fs::ftruncate(&self.descriptor, length.0).map_err(|errno| self.failed(errno))?;
        if !self.is_named {
            let link = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
            remove(&self.temporary)
                .and_then(|()| fs::linkat(CWD, &*link, CWD, &*self.temporary, AtFlags::SYMLINK_FOLLOW))
                .map_err(|errno| self.failed(errno))?;
            self.is_named = true;
        }
        file::put_in_place(&self.temporary, &self.path)?;
        self.is_named = false;
        Ok(())
    }

    fn failed(&self, errno: Errno) -> Error {
        refused(errno, "write").to(&*self.path)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.is_named {
            // What went wrong was told already.
            let _ = fs::unlink(&*self.temporary);
        }
    }
}

/// Whether both paths lead to the same file.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    let number = |path: &str| fs::stat(path).ok().map(|facts| (facts.st_dev, facts.st_ino));
    number(one).is_some_and(|one| Some(one) == number(other))
}

/// Removes what a program that was cut off may have left.
fn remove(path: &str) -> rustix::io::Result<()> {
    match fs::unlink(path) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
