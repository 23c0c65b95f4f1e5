//! Zstandard by the reference implementation in C.

use alloc::vec;
use alloc::vec::Vec;

use zstd_safe::zstd_sys::ZSTD_ErrorCode as Code;
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, ErrorCode, InBuffer, OutBuffer, ResetDirective};

use super::{DOING, WINDOW_LOG_LIMIT};
use crate::codec::source::too_early;
use crate::codec::{Input, Source};
use crate::error::{Error, Result};

/// Bytes that are handed out at once, a block: from the library's window, which is in the processor's nearer caches
/// still, to where it is not out of them before it is used.
const PIECE: usize = 128 << 10;

pub(in crate::codec) struct Decoder<'a> {
    input: Input<'a>,
    /// Made when the first bytes are asked for, as that may fail.
    context: Option<DCtx<'static>>,
    /// Whether the last frame is complete and all of it was handed out.
    complete: bool,
}

impl<'a> Decoder<'a> {
    pub(in crate::codec) fn new(input: Input<'a>) -> Self {
        Self { input, context: None, complete: false }
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(open()?),
        };
        // Each round takes input, hands out, or ends.
        loop {
            let packed = self.input.peek(1)?;
            let ended = packed.is_empty();
            if ended && self.complete {
                return Ok(0);
            }
            let mut source = InBuffer::around(packed);
            let room = into.len().min(PIECE);
            let mut target = OutBuffer::around(into.get_mut(..room).unwrap_or_default());
            let wanted = context.decompress_stream(&mut target, &mut source).map_err(|code| error_of(code, DOING))?;
            let (consumed, produced) = (source.pos(), target.pos());
            self.complete = wanted == 0;
            self.input.take(consumed);
            if produced > 0 {
                return Ok(produced);
            }
            if ended {
                return Err(too_early(DOING));
            }
        }
    }

    fn warning(&self) -> Option<&'static str> {
        self.input.warning()
    }
}

fn open() -> Result<DCtx<'static>> {
    let mut context = DCtx::try_create().ok_or_else(|| no_memory(DOING))?;
    context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_LIMIT)).map_err(|code| error_of(code, DOING))?;
    Ok(context)
}

/// The library's own words are left out of the shipped program.
fn error_of(code: ErrorCode, doing: &'static str) -> Error {
    const WINDOW: usize = Code::ZSTD_error_frameParameter_windowTooLarge as usize;
    const DICTIONARY: usize = Code::ZSTD_error_dictionary_wrong as usize;
    const MEMORY: usize = Code::ZSTD_error_memory_allocation as usize;
    const CHECKSUM: usize = Code::ZSTD_error_checksum_wrong as usize;
    // An error is returned as a negative number.
    match code.wrapping_neg() {
        WINDOW => Error::refused(doing, super::WINDOW_TOO_LARGE),
        DICTIONARY => Error::unsupported(doing, super::NEEDS_DICTIONARY),
        MEMORY => no_memory(doing),
        CHECKSUM => Error::corrupt(doing, super::WRONG_CHECKSUM),
        _ => Error::corrupt(doing, super::NO_FRAME),
    }
}

/// One frame as the kernel takes it for an initramfs.
pub(in crate::codec) fn encode(input: &[u8]) -> Result<Vec<u8>> {
    const PACKING: &str = "pack zstd data";
    /// The highest before `--ultra`; unpacking is as fast as at any other.
    const LEVEL: i32 = 19;
    /// 8 MiB: the largest window that the kernel unpacks an initramfs with (`lib/decompress_unzstd.c`).
    const WINDOW_LOG: u32 = 23;
    let failed = |code| error_of(code, PACKING);
    let mut context = CCtx::try_create().ok_or_else(|| no_memory(PACKING))?;
    for parameter in
        [CParameter::CompressionLevel(LEVEL), CParameter::WindowLog(WINDOW_LOG), CParameter::ChecksumFlag(true)]
    {
        context.set_parameter(parameter).map_err(failed)?;
    }
    let mut output = vec![0; zstd_safe::compress_bound(input.len())];
    let length = context.compress2(output.as_mut_slice(), input).map_err(failed)?;
    output.truncate(length);
    Ok(output)
}

/// Clusters of a disk image, each one frame or more.
#[derive(Default)]
pub(in crate::codec) struct Clusters {
    context: Option<DCtx<'static>>,
}

impl Clusters {
    /// Fills `into`, or as much of it as there is; says how much.
    pub(in crate::codec) fn unpack(&mut self, packed: &[u8], into: &mut [u8]) -> Result<usize> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(open()?),
        };
        let failed = |code| error_of(code, DOING);
        context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        let mut source = InBuffer::around(packed);
        let mut target = OutBuffer::around(into);
        // Each round takes input or hands out, or is the last one.
        loop {
            let before = (source.pos(), target.pos());
            let wanted = context.decompress_stream(&mut target, &mut source).map_err(failed)?;
            let is_full = target.pos() == target.capacity();
            let is_stuck = (source.pos(), target.pos()) == before;
            if is_stuck || wanted == 0 && (is_full || source.pos() == packed.len()) {
                return Ok(target.pos());
            }
        }
    }
}

fn no_memory(doing: &'static str) -> Error {
    Error::refused(doing, "not enough memory")
}
