//! The three descriptors every program is born with.

#![expect(unsafe_code, reason = "without std nobody but the start-up contract says that 0, 1 and 2 are open")]

use rustix::fd::BorrowedFd;

/// Standard input.
#[must_use]
pub fn input() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 0; if its parent did, reads fail with EBADF, which is an error, not UB.
    unsafe { rustix::stdio::stdin() }
}

/// Standard output.
#[must_use]
pub fn output() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 1; if its parent did, writes fail with EBADF, which is an error, not UB.
    unsafe { rustix::stdio::stdout() }
}

/// Standard error.
#[must_use]
pub fn error() -> BorrowedFd<'static> {
    // SAFETY: wisp never closes descriptor 2; if its parent did, writes fail with EBADF, which is an error, not UB.
    unsafe { rustix::stdio::stderr() }
}
