//! What mdev does when a network card comes or goes: `interfaces` is put together again from the files beside it, and
//! the distribution's `ifup` takes the card up.
//!
//! ```text
//! kernel ─► mdev ─► a rule of /etc/mdev.conf ─► wisp hotplug ─► /etc/network/interfaces ─► ifup
//! ```
#![forbid(unsafe_code)]

mod interfaces;
mod nic;
mod rules;

pub use interfaces::{FOLDER, assemble};
pub use nic::changed;
pub use rules::{LEFT_OUT, Module, RULES, find};

use alloc::format;

/// The configuration of ifupdown.
pub const INTERFACES: &str = "/etc/network/interfaces";

/// Bytes of such a file, which people write by hand.
pub const TEXT_LIMIT: usize = 64 << 10;

/// Where the program that takes an interface up may be.
const IFUP: [&str; 4] = ["/sbin/ifup", "/usr/sbin/ifup", "/bin/ifup", "/usr/bin/ifup"];

/// The program below `root` that takes an interface up as [`INTERFACES`] says.
#[must_use]
pub fn find_ifup(root: &str) -> Option<&'static str> {
    IFUP.into_iter().find(|path| crate::sys::tree::is_there(&format!("{root}{path}")))
}
