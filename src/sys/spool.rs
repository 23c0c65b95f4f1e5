//! A file without a name, for as long as the program needs it.

#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;

use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::block::Device;
use super::{device_node, random, refused};
use crate::error::{Error, Result};
use crate::units::ByteCount;

/// Only the owner reads it: a directory for temporary files is everyone's.
const MODE: u32 = 0o600;

const DOING: &str = "create a temporary file in";

const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::EXCL);

/// Names that are tried where a file cannot be created without one. Each has 64 random bits, so that a second
/// one is hardly ever needed.
const NAMES: usize = 4;

/// A directory for temporary files.
pub struct Directory {
    descriptor: OwnedFd,
    path: String,
}

impl Directory {
    /// Opens the directory `path`. Nothing is created yet.
    ///
    /// # Errors
    /// `Absent` when there is no such directory; `Os`.
    pub fn open(path: &str) -> Result<Self> {
        const DOING: &str = "open the directory for temporary files";
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => Error::absent(DOING, "it does not exist or is not a directory").to(path),
            _ => refused(errno, DOING).to(path),
        })?;
        Ok(Self { descriptor, path: path.into() })
    }

    /// Its path without symbolic links.
    ///
    /// # Errors
    /// `Os`: `/proc` is not mounted.
    pub fn real_path(&self) -> Result<String> {
        device_node::link_target(&format!("/proc/self/fd/{}", self.descriptor.as_raw_fd()))
    }

    /// Bytes that an ordinary user can still write to its filesystem; `None` where that does not count them.
    ///
    /// # Errors
    /// `Os`.
    pub fn available(&self) -> Result<Option<ByteCount>> {
        let failed = |errno| refused(errno, "ask for the free space of").to(&*self.path);
        let facts = fs::fstatvfs(&self.descriptor).map_err(failed)?;
        let is_counted = facts.f_blocks > 0;
        Ok(is_counted.then(|| ByteCount(facts.f_bavail.saturating_mul(facts.f_frsize))))
    }

    /// Creates a file in it that has no name, and so disappears with the program however that ends.
    ///
    /// # Errors
    /// `Os`.
    pub fn create(&self) -> Result<Device> {
        let failed = |errno| refused(errno, DOING).to(&*self.path);
        let (flags, mode) = (FLAGS, Mode::from_raw_mode(MODE));
        // With O_TMPFILE, O_EXCL means that it can never be given a name.
        match retry_on_intr(|| fs::openat(&self.descriptor, ".", flags | OFlags::TMPFILE, mode)) {
            Ok(descriptor) => return Ok(Device::of(descriptor, &self.path)),
            // Each of them is an answer of kernels or filesystems that have no such files.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        self.create_named()
    }

    /// The same on a filesystem where each file has a name: this one has it until the next call.
    fn create_named(&self) -> Result<Device> {
        let failed = |errno| refused(errno, DOING).to(&*self.path);
        for _ in 0..NAMES {
            let name = format!(".wisp-{:016x}", random::number());
            let flags = FLAGS | OFlags::CREATE | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(MODE);
            match retry_on_intr(|| fs::openat(&self.descriptor, &*name, flags, mode)) {
                Ok(descriptor) => {
                    fs::unlinkat(&self.descriptor, &*name, AtFlags::empty()).map_err(failed)?;
                    return Ok(Device::of(descriptor, &self.path));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Err(failed(Errno::EXIST))
    }
}

/// Gives `file` its final length: what was never written reads as zeros and takes no space.
///
/// # Errors
/// `Os`.
pub fn set_length(file: &Device, length: ByteCount) -> Result<()> {
    fs::ftruncate(file, length.0).map_err(|errno| refused(errno, "set the length of").to(file.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::ReadAt as _;
    use crate::error::Kind;

    #[test]
    fn where_each_file_has_a_name_it_loses_it_at_once() {
        use std::process::Command;
        let path = std::env::temp_dir().join(std::format!("wisp-spool-named-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        // Message queues are files, and no kernel has them without a name.
        if Command::new("mount").args(["-t", "mqueue", "none"]).arg(&path).status().is_ok_and(|status| status.success())
        {
            let file = Directory::open(path.to_str().unwrap()).unwrap().create();
            let names = std::fs::read_dir(&path).unwrap().filter(|entry| {
                entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(".wisp"))
            });
            let count = names.count();
            assert!(Command::new("umount").arg("-l").arg(&path).status().unwrap().success());
            assert!(file.is_ok(), "{file:?}");
            assert_eq!(count, 0);
        } else {
            crate::skip::skip("mount is not allowed here");
        }
        std::fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn a_temporary_file_has_no_name_and_reads_back() {
        let path = std::env::temp_dir().join(std::format!("wisp-spool-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let directory = Directory::open(path.to_str().unwrap()).unwrap();
        assert!(directory.available().unwrap() > Some(ByteCount(0)));
        assert_eq!(directory.real_path().unwrap(), std::fs::canonicalize(&path).unwrap().to_str().unwrap());
        for file in [directory.create().unwrap(), directory.create_named().unwrap()] {
            assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "it has no name");
            assert_eq!(fs::fstat(&file).unwrap().st_mode & 0o7777, MODE);
            file.write_at(ByteCount(4096), b"bytes").unwrap();
            set_length(&file, ByteCount(8192)).unwrap();
            let mut found = [1; 5];
            file.read_at(ByteCount(4096), &mut found).unwrap();
            assert_eq!((&found, file.end().unwrap()), (b"bytes", ByteCount(8192)));
            file.read_at(ByteCount(0), &mut found).unwrap();
            assert_eq!(found, [0; 5]);
        }
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(Directory::open(path.to_str().unwrap()).err().unwrap().kind, Kind::Absent);
    }
}
