//! bzip2: blocks of up to 900 kB with a CRC each and one for the whole; streams may follow each other. The format has no
//! specification but its only implementation; that one, translated to Rust, is called through `sys`, because it kept its
//! interface of pointers.

use super::source::too_early;
use super::{Input, Source};
use crate::error::Result;
use crate::sys::bzip2::Stream;

pub(super) const DOING: &str = "unpack the bzip2 data of";

/// How a stream begins, before the digit of its block size.
const MAGIC: [u8; 3] = *b"BZh";

/// Whether a file that begins with `start` is bzip2: `BZh`, the block size as a digit, and the number that begins a
/// block (the digits of pi) or, in a stream without any, the end (those of its root).
pub(super) fn is_start(start: &[u8]) -> bool {
    const BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
    const END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
    let digit_and_rest = start.strip_prefix(&MAGIC).and_then(<[u8]>::split_first);
    digit_and_rest.is_some_and(|(digit, rest)| {
        matches!(digit, b'1'..=b'9') && (rest.starts_with(&BLOCK) || rest.starts_with(&END))
    })
}

/// Where the input stands.
enum Stage {
    /// Before a stream; there must be a first one.
    Between { first: bool },
    /// In a stream.
    Inside(Stream),
}

pub(super) struct Decoder<'a> {
    input: Input<'a>,
    stage: Stage,
    has_garbage: bool,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { input, stage: Stage::Between { first: true }, has_garbage: false }
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        // Each round takes input, hands out, or ends.
        loop {
            if matches!(self.stage, Stage::Between { first: false }) && !self.input.pass_zeros()? {
                // As `bzip2` does: what does not begin like a stream is no part of the file.
                let rest = self.input.peek(MAGIC.len())?;
                self.has_garbage = !MAGIC.iter().zip(rest).all(|(id, byte)| id == byte);
                if self.has_garbage {
                    self.input.drain()?;
                }
            }
            let packed = self.input.peek(1)?;
            let ended = packed.is_empty();
            match &mut self.stage {
                Stage::Between { first: true } if ended => return Err(too_early(DOING)),
                Stage::Between { .. } if ended => return Ok(0),
                Stage::Between { .. } => self.stage = Stage::Inside(Stream::open(DOING)?),
                Stage::Inside(stream) => {
                    let progress = stream.unpack(packed, into, DOING)?;
                    self.input.take(progress.consumed);
                    if progress.ended {
                        self.stage = Stage::Between { first: false };
                    } else if ended && progress.produced == 0 {
                        return Err(too_early(DOING));
                    }
                    if progress.produced > 0 {
                        return Ok(progress.produced);
                    }
                }
            }
        }
    }

    fn warning(&self) -> Option<&'static str> {
        if self.has_garbage { Some(super::TRAILING) } else { self.input.warning() }
    }
}
