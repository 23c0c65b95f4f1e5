//! The kernel's own announcements of devices (netlink `KOBJECT_UEVENT`, group 1), as udev hears them.

use super::{fork, refused};
use crate::error::Result;
use crate::units::Deadline;
use alloc::string::String;
use alloc::vec::Vec;
use rustix::fd::OwnedFd;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

/// `lib/kobject_uevent.c` builds a message in 2048 bytes for its variables plus the path; nothing larger comes.
const MESSAGE_LIMIT: usize = 8192;

/// The multicast group in which the kernel speaks; udevd speaks in group 2.
const KERNEL_GROUP: u32 = 1;

/// A subscription.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// One announcement: `ACTION`, `DEVPATH`, `SUBSYSTEM`, `MODALIAS`, ... in the kernel's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Vec<(String, String)>);

impl Event {
    /// Splits the kernel's message: a headline, then `KEY=value` strings, each ended by a NUL.
    #[must_use]
    pub fn parse(message: &[u8]) -> Self {
        let pairs = message.split(|byte| *byte == 0).skip(1).filter_map(|entry| {
            let text = core::str::from_utf8(entry).ok()?;
            let (key, value) = text.split_once('=')?;
            Some((key.into(), value.into()))
        });
        Self(pairs.collect())
    }

    /// The value of `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl Listener {
    /// Subscribes. What is announced from now on is kept by the kernel until it is read.
    ///
    /// # Errors
    /// `Os`.
    pub fn open() -> Result<Self> {
        const DOING: &str = "listen to";
        let told = |errno| refused(errno, DOING).to("the kernel's device events");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::KOBJECT_UEVENT))
                .map_err(told)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP)).map_err(told)?;
        Ok(Self(socket))
    }

    /// The next announcement, or `None` when none came before `deadline`. When the kernel's queue overflowed, and
    /// announcements are lost, it is an empty one: who must not miss a device looks at sysfs again.
    pub fn next(&self, deadline: Deadline) -> Option<Event> {
        if !fork::wait_readable(&self.0, deadline) {
            return None;
        }
        let mut buffer = [0; MESSAGE_LIMIT];
        let got = rustix::net::recv(&self.0, &mut buffer, RecvFlags::empty()).unwrap_or((0, 0)).0;
        Some(Event::parse(buffer.get(..got).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_apart() {
        let event = Event::parse(b"add@/devices/x\0ACTION=add\0MODALIAS=virtio:d00000002v00001AF4\0\xff=1\0rubbish\0");
        assert_eq!(event.value("ACTION"), Some("add"));
        assert_eq!(event.value("MODALIAS"), Some("virtio:d00000002v00001AF4"));
        assert_eq!(event.value("rubbish"), None);
        assert_eq!(Event::parse(b"").value("ACTION"), None);
    }
}
