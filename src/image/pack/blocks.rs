//! A disk in blocks that begin at multiples of their length, whatever pieces it comes in and wherever it is changed.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::DOING;
use crate::error::{Error, Result};
use crate::image::fingerprint::{BLOCK, BLOCK_BYTES, is_zero};
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
    /// Zeros that follow.
    zeros: u64,
    /// Where in the window the next block begins.
    next: usize,
}

impl<C: Content> Blocks<C> {
    /// The disk of `content`, with zeros behind its end to make `size` bytes of it.
    ///
    /// # Errors
    /// Those of `content`; `Refused` when it is longer.
    pub fn new(content: C, size: ByteCount) -> Result<Self> {
        let window = vec![0; WINDOW];
        let mut blocks =
            Self { content, size: size.0, changes: Vec::new(), window, at: 0, filled: 0, zeros: 0, next: 0 };
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

    /// What follows must be the end, which is where content says whether it was what it should be.
    fn end(&mut self) -> Result<Option<(u64, &[u8])>> {
        loop {
            match self.content.next(&mut self.window)? {
                Piece::End => return Ok(None),
                _ => return Err(self.too_long()),
            }
        }
    }

    /// Moves the window behind what it holds, and over all that is zeros and stays so.
    fn advance(&mut self) {
        self.at = self.at.saturating_add(WINDOW as u64);
        (self.filled, self.next) = (0, 0);
        let change = self.changes.iter().map(|write| write.at.0).filter(|at| *at >= self.at).min();
        let end = self.at.saturating_add(self.zeros).min(change.unwrap_or(u64::MAX));
        let skipped = end.saturating_sub(self.at) / MIB * MIB;
        self.at = self.at.saturating_add(skipped);
        self.zeros = self.zeros.saturating_sub(skipped);
    }

    fn fill(&mut self) -> Result<()> {
        // Each round fills some of the window, or learns what to fill it with.
        while let Some(room) = self.window.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            if self.zeros == 0 {
                match self.content.next(room)? {
                    Piece::Bytes(count) => self.filled = self.filled.saturating_add(count),
                    Piece::Zeros(count) => self.zeros = count,
                    // To the end of the last window, and to be asked for once more behind it.
                    Piece::End => {
                        let here = self.at.saturating_add(self.filled as u64);
                        self.zeros = self.size.next_multiple_of(MIB).saturating_sub(here).max(room.len() as u64);
                        self.ended = true;
                    }
                }
            } else {
                let count = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(room.len());
                room.get_mut(..count).unwrap_or_default().fill(0);
                self.filled = self.filled.saturating_add(count);
                self.zeros = self.zeros.saturating_sub(count as u64);
            }
        }
        self.apply();
        Ok(())
    }
}
