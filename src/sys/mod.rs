//! The seam to the kernel: the only room with `unsafe`.
//!
//! Each file wraps one family of calls in small safe functions with typed descriptors and [`crate::error::Error`];
//! no raw pointer, bare descriptor number or errno integer leaves this room, and no decision is made in it.

pub mod amend;
pub mod block;
#[cfg(feature = "formats")]
pub mod bzip2;
pub mod clock;
#[cfg(feature = "full")]
#[cfg(feature = "full")]
pub mod confine;
pub mod console;
pub mod datagram;
#[cfg(freestanding)]
mod entry;
pub mod environment;
pub mod file;
pub mod folder;
#[cfg(any(test, all(freestanding, not(feature = "full"))))]
mod heap;
mod ioctl;
pub mod kernel;
pub mod kmsg;
#[cfg(all(freestanding, feature = "full"))]
mod malloc;
pub mod module;
pub mod mount;
pub mod neighbour;
pub mod netlink;
pub mod node;
pub mod power;
pub mod process;
pub mod program;
pub mod random;
pub mod record;
#[cfg(feature = "full")]
pub mod replacement;
pub mod resize;
mod resolve;
mod signal;
pub mod socket;
pub mod source;
#[cfg(feature = "full")]
pub mod spool;
#[cfg(freestanding)]
mod start;
pub mod stdio;
pub mod syslog;
pub mod tree;
pub mod uevent;
pub mod worker;

use crate::error::Error;
use rustix::io::Errno;

/// Turns the kernel's refusal into wisp's error.
fn refused(errno: Errno, doing: &'static str) -> Error {
    Error::os(errno.raw_os_error(), doing)
}
