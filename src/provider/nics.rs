//! Network interfaces as clouds describe them, made the same: a MAC address, addresses with their prefix lengths,
//! gateways.

use super::reader::Reader;
use super::{Dir, Entries, Nics};
use crate::error::Result;
use crate::text::document::Document;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Interfaces that one machine is told of at most: EC2's largest have 30 on two cards, and metadata may lie.
const NICS_LIMIT: usize = 64;

/// Addresses of one interface that are listed at most: EC2 and GCP stop at some fifty and a hundred.
const ADDRESSES_LIMIT: usize = 512;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// The MAC address in small letters with colons; empty where the cloud names none.
    pub mac: String,
    /// Addresses as `ADDRESS/PREFIX`, or bare where the cloud does not tell the prefix length.
    pub addresses: Vec<String>,
    /// Gateways.
    pub gateways: Vec<String>,
    /// The path below which `imds` finds its raw keys; empty where there is none.
    pub raw: String,
}

impl Reader<'_> {
    /// The network interfaces in the cloud's order.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` for a document that is none.
    pub fn nics(&mut self) -> Result<Vec<Nic>> {
        let mut nics = match self.cloud.nics {
            Nics::None => Vec::new(),
            Nics::Dir(folder) => self.folder(folder)?,
            Nics::Links(target) => self.document(target)?.map(links).unwrap_or_default(),
            Nics::Entries(kinds) => {
                let mut nics = Vec::new();
                for kind in kinds {
                    if let Some(root) = self.document(kind.place.0)? {
                        entries(root, kind, &mut nics);
                    }
                }
                nics
            }
        };
        nics.truncate(NICS_LIMIT);
        nics.iter_mut().for_each(|nic| nic.addresses.truncate(ADDRESSES_LIMIT));
        Ok(nics)
    }

    /// What `imds @nic:` prints for the interface with this MAC address: the whole entry, or `key` of it. `None` also
    /// for an interface that the cloud does not know.
    ///
    /// # Errors
    /// As [`Self::nics`].
    pub fn nic_value(&mut self, mac: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let name = ALIASES.iter().find(|(alias, ..)| *alias == key);
        if let Nics::Dir(folder) = self.cloud.nics {
            let file = name.map_or(key, |(_, file, _)| file(folder));
            return self.body(format!("{}{mac}/{file}", folder.path).trim_end_matches('/'));
        }
        let Some(nic) = self.nics()?.into_iter().find(|nic| nic.mac == mac) else { return Ok(None) };
        match name {
            Some((.., value)) => Ok(Some(value(&nic).join("\n").into_bytes()).filter(|text| !text.is_empty())),
            None if nic.raw.is_empty() => Ok(None),
            None => self.raw(format!("{}/{key}", nic.raw).trim_end_matches('/')),
        }
    }

    /// A folder of MAC addresses.
    fn folder(&mut self, folder: &Dir) -> Result<Vec<Nic>> {
        let mut nics = Vec::new();
        let path = folder.path;
        let Some(listing) = self.value(path)? else { return Ok(nics) };
        let listing = String::from_utf8_lossy(&listing).into_owned();
        for mac in listing.split_whitespace().map(|entry| entry.trim_end_matches('/')).take(NICS_LIMIT) {
            let mut nic = Nic { mac: mac.to_ascii_lowercase(), ..Nic::default() };
            for (addresses, subnets) in [folder.ipv4, folder.ipv6] {
                let addresses = self.words(&format!("{path}{mac}/{addresses}"))?;
                if addresses.is_empty() {
                    continue;
                }
                let subnet = self.words(&format!("{path}{mac}/{subnets}"))?;
                let subnet = subnet.first().map_or("", String::as_str);
                nic.addresses.extend(addresses.iter().filter_map(|address| with_prefix(address, subnet)));
            }
            for file in folder.gateways {
                nic.gateways
                    .extend(self.words(&format!("{path}{mac}/{file}"))?.iter().filter_map(|text| address(text)));
            }
            nics.push(nic);
        }
        Ok(nics)
    }

    /// The words of a file: one a line on EC2, in brackets, quotes and commas on Alibaba Cloud.
    fn words(&mut self, target: &str) -> Result<Vec<String>> {
        let body = self.value(target)?.unwrap_or_default();
        let is_between = |letter: char| letter.is_whitespace() || matches!(letter, '[' | ']' | '"' | ',');
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(text.split(is_between).filter(|word| !word.is_empty()).map(String::from).collect())
    }
}

/// An alias of `imds @nic:`, the file for it in a folder, and what interfaces elsewhere have instead.
type Alias = (&'static str, fn(&Dir) -> &'static str, fn(&Nic) -> Vec<String>);

const ALIASES: [Alias; 7] = [
    ("@mac", |_| "mac", |nic| Vec::from([nic.mac.clone()])),
    ("@ipv4", |folder| folder.ipv4.0, |nic| nic.bare(IpAddr::is_ipv4)),
    ("@ipv6", |folder| folder.ipv6.0, |nic| nic.bare(IpAddr::is_ipv6)),
    ("@ipv4-net", |folder| folder.ipv4.1, |nic| nic.subnets(IpAddr::is_ipv4)),
    ("@ipv6-net", |folder| folder.ipv6.1, |nic| nic.subnets(IpAddr::is_ipv6)),
    // Delegated prefixes are EC2's own.
    ("@ipv4-prefix", |_| "ipv4-prefix", |_| Vec::new()),
    ("@ipv6-prefix", |_| "ipv6-prefix", |_| Vec::new()),
];

impl Nic {
    /// Addresses of one family without their prefix lengths.
    fn bare(&self, family: fn(&IpAddr) -> bool) -> Vec<String> {
        let bare = |text: &String| text.split('/').next().and_then(|bare| bare.parse::<IpAddr>().ok());
        self.addresses.iter().filter_map(bare).filter(family).map(|address| address.to_string()).collect()
    }

    /// The subnets of the addresses of one family, each once.
    fn subnets(&self, family: fn(&IpAddr) -> bool) -> Vec<String> {
        let mut subnets: Vec<String> = Vec::new();
        for text in &self.addresses {
            let Some((bare, length)) = text.split_once('/') else { continue };
            let (Ok(address), Ok(length)) = (bare.parse::<IpAddr>(), length.parse::<u32>()) else { continue };
            let subnet = format!("{}/{length}", network(address, length));
            if family(&address) && !subnets.contains(&subnet) {
                subnets.push(subnet);
            }
        }
        subnets
    }
}

/// The first address of the subnet that `address` lies in.
fn network(address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            IpAddr::V4((address.to_bits() & !host).into())
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            IpAddr::V6((address.to_bits() & !host).into())
        }
    }
}

/// Adds what `root` has of one kind.
fn entries(root: &Document, kind: &Entries, nics: &mut Vec<Nic>) {
    for (index, entry) in all(root, kind.place.1).into_iter().enumerate() {
        let texts = |path: &str| -> Vec<String> {
            let found = if path.is_empty() { Vec::new() } else { all(entry, path) };
            found.into_iter().filter_map(Document::text).filter(|text| !text.is_empty()).map(String::from).collect()
        };
        let mut nic =
            Nic { mac: mac(texts(kind.mac).first()), raw: kind.raw.replace('#', &index.to_string()), ..Nic::default() };
        for (addresses, prefixes) in kind.addresses {
            let prefixes = texts(prefixes);
            for (position, address) in texts(addresses).iter().enumerate() {
                // One subnet for all, or one for each.
                let prefix = prefixes.get(position).or(prefixes.first()).map_or("", String::as_str);
                nic.addresses.extend(with_prefix(address, prefix));
            }
        }
        nic.gateways = kind.gateways.iter().flat_map(|path| texts(path)).filter_map(|text| address(&text)).collect();
        nics.push(nic);
    }
}

/// OpenStack: `links` have the MAC addresses, `networks` the addresses on them.
fn links(root: &Document) -> Vec<Nic> {
    let field = |node: &Document, name: &str| -> String {
        node.at(&[name]).and_then(Document::text).unwrap_or_default().into()
    };
    let lists = [root.at(&["links"]), root.at(&["networks"])].map(|list| list.map(Document::list).unwrap_or_default());
    let [links, networks] = lists;
    let mut nics = Vec::new();
    for link in links.iter().take(NICS_LIMIT) {
        let id = field(link, "id");
        let mut nic = Nic { mac: mac(Some(&field(link, "ethernet_mac_address"))), ..Nic::default() };
        for network in networks.iter().filter(|network| field(network, "link") == id) {
            nic.addresses.extend(with_prefix(&field(network, "ip_address"), &field(network, "netmask")));
            nic.gateways.extend(address(&field(network, "gateway")));
            for route in network.at(&["routes"]).map(Document::list).unwrap_or_default() {
                let everywhere = matches!(field(route, "network").as_str(), "0.0.0.0" | "::");
                nic.gateways.extend(address(&field(route, "gateway")).filter(|_| everywhere));
            }
        }
        nics.push(nic);
    }
    nics
}

/// Every node at `path`, in which `*` stands for each element of a list or a mapping.
fn all<'a>(root: &'a Document, path: &str) -> Vec<&'a Document> {
    let mut nodes = Vec::from([root]);
    for step in path.split('/').filter(|step| !step.is_empty()) {
        let mut next = Vec::new();
        for node in nodes {
            if step == "*" {
                next.extend(node.list());
                next.extend(node.map().iter().map(|(_, value)| value));
            } else {
                next.extend(node.at(&[step]));
            }
        }
        nodes = next;
    }
    nodes
}

/// A MAC address as Linux prints it, from any case, with colons or without.
fn mac(text: Option<&String>) -> String {
    let Some(text) = text else { return String::new() };
    let digits: Vec<char> =
        text.chars().filter(char::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase()).collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    pairs.join(":")
}

/// An address in its usual form; what is none is left out.
fn address(text: &str) -> Option<String> {
    text.parse::<IpAddr>().ok().map(|address| address.to_string())
}

/// `address/prefix`; the prefix length comes from a number, a netmask or a subnet. What is no address is left out.
fn with_prefix(address: &str, subnet: &str) -> Option<String> {
    let (bare, own) = address.split_once('/').unwrap_or((address, ""));
    let parsed: IpAddr = bare.parse().ok()?;
    let fits = |length: &u32| parsed.is_ipv6() || *length <= 32;
    Some(match prefix_length(own).or_else(|| prefix_length(subnet)).filter(fits) {
        Some(length) => format!("{parsed}/{length}"),
        None => parsed.to_string(),
    })
}

/// From `24`, `255.255.255.0`, `ffff:ffff::` or `10.0.0.0/24`.
fn prefix_length(text: &str) -> Option<u32> {
    let number = text.rsplit_once('/').map_or(text, |(_, number)| number);
    if let Ok(length) = number.parse::<u32>() {
        return (length <= 128).then_some(length);
    }
    match number.parse().ok()? {
        IpAddr::V4(mask) => Some(mask.to_bits().leading_ones()),
        IpAddr::V6(mask) => Some(mask.to_bits().leading_ones()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_those_of_the_addresses() {
        let addresses = ["10.0.3.5/20", "10.0.4.9/20", "2001:db8::5/64", "192.0.2.1/32", "198.51.100.1"];
        let nic = Nic { addresses: addresses.map(String::from).to_vec(), ..Nic::default() };
        assert_eq!(nic.subnets(IpAddr::is_ipv4), ["10.0.0.0/20", "192.0.2.1/32"]);
        assert_eq!(nic.subnets(IpAddr::is_ipv6), ["2001:db8::/64"]);
        assert_eq!(nic.bare(IpAddr::is_ipv6), ["2001:db8::5"]);
    }

    #[test]
    fn prefix_lengths_come_in_every_form() {
        for (subnet, wanted) in [
            ("24", "10.0.0.5/24"),
            ("255.255.255.0", "10.0.0.5/24"),
            ("10.0.0.0/20", "10.0.0.5/20"),
            ("", "10.0.0.5"),
            ("nonsense", "10.0.0.5"),
            ("300", "10.0.0.5"),
            ("64", "10.0.0.5"),
        ] {
            assert_eq!(with_prefix("10.0.0.5", subnet).unwrap(), wanted, "{subnet}");
        }
        assert_eq!(with_prefix("2001:db8::1", "ffff:ffff:ffff:ffff::").unwrap(), "2001:db8::1/64");
        assert_eq!(with_prefix("10.0.0.5/32", "24").unwrap(), "10.0.0.5/32");
        assert_eq!(with_prefix("10.0.0.5/\u{1b}[2J", "").unwrap(), "10.0.0.5", "nothing is handed on unread");
        assert_eq!(with_prefix("dhcp", "24"), None);
    }

    #[test]
    fn mac_addresses_come_in_every_form() {
        for text in ["000D3A6E01FF", "00:0d:3a:6e:01:ff", "00-0D-3A-6E-01-FF"] {
            assert_eq!(mac(Some(&text.into())), "00:0d:3a:6e:01:ff");
        }
        assert_eq!(mac(None), "");
    }
}
