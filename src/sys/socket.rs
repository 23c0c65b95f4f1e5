//! Byte streams to a server: TCP over IPv4 and IPv6, and Unix sockets; connected, read and written without waiting
//! longer than its timeout (`socket(7)`, `tcp(7)`, `unix(7)`).

#![expect(unsafe_code, reason = "no safe call binds a socket to an interface or marks its packets")]

use super::{clock, refused};
use crate::error::{Error, Kind, Result};
use crate::units::Deadline;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

unsafe extern "C" {
    fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
}

/// `include/uapi/asm-generic/socket.h`; the same on x86-64 and aarch64.
const SOL_SOCKET: c_int = 1;
const SO_BINDTODEVICE: c_int = 25;
const SO_MARK: c_int = 36;

/// Where a stream leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// An address and a port; a link-local IPv6 address carries its interface as scope.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(&'a str),
}

/// Where it leaves this machine; of no meaning to Unix sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Only through this interface.
    pub interface: Option<&'a str>,
    /// With this mark on every packet, for the rules of the routing table.
    pub mark: Option<u32>,
    /// From this port.
    pub port: Option<u16>,
}

/// A connection, or one that is being made. It is closed when it is dropped.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl Stream {
    /// Begins to connect. Ask [`wait_connected`] when it has come to an end, and [`Stream::outcome`] how.
    ///
    /// # Errors
    /// `Os`: what the kernel says at once: no route, no permission for the port or the mark, no such interface, a port
    /// in use, no one behind a Unix socket.
    pub fn connect(to: Address<'_>, from: Origin<'_>) -> Result<Self> {
        start(to, from).map_err(|errno| refused(errno, "connect"))
    }

    /// How connecting ended.
    ///
    /// # Errors
    /// `Os`: refused, unreachable, reset.
    pub fn outcome(&self) -> Result<()> {
        let outcome = net::sockopt::socket_error(&self.0).and_then(core::convert::identity);
        outcome.map_err(|errno| refused(errno, "connect"))
    }

    /// Reads what is there, waiting until `deadline` for the first byte of it; 0 when the other side has closed. Nothing
    /// is read after that: who never stops talking must not be listened to for ever.
    ///
    /// # Errors
    /// `Os`; `TimedOut`.
    pub fn read(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        const DOING: &str = "read";
        if deadline.has_passed(clock::now()) {
            return Err(too_late(DOING));
        }
        loop {
            match retry_on_intr(|| net::recv(&self.0, &mut *buffer, RecvFlags::empty())) {
                Ok((count, _)) => return Ok(count),
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline, DOING)?,
                Err(errno) => return Err(refused(errno, DOING)),
            }
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// `Os`; `TimedOut` when they are not taken until `deadline`.
    pub fn write_all(&self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        const DOING: &str = "write";
        let mut rest = bytes;
        while !rest.is_empty() {
            match retry_on_intr(|| net::send(&self.0, rest, SendFlags::NOSIGNAL)) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, deadline, DOING)?,
                Err(errno) => return Err(refused(errno, DOING)),
            }
        }
        Ok(())
    }

    /// Whether the connection is open and nothing has come that no one read.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let nothing = retry_on_intr(|| net::recv(&self.0, &mut [0u8; 1][..], RecvFlags::PEEK));
        matches!(nothing, Err(Errno::AGAIN))
    }

    fn wait(&self, events: PollFlags, deadline: Deadline, doing: &'static str) -> Result<()> {
        match poll(&[self], events, deadline) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(too_late(doing)),
            Err(errno) => Err(refused(errno, doing)),
        }
    }
}

fn too_late(doing: &'static str) -> Error {
    Error::new(Kind::TimedOut, doing, "nothing happened in time")
}

/// Waits until one of `streams` has come to the end of connecting, well or not; `None` when none did before `deadline`.
///
/// # Errors
/// `Os`: the kernel cannot wait.
pub fn wait_connected(streams: &[&Stream], deadline: Deadline) -> Result<Option<usize>> {
    poll(streams, PollFlags::OUT, deadline).map_err(|errno| refused(errno, "wait for"))
}

fn poll(streams: &[&Stream], events: PollFlags, deadline: Deadline) -> rustix::io::Result<Option<usize>> {
    loop {
        let mut wanted: Vec<PollFd<'_>> =
            streams.iter().map(|stream| PollFd::from_borrowed_fd(stream.0.as_fd(), events)).collect();
        let left = deadline.remaining(clock::now()).map(clock::timespec);
        match rustix::event::poll(&mut wanted, left.as_ref()) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(wanted.iter().position(|one| !one.revents().is_empty())),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn start(to: Address<'_>, from: Origin<'_>) -> rustix::io::Result<Stream> {
    let family = match to {
        Address::Tcp(SocketAddr::V4(_)) => AddressFamily::INET,
        Address::Tcp(SocketAddr::V6(_)) => AddressFamily::INET6,
        Address::Unix(_) => AddressFamily::UNIX,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = Stream(net::socket_with(family, SocketType::STREAM, flags, None)?);
    let socket = &stream.0;
    let begun = match to {
        Address::Unix(path) => net::connect(socket, &SocketAddrUnix::new(path)?),
        Address::Tcp(to) => {
            prepare(socket, to, from)?;
            net::connect(socket, &to)
        }
    };
    match begun {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(stream),
        Err(errno) => Err(errno),
    }
}

/// Everything that must be said before connecting.
fn prepare(socket: &OwnedFd, to: SocketAddr, from: Origin<'_>) -> rustix::io::Result<()> {
    if let Some(name) = from.interface {
        bind_to_interface(socket, name)?;
    }
    if let Some(mark) = from.mark {
        set(socket, SO_MARK, &mark.to_ne_bytes())?;
    }
    if let Some(port) = from.port {
        // A connection of a moment ago, to another server, keeps its port for a minute otherwise.
        net::sockopt::set_socket_reuseaddr(socket, true)?;
        match to {
            SocketAddr::V4(_) => net::bind(socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?,
            SocketAddr::V6(_) => net::bind(socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?,
        }
    }
    // A request is one write: there is nothing that the kernel should wait for to send along.
    net::sockopt::set_tcp_nodelay(socket, true)
}

/// Lets `socket` send and hear through the interface `name` only.
pub(super) fn bind_to_interface(socket: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    set(socket, SO_BINDTODEVICE, name.as_bytes())
}

fn set(socket: &OwnedFd, option: c_int, value: &[u8]) -> rustix::io::Result<()> {
    let length = u32::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads `length` bytes from the pointer, and both are those of `value`, which is borrowed.
    let answer = unsafe { setsockopt(socket.as_raw_fd(), SOL_SOCKET, option, value.as_ptr().cast(), length) };
    if answer == 0 { Ok(()) } else { Err(super::fork::last_errno()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn soon() -> Deadline {
        Deadline::after(clock::now(), Duration::from_secs(20))
    }

    fn at_once() -> Deadline {
        Deadline::after(clock::now(), Duration::ZERO)
    }

    fn carries_both_ways(listener: &TcpListener) {
        let to = listener.local_addr().unwrap();
        let stream = Stream::connect(Address::Tcp(to), Origin::default()).unwrap();
        assert_eq!(wait_connected(&[&stream], soon()).unwrap(), Some(0));
        stream.outcome().unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        stream.write_all(b"ping", soon()).unwrap();
        let mut buffer = [0; 8];
        peer.read_exact(&mut buffer[..4]).unwrap();
        assert!(stream.is_idle());
        assert_eq!(stream.read(&mut buffer, at_once()).unwrap_err().kind, Kind::TimedOut);
        peer.write_all(b"pong").unwrap();
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), 4);
        drop(peer);
        assert_eq!(stream.read(&mut buffer, soon()).unwrap(), 0);
        assert!(!stream.is_idle());
    }

    #[test]
    fn a_stream_carries_bytes_both_ways_and_reports_its_end() {
        carries_both_ways(&TcpListener::bind("127.0.0.1:0").unwrap());
    }

    #[test]
    fn a_stream_over_ipv6_carries_bytes_both_ways_and_reports_its_end() {
        match TcpListener::bind("[::1]:0") {
            Ok(listener) => carries_both_ways(&listener),
            Err(error) => crate::skip::skip(&std::format!("there is no IPv6: {error}")),
        }
    }

    #[test]
    fn a_unix_socket_is_a_stream_too() {
        let path = std::env::temp_dir().join(format!("wisp-socket-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let name = path.to_str().unwrap();
        let stream = Stream::connect(Address::Unix(name), Origin::default()).unwrap();
        assert_eq!(wait_connected(&[&stream], soon()).unwrap(), Some(0));
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"x").unwrap();
        assert_eq!(stream.read(&mut [0; 8], soon()).unwrap(), 1);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Stream::connect(Address::Unix(name), Origin::default()).unwrap_err().kind, Kind::Os(2));
    }

    #[test]
    fn refusals_keep_the_kernels_number() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = Stream::connect(Address::Tcp(free), Origin::default()).unwrap();
        assert_eq!(wait_connected(&[&stream], soon()).unwrap(), Some(0));
        assert_eq!(stream.outcome().unwrap_err().kind, Kind::Os(111));
        let nowhere = Origin { interface: Some("none0"), ..Origin::default() };
        // Without the right to bind to an interface the kernel does not look for it.
        let kind = Stream::connect(Address::Tcp(free), nowhere).unwrap_err().kind;
        assert!(matches!(kind, Kind::Os(1 | 19)), "{kind:?}");
    }

    #[test]
    fn a_stream_leaves_from_the_given_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let from = Origin { port: Some(port), interface: None, mark: None };
        let stream = Stream::connect(Address::Tcp(listener.local_addr().unwrap()), from).unwrap();
        assert_eq!(listener.accept().unwrap().1.port(), port);
        drop(stream);
        let taken = Origin { port: Some(listener.local_addr().unwrap().port()), ..from };
        let kind = Stream::connect(Address::Tcp(listener.local_addr().unwrap()), taken).unwrap_err().kind;
        assert_eq!(kind, Kind::Os(98));
    }

    #[test]
    fn no_wait_is_longer_than_its_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Stream::connect(Address::Tcp(listener.local_addr().unwrap()), Origin::default()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        assert_eq!(wait_connected(&[], at_once()).unwrap(), None);
        let mut buffer = [0; 8];
        peer.write_all(b"more and more").unwrap();
        assert_eq!(stream.read(&mut buffer[..4], soon()).unwrap(), 4, "there is something to read");
        assert_eq!(stream.read(&mut buffer, at_once()).unwrap_err().kind, Kind::TimedOut, "who never pauses ends too");
        let much = vec![0; 64 << 20];
        assert_eq!(stream.write_all(&much, at_once()).unwrap_err().kind, Kind::TimedOut);
    }
}
