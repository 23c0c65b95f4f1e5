//! Makes one address reachable, with as little as that takes, and undoes it.
//!
//! For IPv4: the first interface whose DHCP lease leads to the address, or an address of the link's own. For IPv6 the
//! kernel does all of it (link-local address, router advertisements) once an interface is up.

use super::rtnetlink::{Kernel, Watch};
use super::undo_log::{Undo, UndoLog};
use super::{Interface, candidates, dhcp, list};
use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::packet::dhcp4::{self, Lease};
use crate::packet::rtnetlink::{self, Route, RouteLookup};
use crate::sys::{clock, random};
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// How long drivers may take until the first interface is there. Those of virtual hardware are done before this is
/// asked; a machine without any interface should not wait for long.
const UNTIL_FIRST: Duration = Duration::from_secs(10);

/// How much later than the first carrier the one of a better interface may be seen. Negotiating a gigabit takes longer,
/// but there the carriers of all cards come late.
const UNTIL_BETTER: Duration = Duration::from_secs(1);

/// How long each interface may look for a lease before the service's other address, if it can be reached by then, is
/// taken instead: four questions, and longer than any cloud needs for an answer. Each further round is twice as long.
const FIRST_ROUND: Duration = Duration::from_secs(4);

/// How long one interface may look for a lease when there is no deadline to share.
const LEASE_PATIENCE: Duration = Duration::from_secs(60);

const DOING: &str = "find a way to";

/// What is to be reached, and by which means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The address. For a link-local one of IPv6, any interface with such an address will do.
    pub server: IpAddr,
    /// Where the same service is on machines that have only IPv6, if it is there.
    pub other: Option<IpAddr>,
    /// Whether to ask for a DHCP lease (IPv4).
    pub dhcp: bool,
    /// Whether to take an address of 169.254.0.0/16 without asking anybody (IPv4; DigitalOcean), where there is no
    /// lease.
    pub link_local: bool,
    /// The driver, the name or the beginning of the Ethernet address of the interface to try first.
    pub prefer: Option<&'a str>,
}

/// The way that was found, and what was changed for it.
#[derive(Debug)]
#[must_use = "the network is either released or kept"]
pub struct Connection {
    /// The name of the interface.
    pub interface: String,
    /// Its number: the scope of a link-local address.
    pub index: u32,
    /// The lease, if one was needed.
    pub lease: Option<Lease>,
    pub(super) made: UndoLog,
}

/// Makes sure that packets to the server of `want` can be sent. When they can already, nothing is changed. The other
/// address will do where IPv6 is configured and IPv4 is not, and where no lease comes.
///
/// # Errors
/// `Absent`: there is no interface. `TimedOut`: none of them leads there. `Os`. Whatever was changed is undone.
pub fn connect(want: &Target<'_>, deadline: Deadline, log: &Log) -> Result<Connection> {
    let mut kernel = Kernel::open()?;
    let mut made = UndoLog::default();
    let found = match find_configured(&mut kernel, want)? {
        Some(interface) => Ok((interface, None)),
        None => Search { kernel: &mut kernel, made: &mut made, want, deadline, log }.run(),
    };
    match found {
        Ok((interface, lease)) => {
            Ok(Connection { index: interface.index, interface: interface.link.name, lease, made })
        }
        Err(error) => {
            // The error that stopped the search is the one to tell.
            let _ = made.undo(&mut kernel);
            Err(error.to(format!("{}", want.server)))
        }
    }
}

impl Connection {
    /// Whether the server could be reached before, and nothing was changed.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        self.made.is_empty()
    }

    /// Undoes exactly what was changed: the lease is given back, routes and address go, the interface is set down.
    ///
    /// # Errors
    /// `Os`: the first thing that could not be undone; the others were.
    pub fn release(self) -> Result<()> {
        self.made.undo(&mut Kernel::open()?)
    }

    /// Leaves everything as it is, for anyone who configures the network next. No one renews the lease until then: the
    /// kernel drops the address when it ends.
    pub fn keep(self) {}
}

/// The interface by which the kernel reaches either address of `want`. An address that any interface has as soon as it
/// is up does not show that someone has configured IPv6; another one beside it does.
fn find_configured(kernel: &mut Kernel, want: &Target<'_>) -> Result<Option<Interface>> {
    let first = find(kernel, want.server, want.prefer)?;
    let (None, Some(other)) = (&first, want.other) else { return Ok(first) };
    let is_configured = |it: &Interface| it.addresses.iter().any(|(own, _)| own.is_ipv6() && !is_link_local6(*own));
    Ok(find(kernel, other, want.prefer)?.filter(is_configured))
}

/// The interface by which the kernel reaches `server` as things are.
fn find(kernel: &mut Kernel, server: IpAddr, prefer: Option<&str>) -> Result<Option<Interface>> {
    if let IpAddr::V6(address) = server
        && address.is_unicast_link_local()
    {
        let all = list(kernel)?;
        let is_ready = |it: &&&Interface| it.has_carrier && it.addresses.iter().any(|(own, _)| is_link_local6(*own));
        return Ok(candidates(&all, prefer).iter().find(is_ready).map(|it| (*it).clone()));
    }
    let Some(way) = kernel.get_route(server)? else { return Ok(None) };
    // While an interface has no other address yet, IPv6 would send from this one, to which no one can answer.
    if is_link_local6(way.source) {
        return Ok(None);
    }
    Ok(list(kernel)?.into_iter().find(|it| it.index == way.index))
}

fn is_link_local6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Who looks for a way, and notes what it changes.
pub(super) struct Search<'a> {
    pub kernel: &'a mut Kernel,
    pub made: &'a mut UndoLog,
    pub want: &'a Target<'a>,
    pub deadline: Deadline,
    pub log: &'a Log,
}

impl Search<'_> {
    fn run(mut self) -> Result<(Interface, Option<Lease>)> {
        let mut watch = Watch::open()?;
        self.set_up(&mut watch)?;
        let (interface, lease) = match self.want.server {
            IpAddr::V6(_) => (self.wait_for_way(&mut watch)?, None),
            IpAddr::V4(server) => self.by_ipv4(&mut watch, server)?,
        };
        self.made.set_others_down(self.kernel, interface.index);
        Ok((interface, lease))
    }

    /// Looks for a lease, or takes an address without one, or finds that the kernel has a way to the other address.
    fn by_ipv4(&mut self, watch: &mut Watch, server: Ipv4Addr) -> Result<(Interface, Option<Lease>)> {
        let mut patience = FIRST_ROUND;
        loop {
            let ready = self.wait_for_carrier(watch)?;
            let until = match self.want.other {
                Some(_) => {
                    let each = u32::try_from(ready.len()).unwrap_or(u32::MAX);
                    self.deadline.sooner(Deadline::after(clock::now(), patience.saturating_mul(each)))
                }
                None => self.deadline,
            };
            let error = match self.lease(&ready, server, until) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if let Some(other) = self.want.other
                && let Some(interface) = find(self.kernel, other, self.want.prefer)?
            {
                self.log.info(&format!("{error}; going on with {other}"));
                return Ok((interface, None));
            }
            if until == self.deadline || error.kind != Kind::TimedOut {
                return self.link_local(&ready, error);
            }
            patience = patience.saturating_mul(2);
        }
    }

    /// Sets the interfaces up that could lead there, once there are any.
    pub fn set_up(&mut self, watch: &mut Watch) -> Result<()> {
        let until = self.deadline.sooner(Deadline::after(clock::now(), UNTIL_FIRST));
        loop {
            let all = list(self.kernel)?;
            let tried = candidates(&all, self.want.prefer);
            let mut outcome = Ok(());
            for interface in tried.iter().filter(|it| !it.is_up) {
                match self.kernel.order(&rtnetlink::set_link(interface.index, true), "set up") {
                    Ok(()) => self.made.push(Undo::Up(interface.name.clone(), interface.index)),
                    // Broken hardware may be beside hardware that works.
                    Err(error) => outcome = Err(error.to(interface.name.as_str())),
                }
            }
            if !tried.is_empty() {
                let is_any_up = !self.made.is_empty() || tried.iter().any(|it| it.is_up);
                return if is_any_up { Ok(()) } else { outcome };
            }
            if !watch.wait(until)? {
                return Err(Error::absent(DOING, "this machine has no network interface"));
            }
        }
    }

    /// Waits until the kernel has found its way by itself.
    fn wait_for_way(&mut self, watch: &mut Watch) -> Result<Interface> {
        loop {
            if let Some(interface) = find(self.kernel, self.want.server, self.want.prefer)? {
                return Ok(interface);
            }
            if !watch.wait(self.deadline)? {
                return Err(Error::new(Kind::TimedOut, DOING, "no interface leads there"));
            }
        }
    }

    /// The interfaces that have a carrier, best first: all of them, or those that have one a moment after the first.
    pub fn wait_for_carrier(&mut self, watch: &mut Watch) -> Result<Vec<Interface>> {
        let mut until = self.deadline;
        let mut has_begun = false;
        loop {
            let all = list(self.kernel)?;
            let tried = candidates(&all, self.want.prefer);
            let ready: Vec<Interface> = tried.iter().filter(|it| it.has_carrier).map(|it| (*it).clone()).collect();
            if !ready.is_empty() && !has_begun {
                has_begun = true;
                until = until.sooner(Deadline::after(clock::now(), UNTIL_BETTER));
            }
            if ready.len() == tried.len() && has_begun || !watch.wait(until)? {
                return match ready.is_empty() {
                    false => Ok(ready),
                    true => Err(Error::new(Kind::TimedOut, DOING, "no interface has a carrier")),
                };
            }
        }
    }

    /// Takes the first lease that leads to `server`, else the first of all; the others go back.
    fn lease(&mut self, ready: &[Interface], server: Ipv4Addr, until: Deadline) -> Result<(Interface, Option<Lease>)> {
        let mut last = Error::refused(DOING, "no means of getting there is allowed");
        let mut leases = Vec::new();
        let tried = if self.want.dhcp { ready } else { &[] };
        for (index, interface) in tried.iter().enumerate() {
            let left = tried.len().saturating_sub(index);
            let share = self.share(until, left);
            match dhcp::Channel::open(interface).and_then(|channel| dhcp::acquire(channel, interface, share)) {
                Ok((lease, session)) if leads_to(&lease, server) => {
                    leases.insert(0, (interface, lease, session));
                    break;
                }
                Ok((lease, session)) => leases.push((interface, lease, session)),
                Err(error) => {
                    // The caller reports the last one, with the error that nothing was found.
                    if left > 1 {
                        self.log.info(&format!("{error}; trying the next interface"));
                    }
                    last = error;
                }
            }
        }
        let mut leases = leases.into_iter();
        let best = leases.next();
        for (interface, lease, session) in leases {
            if !is_anothers(interface, &lease) {
                // If that fails, the server forgets it in time.
                let _ = session.release(&lease);
            }
        }
        match best {
            Some((interface, lease, session)) => self.install(interface, lease, session, server),
            None => Err(last),
        }
    }

    /// The deadline for the first of `left` interfaces, when each may take the same time until `all`; an address of the
    /// link's own counts as one more.
    fn share(&self, all: Deadline, left: usize) -> Deadline {
        let now = clock::now();
        let left = u32::try_from(left).unwrap_or(u32::MAX).saturating_add(self.want.link_local.into());
        let span = all.remaining(now).map_or(LEASE_PATIENCE, |span| span.checked_div(left).unwrap_or(span));
        Deadline::after(now, span)
    }

    /// Carries out `lease`. What is done last is undone first: the lease goes back while its address is still there.
    fn install(
        &mut self,
        interface: &Interface,
        lease: Lease,
        session: dhcp::Session,
        server: Ipv4Addr,
    ) -> Result<(Interface, Option<Lease>)> {
        let Lease { address, prefix, server: from, .. } = lease;
        self.log.info(&format!("{}: {address}/{prefix} leased from {from}", interface.name));
        let done = self.configure(interface, &lease, server);
        if !is_anothers(interface, &lease) {
            self.made.push(Undo::Lease(session, lease.clone()));
        }
        done.map(|()| (interface.clone(), Some(lease)))
    }

    fn configure(&mut self, interface: &Interface, lease: &Lease, server: Ipv4Addr) -> Result<()> {
        self.add_address(interface.index, lease.address, lease.prefix, lease.seconds)?;
        let mtu = lease.mtu.filter(|mtu| u32::from(*mtu) < interface.mtu);
        for dhcp4::Route { destination, prefix, gateway } in lease.routes.iter().copied() {
            let route = Route { index: interface.index, destination, prefix, gateway, source: lease.address, mtu };
            // One that the kernel does not accept may be one that is not needed.
            if let Err(error) = self.add_route(route) {
                self.log.warning(&format!("{error}; going on without this route"));
            }
        }
        self.add_last_route(interface, lease.address, server)
    }

    /// Takes an address of 169.254.0.0/16 on the best interface, unless `error` is to be the end of it.
    fn link_local(&mut self, ready: &[Interface], error: Error) -> Result<(Interface, Option<Lease>)> {
        let (IpAddr::V4(server), Some(interface), true) = (self.want.server, ready.first(), self.want.link_local)
        else {
            return Err(error);
        };
        // The third number is 64 to 127, where no cloud has a service of its own. That the address is in use is not asked
        // of the neighbours (RFC 3927, section 2.2.1), who on such a link are the cloud's own machines.
        let [a, b, ..] = random::number().to_ne_bytes();
        let address = Ipv4Addr::new(169, 254, a & 0x3f | 0x40, b);
        self.log.info(&format!("{}: {address}/16 without asking", interface.name));
        self.add_address(interface.index, address, 16, u32::MAX)?;
        self.add_last_route(interface, address, server)?;
        Ok((interface.clone(), None))
    }

    pub fn add_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8, seconds: u32) -> Result<()> {
        let order = rtnetlink::add_address(index, address, prefix, seconds);
        let is_new = self.kernel.make(&order, "add the address").map_err(|error| error.to(format!("{address}")))?;
        if is_new {
            self.made.push(Undo::Address(index, address, prefix));
        }
        Ok(())
    }

    pub fn add_route(&mut self, route: Route) -> Result<()> {
        let is_new = self.kernel.make(&rtnetlink::add_route(&route), "add the route to");
        let is_new = is_new.map_err(|error| error.to(format!("{}/{}", route.destination, route.prefix)))?;
        if is_new {
            self.made.push(Undo::Route(route));
        }
        Ok(())
    }

    /// Leads packets to `server` straight out of `interface`, unless they leave by it already.
    fn add_last_route(&mut self, interface: &Interface, source: Ipv4Addr, server: Ipv4Addr) -> Result<()> {
        let is_ours = |way: RouteLookup| way.index == interface.index;
        if self.kernel.get_route(server.into())?.is_some_and(is_ours) {
            return Ok(());
        }
        self.add_route(Route {
            index: interface.index,
            destination: server,
            prefix: 32,
            gateway: None,
            source,
            mtu: None,
        })
    }
}

/// Whether `interface` had the address of `lease` before: then another client holds the same lease, and it must not be
/// given back under his feet.
fn is_anothers(interface: &Interface, lease: &Lease) -> bool {
    interface.addresses.iter().any(|(own, _)| *own == IpAddr::V4(lease.address))
}

/// Whether packets to `server` would find their way by what `lease` says.
fn leads_to(lease: &Lease, server: Ipv4Addr) -> bool {
    let holds = |network: Ipv4Addr, prefix: u8| {
        let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
        (network.to_bits() ^ server.to_bits()) & mask == 0
    };
    holds(lease.address, lease.prefix) || lease.routes.iter().any(|route| holds(route.destination, route.prefix))
}
