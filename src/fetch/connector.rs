//! Making a connection: to the first of a service's addresses that answers, from where the service wants it.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::sys::socket::{self, Address, Origin, Stream};
use crate::sys::{clock, random};
use crate::units::Deadline;

/// How much later each further address is tried while those before are silent; cloud-init does the same. A service
/// that is there answers in a tenth of it.
const HEAD_START: Duration = Duration::from_millis(150);

/// Source ports for a service that wants one below 1024: those above 600, as `bindresvport(3)` takes them, where few
/// daemons will want to listen.
const LOW_PORTS: core::ops::Range<u16> = 600..1024;

/// Tries to find one of them that is free: with half of them taken, all tries fail once in 16 million.
const PORT_TRIES: u32 = 24;

/// The mark that passes the lock which systemd (261 and later) puts on the route to the metadata service.
pub const SYSTEMD_IMDS_MARK: u32 = 0x7FFF_0815;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EADDRINUSE: i32 = 98;
const EADDRNOTAVAIL: i32 = 99;

/// One address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP. A link-local IPv6 address carries the number of its interface as scope.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(String),
}

/// How a service is reached.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Its addresses, the likeliest first: the others are tried while it is silent, and the first to answer is taken.
    pub endpoints: Vec<Endpoint>,
    /// Only through this interface.
    pub interface: Option<String>,
    /// From a port below 1024, by which a service knows that root is asking.
    pub low_port: bool,
    /// Its name, with `:port` unless that is the scheme's own: goes into the `Host` header and into errors.
    pub host: String,
    /// The name that its certificate must have, where TLS is spoken (full build only).
    pub tls: Option<String>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => out.write_str(path),
        }
    }
}

impl Connector {
    /// Where it leads, in front of a path: `http://169.254.169.254`.
    pub(super) fn label(&self) -> String {
        match (self.endpoints.first(), &self.tls) {
            (Some(Endpoint::Unix(path)), _) => format!("unix:{path}:"),
            (_, Some(_)) => format!("https://{}", self.host),
            _ => format!("http://{}", self.host),
        }
    }

    /// Connects to the first endpoint that answers, giving each `patience`.
    ///
    /// # Errors
    /// The most telling one of all endpoints: `Os`, `TimedOut`; `Usage` when there is none.
    pub(super) fn connect(&self, patience: Duration, end: Deadline) -> Result<Stream> {
        let mut race = Race { dial: self, patience, end, running: Vec::new(), failure: None };
        let mut waiting = self.endpoints.iter();
        let mut next_start = Deadline::NEVER;
        loop {
            if race.running.is_empty() || next_start.has_passed(clock::now()) {
                match waiting.next() {
                    Some(endpoint) => race.start(endpoint),
                    None if race.running.is_empty() => return Err(race.failure()),
                    None => {}
                }
                let is_last = waiting.as_slice().is_empty();
                next_start = if is_last { Deadline::NEVER } else { Deadline::after(clock::now(), HEAD_START) };
            }
            if let Some(stream) = race.wait(next_start)? {
                return Ok(stream);
            }
        }
    }

    /// Begins to connect, with the source port that the service wants, and past a lock if there is one.
    fn begin(&self, endpoint: &Endpoint) -> Result<Stream> {
        let address = match endpoint {
            Endpoint::Tcp(address) => Address::Tcp(*address),
            // No lock, port or interface is in its way, only its permissions.
            Endpoint::Unix(path) => return Stream::connect(Address::Unix(path), Origin::default()),
        };
        let mut origin = Origin { interface: self.interface.as_deref(), mark: None, port: None };
        let mut tries = PORT_TRIES;
        loop {
            origin.port = self.low_port.then(low_port);
            let result = Stream::connect(address, origin);
            match result.as_ref().map_err(|error| error.kind) {
                Err(Kind::Os(EADDRINUSE | EADDRNOTAVAIL)) if self.low_port && tries > 0 => {
                    tries = tries.saturating_sub(1);
                }
                Err(Kind::Os(EACCES)) if origin.mark.is_none() => origin.mark = Some(SYSTEMD_IMDS_MARK),
                Err(Kind::Os(EACCES | EPERM)) => {
                    let why = "its route is locked, or a port below 1024 or an interface is wanted: root may";
                    return Err(Error::new(Kind::Os(EACCES), "connect", why));
                }
                _ => return result,
            }
        }
    }
}

fn low_port() -> u16 {
    let choices = u64::from(LOW_PORTS.end.saturating_sub(LOW_PORTS.start));
    let chosen = random::number().checked_rem(choices).and_then(|number| u16::try_from(number).ok());
    LOW_PORTS.start.saturating_add(chosen.unwrap_or(0))
}

/// The connections that are being made.
struct Race<'a> {
    dial: &'a Connector,
    patience: Duration,
    end: Deadline,
    running: Vec<(Stream, &'a Endpoint, Deadline)>,
    failure: Option<(u8, Error)>,
}

impl<'a> Race<'a> {
    fn start(&mut self, endpoint: &'a Endpoint) {
        match self.dial.begin(endpoint) {
            Ok(stream) => {
                let patience = Deadline::after(clock::now(), self.patience).sooner(self.end);
                self.running.push((stream, endpoint, patience));
            }
            Err(error) => self.fail(endpoint, &error),
        }
    }

    /// Waits until one is connected, or one must be given up, or it is time to start the next.
    fn wait(&mut self, next_start: Deadline) -> Result<Option<Stream>> {
        let until = self.running.iter().fold(next_start, |until, (.., patience)| until.sooner(*patience));
        let streams: Vec<&Stream> = self.running.iter().map(|(stream, ..)| stream).collect();
        if streams.is_empty() {
            return Ok(None);
        }
        if let Some(index) = socket::wait_connected(&streams, until)?.filter(|index| *index < self.running.len()) {
            let (stream, endpoint, _) = self.running.remove(index);
            match stream.outcome() {
                Ok(()) => return Ok(Some(stream)),
                Err(error) => self.fail(endpoint, &error),
            }
        }
        let now = clock::now();
        while let Some(index) = self.running.iter().position(|(.., patience)| patience.has_passed(now)) {
            let (_, endpoint, _) = self.running.remove(index);
            self.fail(endpoint, &Error::new(Kind::TimedOut, "connect", "nobody answers"));
        }
        Ok(None)
    }

    /// Keeps the failure that tells most: on a machine without IPv6, that IPv6 has no route is no news.
    fn fail(&mut self, endpoint: &Endpoint, error: &Error) {
        let weight = match error.kind {
            // ENETUNREACH, EHOSTUNREACH, EAFNOSUPPORT, EADDRNOTAVAIL.
            Kind::Os(101 | 113 | 97 | EADDRNOTAVAIL) => 1,
            Kind::TimedOut => 2,
            Kind::Os(EACCES) => 4,
            _ => 3,
        };
        if self.failure.as_ref().is_none_or(|(known, _)| *known < weight) {
            let why = if error.why.is_empty() { format!("{endpoint}") } else { format!("{endpoint}: {}", error.why) };
            self.failure = Some((weight, Error::new(error.kind, error.doing, why)));
        }
    }

    fn failure(self) -> Error {
        self.failure.map_or_else(|| Error::usage("connect", "it has no address"), |(_, error)| error)
    }
}
