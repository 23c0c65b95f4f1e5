//! TLS over a stream (RFC 8446): rustls without buffers of its own, driven under our deadlines.
//!
//! This file and `trust.rs` are all that knows the TLS library: a distribution that builds with another one replaces
//! [`connect`], which returns an [`Encrypted`].
//!
//! Nothing is handed out that did not come from a peer which proved its name; what `trust` says of that is final.
#![forbid(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};

use super::connection::Encrypted;
use super::tls_config::{self, explain};
use crate::error::{Error, Result};
use crate::sys::socket::Stream;
use crate::units::Deadline;

pub(super) const DOING: &str = "speak TLS";

/// Bytes from the peer that are not understood yet: a handshake message may have 64 KiB, in records of 16 KiB each.
const INCOMING_LIMIT: usize = 128 << 10;

/// What is read at once: four records of the largest size with header and tag (RFC 8446, 5.2). One by one, a download
/// costs a third more.
const RECORDS: usize = 4 * ((16 << 10) + 256 + 5);

/// An encrypted connection.
struct Tls {
    stream: Stream,
    session: UnbufferedClientConnection,
    incoming: Vec<u8>,
    /// What was decrypted and not read yet, and how much of it was.
    plain: Vec<u8>,
    taken: usize,
    is_closed: bool,
}

/// What a turn of the connection came to.
enum Turn {
    /// Something can be read, or never will again.
    Read,
    /// The peer must speak.
    Wait,
    /// We may.
    Speak,
}

/// Shakes hands over `stream` with a peer that must prove that it is `name`.
///
/// # Errors
/// `Refused` when the peer does not prove its name; `TimedOut` while the clock is not set; `Corrupt`, `Os`, `TimedOut`.
pub(super) fn connect(stream: Stream, name: &str, deadline: Deadline) -> Result<Box<dyn Encrypted>> {
    Ok(Box::new(Tls::connect(stream, name, deadline)?))
}

impl Tls {
    fn connect(stream: Stream, name: &str, deadline: Deadline) -> Result<Self> {
        let config = tls_config::config()?;
        let name = ServerName::try_from(String::from(name)).map_err(|_| Error::usage(DOING, "its name is none"))?;
        let session = UnbufferedClientConnection::new(config, name).map_err(|error| explain(&error))?;
        let mut tls = Self { stream, session, incoming: Vec::new(), plain: Vec::new(), taken: 0, is_closed: false };
        loop {
            match tls.turn(None, deadline)? {
                Turn::Wait => tls.receive(deadline)?,
                Turn::Speak => return Ok(tls),
                Turn::Read if tls.is_closed => return Err(Error::corrupt(DOING, "it closes the connection")),
                Turn::Read => {}
            }
        }
    }

    /// Reads more records. The end of the stream is not the end of what is said: that must be said (RFC 8446, 6.1), or
    /// anybody on the way could cut a reply short.
    fn receive(&mut self, deadline: Deadline) -> Result<()> {
        if self.incoming.len() >= INCOMING_LIMIT {
            return Err(Error::refused(DOING, format!("a message is larger than {INCOMING_LIMIT} bytes")));
        }
        let known = self.incoming.len();
        self.incoming.resize(known.saturating_add(RECORDS), 0);
        let place = self.incoming.get_mut(known..).unwrap_or_default();
        let count = self.stream.read(place, deadline);
        self.incoming.truncate(known.saturating_add(*count.as_ref().unwrap_or(&0)));
        if count? == 0 {
            return Err(Error::corrupt(DOING, "the connection ended without saying so"));
        }
        Ok(())
    }

    /// Does what is due until something else must happen; sends `speech` when it may be sent.
    fn turn(&mut self, speech: Option<&[u8]>, deadline: Deadline) -> Result<Turn> {
        let mut outgoing = Vec::new();
        loop {
            let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(&mut self.incoming);
            let turn = match state.map_err(|error| explain(&error))? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| explain(&error))?;
                        discard = discard.saturating_add(record.discard);
                        self.plain.extend_from_slice(record.payload);
                    }
                    Some(Turn::Read)
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut outgoing, |place| match data.encode(place) {
                        Ok(count) => Ok(count),
                        Err(EncodeError::InsufficientSize(needed)) => Err(needed.required_size),
                        Err(EncodeError::AlreadyEncoded) => Err(0),
                    })?;
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    self.stream.write_all(&outgoing, deadline)?;
                    outgoing.clear();
                    data.done();
                    None
                }
                ConnectionState::BlockedHandshake => Some(Turn::Wait),
                ConnectionState::WriteTraffic(mut traffic) => {
                    if let Some(speech) = speech {
                        append(&mut outgoing, |place| match traffic.encrypt(speech, place) {
                            Ok(count) => Ok(count),
                            Err(EncryptError::InsufficientSize(needed)) => Err(needed.required_size),
                            Err(EncryptError::EncryptExhausted) => Err(0),
                        })?;
                        self.stream.write_all(&outgoing, deadline)?;
                    }
                    Some(Turn::Speak)
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    self.is_closed = true;
                    Some(Turn::Read)
                }
                _ => return Err(Error::corrupt(DOING, "it says what nobody asked")),
            };
            self.incoming.drain(..discard.min(self.incoming.len()));
            if let Some(turn) = turn {
                return Ok(turn);
            }
        }
    }
}

impl Encrypted for Tls {
    fn is_idle(&self) -> bool {
        !self.is_closed && self.plain.is_empty()
    }

    fn write_all(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        loop {
            match self.turn(Some(bytes), deadline)? {
                Turn::Speak => return Ok(()),
                Turn::Read if self.is_closed => return Err(Error::corrupt(DOING, "it closed the connection")),
                Turn::Wait => self.receive(deadline)?,
                Turn::Read => {}
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        while self.plain.is_empty() && !self.is_closed {
            match self.turn(None, deadline)? {
                Turn::Read => {}
                Turn::Wait | Turn::Speak => self.receive(deadline)?,
            }
        }
        let rest = self.plain.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(rest) {
            *place = *byte;
        }
        self.taken = self.taken.saturating_add(count);
        if self.taken >= self.plain.len() {
            self.plain.clear();
            self.taken = 0;
        }
        Ok(count)
    }
}

/// Lets `write` fill the end of `out`; it says how much it has written, or how much place it needs.
fn append(out: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> core::result::Result<usize, usize>) -> Result<()> {
    let known = out.len();
    let mut place = 1024;
    for _ in 0..2 {
        out.resize(known.saturating_add(place), 0);
        match write(out.get_mut(known..).unwrap_or_default()) {
            Ok(count) => {
                out.truncate(known.saturating_add(count));
                return Ok(());
            }
            Err(needed) => place = needed,
        }
    }
    Err(Error::corrupt(DOING, "the connection is used up"))
}
