//! Sockets for single messages: UDP, and IPv4 packets straight from and to one interface.
//!
//! An interface without an address sends and hears nothing by UDP that its kernel can avoid: a reply to the address
//! that is only offered yet is dropped, and with `rp_filter` a broadcast as well. A packet socket stands before all
//! that. Kernels may lack it (`CONFIG_PACKET` is often a module), then UDP bound to the interface has to do.

#![expect(unsafe_code, reason = "rustix has no address of a packet socket")]

use super::{clock, fork, refused, socket};
use crate::error::{Error, Kind, Result};
use crate::units::Deadline;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, sockopt};

/// `ETH_P_IP`.
const ETHERNET_IPV4: u16 = 0x0800;

/// The Ethernet address that every machine on the link listens to.
pub const EVERYBODY: [u8; 6] = [0xff; 6];

/// An IPv4 packet socket on one interface.
#[derive(Debug)]
pub struct Packets {
    descriptor: OwnedFd,
    index: u32,
}

/// A UDP socket.
#[derive(Debug)]
pub struct Udp(OwnedFd);

/// `struct sockaddr_ll` of linux/if_packet.h, byte by byte: family, protocol (big-endian), index, hardware type, packet
/// type, length of the address, and 8 bytes for it.
struct LinkAddress([u8; 20]);

/// Where the address lies in it.
const LINK_OCTETS: usize = 12;

impl LinkAddress {
    fn new(index: u32, mac: [u8; 6]) -> Self {
        let [f, g] = AddressFamily::PACKET.as_raw().to_ne_bytes();
        let [p, q] = ETHERNET_IPV4.to_be_bytes();
        let [i, j, k, l] = index.to_ne_bytes();
        let [a, b, c, d, e, h] = mac;
        Self([f, g, p, q, i, j, k, l, 0, 0, 0, 6, a, b, c, d, e, h, 0, 0])
    }

    /// The Ethernet address in what the kernel wrote; zeros when it wrote none.
    fn mac_of(address: &SocketAddrAny) -> [u8; 6] {
        let mut mac = [0; 6];
        if address.address_family() != AddressFamily::PACKET {
            return mac;
        }
        let length = usize::try_from(address.addr_len()).unwrap_or(0);
        // SAFETY: rustix owns at least `addr_len` bytes behind this pointer, and the kernel has written them.
        let bytes = unsafe { core::slice::from_raw_parts(address.as_ptr().cast::<u8>(), length) };
        for (place, byte) in mac.iter_mut().zip(bytes.iter().skip(LINK_OCTETS)) {
            *place = *byte;
        }
        mac
    }
}

// SAFETY: the pointer leads to 20 initialised bytes laid out as `struct sockaddr_ll`, which live as long as `self`; the
// kernel copies them and asks for no alignment.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, call: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        call(self.0.as_ptr().cast(), self.0.len() as SocketAddrLen)
    }
}

impl Packets {
    /// Opens it for the interface number `index`.
    ///
    /// # Errors
    /// `Os`: `EAFNOSUPPORT` (97) when the kernel has no packet sockets.
    pub fn open(index: u32) -> Result<Self> {
        let told = |errno| refused(errno, "open a packet socket");
        // Without a protocol nothing arrives until it is bound to the one interface.
        let descriptor = open(AddressFamily::PACKET).map_err(told)?;
        rustix::net::bind(&descriptor, &LinkAddress::new(index, [0; 6])).map_err(told)?;
        Ok(Self { descriptor, index })
    }

    /// Sends an IPv4 packet to the neighbour with the Ethernet address `mac`.
    ///
    /// # Errors
    /// `Os`.
    pub fn send(&self, packet: &[u8], mac: [u8; 6]) -> Result<()> {
        let to = LinkAddress::new(self.index, mac);
        let sent = rustix::net::sendto(&self.descriptor, packet, SendFlags::empty(), &to);
        sent.map(|_| ()).map_err(|errno| refused(errno, "send a packet"))
    }

    /// The next packet that arrives, cut to `buffer`: its length, and the Ethernet address it came from.
    ///
    /// # Errors
    /// `TimedOut`, `Os`.
    pub fn receive(&self, buffer: &mut [u8], deadline: Deadline) -> Result<(usize, [u8; 6])> {
        let (length, from) = receive(&self.descriptor, buffer, deadline)?;
        Ok((length, from.map_or([0; 6], |address| LinkAddress::mac_of(&address))))
    }
}

impl Udp {
    /// A socket that hears what arrives on `interface` for `port` at any address, and may send to everyone there.
    ///
    /// # Errors
    /// `Os`.
    pub fn open(interface: &str, port: u16) -> Result<Self> {
        let told = |errno| refused(errno, "open a socket on").to(interface);
        let descriptor = open(AddressFamily::INET).map_err(told)?;
        socket::bind_to_interface(&descriptor, interface).map_err(told)?;
        sockopt::set_socket_broadcast(&descriptor, true).map_err(told)?;
        sockopt::set_socket_reuseaddr(&descriptor, true).map_err(told)?;
        rustix::net::bind(&descriptor, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)).map_err(told)?;
        Ok(Self(descriptor))
    }

    /// A socket from a port that the kernel draws, which hears no one but `server`.
    ///
    /// # Errors
    /// `Os`: there is no route to it.
    pub fn connect(server: SocketAddr) -> Result<Self> {
        let told = |errno| refused(errno, "open a socket to").to(alloc::format!("{server}"));
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let descriptor = open(family).map_err(told)?;
        rustix::net::connect(&descriptor, &server).map_err(told)?;
        Ok(Self(descriptor))
    }

    /// Sends a message to the server it is connected to.
    ///
    /// # Errors
    /// `Os`: also one that an earlier message met on its way.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        let sent = rustix::net::send(&self.0, message, SendFlags::empty());
        sent.map(|_| ()).map_err(|errno| refused(errno, "send a message"))
    }

    /// Sends a message to `destination`.
    ///
    /// # Errors
    /// `Os`.
    pub fn send_to(&self, message: &[u8], destination: SocketAddrV4) -> Result<()> {
        let sent = rustix::net::sendto(&self.0, message, SendFlags::empty(), &destination);
        sent.map(|_| ()).map_err(|errno| refused(errno, "send a message"))
    }

    /// The next message that arrives, cut to `buffer`: its length.
    ///
    /// # Errors
    /// `TimedOut`, `Os`: no one listens at the server's port.
    pub fn receive(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        receive(&self.0, buffer, deadline).map(|(length, _)| length)
    }
}

/// The number of the interface called `name`.
///
/// # Errors
/// `Os`: there is none.
pub fn interface_index(name: &str) -> Result<u32> {
    let told = |errno| refused(errno, "look for the interface").to(name);
    let socket = open(AddressFamily::INET).map_err(told)?;
    rustix::net::netdevice::name_to_index(&socket, name).map_err(told)
}

fn open(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn receive(socket: &OwnedFd, buffer: &mut [u8], deadline: Deadline) -> Result<(usize, Option<SocketAddrAny>)> {
    const DOING: &str = "receive a message";
    loop {
        // A stream of messages must not outlast the deadline.
        if deadline.has_passed(clock::now()) || !fork::wait_readable(socket, deadline) {
            return Err(Error::new(Kind::TimedOut, DOING, "none came"));
        }
        match rustix::net::recvfrom(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _, from)) => return Ok((length, from)),
            // The kernel may find the message damaged after it has announced it.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(refused(errno, DOING)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn messages_reach_their_socket_and_silence_ends() {
        let deadline = Deadline::after(clock::now(), Duration::from_secs(10));
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = Udp::connect(listener.local_addr().unwrap()).unwrap();
        socket.send(b"question").unwrap();
        let mut buffer = [0; 16];
        let (length, from) = listener.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"question");
        listener.send_to(b"answer", from).unwrap();
        let length = socket.receive(&mut buffer, deadline).unwrap();
        assert_eq!(&buffer[..length], b"answer");
        let soon = Deadline::after(clock::now(), Duration::from_millis(10));
        assert_eq!(socket.receive(&mut buffer, soon).unwrap_err().kind, Kind::TimedOut);
        drop(listener);
        // A process that another test forked just now holds it for a moment more.
        let nobody_listens = (0..1000).any(|_| {
            let soon = Deadline::after(clock::now(), Duration::from_millis(10));
            let heard = socket.send(b"question").and_then(|()| socket.receive(&mut buffer, soon).map(drop));
            heard.unwrap_err().kind == Kind::Os(111)
        });
        assert!(nobody_listens);
    }

    #[test]
    fn interfaces_are_known_by_name() {
        // LOOPBACK_IFINDEX of net/loopback.h: `lo` is the first interface of every network namespace.
        assert_eq!(interface_index("lo").unwrap(), 1);
        assert_eq!(interface_index("nonexistent0").unwrap_err().kind, Kind::Os(19));
        assert_eq!(Udp::open("nonexistent0", 0).unwrap_err().kind, Kind::Os(19));
    }

    #[test]
    fn a_link_address_has_the_kernels_form() {
        let address = LinkAddress::new(0x0102, [1, 2, 3, 4, 5, 6]);
        assert_eq!(address.0, [17, 0, 8, 0, 2, 1, 0, 0, 0, 0, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0]);
        assert_eq!(LinkAddress::mac_of(&address.as_any()), [1, 2, 3, 4, 5, 6]);
    }
}
