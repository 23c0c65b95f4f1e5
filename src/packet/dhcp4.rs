//! DHCPv4 messages: what a client says, and the lease in a server's answer (RFC 2131, RFC 2132; classless routes: RFC
//! 3442; long options: RFC 3396).
//!
//! A lease is believed only as far as it makes sense; what the client does not need is not kept.

use crate::bytes::ByteReader;
use crate::error::{Error, Result};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The longest message a client asks for: what fits into an Ethernet frame beside the headers of IP and UDP.
pub const MESSAGE_LIMIT: usize = 1472;

/// The fixed part, without the magic cookie.
const HEADER: usize = 236;
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Older relays drop shorter messages (RFC 1542, section 2.1: a BOOTP message has 300 bytes).
const SHORTEST: usize = 300;

const BOOT_REQUEST: u8 = 1;
const BOOT_REPLY: u8 = 2;
/// Ethernet, and the length of its addresses.
const HARDWARE: [u8; 2] = [1, 6];

/// The options that are written or read (RFC 2132 unless noted).
mod option {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const REQUESTED: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const SIZE: u8 = 57;
    pub const CLIENT: u8 = 61;
    /// RFC 3442.
    pub const ROUTES: u8 = 121;
    /// Azure's own: the address of its wire server.
    pub const WIRE_SERVER: u8 = 245;
    pub const END: u8 = 255;
}

/// What a client asks for; RFC 3442 wants the routes before the router.
const WANTED: [u8; 8] = [
    option::ROUTES,
    option::MASK,
    option::ROUTER,
    option::DNS,
    option::HOST_NAME,
    option::DOMAIN,
    option::MTU,
    option::WIRE_SERVER,
];

/// What every message of one attempt to get a lease says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The number by which answers are detected.
    pub transaction: u32,
    /// The Ethernet address of the interface.
    pub mac: [u8; 6],
    /// Whether answers must go to all, because nothing that is sent to the new address would be received.
    pub wants_broadcast: bool,
}

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Is there a server?
    Discover,
    /// This address, of this server, please.
    Request {
        /// The address that was offered.
        address: Ipv4Addr,
        /// The identifier of the server that offered it.
        server: Ipv4Addr,
    },
    /// This address is not needed any more.
    Release {
        /// The address.
        address: Ipv4Addr,
        /// The identifier of the server that gave it.
        server: Ipv4Addr,
    },
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This could be yours.
    Offer(Lease),
    /// This is yours.
    Acknowledged(Lease),
    /// You cannot have that; the identifier of the server.
    Refused(Ipv4Addr),
}

/// An address for some time, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// How many bits of it name the network; 32 where the server gave no mask.
    pub prefix: u8,
    /// The identifier of the server.
    pub server: Ipv4Addr,
    /// How long it lasts, in seconds; `u32::MAX` for ever.
    pub seconds: u32,
    /// Where to send packets: the classless routes, or else the default route that the router option means.
    pub routes: Vec<Route>,
    /// DNS servers, the preferred one first.
    pub dns: Vec<Ipv4Addr>,
    /// The name of this machine.
    pub host_name: Option<String>,
    /// The domain to look names up in.
    pub domain: Option<String>,
    /// The largest packet of the network, in bytes.
    pub mtu: Option<u16>,
    /// Azure's wire server.
    pub wire_server: Option<Ipv4Addr>,
}

/// A route that a lease brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network it leads to.
    pub destination: Ipv4Addr,
    /// How many bits of it count; 0 for the default route.
    pub prefix: u8,
    /// The router; `None` when the destination is on the link itself.
    pub gateway: Option<Ipv4Addr>,
}

impl Client {
    /// The message that says `said`, `seconds` after the first.
    #[must_use]
    pub fn emit(&self, said: Request, seconds: u16) -> Vec<u8> {
        let (kind, holds) = match said {
            Request::Discover => (1, None),
            Request::Request { .. } => (3, None),
            Request::Release { address, .. } => (7, Some(address)),
        };
        let mut out = Vec::with_capacity(SHORTEST);
        let flags: u16 = if self.wants_broadcast { 0x8000 } else { 0 };
        let [htype, hlen] = HARDWARE;
        out.extend_from_slice(&[BOOT_REQUEST, htype, hlen, 0]);
        out.extend_from_slice(&self.transaction.to_be_bytes());
        out.extend_from_slice(&seconds.to_be_bytes());
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&holds.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        // yiaddr, siaddr, giaddr; then chaddr, sname, file.
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&self.mac);
        out.resize(HEADER, 0);
        out.extend_from_slice(&MAGIC_COOKIE);
        out.extend_from_slice(&[option::TYPE, 1, kind, option::CLIENT, 7, htype]);
        out.extend_from_slice(&self.mac);
        if let Request::Request { address, .. } = said {
            put_option(&mut out, option::REQUESTED, &address.octets());
        }
        if let Request::Request { server, .. } | Request::Release { server, .. } = said {
            put_option(&mut out, option::SERVER, &server.octets());
        }
        if !matches!(said, Request::Release { .. }) {
            put_option(&mut out, option::SIZE, &(MESSAGE_LIMIT as u16).to_be_bytes());
            put_option(&mut out, option::PARAMETERS, &WANTED);
        }
        out.push(option::END);
        out.resize(out.len().max(SHORTEST), option::PAD);
        out
    }

    /// The answer to this client in `message`; `None` when it is another's, or for someone else.
    ///
    /// # Errors
    /// `Corrupt`: it is for this client, and contradicts its specification.
    pub fn find_answer(&self, message: &[u8]) -> Result<Option<Answer>> {
        const DOING: &str = "parse a DHCP answer";
        let fields = ByteReader::new(message, DOING);
        let is_ours = fields.u8(0) == Ok(BOOT_REPLY)
            && fields.array(1) == Ok(HARDWARE)
            && fields.u32_be(4) == Ok(self.transaction)
            && fields.array(28) == Ok(self.mac)
            && fields.array(HEADER) == Ok(MAGIC_COOKIE);
        if !is_ours {
            return Ok(None);
        }
        let yiaddr = Ipv4Addr::from(fields.array::<4>(16)?);
        let options = Options::parse(message)?;
        let Some(server) = options.address(option::SERVER).filter(|server| !server.is_unspecified()) else {
            return Err(Error::corrupt(DOING, "it names no server"));
        };
        Ok(match options.value(option::TYPE) {
            Some([2]) => Some(Answer::Offer(options.lease(yiaddr, server)?)),
            Some([5]) => Some(Answer::Acknowledged(options.lease(yiaddr, server)?)),
            Some([6]) => Some(Answer::Refused(server)),
            _ => None,
        })
    }
}

/// The options of a message, those that were cut into several put together again.
struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    fn parse(message: &[u8]) -> Result<Self> {
        let mut options = Self(Vec::new());
        options.read(message.get(HEADER.saturating_add(MAGIC_COOKIE.len())..).unwrap_or_default())?;
        // Two fields of the fixed part may hold more of them; `file` is read before `sname` (RFC 3396, section 5).
        let overload = options.value(option::OVERLOAD).and_then(|value| value.first()).copied().unwrap_or(0);
        for (bit, at, end) in [(1, 108, HEADER), (2, 44, 108)] {
            if overload & bit != 0 {
                options.read(message.get(at..end).unwrap_or_default())?;
            }
        }
        Ok(options)
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<()> {
        let cut = || Error::corrupt("parse the DHCP options", "one of them ends too early");
        while let Some((&code, rest)) = bytes.split_first() {
            bytes = rest;
            if code == option::PAD {
                continue;
            } else if code == option::END {
                break;
            }
            let (&length, rest) = bytes.split_first().ok_or_else(cut)?;
            let (value, rest) = rest.split_at_checked(length.into()).ok_or_else(cut)?;
            bytes = rest;
            match self.0.iter_mut().find(|(known, _)| *known == code) {
                Some((_, whole)) => whole.extend_from_slice(value),
                None => self.0.push((code, value.into())),
            }
        }
        Ok(())
    }

    fn value(&self, code: u8) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == code).map(|(_, value)| value.as_slice())
    }

    /// The first address that an option holds.
    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.addresses(code).next()
    }

    fn addresses(&self, code: u8) -> impl Iterator<Item = Ipv4Addr> {
        let (addresses, _) = self.value(code).unwrap_or_default().as_chunks::<4>();
        addresses.iter().map(|octets| Ipv4Addr::from(*octets))
    }

    /// A name, if it could stand in a file of the system: some servers end it with a NUL.
    fn name(&self, code: u8) -> Option<String> {
        let text = core::str::from_utf8(self.value(code)?).ok()?.trim_end_matches('\0');
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
        (!text.is_empty() && text.len() < 256 && text.chars().all(is_name)).then(|| text.into())
    }

    fn lease(&self, address: Ipv4Addr, server: Ipv4Addr) -> Result<Lease> {
        const DOING: &str = "parse a DHCP lease";
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.is_broadcast() {
            return Err(Error::corrupt(DOING, "its address is none"));
        }
        let mask = self.address(option::MASK).unwrap_or(Ipv4Addr::BROADCAST).to_bits();
        if mask.leading_ones() != mask.count_ones() {
            return Err(Error::corrupt(DOING, "its network mask has a gap"));
        }
        let router = || self.address(option::ROUTER).map(Route::to_everywhere);
        let routes = match self.value(option::ROUTES) {
            // RFC 3442: where there are classless routes, the router option does not count.
            Some(value) => parse_routes(value)?,
            None => router().into_iter().collect(),
        };
        let seconds = self.value(option::LEASE_TIME).and_then(|value| value.try_into().ok());
        let mtu = self.value(option::MTU).and_then(|value| value.try_into().ok()).map(u16::from_be_bytes);
        Ok(Lease {
            address,
            prefix: mask.leading_ones() as u8,
            server,
            seconds: seconds.map_or(u32::MAX, u32::from_be_bytes),
            routes,
            dns: self.addresses(option::DNS).collect(),
            host_name: self.name(option::HOST_NAME),
            domain: self.name(option::DOMAIN),
            // 68 is the smallest that RFC 2132 allows, and the smallest that IPv4 works with.
            mtu: mtu.filter(|mtu| *mtu >= 68),
            wire_server: self.address(option::WIRE_SERVER),
        })
    }
}

impl Route {
    fn to_everywhere(gateway: Ipv4Addr) -> Self {
        Self { destination: Ipv4Addr::UNSPECIFIED, prefix: 0, gateway: Some(gateway) }
    }
}

/// The classless routes: a prefix length, as many bytes of the network as it needs, the router.
fn parse_routes(mut value: &[u8]) -> Result<Vec<Route>> {
    const DOING: &str = "parse the routes of a DHCP lease";
    let mut routes = Vec::new();
    while let Some((&prefix, rest)) = value.split_first() {
        let cut = || Error::corrupt(DOING, "one of them ends too early");
        if prefix > 32 {
            return Err(Error::corrupt(DOING, "a prefix is longer than 32 bits"));
        }
        let (network, rest) = rest.split_at_checked(prefix.div_ceil(8).into()).ok_or_else(cut)?;
        let (gateway, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        value = rest;
        let mut octets = [0; 4];
        for (place, byte) in octets.iter_mut().zip(network) {
            *place = *byte;
        }
        // What lies behind the prefix should be 0, and the kernel refuses a route where it is not.
        let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
        let destination = Ipv4Addr::from_bits(u32::from_be_bytes(octets) & mask);
        let gateway = Some(Ipv4Addr::from(*gateway)).filter(|gateway| !gateway.is_unspecified());
        routes.push(Route { destination, prefix, gateway });
    }
    Ok(routes)
}

fn put_option(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    out.push(code);
    out.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
