//! A metadata service as a source: one connection, one token, and replies that show where they come from.

use crate::error::{Error, Kind, Result};
use crate::fetch::{Connector, Endpoint, Policy, Session, Token, USER_DATA_LIMIT};
use crate::http::Request;
use crate::provider::{Cloud, Service, Source};
use crate::sys::file;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// The port of HTTP.
const PORT: u16 = 80;

/// A service that was distinguished from others and is asked only over the way given.
pub struct Http<'a> {
    session: Session<'a>,
}

/// Where to ask, and how patiently.
#[derive(Clone, Debug)]
pub struct Way {
    /// Instead of the addresses of the cloud's row: what a test's server has.
    pub endpoints: Vec<Endpoint>,
    /// Only through this interface.
    pub interface: Option<String>,
    /// Whether a service without tokens is asked without one.
    pub token_optional: bool,
    /// Deadlines.
    pub policy: Policy,
}

impl<'a> Http<'a> {
    /// The service of `cloud`. Nothing is sent yet. `lifetime` is how many seconds a token is to live, as text.
    #[must_use]
    pub fn new(service: &'static Service, way: Way, lifetime: &'a str, notify: &'a dyn Fn(&str)) -> Self {
        let host = match way.endpoints.first() {
            Some(Endpoint::Unix(_)) => "localhost",
            _ => service.addresses.first().copied().unwrap_or_default(),
        };
        let token = service.token.map(|token| Token {
            target: token.target,
            ask: (token.lifetime, lifetime),
            send: token.header,
            optional: way.token_optional,
        });
        let policy = Policy { again: service.again, ..way.policy };
        let dial = way.dial(host, service.low_port);
        Self { session: Session::new(dial, policy, service.headers, token).telling(notify).expecting(service.echo) }
    }

    /// Sends what is no question.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub(super) fn send(&mut self, request: &Request<'_>) -> Result<()> {
        self.session.send(request, &[]).map(|_| ())
    }
}

impl Way {
    /// This way, to a server called `host`.
    pub(super) fn dial(self, host: &str, low_port: bool) -> Connector {
        Connector { endpoints: self.endpoints, interface: self.interface, low_port, host: host.into(), tls: None }
    }
}

impl Source for Http<'_> {
    fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.session.get_within(target, USER_DATA_LIMIT)?.map(|reply| reply.body))
    }
}

/// The addresses of a service on this machine: a Unix socket that is there, else literal addresses, link-local ones of
/// IPv6 once for each of `scopes`, which are the numbers of interfaces.
///
/// # Errors
/// `Absent` when a cloud speaks over a socket and there is none.
pub fn endpoints(cloud: &Cloud, scopes: &[u32]) -> Result<Vec<Endpoint>> {
    let Some(service) = &cloud.service else { return Ok(Vec::new()) };
    let mut endpoints = Vec::new();
    for address in service.addresses {
        if address.starts_with('/') {
            if file::exists(address) {
                return Ok(Vec::from([Endpoint::Unix((*address).to_owned())]));
            }
            continue;
        }
        match address.parse() {
            Ok(IpAddr::V6(address)) if address.is_unicast_link_local() => {
                let scoped = |scope: &u32| core::net::SocketAddrV6::new(address, PORT, 0, *scope);
                endpoints.extend(scopes.iter().map(|scope| Endpoint::Tcp(SocketAddr::V6(scoped(scope)))));
            }
            Ok(address) => endpoints.push(Endpoint::Tcp(SocketAddr::new(address, PORT))),
            Err(_) => {}
        }
    }
    if endpoints.is_empty() {
        let why = "its socket is not there; in a virtual machine the agent of the host has to make it";
        return Err(Error::new(Kind::Absent, "reach the metadata of", why).to(cloud.title));
    }
    Ok(endpoints)
}
