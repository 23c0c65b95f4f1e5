//! Network interfaces as sysfs shows them below a root: of a tree of files, where there is no kernel to ask.

use super::{Interface, driver};
use crate::packet::rtnetlink::Link;
use crate::sys::{device_node, file, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// `ARPHRD_ETHER` of linux/if_arp.h, as `type` has it.
const ETHERNET: &str = "1";

/// How the kernel calls network cards as long as nothing gives them other names.
const CARD: &str = "eth";

/// The network interfaces below `root`; addresses are not shown there.
#[must_use]
pub fn from_sysfs(root: &str) -> Vec<Interface> {
    let folder = format!("{root}/sys/class/net");
    let mut names = file::list(&folder).unwrap_or_default();
    names.retain(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
    names.into_iter().map(|name| interface(root, name)).collect()
}

fn interface(root: &str, name: String) -> Interface {
    let folder = format!("{root}/sys/class/net/{name}");
    let attribute = |key: &str| device_node::attribute(&format!("{folder}/{key}")).ok();
    let is_there = |key: &str| tree::is_there(&format!("{folder}/{key}"));
    let is_ethernet = attribute("type").is_none_or(|kind| kind == ETHERNET);
    let is_card = is_there("device") || name.starts_with(CARD);
    let state = attribute("operstate");
    let has_carrier = state.as_deref() == Some("up");
    let link = Link {
        index: attribute("ifindex").and_then(|index| index.parse().ok()).unwrap_or(u32::MAX),
        mac: Some([0; 6]).filter(|_| is_ethernet),
        kind: Some("virtual".into()).filter(|_| !is_card),
        master: Some(0).filter(|_| is_there("master")),
        is_loopback: name == "lo",
        is_up: has_carrier,
        has_carrier,
        mtu: 0,
        name,
    };
    Interface { driver: driver(root, &link.name), addresses: Vec::new(), link }
}
