//! Zstandard by ruzstd.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::{self, Read as _};

use super::{DOING, WINDOW_LOG_LIMIT};
use crate::codec::source::too_early;
use crate::codec::{Input, STEP, Source};
use crate::error::{Error, Result};

/// Where the input stands.
enum Stage {
    /// Before a frame; there must be a first one.
    Between { first: bool },
    /// In a frame.
    Frame,
}

pub(in crate::codec) struct Decoder<'a> {
    input: Input<'a>,
    stage: Stage,
    frame: FrameDecoder,
}

impl<'a> Decoder<'a> {
    pub(in crate::codec) fn new(input: Input<'a>) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(1 << WINDOW_LOG_LIMIT);
        Self { input, stage: Stage::Between { first: true }, frame }
    }

    fn next_frame(&mut self) -> Result<()> {
        match self.frame.init(&mut self.input) {
            Ok(()) => self.stage = Stage::Frame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                self.input.pass(length.into(), DOING)?;
                self.stage = Stage::Between { first: false };
            }
            Err(error) => return Err(self.input.failure_or(error_of(&error))),
        }
        Ok(())
    }

    /// Unpacks some blocks, or holds the content against the checksum behind the last one.
    fn next_blocks(&mut self) -> Result<()> {
        if !self.frame.is_finished() {
            let done = self.frame.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBytes(STEP));
            done.map_err(|error| self.input.failure_or(error_of(&error)))?;
            return Ok(());
        }
        self.stage = Stage::Between { first: false };
        match self.frame.get_checksum_from_data() {
            Some(stated) if self.frame.get_calculated_checksum() != Some(stated) => {
                Err(Error::corrupt(DOING, super::WRONG_CHECKSUM))
            }
            _ => Ok(()),
        }
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        // Each round takes input, hands out, or ends.
        loop {
            match self.stage {
                Stage::Between { first } => match self.input.peek(1)?.is_empty() {
                    true if first => return Err(too_early(DOING)),
                    true => return Ok(0),
                    false => self.next_frame()?,
                },
                Stage::Frame if self.frame.can_collect() > 0 => {
                    return self.frame.read(into).map_err(|_| too_early(DOING));
                }
                Stage::Frame => self.next_blocks()?,
            }
        }
    }

    fn warning(&self) -> Option<&'static str> {
        self.input.warning()
    }
}

/// Clusters of a disk image, each one frame or more.
#[cfg(not(feature = "full"))]
#[derive(Default)]
pub(in crate::codec) struct Clusters;

#[cfg(not(feature = "full"))]
impl Clusters {
    /// Fills `into`, or as much of it as there is; says how much.
    pub(in crate::codec) fn unpack(&mut self, packed: &[u8], into: &mut [u8]) -> Result<usize> {
        let mut decoder = Decoder::new(Input::new(packed));
        let mut used = 0_usize;
        while let Some(room) = into.get_mut(used..).filter(|room| !room.is_empty()) {
            match decoder.read(room)? {
                0 => break,
                count => used = used.saturating_add(count),
            }
        }
        Ok(used)
    }
}

impl io::Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> core::result::Result<usize, io::Error> {
        self.read_for_library(into).ok_or_else(|| io::ErrorKind::Other.into())
    }
}

fn error_of(error: &FrameDecoderError) -> Error {
    match error {
        FrameDecoderError::WindowSizeTooBig { .. } => Error::refused(DOING, super::WINDOW_TOO_LARGE),
        FrameDecoderError::DictNotProvided { .. } => Error::unsupported(DOING, super::NEEDS_DICTIONARY),
        _ => Error::corrupt(DOING, super::NO_FRAME),
    }
}
