//! The three descriptors every program is born with.

#![expect(unsafe_code, reason = "without std nobody but the start-up contract says that 0, 1 and 2 are open")]

use super::signal;
use crate::error::{Error, Kind, Result};
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
use rustix::fd::{AsRawFd as _, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The first errno of a failed write to standard output by [`write_all`]; 0 while there was none.
static LOST: AtomicI32 = AtomicI32::new(0);

/// Makes the three descriptors safe to use. Where one is closed, the next file that is opened, a disk or a connection, would
/// get its number, and text for people would be written into it: `/dev/null` takes the place, open the wrong way round, so
/// that reading from it or writing to it fails with `EBADF` as it would on the closed descriptor. And a pipe whose reader is
/// gone gives an error instead of a signal. Called before anything is opened.
pub fn prepare() {
    signal::ignore_broken_pipes();
    for (descriptor, flags) in [(input(), OFlags::WRONLY), (output(), OFlags::RDONLY), (error(), OFlags::RDONLY)] {
        if rustix::io::fcntl_getfd(descriptor) == Err(Errno::BADF)
            && let Ok(null) = rustix::fs::open("/dev/null", flags, Mode::empty())
        {
            // The lowest free number is this one's, and it stays open.
            core::mem::forget(null);
        }
    }
}

/// Standard input.
#[must_use]
pub fn input() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 0, and `prepare` fills it where the parent closed it.
    unsafe { rustix::stdio::stdin() }
}

/// Standard output.
#[must_use]
pub fn output() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 1, and `prepare` fills it where the parent closed it.
    unsafe { rustix::stdio::stdout() }
}

/// Standard error.
#[must_use]
pub fn error() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 2, and `prepare` fills it where the parent closed it.
    unsafe { rustix::stdio::stderr() }
}

/// Whether someone looks at it who can be shown one line again and again.
#[must_use]
pub fn is_terminal(output: BorrowedFd<'_>) -> bool {
    rustix::termios::isatty(output)
}

/// The device and the inode of what is behind it.
#[must_use]
pub fn identity(output: BorrowedFd<'_>) -> Option<(u64, u64)> {
    rustix::fs::fstat(output).ok().map(|facts| (facts.st_dev, facts.st_ino))
}

/// Writes all of `bytes`, and goes on when that fails. A failed write to standard output is remembered for [`lost`].
pub fn write_all(to: BorrowedFd<'_>, bytes: &[u8]) {
    if let Err(error) = write(to, bytes)
        && to.as_raw_fd() == output().as_raw_fd()
        && let Kind::Os(errno) = error.kind
    {
        let _ = LOST.compare_exchange(0, errno, Relaxed, Relaxed);
    }
}

/// The first error met by [`write_all`] on standard output: a command whose result was lost must not exit with 0.
#[must_use]
pub fn lost() -> Option<Error> {
    let errno = LOST.load(Relaxed);
    (errno != 0).then(|| Error::os(errno, "write").to("standard output"))
}

/// Writes all of `bytes`; `false` means that the reader has closed its end of a pipe, which is its decision and no error.
///
/// # Errors
/// `Os`: no space, an input/output error, a closed descriptor.
pub fn write(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<bool> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::PIPE) => return Ok(false),
            Ok(_) => return Err(super::refused(Errno::IO, "write")),
            Err(errno) => return Err(super::refused(errno, "write")),
        }
    }
    Ok(true)
}
