//! A disk in blocks that begin at multiples of their length, whatever pieces it comes in and wherever it is changed.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::DOING;
use crate::error::{Error, Result};
use crate::image::zero_aware_hash::{BLOCK, is_zero};
use crate::image::{Content, Piece};
use crate::table::Write;
use crate::units::{ByteCount, MIB};

/// What is held of the disk at once: partition tables are in the first of it.
const WINDOW: usize = MIB as usize;

/// A disk that passes.
pub(super) struct Blocks<C> {
    content: C,
    size: u64,
    /// What is different from the content.
    changes: Vec<Write>,
    window: Vec<u8>,
    /// Where on the disk the window begins, and how much of it is filled.
    at: u64,
    filled: usize,
    /// Zeros that follow; behind the end of the content nothing else does.
    zeros: u64,
    has_ended: bool,
    /// Bytes that came out of the content.
    given: u64,
    /// Where in the window the next block begins.
    next: usize,
}

impl<C: Content> Blocks<C> {
    /// The disk of `content`, with zeros behind its end to make `size` bytes of it.
    ///
    /// # Errors
    /// Those of `content`; `Refused` when it is longer.
    pub fn new(content: C, size: ByteCount) -> Result<Self> {
        let mut blocks = Self {
            content,
            size: size.0,
            changes: Vec::new(),
            window: vec![0; WINDOW],
            at: 0,
            filled: 0,
            zeros: 0,
            has_ended: false,
            given: 0,
            next: 0,
        };
        blocks.fill()?;
        Ok(blocks)
    }

    /// Where the disk comes from.
    pub const fn content(&self) -> &C {
        &self.content
    }

    /// The first MiB of the disk, before any block was taken; of a smaller one all of it.
    pub fn start(&self) -> &[u8] {
        self.window.get(..usize::try_from(self.size).unwrap_or(WINDOW)).unwrap_or(&self.window)
    }

    /// Has the disk hold these writes instead of what it holds there, before any block was taken.
    pub fn change(&mut self, writes: Vec<Write>) {
        self.changes = writes;
        self.apply();
    }

    /// The next block that is not all zeros, and where it begins; zeros behind the end of the disk complete the last one.
    ///
    /// # Errors
    /// As [`Blocks::new`].
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>> {
        // Each round takes a block from the window or moves the window on.
        let start = loop {
            if self.next >= WINDOW {
                self.advance();
                if self.at >= self.size {
                    return self.end();
                }
                self.fill()?;
            }
            let start = self.next;
            self.next = start.saturating_add(BLOCK);
            if self.window.get(start..self.next).is_some_and(|block| !is_zero(block)) {
                break start;
            }
        };
        let block = self.window.get(start..self.next).unwrap_or_default();
        Ok(Some((self.at.saturating_add(start as u64), block)))
    }

    /// Nothing may follow; only now does the content say whether it was what it should be.
    fn end(&mut self) -> Result<Option<(u64, &[u8])>> {
        if !self.has_ended && self.content.next(&mut self.window)? != Piece::End {
            return Err(too_long(self.size));
        }
        self.has_ended = true;
        Ok(None)
    }

    /// Moves the window behind what it holds, and over all that is zeros and stays so.
    fn advance(&mut self) {
        self.at = self.at.saturating_add(WINDOW as u64);
        (self.filled, self.next) = (0, 0);
        let mut end = self.at.saturating_add(self.zeros).min(self.size.next_multiple_of(MIB));
        for change in &self.changes {
            if change.at.0.saturating_add(change.bytes.len() as u64) > self.at {
                end = end.min(change.at.0);
            }
        }
        let skipped = end.saturating_sub(self.at) & !MIB.saturating_sub(1);
        self.at = self.at.saturating_add(skipped);
        self.zeros = self.zeros.saturating_sub(skipped);
    }

    fn fill(&mut self) -> Result<()> {
        // Each round fills some of the window, or learns what to fill it with.
        while let Some(room) = self.window.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            if self.zeros > 0 {
                let count = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(room.len());
                room.get_mut(..count).unwrap_or_default().fill(0);
                self.filled = self.filled.saturating_add(count);
                self.zeros = self.zeros.saturating_sub(count as u64);
                continue;
            }
            let count = match self.content.next(room)? {
                Piece::Bytes(count) => {
                    self.filled = self.filled.saturating_add(count);
                    count as u64
                }
                Piece::Zeros(count) => {
                    self.zeros = count;
                    count
                }
                Piece::End => {
                    self.has_ended = true;
                    self.zeros = u64::MAX;
                    0
                }
            };
            self.given = self.given.saturating_add(count);
            if self.given > self.size {
                return Err(too_long(self.size));
            }
        }
        self.apply();
        Ok(())
    }

    /// Puts into the window what is different there.
    fn apply(&mut self) {
        for change in &self.changes {
            // Of the two, the one that begins first is cut.
            let into = usize::try_from(change.at.0.saturating_sub(self.at)).unwrap_or(WINDOW);
            let from = usize::try_from(self.at.saturating_sub(change.at.0)).unwrap_or(usize::MAX);
            let bytes = change.bytes.get(from..).unwrap_or_default();
            for (byte, new) in self.window.iter_mut().skip(into).zip(bytes) {
                *byte = *new;
            }
        }
    }
}

fn too_long(size: u64) -> Error {
    Error::refused(DOING, format!("its disk has more than {size} bytes, and shrinks for nobody"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// Pieces to be handed on.
    struct Script(Vec<Result<Piece>>);

    impl Content for Script {
        fn next(&mut self, room: &mut [u8]) -> Result<Piece> {
            if self.0.is_empty() {
                return Ok(Piece::End);
            }
            match self.0.remove(0)? {
                Piece::Bytes(count) if count > room.len() => {
                    self.0.insert(0, Ok(Piece::Bytes(count - room.len())));
                    room.fill(7);
                    Ok(Piece::Bytes(room.len()))
                }
                Piece::Bytes(count) => {
                    room[..count].fill(7);
                    Ok(Piece::Bytes(count))
                }
                other => Ok(other),
            }
        }
    }

    /// Where blocks begin, and how many of their bytes are 7.
    fn blocks(pieces: &[Piece], size: u64, changes: &[(u64, usize)]) -> Result<Vec<(u64, usize)>> {
        let mut blocks = Blocks::new(Script(pieces.iter().copied().map(Ok).collect()), ByteCount(size))?;
        let write = |&(at, count): &(u64, usize)| Write { what: "", at: ByteCount(at), bytes: vec![7; count] };
        blocks.change(changes.iter().map(write).collect());
        let mut found = Vec::new();
        while let Some((at, block)) = blocks.next()? {
            assert_eq!(block.len(), BLOCK);
            found.push((at, block.iter().filter(|byte| **byte == 7).count()));
        }
        Ok(found)
    }

    const B: u64 = BLOCK as u64;

    #[test]
    fn blocks_are_the_same_whatever_the_pieces() {
        let expected = [(B, BLOCK), (2 * B, 1), (40 * B, 10)];
        for pieces in [
            &[Piece::Zeros(B), Piece::Bytes(BLOCK + 1), Piece::Zeros(38 * B - 1), Piece::Bytes(10)][..],
            &[
                Piece::Zeros(1),
                Piece::Zeros(B - 1),
                Piece::Bytes(1),
                Piece::Bytes(BLOCK),
                Piece::Zeros(30 * B),
                Piece::Zeros(8 * B - 1),
                Piece::Bytes(10),
                Piece::Zeros(B),
            ],
        ] {
            for size in [42 * B, 1000 * B, 1 << 50] {
                assert_eq!(blocks(pieces, size, &[]).unwrap(), expected);
            }
        }
        assert_eq!(blocks(&[Piece::Bytes(70_000)], 70_000, &[]).unwrap(), [(0, BLOCK), (B, 70_000 - BLOCK)]);
        assert_eq!(blocks(&[Piece::Zeros(1 << 60)], 1 << 60, &[]).unwrap(), [], "zeros take no time");
        assert_eq!(blocks(&[Piece::Bytes(3 * BLOCK)], 16 * B, &[]).unwrap().len(), 3);
        assert_eq!(blocks(&[Piece::Bytes(16 * BLOCK)], 16 * B, &[]).unwrap().len(), 16);
    }

    #[test]
    fn changes_are_laid_over_what_passes() {
        let end = (1 << 40) - 600;
        // In the first window, across two, and where there was nothing.
        let changes = [(5, 3), (16 * B - 1, 2), (end, 600)];
        let expected = [(0, 3), (15 * B, 1), (16 * B, 1), ((1 << 40) - B, 600)];
        assert_eq!(blocks(&[Piece::Zeros(100)], 1 << 40, &changes).unwrap(), expected);
    }

    #[test]
    fn the_start_is_the_first_mib_or_all_there_is() {
        for (size, expected) in [(1, 1), (MIB, WINDOW), (MIB + 1, WINDOW), (1 << 40, WINDOW)] {
            let blocks = Blocks::new(Script(vec![Ok(Piece::Bytes(1))]), ByteCount(size)).unwrap();
            assert_eq!((blocks.start().len(), blocks.start()[0]), (expected, 7));
        }
    }

    #[test]
    fn a_disk_that_is_longer_is_refused_and_so_is_one_that_ends_badly() {
        for pieces in [
            &[Piece::Bytes(10), Piece::Bytes(1)][..],
            &[Piece::Zeros(11)],
            &[Piece::Bytes(10), Piece::Zeros(1)],
            &[Piece::Zeros(u64::MAX)],
        ] {
            assert_eq!(blocks(pieces, 10, &[]).unwrap_err().kind, Kind::Refused, "{pieces:?}");
        }
        for pieces in [[Piece::Bytes(16 * BLOCK), Piece::Bytes(1)], [Piece::Zeros(16 * B), Piece::Zeros(1)]] {
            assert_eq!(blocks(&pieces, 16 * B, &[]).unwrap_err().kind, Kind::Refused, "behind the last window");
        }
        for whole in [BLOCK, 16 * BLOCK] {
            let script = Script(vec![Ok(Piece::Bytes(whole)), Err(Error::refused("check", "other digest"))]);
            let taken = Blocks::new(script, ByteCount(16 * B)).and_then(|mut blocks| {
                while blocks.next()?.is_some() {}
                Ok(())
            });
            assert_eq!(taken.unwrap_err().doing, "check");
        }
    }
}
