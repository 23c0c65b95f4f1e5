//! A reply whose body is read as it comes: nothing of it is kept here but what arrived together with its framing.
#![forbid(unsafe_code)]

use alloc::vec::Vec;
use core::time::Duration;

use super::connection::{Connection, PIECE, silence};
use crate::error::Result;
use crate::http::{Headers, Parser};
use crate::sys::clock;
use crate::units::Deadline;

/// A connection on which the head of a reply has come.
pub(super) struct BodyStream {
    wire: Connection,
    parser: Parser,
    /// What was read and is not parsed yet, and how much of it is.
    rest: Vec<u8>,
    used: usize,
}

impl BodyStream {
    /// Sends `request` and reads the head of the reply to it, for which `patience` is.
    ///
    /// # Errors
    /// As [`Parser::feed`]; `Os`, `TimedOut`.
    pub(super) fn open(mut wire: Connection, request: &[u8], patience: Duration, end: Deadline) -> Result<Self> {
        let until = Deadline::after(clock::now(), patience).sooner(end);
        wire.write_all(request, until)?;
        // How much of the body is wanted, its reader knows.
        let mut flow = Self { wire, parser: Parser::new(u64::MAX), rest: Vec::new(), used: 0 };
        while flow.parser.status().is_none() {
            if flow.used >= flow.rest.len() {
                flow.receive(until)?;
            }
            let rest = flow.rest.get(flow.used..).unwrap_or_default();
            let used = flow.parser.feed(rest, &mut |_| Ok(()))?;
            flow.used = flow.used.saturating_add(used);
        }
        Ok(flow)
    }

    /// The status of the reply.
    pub(super) fn status(&self) -> u16 {
        self.parser.status().unwrap_or_default()
    }

    /// Its header.
    pub(super) fn headers(&self) -> &Headers {
        self.parser.headers()
    }

    /// Bytes of its body, if that is said; asked before any of them is read.
    pub(super) fn size(&self) -> Option<u64> {
        self.parser.size()
    }

    /// Puts the next bytes of the body into `into`, which is not empty, for the first of which `patience` is. 0 is its
    /// end; what breaks off before is an error.
    ///
    /// # Errors
    /// `Corrupt` when the body ends in its middle or its framing lies; `Os`, `TimedOut`.
    pub(super) fn read(&mut self, into: &mut [u8], patience: Duration) -> Result<usize> {
        let until = Deadline::after(clock::now(), patience);
        loop {
            let rest = self.rest.get(self.used..).unwrap_or_default();
            // Framing only takes away: so many bytes hold no more of the body than there is room for.
            if let Some(next) = rest.get(..into.len().min(rest.len())).filter(|next| !next.is_empty()) {
                let mut room = &mut *into;
                let before = room.len();
                let used = self.parser.feed(next, &mut |piece: &[u8]| {
                    let (now, later) = core::mem::take(&mut room).split_at_mut(piece.len());
                    now.copy_from_slice(piece);
                    room = later;
                    Ok(())
                })?;
                let count = before.saturating_sub(room.len());
                self.used = self.used.saturating_add(used);
                if count > 0 || self.parser.is_done() {
                    return Ok(count);
                }
                continue;
            }
            if self.parser.is_done() {
                return Ok(0);
            }
            let run = usize::try_from(self.parser.run()).unwrap_or(usize::MAX).min(into.len());
            if run == 0 {
                self.receive(until)?;
                continue;
            }
            let place = into.get_mut(..run).unwrap_or_default();
            let count = self.wire.read(place, until).map_err(|error| silence(error, &self.parser))?;
            if count == 0 {
                self.parser.end()?;
            }
            self.parser.pass(u64::try_from(count).unwrap_or(u64::MAX));
            return Ok(count);
        }
    }

    /// Reads what has to be parsed.
    fn receive(&mut self, until: Deadline) -> Result<()> {
        self.rest.resize(PIECE, 0);
        self.used = PIECE;
        let count = self.wire.read(&mut self.rest, until).map_err(|error| silence(error, &self.parser))?;
        self.rest.truncate(count);
        self.used = 0;
        if count == 0 { self.parser.end() } else { Ok(()) }
    }
}
