//! The socket of the system's log (syslog(3)): one datagram a record.

#![forbid(unsafe_code)]

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

/// A connection to the log daemon.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Connects to the socket at `path`, if someone listens there.
    #[must_use]
    pub fn connect(path: &str) -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path).ok()?).ok()?;
        Some(Self(socket))
    }

    /// Sends one record; whether it was taken. A log that is full must not hold up a boot.
    #[must_use]
    pub fn send(&self, record: &[u8]) -> bool {
        rustix::net::send(&self.0, record, SendFlags::NOSIGNAL).is_ok()
    }
}
