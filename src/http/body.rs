//! Where the body of a reply ends (RFC 9112, sections 6 and 7).
//!
//! A small machine that eats bytes as they come and hands out those of the body; it holds none of them.
#![forbid(unsafe_code)]

use alloc::format;

use super::HEAD_LIMIT;
use crate::error::{Error, Result};

pub(super) const DOING: &str = "parse the reply";

/// What takes the bytes of a body, piece by piece.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// The body of one reply, as far as it has come.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// How many bytes the caller will have,
    limit: u64,
    /// and how many of these are left.
    room: u64,
    /// Bytes of chunk extensions and trailers so far.
    around: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of a body of known length.
    Sized(u64),
    /// Bytes until the connection is closed.
    Open,
    /// Digits of the size of a chunk: its value and their number so far.
    ChunkSize(u64, u32),
    /// The rest of the line with the size of a chunk, which no one reads.
    ChunkExtension(u64),
    /// The line feed behind the size of a chunk.
    ChunkSizeEnd(u64),
    /// So many bytes of a chunk.
    ChunkData(u64),
    /// The carriage return behind a chunk.
    ChunkReturn,
    /// The line feed behind that.
    ChunkFeed,
    /// The start of a line behind the last chunk.
    Trailer,
    /// The rest of such a line.
    TrailerLine,
    /// The last line feed.
    TrailerEnd,
    /// Nothing.
    Done,
}

impl Body {
    /// A body of `length` bytes, of which the caller will have at most `limit`.
    pub(super) fn sized(length: u64, limit: u64) -> Result<Self> {
        let state = if length == 0 { State::Done } else { State::Sized(length) };
        let body = Self::begin(state, limit);
        if length > limit { Err(body.too_large()) } else { Ok(body) }
    }

    /// A body that ends with the connection.
    pub(super) const fn open(limit: u64) -> Self {
        Self::begin(State::Open, limit)
    }

    /// A body in chunks.
    pub(super) const fn chunked(limit: u64) -> Self {
        Self::begin(State::ChunkSize(0, 0), limit)
    }

    const fn begin(state: State, limit: u64) -> Self {
        Self { state, limit, room: limit, around: 0 }
    }

    /// Whether nothing more belongs to it.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether it ends with the connection.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// How many bytes it will have, while none of them has come, if that was said.
    pub(super) fn size(&self) -> Option<u64> {
        match self.state {
            State::Sized(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// How many of the next bytes are the body's own, whatever they are.
    pub(super) fn run(&self) -> u64 {
        match self.state {
            State::Sized(left) | State::ChunkData(left) => left,
            State::Open => self.room,
            _ => 0,
        }
    }

    /// So many bytes of the run have come.
    pub(super) fn pass(&mut self, count: u64) {
        self.room = self.room.saturating_sub(count);
        self.state = match self.state {
            State::Sized(left) if left <= count => State::Done,
            State::Sized(left) => State::Sized(left.saturating_sub(count)),
            State::ChunkData(left) if left <= count => State::ChunkReturn,
            State::ChunkData(left) => State::ChunkData(left.saturating_sub(count)),
            other => other,
        };
    }

    /// Takes what belongs to the body from the front of `bytes`, which are not empty: at least one byte unless it is
    /// done. Returns how many.
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<usize> {
        let mut rest = bytes;
        while let (Some((&byte, after)), false) = (rest.split_first(), self.is_done()) {
            rest = match (self.state, self.run()) {
                (State::Open, 0) => return Err(self.too_large()),
                (_, 0) => {
                    self.state = self.after(byte)?;
                    after
                }
                (_, run) => {
                    let length = usize::try_from(run).unwrap_or(usize::MAX).min(rest.len());
                    let (piece, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                    sink(piece)?;
                    self.pass(u64::try_from(length).unwrap_or(u64::MAX));
                    rest
                }
            };
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// What comes after `byte`, which is none of the body's own.
    fn after(&mut self, byte: u8) -> Result<State> {
        /// As many digits as 64 bits have.
        const DIGITS: u32 = 16;
        let lies = || Error::corrupt(DOING, "a chunk does not begin or end as it must");
        match (self.state, byte) {
            (State::ChunkSize(_, digits), _) if byte.is_ascii_hexdigit() && digits >= DIGITS => Err(lies()),
            (State::ChunkSize(size, digits), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Ok(State::ChunkSize((size << 4) | u64::from(digit), digits.saturating_add(1)))
            }
            (State::ChunkSize(_, 0), _) => Err(lies()),
            (State::ChunkSize(size, _) | State::ChunkExtension(size), b'\r') => Ok(State::ChunkSizeEnd(size)),
            (State::ChunkSize(size, _), b';' | b' ' | b'\t') => Ok(State::ChunkExtension(size)),
            (State::ChunkExtension(size), _) if byte != b'\n' => {
                self.count_around()?;
                Ok(State::ChunkExtension(size))
            }
            (State::ChunkSizeEnd(0), b'\n') => Ok(State::Trailer),
            (State::ChunkSizeEnd(size), b'\n') if size > self.room => Err(self.too_large()),
            (State::ChunkSizeEnd(size), b'\n') => Ok(State::ChunkData(size)),
            (State::ChunkReturn, b'\r') => Ok(State::ChunkFeed),
            (State::ChunkFeed, b'\n') => Ok(State::ChunkSize(0, 0)),
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerLine, b'\n') => Ok(State::Trailer),
            (State::Trailer | State::TrailerLine, _) if byte != b'\n' => {
                self.count_around()?;
                Ok(State::TrailerLine)
            }
            (State::TrailerEnd, b'\n') => Ok(State::Done),
            _ => Err(lies()),
        }
    }

    fn count_around(&mut self) -> Result<()> {
        self.around = self.around.saturating_add(1);
        if self.around > HEAD_LIMIT {
            return Err(Error::refused(DOING, format!("more than {HEAD_LIMIT} bytes are around its chunks")));
        }
        Ok(())
    }

    /// The connection was closed.
    pub(super) fn end(&mut self) -> Result<()> {
        if !matches!(self.state, State::Open | State::Done) {
            return Err(Error::corrupt(DOING, "the connection ended in the middle of the body"));
        }
        self.state = State::Done;
        Ok(())
    }

    fn too_large(&self) -> Error {
        Error::refused(DOING, format!("its body is larger than {} bytes", self.limit))
    }
}
