//! lzma alone: a header of 13 bytes and one LZMA stream, without any checksum (`doc/lzma-file-format.txt` of XZ Utils).

use alloc::boxed::Box;

use lzma_rust2::{Error as LzmaError, LzmaReader, Read as _};

use super::{Input, Source, xz};
use crate::error::{Error, Result};

const DOING: &str = "unpack the lzma data of";

/// The largest file that a header may announce: above 256 GiB XZ Utils takes it for something else.
const SIZE_LIMIT: u64 = 1 << 38;

/// The dictionaries that the format's encoders make are no smaller.
const DICTIONARY_LEAST: u32 = 4096;

/// Whether a file that begins with `start` may be lzma. There is no magic number, so what XZ Utils ask of a header is
/// asked here, and that the first byte of data is 0, which the range coder always begins with. No text passes.
pub(super) fn is_start(start: &[u8]) -> bool {
    let Some(&[properties, d0, d1, d2, d3, s0, s1, s2, s3, s4, s5, s6, s7, first]) = start.first_chunk() else {
        return false;
    };
    let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
    let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    // A power of two, or the sum of two neighbours.
    let top = 1_u32.checked_shl(dictionary.checked_ilog2().unwrap_or(0)).unwrap_or(0);
    let is_round = dictionary == top || dictionary == top | (top >> 1);
    // (pb * 5 + lp) * 9 + lc; liblzma takes no more than lc + lp = 4.
    let (lc, lp, pb) = (properties % 9, properties / 9 % 5, properties / 45);
    let is_sound = lc.saturating_add(lp) <= 4 && pb <= 4;
    is_sound && is_round && dictionary >= DICTIONARY_LEAST && (size == u64::MAX || size < SIZE_LIMIT) && first == 0
}

/// Where the input stands.
enum Stage<'a> {
    /// Before the header.
    Start(Input<'a>),
    /// In the stream.
    Inside(Box<LzmaReader<Input<'a>>>),
    /// Behind it.
    End,
}

pub(super) struct Decoder<'a>(Stage<'a>);

impl<'a> Decoder<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self(Stage::Start(input))
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        match core::mem::replace(&mut self.0, Stage::End) {
            Stage::Start(input) => self.0 = Stage::Inside(open(input)?),
            other => self.0 = other,
        }
        let Stage::Inside(reader) = &mut self.0 else { return Ok(0) };
        let count = match reader.read(into) {
            Ok(count) => count,
            Err(error) => return Err(reader.inner_mut().failure_or(error_of(error))),
        };
        if count == 0
            && let Stage::Inside(reader) = core::mem::replace(&mut self.0, Stage::End)
        {
            let (mut input, unused) = reader.into_parts();
            if !unused.is_empty() || !input.peek(1)?.is_empty() {
                return Err(Error::corrupt(DOING, "something follows its end"));
            }
        }
        Ok(count)
    }
}

fn open(mut input: Input<'_>) -> Result<Box<LzmaReader<Input<'_>>>> {
    let header: [u8; 13] = input.array(DOING)?;
    let [properties, d0, d1, d2, d3, size @ ..] = header;
    let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
    if dictionary > xz::MEMORY_KIB << 10 {
        return Err(Error::refused(DOING, "its dictionary is larger than 65 MiB"));
    }
    let size = u64::from_le_bytes(size);
    let mut reader = LzmaReader::new_with_props(input, size, properties, dictionary, None).map_err(error_of)?;
    reader.set_relaxed_end_condition(false);
    Ok(Box::new(reader))
}

fn error_of(error: LzmaError) -> Error {
    let error = xz::error_of(error);
    Error::new(error.kind, DOING, error.why.clone())
}
