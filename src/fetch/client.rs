//! Things that have a URL: seeds, and what they name.
//!
//! Redirects are not followed here either: anyone who can answer in the place of a server without TLS could send a
//! machine that is just being born anywhere. Who moves a seed writes its new address where the old one stood.
#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::resolve::Resolver;
use super::{Connector, Endpoint, Policy, Session, Url};
use crate::error::Result;
use crate::http::Reply;
use crate::sys::clock;
use crate::units::Deadline;

/// Addresses of one name that are tried; each but the first costs a head start when those before are silent.
const ADDRESSES_LIMIT: usize = 8;

const DNS_PORT: u16 = 53;

/// Fetches one URL after the other, over one connection while they are of one server.
pub struct HttpClient<'a> {
    policy: Policy,
    notify: &'a dyn Fn(&str),
    servers: Vec<IpAddr>,
    open: Option<(Url, Session<'a>)>,
}

impl<'a> HttpClient<'a> {
    /// `notify` is called as by [`Session::telling`].
    #[must_use]
    pub fn new(policy: Policy, notify: &'a dyn Fn(&str)) -> Self {
        Self { policy, notify, servers: Vec::new(), open: None }
    }

    /// Looks names up at `servers`, if there are any, and not at those of `/etc/resolv.conf`: a network that was just
    /// configured has stood in no file yet.
    #[must_use]
    pub fn asking(self, servers: Vec<IpAddr>) -> Self {
        Self { servers, ..self }
    }

    /// What is at `url`, or `None` if nothing is; at most `limit` bytes of it.
    ///
    /// # Errors
    /// As [`Url::parse`], [`Resolver::lookup`] and [`Session::get`].
    pub fn get(&mut self, url: &str, limit: u64) -> Result<Option<Reply>> {
        let url = Url::parse(url)?;
        let place = |url: &Url| (url.is_secure, url.host.clone(), url.port);
        let kept = self.open.take().filter(|(other, _)| place(other) == place(&url)).map(|(_, session)| session);
        let mut session = match kept {
            Some(session) => session,
            None => {
                let dial = dial(&url, &self.servers, Deadline::after(clock::now(), self.policy.total))?;
                Session::new(dial, self.policy, &[], None).telling(self.notify)
            }
        };
        let outcome = session.get_within(&url.target, limit);
        self.open = Some((url, session));
        outcome
    }
}

/// The way to the server of `url`, its name looked up at `servers`, or at those of `/etc/resolv.conf` if there are none.
pub(super) fn dial(url: &Url, servers: &[IpAddr], end: Deadline) -> Result<Connector> {
    let mut resolver = Resolver::read("");
    if !servers.is_empty() {
        resolver.servers = servers.iter().map(|server| SocketAddr::new(*server, DNS_PORT)).collect();
    }
    let addresses = resolver.lookup(&url.host, end)?;
    let endpoint = |address| Endpoint::Tcp(SocketAddr::new(address, url.port));
    Ok(Connector {
        endpoints: addresses.into_iter().take(ADDRESSES_LIMIT).map(endpoint).collect::<Vec<_>>(),
        interface: None,
        low_port: false,
        host: url.authority(),
        // In a certificate no name ends with the dot that says it is whole.
        tls: url.is_secure.then(|| String::from(url.host.trim_end_matches('.'))),
    })
}
