//! Network messages as bytes: DHCPv4, DNS, netlink. Pure.
#![forbid(unsafe_code)]
