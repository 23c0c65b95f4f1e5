//! What was changed to reach something, and how it is undone.

use super::dhcp;
use super::rtnetlink::Kernel;
use crate::error::{Kind, Result};
use crate::packet::dhcp4::Lease;
use crate::packet::rtnetlink::{self, Route};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What the kernel says of a route, an address and an interface that are gone: `ESRCH`, `EADDRNOTAVAIL`, `ENODEV`.
const GONE: [i32; 3] = [3, 99, 19];

/// One thing that was not so before.
#[derive(Debug)]
pub enum Undo {
    /// The interface with this name and number was set up.
    Up(String, u32),
    /// The interface with this number got an address of so many bits of network.
    Address(u32, Ipv4Addr, u8),
    /// A route was made.
    Route(Route),
    /// A lease was taken.
    Lease(dhcp::Session, Lease),
}

/// Everything that was changed, first things first.
#[derive(Debug, Default)]
pub struct UndoLog(Vec<Undo>);

impl UndoLog {
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, change: Undo) {
        self.0.push(change);
    }

    /// Undoes it, last things first; the first error is told, and the rest undone nevertheless.
    pub fn undo(self, kernel: &mut Kernel) -> Result<()> {
        let mut first = Ok(());
        for change in self.0.iter().rev() {
            match change.undo(kernel) {
                Err(error) if matches!(error.kind, Kind::Os(errno) if GONE.contains(&errno)) => {}
                undone => first = first.and(undone),
            }
        }
        first
    }

    /// Sets down again what was set up besides the interface number `used`.
    pub fn set_others_down(&mut self, kernel: &mut Kernel, used: u32) {
        self.0.retain(|change| match change {
            // One that cannot be set down is up for nothing, which harms no one.
            Undo::Up(_, index) if *index != used => change.undo(kernel).is_err(),
            _ => true,
        });
    }
}

impl Undo {
    fn undo(&self, kernel: &mut Kernel) -> Result<()> {
        match self {
            Self::Up(name, index) => {
                let order = rtnetlink::set_link(*index, false);
                kernel.order(&order, "set down").map_err(|error| error.to(name.as_str()))
            }
            Self::Address(index, address, prefix) => {
                let order = rtnetlink::remove_address(*index, *address, *prefix);
                kernel.order(&order, "remove the address").map_err(|error| error.to(format!("{address}")))
            }
            Self::Route(route) => {
                let order = rtnetlink::remove_route(route);
                let to = |error: crate::error::Error| error.to(format!("{}/{}", route.destination, route.prefix));
                kernel.order(&order, "remove the route to").map_err(to)
            }
            Self::Lease(session, lease) => {
                session.release(lease).map_err(|error| error.to(format!("{}", lease.server)))
            }
        }
    }
}
