//! Network interfaces: brought up as far as metadata needs, and put back.
//!
//! What the kernel can reach already is never touched. Everything that is changed is written down first, so that it can
//! be undone; what was there before stays. Nothing here writes a file: who keeps the network carries on from the lease.
#![forbid(unsafe_code)]

mod carrier;
mod connect;
pub mod dhcp;
mod rank;
mod rtnetlink;
mod static_config;
mod sysfs;
mod undo_log;

pub use carrier::{connected, find_connected};
pub use connect::{Connection, Target, connect};
pub use rank::{candidates, mac_text};
pub use static_config::assign;
pub use sysfs::from_sysfs;

use crate::error::Result;
use crate::packet::rtnetlink::Link;
use crate::sys::device_node;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Deref;
use rtnetlink::Kernel;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// What the kernel says of it.
    pub link: Link,
    /// The driver of the hardware, or of what the hypervisor shows as hardware: `virtio_net`, `ena`, `hv_netvsc`.
    pub driver: Option<String>,
    /// The addresses that may be used, and how many bits of each name its network.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Deref for Interface {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

/// All network interfaces that this process sees, in the kernel's order.
///
/// # Errors
/// `Os`, `TimedOut`: the kernel does not answer.
pub fn interfaces() -> Result<Vec<Interface>> {
    list(&mut Kernel::open()?)
}

fn list(kernel: &mut Kernel) -> Result<Vec<Interface>> {
    let links = kernel.links()?;
    let addresses = kernel.addresses()?;
    let of = |index| {
        let usable = addresses.iter().filter(move |address| address.index == index && address.is_usable);
        usable.map(|address| (address.address, address.prefix)).collect()
    };
    let interface = |link: Link| Interface { driver: driver("", &link.name), addresses: of(link.index), link };
    Ok(links.into_iter().map(interface).collect())
}

/// The driver, by the last part of the link that sysfs has for it.
fn driver(root: &str, name: &str) -> Option<String> {
    let target = device_node::link_target(&format!("{root}/sys/class/net/{name}/device/driver")).ok()?;
    target.rsplit('/').next().map(Into::into)
}
