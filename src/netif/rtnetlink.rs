//! Questions and orders to the kernel's network, each with its answer.

use crate::error::{Error, Kind, Result};
use crate::fetch::SYSTEMD_IMDS_MARK;
use crate::packet::netlink::{Answers, Request};
use crate::packet::rtnetlink::{self, Address, Link, RouteLookup};
use crate::sys::clock;
use crate::sys::netlink::Socket;
use crate::units::Deadline;
use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use linux_raw_sys::netlink as raw;

/// The kernel answers while it is asked, unless another program holds its network's lock: a driver that resets its
/// hardware does so for seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a list is asked for again because it changed while it was written. Changes come in bursts at boot.
const TRIES: usize = 8;

/// What the kernel says when there is no way: `EACCES` and `EINVAL` (such routes exist to forbid), `EOPNOTSUPP` and
/// `EAFNOSUPPORT` (it has no IPv6), `ENETDOWN`, `ENETUNREACH`, `EHOSTUNREACH`.
const NO_WAY: [i32; 7] = [FORBIDDEN, 22, 95, 97, 100, 101, 113];

/// `EACCES`.
const FORBIDDEN: i32 = 13;

/// `ENOBUFS`.
const DROPPED: i32 = 105;

/// `EEXIST`.
const ALREADY_THERE: i32 = 17;

/// A conversation.
#[derive(Debug)]
pub struct Kernel {
    socket: Socket,
    sequence: u32,
}

/// A subscription to changes of interfaces, addresses and IPv6 routes.
#[derive(Debug)]
pub struct Watch(Socket);

impl Kernel {
    /// Opens it.
    ///
    /// # Errors
    /// `Os`.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(0)?, sequence: 0 })
    }

    /// All interfaces.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let bodies = self.list(&rtnetlink::list_links(), "list the network interfaces")?;
        bodies.iter().map(|body| rtnetlink::parse_link(body)).collect()
    }

    /// All addresses.
    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        let bodies = self.list(&rtnetlink::list_addresses(), "list the addresses of this machine")?;
        bodies.iter().filter_map(|body| rtnetlink::parse_address(body).transpose()).collect()
    }

    /// How a packet to `destination` would leave; `None` when it could not. A route that is locked to all but those who
    /// carry systemd's mark counts: `fetch` does, and a network that someone locks is configured.
    pub fn get_route(&mut self, destination: IpAddr) -> Result<Option<RouteLookup>> {
        const DOING: &str = "look for a route to";
        let answer = match self.ask(&rtnetlink::get_route(destination, 0), DOING) {
            Err(error) if error.kind == Kind::Os(FORBIDDEN) => {
                self.ask(&rtnetlink::get_route(destination, SYSTEMD_IMDS_MARK), DOING)
            }
            answer => answer,
        };
        match answer {
            Ok(answers) => answers.into_bodies().first().map_or(Ok(None), |body| rtnetlink::parse_route_lookup(body)),
            Err(error) if matches!(error.kind, Kind::Os(errno) if NO_WAY.contains(&errno)) => Ok(None),
            Err(error) => Err(error.to(format!("{destination}"))),
        }
    }

    /// Has an order carried out.
    pub fn order(&mut self, request: &Request, doing: &'static str) -> Result<()> {
        self.ask(request, doing).map(|_| ())
    }

    /// Has something made; whether it is new.
    pub fn make(&mut self, request: &Request, doing: &'static str) -> Result<bool> {
        match self.order(request, doing) {
            Ok(()) => Ok(true),
            Err(error) if error.kind == Kind::Os(ALREADY_THERE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks for a list, once more when it changed meanwhile.
    fn list(&mut self, request: &Request, doing: &'static str) -> Result<Vec<Vec<u8>>> {
        for _ in 0..TRIES {
            match self.ask(request, doing) {
                Ok(answers) if answers.is_torn() => {}
                Ok(answers) => return Ok(answers.into_bodies()),
                Err(error) if error.kind == Kind::Os(DROPPED) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(Kind::TimedOut, doing, "they change all the time"))
    }

    fn ask(&mut self, request: &Request, doing: &'static str) -> Result<Answers> {
        let deadline = Deadline::after(clock::now(), PATIENCE);
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&request.emit(self.sequence))?;
        let mut answers = Answers::new(self.sequence);
        while !answers.take(self.socket.receive(deadline)?, doing)? {}
        Ok(answers)
    }
}

impl Watch {
    /// Subscribes: what changes from now on is announced.
    ///
    /// # Errors
    /// `Os`.
    pub fn open() -> Result<Self> {
        let groups = raw::RTMGRP_LINK | raw::RTMGRP_IPV4_IFADDR | raw::RTMGRP_IPV6_IFADDR | raw::RTMGRP_IPV6_ROUTE;
        Socket::open(groups).map(Self)
    }

    /// Waits for the next change; whether one came before `deadline`.
    ///
    /// # Errors
    /// `Os`.
    pub fn wait(&mut self, deadline: Deadline) -> Result<bool> {
        match self.0.receive(deadline).map(|_| ()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind == Kind::TimedOut => Ok(false),
            // So many that some were dropped: that is a change, too.
            Err(error) if error.kind == Kind::Os(DROPPED) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
