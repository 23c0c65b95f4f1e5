//! `ip=` and `nameserver=`: the network before `switch_root`, for anyone who needs one there.
//!
//! `ip=` as the kernel reads it (Documentation/admin-guide/nfs/nfsroot.rst) and as dracut does (dracut.cmdline(7)):
//! `client:server:gateway:netmask:host:device:how:dns:dns`, `how` alone, or `device:how`. IPv6 configures itself.

#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::text::cmdline::Cmdline;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// How the network is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The name of an interface: an address is for it alone, DHCP tries it first. `None`: whichever leads there.
    pub device: Option<String>,
    /// An address that no one need be asked for; `None`: DHCP.
    pub fixed: Option<Fixed>,
    /// Name servers, before those of a lease.
    pub servers: Vec<IpAddr>,
}

/// An address and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The address.
    pub address: Ipv4Addr,
    /// How many bits of it name the network.
    pub prefix: u8,
    /// The router.
    pub gateway: Option<Ipv4Addr>,
}

/// Words for a lease: the kernel's, and those of dracut that leave IPv4 to DHCP.
const LEASED: [&str; 5] = ["dhcp", "on", "any", "both", "single-dhcp"];

/// Words that in the place of `how` say that the address stands there.
const GIVEN: [&str; 3] = ["", "none", "off"];

/// The C library honours three.
const SERVERS_LIMIT: usize = 3;

const DOING: &str = "understand";

impl Network {
    /// Reads what a kernel command line says; without a word it is DHCP on any interface.
    ///
    /// # Errors
    /// `Usage` for what cannot be meant.
    pub(super) fn from_cmdline(line: &Cmdline) -> Result<Self> {
        let value = line.value("ip").unwrap_or_default();
        let mut network = parse(value)
            .ok_or_else(|| Error::usage(DOING, "it is neither dhcp nor an address with its netmask").to("ip="))?;
        let named = line.words().iter().filter(|word| word.name == "nameserver").filter_map(|word| word.value.as_ref());
        for text in named.take(SERVERS_LIMIT) {
            let server = text.trim_matches(['[', ']']).parse();
            network.servers.push(server.map_err(|_| Error::usage(DOING, "it is no address").to("nameserver="))?);
        }
        Ok(network)
    }
}

fn parse(value: &str) -> Option<Network> {
    let fields: Vec<&str> = value.split(':').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let text = |at| Some(field(at)).filter(|text| !text.is_empty()).map(String::from);
    if value.is_empty() || LEASED.contains(&value) {
        return Some(Network::default());
    }
    if LEASED.contains(&field(1)) {
        return Some(Network { device: text(0), ..Network::default() });
    }
    let mut servers = Vec::new();
    for at in [7, 8] {
        if !field(at).is_empty() {
            servers.push(field(at).parse().ok()?);
        }
    }
    if LEASED.contains(&field(6)) {
        return Some(Network { device: text(5), fixed: None, servers });
    }
    let address = field(0).parse().ok().filter(|_| GIVEN.contains(&field(6)))?;
    let gateway = match field(2) {
        "" => None,
        gateway => Some(gateway.parse().ok()?),
    };
    Some(Network { device: text(5), fixed: Some(Fixed { address, prefix: prefix(field(3))?, gateway }), servers })
}

/// A netmask, or the number of its bits.
fn prefix(text: &str) -> Option<u8> {
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        let bits = mask.to_bits();
        return u8::try_from(bits.leading_ones()).ok().filter(|ones| u32::from(*ones) == bits.count_ones());
    }
    text.parse().ok().filter(|bits| *bits <= 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network> {
        Network::from_cmdline(&Cmdline::parse(text))
    }

    #[test]
    fn a_lease_is_asked_for_in_many_words() {
        for text in ["", "ip=", "ip=dhcp", "ip=on", "ip=::::web-1::dhcp", "ip=single-dhcp"] {
            assert_eq!(network(text), Ok(Network::default()), "{text}");
        }
        for text in ["ip=eth1:dhcp", "ip=:::::eth1:dhcp", "ip=eth1:dhcp:1500"] {
            assert_eq!(network(text).unwrap().device.as_deref(), Some("eth1"), "{text}");
        }
    }

    #[test]
    fn an_address_comes_with_its_network() {
        let fixed = Fixed { address: [10, 0, 0, 2].into(), prefix: 24, gateway: Some([10, 0, 0, 1].into()) };
        for text in [
            "ip=10.0.0.2::10.0.0.1:255.255.255.0",
            "ip=10.0.0.2::10.0.0.1:24:web:eth0:none",
            "ip=10.0.0.2:10.0.0.9:10.0.0.1:255.255.255.0::eth0:off:9.9.9.9:149.112.112.112:10.0.0.3",
        ] {
            assert_eq!(network(text).unwrap().fixed, Some(fixed), "{text}");
        }
        let told = network("ip=10.0.0.2:::32::eth0:none:9.9.9.9 nameserver=1.1.1.1 nameserver=[fd00::1]").unwrap();
        assert_eq!(told.fixed.map(|it| (it.prefix, it.gateway)), Some((32, None)));
        assert_eq!(told.servers.len(), 3);
        assert_eq!(told.device.as_deref(), Some("eth0"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "ip=10.0.0.2",
            "ip=10.0.0.2::10.0.0.1:255.0.255.0",
            "ip=10.0.0.2::x:24",
            "ip=10.0.0.2::10.0.0.1:33",
            "ip=10.0.0.2::10.0.0.1:24:::bootp",
            "ip=off",
            "ip=eth0:auto6",
            "nameserver=x",
        ] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
