//! The three descriptors every program is born with.

#![expect(unsafe_code, reason = "without std nobody but the start-up contract says that 0, 1 and 2 are open")]

use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::Result;

/// Puts `/dev/null` where one of the three is closed: the next thing that is opened, a disk or a connection, would have its
/// number, and what is meant for people would be written into it. Called before anything is opened.
pub fn occupy() {
    for number in [input, output, error] {
        if rustix::io::fcntl_getfd(number()) == Err(Errno::BADF)
            && let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())
        {
            // The lowest number that is free is this one's, and it stays so.
            core::mem::forget(null);
        }
    }
}

/// Standard input.
#[must_use]
pub fn input() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 0, and `occupy` fills it where the parent closed it.
    unsafe { rustix::stdio::stdin() }
}

/// Standard output.
#[must_use]
pub fn output() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 1, and `occupy` fills it where the parent closed it.
    unsafe { rustix::stdio::stdout() }
}

/// Standard error.
#[must_use]
pub fn error() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 2, and `occupy` fills it where the parent closed it.
    unsafe { rustix::stdio::stderr() }
}

/// Whether somebody looks at it who can be shown one line again and again.
#[must_use]
pub fn is_terminal(output: BorrowedFd<'_>) -> bool {
    rustix::termios::isatty(output)
}

/// The device and the inode of what is behind it.
#[must_use]
pub fn identity(output: BorrowedFd<'_>) -> Option<(u64, u64)> {
    rustix::fs::fstat(output).ok().map(|facts| (facts.st_dev, facts.st_ino))
}

/// Writes all of `bytes`; a reader that went away ends it early, and nobody is left to be told.
pub fn write_all(to: BorrowedFd<'_>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

/// Writes all of `bytes`, and says whether anybody still reads them.
///
/// # Errors
/// `Os` from the kernel, but for a reader that went away.
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
