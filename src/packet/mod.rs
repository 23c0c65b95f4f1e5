//! Network messages as bytes: DHCPv4 and the IPv4 packet around it, DNS, netlink. Pure.
//!
//! Nothing here has a socket or a clock. What arrives is foreign: every length is checked, every loop ends with the
//! bytes it walks over.
#![forbid(unsafe_code)]

pub mod dhcp4;
pub mod dns;
pub mod ipv4;
pub mod netlink;
pub mod rtnetlink;
