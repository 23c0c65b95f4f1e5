//! A file that is only added to, by one process at a time, and that a power cut leaves as it was but for its last line.

#![forbid(unsafe_code)]

use super::{clock, refused};
use crate::error::{Error, Kind, Result};
use crate::units::Deadline;
use alloc::string::String;
use core::time::Duration;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

/// Such a file, open.
#[derive(Debug)]
pub struct AppendLog {
    file: OwnedFd,
    path: String,
}

impl AppendLog {
    /// Opens what is at `path`.
    ///
    /// # Errors
    /// `Os`.
    pub fn open(path: &str) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
        Ok(Self { file: file.map_err(|errno| refused(errno, "open").to(path))?, path: path.into() })
    }

    /// Adds `bytes`; they may still be in memory only.
    ///
    /// # Errors
    /// `Os`: also when not all of them could be written.
    pub fn append(&self, bytes: &[u8]) -> Result<()> {
        let count = retry_on_intr(|| rustix::io::write(&self.file, bytes)).map_err(|errno| self.failed(errno))?;
        if count == bytes.len() { Ok(()) } else { Err(self.failed(Errno::NOSPC)) }
    }

    /// Waits until everything that was added is on the medium.
    ///
    /// # Errors
    /// `Os`.
    pub fn flush(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fdatasync(&self.file)).map_err(|errno| self.failed(errno))
    }

    fn failed(&self, errno: Errno) -> Error {
        refused(errno, "add to").to(self.path.as_str())
    }
}

/// A lock that ends with the process that holds it, however that ends. Programs that it starts do not hold it.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

impl Lock {
    /// Takes the lock at `path`, where an empty file is made; `None` while another process has it.
    ///
    /// # Errors
    /// `Os`.
    pub fn take(path: &str) -> Result<Option<Self>> {
        let failed = |errno| refused(errno, "lock").to(path);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Takes the lock at `path` as soon as it is free, which is looked at every `pause`: a lock tells no one.
    ///
    /// # Errors
    /// As [`Self::take`]; `TimedOut` when another process still has it at the deadline.
    pub fn wait(path: &str, deadline: Deadline, pause: Duration) -> Result<Self> {
        loop {
            if let Some(lock) = Self::take(path)? {
                return Ok(lock);
            }
            if deadline.has_passed(clock::now()) {
                return Err(Error::new(Kind::TimedOut, "wait for the lock", "another process has it").to(path));
            }
            clock::pause(pause);
        }
    }
}
