//! A netlink socket to the kernel's network (`NETLINK_ROUTE`); what is said on it is the business of others.

#![forbid(unsafe_code)]

use super::{clock, fork, refused};
use crate::error::{Error, Kind, Result};
use crate::units::Deadline;
use alloc::vec::Vec;
use rustix::fd::OwnedFd;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The kernel writes a dump in pieces of at most 32 KiB (`netlink_dump` in net/netlink/af_netlink.c).
const DATAGRAM_LIMIT: usize = 32 << 10;

/// `NETLINK_ROUTE` is protocol 0.
const ROUTE: Option<rustix::net::Protocol> = None;

const TO: &str = "the kernel's network";

/// A conversation with the kernel.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens it, and subscribes to the announcements of `groups` (`RTMGRP_...`). No one but the kernel and programs
    /// with the right to administer the network can send to it.
    ///
    /// # Errors
    /// `Os`.
    pub fn open(groups: u32) -> Result<Self> {
        let told = |errno| refused(errno, "speak to").to(TO);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let descriptor =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, ROUTE).map_err(told)?;
        rustix::net::bind(&descriptor, &SocketAddrNetlink::new(0, groups)).map_err(told)?;
        Ok(Self { descriptor, buffer: Vec::new() })
    }

    /// Sends one request.
    ///
    /// # Errors
    /// `Os`.
    pub fn send(&self, request: &[u8]) -> Result<()> {
        let sent = rustix::net::send(&self.descriptor, request, SendFlags::empty());
        sent.map(|_| ()).map_err(|errno| refused(errno, "speak to").to(TO))
    }

    /// The next datagram.
    ///
    /// # Errors
    /// `TimedOut`. `Os`: `ENOBUFS` (105) when so much was said that the kernel had to drop some.
    pub fn receive(&mut self, deadline: Deadline) -> Result<&[u8]> {
        const DOING: &str = "listen to";
        // A stream of messages must not outlast the deadline.
        if deadline.has_passed(clock::now()) || !fork::wait_readable(&self.descriptor, deadline) {
            return Err(Error::new(Kind::TimedOut, DOING, "it does not answer").to(TO));
        }
        self.buffer.resize(DATAGRAM_LIMIT, 0);
        let got = rustix::net::recv(&self.descriptor, self.buffer.as_mut_slice(), RecvFlags::empty());
        let (length, _) = got.map_err(|errno| refused(errno, DOING).to(TO))?;
        Ok(self.buffer.get(..length).unwrap_or_default())
    }
}
