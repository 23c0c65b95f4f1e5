//! Zstandard by ruzstd.

use alloc::vec::Vec;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read as _;

use super::{DOING, WINDOW_LOG_LIMIT};
use crate::codec;
use crate::error::{Error, Result};

pub(in crate::codec) fn decode(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(1 << WINDOW_LOG_LIMIT);
    let mut output = Vec::new();
    let mut left = input;
    // Each frame takes at least its magic number from `left`.
    loop {
        match decoder.init(&mut left) {
            Ok(()) => decode_frame(&mut decoder, &mut left, &mut output, limit)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let behind = usize::try_from(length).ok().and_then(|length| left.get(length..));
                left = behind.ok_or_else(|| Error::corrupt(DOING, "it ends too early"))?;
            }
            Err(error) => return Err(error_of(&error)),
        }
        if left.is_empty() {
            return Ok(output);
        }
    }
}

fn decode_frame(decoder: &mut FrameDecoder, left: &mut &[u8], output: &mut Vec<u8>, limit: usize) -> Result<()> {
    while !decoder.is_finished() {
        decoder
            .decode_blocks(&mut *left, BlockDecodingStrategy::UptoBytes(codec::STEP))
            .map_err(|error| error_of(&error))?;
        let used = output.len();
        let ready = decoder.can_collect();
        codec::check_length(used.saturating_add(ready), limit, DOING)?;
        output.resize(used.saturating_add(ready), 0);
        let room = output.get_mut(used..).unwrap_or_default();
        decoder.read_exact(room).map_err(|_| Error::corrupt(DOING, "it ends too early"))?;
    }
    match decoder.get_checksum_from_data() {
        Some(stated) if decoder.get_calculated_checksum() != Some(stated) => {
            Err(Error::corrupt(DOING, "checksum does not match"))
        }
        _ => Ok(()),
    }
}

fn error_of(error: &FrameDecoderError) -> Error {
    match error {
        FrameDecoderError::WindowSizeTooBig { .. } => Error::refused(DOING, "its window is larger than 128 MiB"),
        FrameDecoderError::DictNotProvided { .. } => Error::unsupported(DOING, "it needs a dictionary"),
        _ => Error::corrupt(DOING, "it is no valid zstd frame"),
    }
}
