//! Carries the disk in an image to the part that writes it or compares it: finds the runs of zeros in it, keeps its first
//! MiB until all else is there, and reads on while that is being written.
#![forbid(unsafe_code)]

use alloc::format;
use core::ops::Range;

use super::disk_writer::{EDGE, HEAD, REQUEST};
use super::protocol::Command;
use super::writer_process::WriterProcess;
use super::zero_aware_hash::{BLOCK, BLOCK_BYTES, is_zero};
use super::{Content, Piece};
use crate::error::{Error, Result};
use crate::units::{ByteCount, SectorSize};

/// One of these is being filled while the others are written: enough for both sides to work without a pause though
/// neither has the same speed all the time.
const ROOMS: usize = 4;

/// What both sides see: the beginning of the disk, and the rooms.
pub(super) const MEMORY: usize = HEAD + ROOMS * REQUEST;

/// How far a disk came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Bytes of the disk.
    pub size: u64,
    /// Those that were handed on as bytes,
    pub bytes: u64,
    /// and as zeros.
    pub zeros: u64,
}

/// What carries the disk.
pub(super) struct Pipeline {
    partner: WriterProcess,
    sector: SectorSize,
    /// Bytes of the target, and where on it nothing is handed on any more.
    limit: u64,
    end: u64,
    poured: Totals,
    /// Bytes of the disk's beginning that are in memory.
    head: usize,
    /// Which room is being filled, whether anything in it was handed on, and how many others were without an answer.
    room: usize,
    is_used: bool,
    given: usize,
    /// Bytes in the room; those of them that were looked at; and where the run of data begins that they end with.
    filled: usize,
    seen: usize,
    data: usize,
    /// Zeros before what was not looked at, which no one was told yet; then there is no such run.
    zeros: u64,
    /// Where on the disk that is.
    at: u64,
}

impl Pipeline {
    /// One that hands on to `partner`, who sees [`MEMORY`], for a target of `limit` bytes.
    pub const fn new(partner: WriterProcess, limit: ByteCount, sector: SectorSize) -> Self {
        Self {
            partner,
            sector,
            limit: limit.0,
            end: u64::MAX,
            poured: Totals { size: 0, bytes: 0, zeros: 0 },
            head: 0,
            room: 0,
            is_used: false,
            given: 0,
            filled: 0,
            seen: 0,
            data: 0,
            zeros: 0,
            at: EDGE,
        }
    }

    /// Fills the beginning.
    ///
    /// # Errors
    /// Those of `content`; `Refused` when the target is too small.
    pub fn begin(&mut self, content: &mut dyn Content) -> Result<()> {
        while self.head < HEAD {
            let room = self.partner.memory(self.head..HEAD)?;
            let left = room.len();
            match content.next(room)? {
                Piece::Bytes(count) => self.head = self.head.saturating_add(count),
                Piece::Zeros(count) => {
                    // What is behind the beginning is the first of the rest.
                    let within = usize::try_from(count).map_or(left, |count| count.min(left));
                    room.get_mut(..within).unwrap_or_default().fill(0);
                    self.head = self.head.saturating_add(within);
                    let rest = count.saturating_sub(within as u64);
                    if rest > 0 {
                        self.zeros(rest)?;
                    }
                }
                Piece::End => break,
            }
        }
        self.poured.size = self.head as u64;
        self.fits(0)?;
        let head = self.head;
        self.beginning()?.get_mut(head..).unwrap_or_default().fill(0);
        Ok(())
    }

    /// What is at `end` and behind is not handed on.
    pub const fn stop_at(&mut self, end: u64) {
        self.end = end;
    }

    /// Hands on the next piece of the rest; `None` when there is none.
    ///
    /// # Errors
    /// Those of `content` and of the writer; `Refused` when the target is too small.
    pub fn next(&mut self, content: &mut dyn Content) -> Result<Option<Totals>> {
        // An image of less than that has no rest.
        if self.head < HEAD {
            return Ok(None);
        }
        let start = self.place(self.filled);
        let end = self.place(REQUEST);
        match content.next(self.partner.memory(start..end)?)? {
            Piece::Bytes(count) => {
                self.fits(count as u64)?;
                self.filled = self.filled.saturating_add(count);
                self.look()?;
            }
            Piece::Zeros(count) => self.zeros(count)?,
            Piece::End => {
                self.end()?;
                return Ok(None);
            }
        }
        Ok(Some(Totals { size: self.reached(), ..self.poured }))
    }

    /// What it all was, when there is no more.
    pub const fn poured(&self) -> Totals {
        self.poured
    }

    /// Bytes of the disk that have come.
    const fn reached(&self) -> u64 {
        let waiting = self.filled.saturating_sub(self.seen) as u64;
        if self.head < HEAD { self.head as u64 } else { self.at.saturating_add(waiting) }
    }

    /// Has `task` done when all before it is; `reached` hears how far.
    ///
    /// # Errors
    /// What it fails with.
    pub fn ask(&mut self, task: Command, reached: &mut dyn FnMut(u64)) -> Result<()> {
        self.ask_with(task, 0..0, reached)
    }

    /// The same, with a part of the memory.
    fn ask_with(&mut self, task: Command, part: Range<usize>, reached: &mut dyn FnMut(u64)) -> Result<()> {
        self.partner.send(task, part)?;
        // Whatever was given without waiting is answered first.
        loop {
            match self.partner.answer()? {
                Some(at) => reached(at),
                None if self.given == 0 => return Ok(()),
                None => self.given = self.given.saturating_sub(1),
            }
        }
    }

    /// Has everything on the medium; `reached` hears how far it was read back.
    ///
    /// # Errors
    /// What that fails with.
    pub fn settle(&mut self, reached: &mut dyn FnMut(u64)) -> Result<()> {
        let sector = self.sector.bytes();
        let end = self.poured.size.checked_next_multiple_of(sector).unwrap_or(self.poured.size);
        self.ask(Command::Settle { end }, reached)
    }

    /// The beginning, of which nothing is handed on before [`Pipeline::head`].
    ///
    /// # Errors
    /// `Refused`: it is being written.
    pub fn beginning(&mut self) -> Result<&mut [u8]> {
        self.partner.memory(0..self.padded(self.head))
    }

    /// Has the beginning written, or compared.
    ///
    /// # Errors
    /// What that fails with.
    pub fn head(&mut self) -> Result<()> {
        let length = self.padded(self.head);
        self.poured.bytes = self.poured.bytes.saturating_add(length as u64);
        self.ask_with(Command::Head, 0..length, &mut |_| {})
    }

    /// So many zeros come next.
    fn zeros(&mut self, count: u64) -> Result<()> {
        self.fits(count)?;
        let mut count = count;
        let begun = self.filled.saturating_sub(self.seen);
        if begun > 0 {
            // The block that the last bytes began.
            let missing = BLOCK.saturating_sub(begun);
            count = count.saturating_sub(self.put_zeros(count.min(missing as u64))?);
        }
        let rest = count & (BLOCK_BYTES - 1);
        let whole = count.saturating_sub(rest);
        if whole > 0 {
            self.hand_on_data()?;
            self.zeros = self.zeros.saturating_add(whole);
            self.at = self.at.saturating_add(whole);
        }
        self.put_zeros(rest).map(drop)
    }

    /// Puts at most a block of zeros into the room, as if they had come as bytes.
    fn put_zeros(&mut self, count: u64) -> Result<u64> {
        let start = self.place(self.filled);
        let length = usize::try_from(count).unwrap_or(BLOCK);
        // The room is never full, and holds whole blocks.
        let end = start.saturating_add(length);
        self.partner.memory(start..end)?.fill(0);
        self.filled = self.filled.saturating_add(length);
        self.look()?;
        Ok(count)
    }

    /// Looks at the blocks that became whole; when all of the room is, goes on in the next one.
    fn look(&mut self) -> Result<()> {
        while self.filled.saturating_sub(self.seen) >= BLOCK {
            self.block(BLOCK)?;
        }
        if self.filled == REQUEST { self.hand_on_room() } else { Ok(()) }
    }

    /// Looks at the next `length` bytes.
    fn block(&mut self, length: usize) -> Result<()> {
        let start = self.place(self.seen);
        let end = start.saturating_add(length);
        if is_zero(self.partner.memory(start..end)?) {
            self.hand_on_data()?;
            self.zeros = self.zeros.saturating_add(length as u64);
            self.data = self.seen.saturating_add(length);
        } else {
            self.hand_on_zeros()?;
        }
        self.seen = self.seen.saturating_add(length);
        self.at = self.at.saturating_add(length as u64);
        Ok(())
    }

    fn hand_on_zeros(&mut self) -> Result<()> {
        let count = core::mem::take(&mut self.zeros);
        let at = self.at.saturating_sub(count);
        let length = count.min(self.end.saturating_sub(at));
        if length == 0 {
            return Ok(());
        }
        self.poured.zeros = self.poured.zeros.saturating_add(length);
        self.partner.send(Command::Zeros { length, at }, 0..0)
    }

    fn hand_on_data(&mut self) -> Result<()> {
        let (from, count) = (self.place(self.data), self.seen.saturating_sub(self.data));
        self.data = self.seen;
        let at = self.at.saturating_sub(count as u64);
        let length = usize::try_from(self.end.saturating_sub(at)).map_or(count, |most| count.min(most));
        if length == 0 {
            return Ok(());
        }
        self.is_used = true;
        self.poured.bytes = self.poured.bytes.saturating_add(length as u64);
        self.partner.send(Command::Bytes { at }, from..from.saturating_add(length))
    }

    /// Takes the next room, which is free when no more than the others were handed on.
    fn hand_on_room(&mut self) -> Result<()> {
        self.hand_on_data()?;
        (self.filled, self.seen, self.data) = (0, 0, 0);
        if !core::mem::take(&mut self.is_used) {
            return Ok(());
        }
        self.partner.send(Command::Release, 0..0)?;
        self.given = self.given.saturating_add(1);
        self.room = if self.room.saturating_add(1) < ROOMS { self.room.saturating_add(1) } else { 0 };
        if self.given == ROOMS {
            self.partner.answer()?;
            self.given = self.given.saturating_sub(1);
        }
        Ok(())
    }

    /// Hands on what is left, filled up to a whole sector.
    fn end(&mut self) -> Result<()> {
        self.poured.size = self.reached();
        let begun = self.filled.saturating_sub(self.seen);
        let (start, padded) = (self.place(self.filled), self.padded(begun));
        let end = start.saturating_add(padded.saturating_sub(begun));
        self.partner.memory(start..end)?.fill(0);
        if padded > 0 {
            self.block(padded)?;
        }
        self.hand_on_data()?;
        self.hand_on_zeros()
    }

    /// Whether so many bytes more are not too many.
    fn fits(&self, count: u64) -> Result<()> {
        if self.reached().saturating_add(count) <= self.limit {
            return Ok(());
        }
        let why = format!("it has {} bytes, and the image has more", self.limit);
        Err(Error::refused("write the image to", why))
    }

    /// The place in memory of a place in the module that is being filled.
    const fn place(&self, at: usize) -> usize {
        HEAD.saturating_add(self.room.saturating_mul(REQUEST)).saturating_add(at)
    }

    fn padded(&self, length: usize) -> usize {
        let sector = usize::try_from(self.sector.bytes()).unwrap_or(BLOCK);
        length.checked_next_multiple_of(sector).unwrap_or(length)
    }
}
