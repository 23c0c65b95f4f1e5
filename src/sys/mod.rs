//! The seam to the kernel: the only room with `unsafe`.
//!
//! Each file wraps one family of calls in small safe functions with typed descriptors and [`crate::error::Error`];
//! no raw pointer, bare descriptor number or errno integer leaves this module, and no decision is made in it.

pub mod amend;
pub mod append_log;
#[cfg(feature = "full")]
pub mod atomic_file;
pub mod block;
#[cfg(feature = "formats")]
pub mod bzip2;
pub mod clock;
#[cfg(feature = "full")]
#[cfg(feature = "full")]
pub mod confine;
pub mod console;
pub mod datagram;
pub mod device_node;
pub mod dir;
#[cfg(freestanding)]
mod entry;
pub mod environment;
pub mod exec;
pub mod file;
pub mod fork;
#[cfg(any(test, all(freestanding, not(feature = "full"))))]
mod heap;
pub mod input;
mod ioctl;
pub mod kmsg;
#[cfg(all(freestanding, feature = "full"))]
mod malloc;
pub mod module;
pub mod mount;
pub mod netlink;
pub mod pid;
pub mod power;
pub mod random;
pub mod resize;
mod resolve;
mod signal;
pub mod socket;
#[cfg(feature = "full")]
pub mod spool;
#[cfg(freestanding)]
mod start;
pub mod stdio;
pub mod syslog;
pub mod tree;
pub mod uevent;
pub mod uname;
pub mod worker;

use crate::error::Error;
use rustix::io::Errno;

/// Turns the kernel's refusal into wisp's error.
fn refused(errno: Errno, doing: &'static str) -> Error {
    Error::os(errno.raw_os_error(), doing)
}
