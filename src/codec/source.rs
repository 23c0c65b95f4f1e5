//! Where bytes come from: whatever can be read, and a window onto it that lets a decoder look before it takes.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::Format;
use crate::error::{Error, Result};

/// A thing that bytes are pulled from: a file, a reply, bytes in memory, or a decoder, so that layers of compression
/// are sources in sources.
pub trait Source {
    /// Puts the next bytes into the beginning of `into`, which is not empty, and returns how many; 0 is the end, now and
    /// from then on. A large `into` may save a decoder a copy.
    ///
    /// # Errors
    /// Whatever keeps the bytes from being had. What came before was good; what comes after is not defined.
    fn read(&mut self, into: &mut [u8]) -> Result<usize>;

    /// What is suspect about what was read, though all of it is there; known at the end.
    fn warning(&self) -> Option<&'static str> {
        None
    }
}

impl Source for &[u8] {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = self.len().min(into.len());
        let (now, later) = self.split_at(count);
        into.get_mut(..count).unwrap_or_default().copy_from_slice(now);
        *self = later;
        Ok(count)
    }
}

/// How much is asked of a source at once: enough to make a system call cheap, and what a processor's nearer caches hold.
const STEP: usize = 128 << 10;

/// A source with the bytes that were read from it and not yet used.
pub struct Input<'a> {
    source: Box<dyn Source + 'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    failure: Option<Error>,
}

impl<'a> Input<'a> {
    /// Reads nothing yet.
    pub fn new(source: impl Source + 'a) -> Self {
        Self::boxed(Box::new(source))
    }

    /// As [`Input::new`].
    #[must_use]
    pub fn boxed(source: Box<dyn Source + 'a>) -> Self {
        Self { source, buffer: Vec::new(), start: 0, end: 0, ended: false, failure: None }
    }

    /// The next bytes, without taking them: at least `count` unless the source ends before.
    ///
    /// # Errors
    /// Those of the source.
    pub fn peek(&mut self, count: usize) -> Result<&[u8]> {
        while self.unused().len() < count && !self.ended {
            self.fetch(count)?;
        }
        Ok(self.unused())
    }

    /// The format that the next bytes begin like.
    ///
    /// # Errors
    /// Those of the source.
    pub fn format(&mut self) -> Result<Option<Format>> {
        let mut wanted = super::START;
        // Each round looks behind one more skippable frame, or ends.
        loop {
            let start = self.peek(wanted)?;
            let behind = super::zstd::behind_skippable(start).saturating_add(super::START);
            if behind <= wanted || behind > super::SKIPPABLE_LIMIT || start.len() < wanted {
                return Ok(Format::sniff(start));
            }
            wanted = behind;
        }
    }

    /// Takes `count` of the bytes that were peeked at.
    pub fn take(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Takes exactly `N` bytes; `doing` completes the error when there are fewer.
    ///
    /// # Errors
    /// `Corrupt` when the source ends before, and those of the source.
    pub fn array<const N: usize>(&mut self, doing: &'static str) -> Result<[u8; N]> {
        let bytes = self.peek(N)?.first_chunk::<N>().copied();
        let bytes = bytes.ok_or_else(|| too_early(doing))?;
        self.take(N);
        Ok(bytes)
    }

    /// Takes `count` bytes unseen; `doing` completes the error when there are fewer.
    ///
    /// # Errors
    /// `Corrupt` when the source ends before, and those of the source.
    pub fn pass(&mut self, mut count: u64, doing: &'static str) -> Result<()> {
        while count > 0 {
            let available = self.peek(1)?.len();
            if available == 0 {
                return Err(too_early(doing));
            }
            let now = usize::try_from(count).map_or(available, |count| count.min(available));
            self.take(now);
            count = count.saturating_sub(now as u64);
        }
        Ok(())
    }

    /// Takes all that is left, unseen.
    ///
    /// # Errors
    /// Those of the source.
    pub fn drain(&mut self) -> Result<()> {
        loop {
            match self.peek(1)?.len() {
                0 => return Ok(()),
                count => self.take(count),
            }
        }
    }

    /// Takes zeros: padding of a tape or a disk. Returns whether that was all.
    pub(super) fn pass_zeros(&mut self) -> Result<bool> {
        loop {
            let rest = self.peek(1)?;
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            if zeros == 0 {
                return Ok(rest.is_empty());
            }
            self.take(zeros);
        }
    }

    /// What went wrong in the source while a library, whose errors cannot carry it, was reading; else `other`.
    pub(super) fn failure_or(&mut self, other: Error) -> Error {
        self.failure.take().unwrap_or(other)
    }

    /// Reads for a library: the failure of the source is kept for [`Input::failure_or`].
    pub(super) fn read_for_library(&mut self, into: &mut [u8]) -> Option<usize> {
        self.read(into).map_err(|error| self.failure = Some(error)).ok()
    }

    fn unused(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads once, so that in the end `count` bytes fit. No more is read beyond `count` than a step, because bytes that
    /// are not used soon must be moved.
    fn fetch(&mut self, count: usize) -> Result<()> {
        let missing = count.saturating_sub(self.unused().len());
        let wanted = missing.max(STEP);
        if self.buffer.len().saturating_sub(self.end) < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
            let length = self.end.saturating_add(wanted);
            lengthen(&mut self.buffer, length);
        }
        let target = self.end.saturating_add(wanted);
        let read = self.source.read(self.buffer.get_mut(self.end..target).unwrap_or_default())?;
        self.ended = read == 0;
        self.end = self.end.saturating_add(read).min(target);
        Ok(())
    }
}

impl Source for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.unused().is_empty() {
            if into.len() >= STEP && !self.ended {
                // What would fill the buffer anyway need not pass through it.
                return self.source.read(into);
            }
            self.peek(1)?;
        }
        let count = self.unused().read(into)?;
        self.take(count);
        Ok(count)
    }

    fn warning(&self) -> Option<&'static str> {
        self.source.warning()
    }
}

/// Makes `bytes` at least `length` long. The first time they come as zeros from the kernel, which are not touched again.
pub(super) fn lengthen(bytes: &mut Vec<u8>, length: usize) {
    if bytes.is_empty() {
        *bytes = vec![0; length];
    } else if bytes.len() < length {
        bytes.resize(length, 0);
    }
}

/// The source ended where the format goes on.
pub(super) fn too_early(doing: &'static str) -> Error {
    Error::corrupt(doing, "it ends too early")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives three bytes at a time, and fails when there are none left.
    struct Failing<'a>(&'a [u8]);

    impl Source for Failing<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            let count = into.len().min(3);
            match self.0.read(&mut into[..count])? {
                0 => Err(Error::absent("read", "it is gone")),
                count => Ok(count),
            }
        }
    }

    #[test]
    fn bytes_that_were_looked_at_are_still_there() {
        let content: Vec<u8> = (0..=255).cycle().take(3 * STEP).collect();
        let mut input = Input::new(content.as_slice());
        assert_eq!(input.peek(2).unwrap()[..2], [0, 1]);
        assert_eq!(input.array::<2>("parse a test"), Ok([0, 1]));
        assert!(input.peek(2 * STEP).unwrap().starts_with(&content[2..2 * STEP]));
        let mut rest = Vec::new();
        let mut into = [0; 1000];
        loop {
            match input.read(&mut into).unwrap() {
                0 => break,
                count => rest.extend_from_slice(&into[..count]),
            }
        }
        assert!(rest == content[2..]);
        assert_eq!(input.peek(1), Ok([].as_slice()));
        assert_eq!(input.array::<1>("parse a test"), Err(too_early("parse a test")));
    }

    #[test]
    fn the_failure_of_a_source_reaches_the_caller_by_either_way() {
        let gone = Error::absent("read", "it is gone");
        let mut input = Input::new(Failing(b"abcdefg"));
        assert_eq!(input.peek(7).map(<[u8]>::len), Ok(7));
        assert_eq!(input.peek(8), Err(gone.clone()));
        let mut input = Input::new(Failing(b""));
        assert_eq!(input.read_for_library(&mut [0]), None);
        assert_eq!(input.failure_or(too_early("parse a test")), gone);
        assert_eq!(input.failure_or(too_early("parse a test")), too_early("parse a test"));
    }
}
