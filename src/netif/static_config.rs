//! An address that the user gives: no one is asked for it.

use super::connect::Search;
use super::rtnetlink::{Kernel, Watch};
use super::undo_log::UndoLog;
use super::{Connection, Interface, Target};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::packet::rtnetlink::Route;
use crate::settings::Fixed;
use crate::units::Deadline;
use alloc::format;
use core::net::Ipv4Addr;

/// Gives the interface that `prefer` names, or the best one with a carrier, an `address` that no one was asked for, and
/// sends what leads elsewhere to the `gateway`.
///
/// # Errors
/// `Absent`: there is no such interface. `TimedOut`: it has no carrier. `Os`. Whatever was changed is undone.
pub fn assign(prefer: Option<&str>, fixed: &Fixed, deadline: Deadline, log: &Log) -> Result<Connection> {
    let mut kernel = Kernel::open()?;
    let mut made = UndoLog::default();
    let server = fixed.address.into();
    let want = Target { server, other: None, dhcp: false, link_local: false, prefer };
    let done = Search { kernel: &mut kernel, made: &mut made, want: &want, deadline, log }.assign(fixed);
    match done {
        Ok(interface) => Ok(Connection { index: interface.index, interface: interface.link.name, lease: None, made }),
        Err(error) => {
            let _ = made.undo(&mut kernel);
            Err(error.to(format!("{}", fixed.address)))
        }
    }
}

impl Search<'_> {
    fn assign(mut self, fixed: &Fixed) -> Result<Interface> {
        let mut watch = Watch::open()?;
        self.set_up(&mut watch)?;
        let ready = self.wait_for_carrier(&mut watch)?;
        let is_meant = |it: &&Interface| self.want.prefer.is_none_or(|name| it.name == name);
        let Some(interface) = ready.iter().find(is_meant) else {
            return Err(Error::absent("assign", "the interface that is named has no carrier"));
        };
        let Fixed { address, prefix, gateway } = *fixed;
        self.add_address(interface.index, address, prefix, u32::MAX)?;
        let (index, destination) = (interface.index, Ipv4Addr::UNSPECIFIED);
        if gateway.is_some() {
            self.add_route(Route { index, destination, prefix: 0, gateway, source: address, mtu: None })?;
        }
        self.made.set_others_down(self.kernel, index);
        Ok(interface.clone())
    }
}
