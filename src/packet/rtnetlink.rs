//! The kernel's tables of links, addresses and routes as netlink messages (`include/uapi/linux/if_link.h`,
//! `if_addr.h`, `rtnetlink.h`; Documentation/netlink/specs/rt-*.yaml).
//!
//! Only what it takes to make one address reachable; families, tables and attributes that no one asks for are left out.

use super::netlink::{ACKNOWLEDGED, Attributes, CREATE, DUMP, Request, u32_at};
use crate::bytes::ByteReader;
use crate::error::Result;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use linux_raw_sys::netlink as raw;

/// `struct ifinfomsg`, `struct ifaddrmsg` and `struct rtmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// `AF_INET` and `AF_INET6`.
const INET: u8 = 2;
const INET6: u8 = 10;

/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;

/// `IFF_UP`, `IFF_LOOPBACK`, `IFF_LOWER_UP` of linux/if.h. `IFF_RUNNING` says nearly the same as the last one, up to a
/// second later.
const UP: u32 = 1;
const LOOPBACK: u32 = 1 << 3;
const LOWER_UP: u32 = 1 << 16;

/// `RTA_DST`, `RTA_OIF`, `RTA_GATEWAY`, `RTA_PREFSRC`, `RTA_METRICS`, `RTA_MARK`.
const DESTINATION: u16 = 1;
const OUT_INTERFACE: u16 = 4;
const GATEWAY: u16 = 5;
const SOURCE: u16 = 7;
const METRICS: u16 = 8;
const MARK: u16 = 16;

/// What the kernel says of a network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name, up to 15 bytes.
    pub name: String,
    /// Its Ethernet address; `None` where it is no Ethernet interface.
    pub mac: Option<[u8; 6]>,
    /// What made it, for those that no hardware driver did: `veth`, `bridge`, `vlan`, ...
    pub kind: Option<String>,
    /// The number of the bridge, bond or failover pair it is part of.
    pub master: Option<u32>,
    /// Whether it is `lo`.
    pub is_loopback: bool,
    /// Whether it was set up.
    pub is_up: bool,
    /// Whether it is up and has a partner at the other end.
    pub has_carrier: bool,
    /// The largest packet it takes, in bytes.
    pub mtu: u32,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The number of the interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub prefix: u8,
    /// Whether it may be used: IPv6 asks the neighbours first whether they have it.
    pub is_usable: bool,
}

/// A route to be made or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The number of the interface it leads out of.
    pub index: u32,
    /// The network it leads to.
    pub destination: Ipv4Addr,
    /// How many bits of it count; 0 for the default route.
    pub prefix: u8,
    /// The router, taken for reachable on this link whatever the addresses say; without one the destination itself is
    /// on the link.
    pub gateway: Option<Ipv4Addr>,
    /// The address to send from.
    pub source: Ipv4Addr,
    /// The largest packet, in bytes, where it is smaller than what the interface takes.
    pub mtu: Option<u16>,
}

/// How the kernel would send a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLookup {
    /// The number of the interface.
    pub index: u32,
    /// The address it would send from.
    pub source: IpAddr,
}

/// Asks for all interfaces.
#[must_use]
pub fn list_links() -> Request {
    let skip_statistics = raw::RTEXT_FILTER_SKIP_STATS.to_ne_bytes();
    Request::new(raw::RTM_GETLINK as u16, DUMP, &[0; LINK_HEADER]).with(raw::IFLA_EXT_MASK as u16, &skip_statistics)
}

/// Asks for all addresses of both families.
#[must_use]
pub fn list_addresses() -> Request {
    Request::new(raw::RTM_GETADDR as u16, DUMP, &[0; ADDRESS_HEADER])
}

/// Asks how a packet to `destination` that carries `mark` (0: none) would leave.
#[must_use]
pub fn get_route(destination: IpAddr, mark: u32) -> Request {
    let (family, bytes) = octets(destination);
    let rtm_dst_len = if family == INET { 32 } else { 128 };
    let rtmsg = route_header(family, rtm_dst_len, [0; 4], 0);
    let request = Request::new(raw::RTM_GETROUTE as u16, ACKNOWLEDGED, &rtmsg);
    request.with(DESTINATION, &bytes).with(MARK, &mark.to_ne_bytes())
}

/// Sets an interface up or down.
#[must_use]
pub fn set_link(index: u32, is_up: bool) -> Request {
    let mut ifinfomsg = [0; LINK_HEADER];
    let ifi_flags = if is_up { UP } else { 0 };
    let numbers = [index, ifi_flags, UP].map(u32::to_ne_bytes);
    // Family, padding and type stay 0; ifi_index, ifi_flags and ifi_change follow.
    for (place, byte) in ifinfomsg.iter_mut().skip(4).zip(numbers.as_flattened()) {
        *place = *byte;
    }
    Request::new(raw::RTM_NEWLINK as u16, ACKNOWLEDGED, &ifinfomsg)
}

/// Gives an interface the IPv4 address `address` for `seconds` (`u32::MAX`: for ever).
#[must_use]
pub fn add_address(index: u32, address: Ipv4Addr, prefix: u8, seconds: u32) -> Request {
    let host_bits = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    let request = order_address(raw::RTM_NEWADDR as u16, CREATE, index, address, prefix);
    // ifa_prefered, ifa_valid, and two times that only the kernel writes.
    let lifetimes = [seconds, seconds, 0, 0].map(u32::to_ne_bytes);
    let request = request.with(raw::IFA_CACHEINFO as u16, lifetimes.as_flattened());
    // Networks of one or two addresses have no address for all.
    if host_bits <= 1 {
        return request;
    }
    request.with(raw::IFA_BROADCAST as u16, &(address.to_bits() | host_bits).to_be_bytes())
}

/// Takes it away again.
#[must_use]
pub fn remove_address(index: u32, address: Ipv4Addr, prefix: u8) -> Request {
    order_address(raw::RTM_DELADDR as u16, ACKNOWLEDGED, index, address, prefix)
}

/// Makes a route in the main table.
#[must_use]
pub fn add_route(route: &Route) -> Request {
    order_route(raw::RTM_NEWROUTE as u16, CREATE, route)
}

/// Removes it again.
#[must_use]
pub fn remove_route(route: &Route) -> Request {
    order_route(raw::RTM_DELROUTE as u16, ACKNOWLEDGED, route)
}

/// An interface, from the body of an `RTM_NEWLINK`.
///
/// # Errors
/// `Corrupt`: it is shorter than its fixed part.
pub fn parse_link(body: &[u8]) -> Result<Link> {
    let fields = ByteReader::new(body, "parse the kernel's word on an interface");
    let ifi_type = u16::from_ne_bytes(fields.array(2)?);
    let (ifi_index, ifi_flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
    let attributes = Attributes::after(body, LINK_HEADER);
    let linkinfo = Attributes::after(attributes.value(raw::IFLA_LINKINFO as u16).unwrap_or_default(), 0);
    let address = attributes.value(raw::IFLA_ADDRESS as u16).filter(|_| ifi_type == ETHERNET);
    Ok(Link {
        index: ifi_index,
        name: attributes.text(raw::IFLA_IFNAME as u16).unwrap_or_default().into(),
        mac: address.and_then(|bytes| bytes.try_into().ok()),
        kind: linkinfo.text(raw::IFLA_INFO_KIND as u16).map(Into::into),
        master: attributes.number(raw::IFLA_MASTER as u16).filter(|index| *index != 0),
        is_loopback: ifi_flags & LOOPBACK != 0,
        is_up: ifi_flags & UP != 0,
        has_carrier: ifi_flags & (UP | LOWER_UP) == UP | LOWER_UP,
        mtu: attributes.number(raw::IFLA_MTU as u16).unwrap_or(0),
    })
}

/// An address, from the body of an `RTM_NEWADDR`; `None` when it is of another family.
///
/// # Errors
/// `Corrupt`: it is shorter than its fixed part.
pub fn parse_address(body: &[u8]) -> Result<Option<Address>> {
    let fields = ByteReader::new(body, "parse the kernel's word on an address");
    let (ifa_family, ifa_prefixlen, ifa_flags) = (fields.u8(0)?, fields.u8(1)?, fields.u8(2)?);
    let ifa_index = u32_at(body, 4)?;
    let attributes = Attributes::after(body, ADDRESS_HEADER);
    // On a point-to-point link IFA_ADDRESS is the other end; IPv6 has IFA_LOCAL only there.
    let address = attributes.value(raw::IFA_LOCAL as u16).or_else(|| attributes.value(raw::IFA_ADDRESS as u16));
    let flags = attributes.number(raw::IFA_FLAGS as u16).unwrap_or(ifa_flags.into());
    Ok(address.and_then(|bytes| parse_ip(ifa_family, bytes)).map(|address| Address {
        index: ifa_index,
        address,
        prefix: ifa_prefixlen,
        is_usable: flags & raw::IFA_F_DADFAILED == 0
            && (flags & raw::IFA_F_TENTATIVE == 0 || flags & raw::IFA_F_OPTIMISTIC != 0),
    }))
}

/// How a packet leaves, from the answer to [`get_route`]; `None` when it cannot: it is prohibited, its link has no
/// carrier, or there is no address to send from.
///
/// # Errors
/// `Corrupt`: it is shorter than its fixed part.
pub fn parse_route_lookup(body: &[u8]) -> Result<Option<RouteLookup>> {
    let fields = ByteReader::new(body, "parse the kernel's word on a route");
    let (rtm_family, rtm_type) = (fields.u8(0)?, fields.u8(7)?);
    let rtm_flags = u32_at(body, 8)?;
    let attributes = Attributes::after(body, ROUTE_HEADER);
    let leads_out = matches!(u32::from(rtm_type), UNICAST | LOCAL);
    if !leads_out || rtm_flags & (raw::RTNH_F_DEAD | raw::RTNH_F_LINKDOWN) != 0 {
        return Ok(None);
    }
    let source = attributes.value(SOURCE).and_then(|bytes| parse_ip(rtm_family, bytes));
    let usable = source.filter(|address| !address.is_unspecified());
    Ok(attributes.number(OUT_INTERFACE).zip(usable).map(|(index, source)| RouteLookup { index, source }))
}

const UNICAST: u32 = raw::RTN_UNICAST as u32;
const LOCAL: u32 = raw::RTN_LOCAL as u32;

fn order_address(kind: u16, flags: u16, index: u32, address: Ipv4Addr, prefix: u8) -> Request {
    let ifa_scope =
        if address.is_link_local() { raw::rt_scope_t::RT_SCOPE_LINK } else { raw::rt_scope_t::RT_SCOPE_UNIVERSE };
    let [a, b, c, d] = index.to_ne_bytes();
    let request = Request::new(kind, flags, &[INET, prefix, 0, ifa_scope as u8, a, b, c, d]);
    request.with(raw::IFA_LOCAL as u16, &address.octets()).with(raw::IFA_ADDRESS as u16, &address.octets())
}

fn order_route(kind: u16, flags: u16, route: &Route) -> Request {
    let (rtm_scope, rtm_flags) = match route.gateway {
        Some(_) => (raw::rt_scope_t::RT_SCOPE_UNIVERSE, raw::RTNH_F_ONLINK),
        None => (raw::rt_scope_t::RT_SCOPE_LINK, 0),
    };
    let rest = [raw::rt_class_t::RT_TABLE_MAIN as u8, raw::RTPROT_DHCP as u8, rtm_scope as u8, raw::RTN_UNICAST as u8];
    let mut request = Request::new(kind, flags, &route_header(INET, route.prefix, rest, rtm_flags))
        .with(DESTINATION, &route.destination.octets())
        .with(OUT_INTERFACE, &route.index.to_ne_bytes())
        .with(SOURCE, &route.source.octets());
    if let Some(gateway) = route.gateway {
        request = request.with(GATEWAY, &gateway.octets());
    }
    if let Some(mtu) = route.mtu {
        request = request.with(METRICS, &nested(raw::RTAX_MTU as u16, &u32::from(mtu).to_ne_bytes()));
    }
    request
}

/// `struct rtmsg`; `rest` is `rtm_table`, `rtm_protocol`, `rtm_scope`, `rtm_type`.
fn route_header(family: u8, prefix: u8, rest: [u8; 4], flags: u32) -> [u8; ROUTE_HEADER] {
    let [table, protocol, scope, kind] = rest;
    let [a, b, c, d] = flags.to_ne_bytes();
    [family, prefix, 0, 0, table, protocol, scope, kind, a, b, c, d]
}

/// An attribute of four bytes, as the value of another one.
fn nested(kind: u16, value: &[u8; 4]) -> Vec<u8> {
    [&8u16.to_ne_bytes(), &kind.to_ne_bytes(), value.as_slice()].concat()
}

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (INET, address.octets().into()),
        IpAddr::V6(address) => (INET6, address.octets().into()),
    }
}

fn parse_ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        INET => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        INET6 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
