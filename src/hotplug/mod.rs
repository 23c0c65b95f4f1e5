//! What mdev does when a device comes or goes.
#![forbid(unsafe_code)]

/// The configuration of ifupdown.
pub const INTERFACES: &str = "/etc/network/interfaces";
