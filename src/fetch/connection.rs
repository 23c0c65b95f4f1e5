//! One request over one connection, and its reply.
#![forbid(unsafe_code)]

#[cfg(feature = "full")]
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

#[cfg(feature = "full")]
use super::tls;
use super::{Connector, Policy};
use crate::error::{Error, Kind, Result};
use crate::http::{Parser, Reply};
use crate::sys::clock;
use crate::sys::socket::Stream;
use crate::units::Deadline;

/// What is read from a connection at once: as much as a TLS record holds.
pub(super) const PIECE: usize = 16 << 10;

/// An open connection.
pub(super) enum Connection {
    /// As it is.
    Plain(Stream),
    /// Encrypted.
    #[cfg(feature = "full")]
    Tls(Box<dyn Encrypted>),
}

/// An encrypted connection, whichever library provides it. Nothing is returned that did not come from a peer which proved
/// its name.
#[cfg(feature = "full")]
pub(super) trait Encrypted {
    /// Whether it is open and holds nothing that was not read.
    fn is_idle(&self) -> bool;
    /// Sends all of `bytes`.
    fn write_all(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()>;
    /// Reads what is there, waiting for the first of it; 0 when the peer said that nothing more comes.
    fn read(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize>;
}

/// How a conversation failed.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: Error,
    /// The other side had not said anything yet.
    pub(super) unheard: bool,
}

impl Connection {
    /// Connects, and shakes hands where that is wanted.
    pub(super) fn connect(dial: &Connector, policy: &Policy, end: Deadline) -> Result<Self> {
        let stream = dial.connect(policy.connect, end)?;
        match &dial.tls {
            None => Ok(Self::Plain(stream)),
            #[cfg(feature = "full")]
            Some(name) => {
                let deadline = Deadline::after(clock::now(), policy.reply).sooner(end);
                Ok(Self::Tls(tls::connect(stream, name, deadline)?))
            }
            #[cfg(not(feature = "full"))]
            Some(_) => Err(Error::unsupported("connect", "this build speaks no TLS")),
        }
    }

    /// Whether it is open and nothing unasked-for has come.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_idle(),
            #[cfg(feature = "full")]
            Self::Tls(tls) => tls.is_idle(),
        }
    }

    /// Sends all of `bytes`.
    pub(super) fn write_all(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes, deadline),
            #[cfg(feature = "full")]
            Self::Tls(tls) => tls.write_all(bytes, deadline),
        }
    }

    /// Reads what is there, waiting for the first of it; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer, deadline),
            #[cfg(feature = "full")]
            Self::Tls(tls) => tls.read(buffer, deadline),
        }
    }

    /// Sends `request` and receives its reply, with at most `limit` bytes of body. `patience` is for the head of it, and
    /// then for each piece. Gives the connection back if it can be used again.
    pub(super) fn converse(
        mut self,
        request: &[u8],
        limit: u64,
        (patience, end): (Duration, Deadline),
    ) -> core::result::Result<(Reply, Option<Self>), Broken> {
        let mut parser = Parser::new(limit);
        let mut body = Vec::new();
        let mut unheard = true;
        let outcome = self.write_all(request, Deadline::after(clock::now(), patience).sooner(end));
        let outcome = outcome.and_then(|()| self.receive(&mut parser, &mut body, &mut unheard, (patience, end)));
        match outcome {
            Ok(clean) => {
                let stays = clean && parser.keep_alive();
                Ok((parser.into_reply(body), stays.then_some(self)))
            }
            Err(error) => Err(Broken { error, unheard }),
        }
    }

    /// Reads until the reply is complete; whether nothing follows it.
    fn receive(
        &mut self,
        parser: &mut Parser,
        body: &mut Vec<u8>,
        unheard: &mut bool,
        (patience, end): (Duration, Deadline),
    ) -> Result<bool> {
        let mut buffer = [0; PIECE];
        let mut until = Deadline::after(clock::now(), patience).sooner(end);
        loop {
            let count = self.read(&mut buffer, until).map_err(|error| silence(error, parser))?;
            if count == 0 {
                parser.end()?;
                return Ok(false);
            }
            *unheard = false;
            let mut rest = buffer.get(..count).unwrap_or_default();
            while !rest.is_empty() && !parser.is_done() {
                let used = parser.feed(rest, &mut |piece: &[u8]| {
                    body.extend_from_slice(piece);
                    Ok(())
                })?;
                rest = rest.get(used..).unwrap_or_default();
            }
            if parser.is_done() {
                return Ok(rest.is_empty());
            }
            if parser.status().is_some() {
                until = Deadline::after(clock::now(), patience).sooner(end);
            }
        }
    }
}

/// Says what was waited for.
pub(super) fn silence(error: Error, parser: &Parser) -> Error {
    match (error.kind, parser.status()) {
        (Kind::TimedOut, None) => Error::new(Kind::TimedOut, error.doing, "no reply comes"),
        (Kind::TimedOut, Some(_)) => Error::new(Kind::TimedOut, error.doing, "the reply does not go on"),
        _ => error,
    }
}
