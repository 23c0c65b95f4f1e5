//! Zstandard by the reference implementation in C.

use alloc::vec;
use alloc::vec::Vec;

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

use super::{DOING, WINDOW_LOG_LIMIT};
use crate::codec;
use crate::error::{Error, Result};

pub(in crate::codec) fn decode(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let failed = |code| Error::corrupt(DOING, zstd_safe::get_error_name(code));
    let mut context = DCtx::try_create().ok_or_else(|| no_memory(DOING))?;
    context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_LIMIT)).map_err(failed)?;
    let mut output = Vec::new();
    let mut used = 0;
    let mut source = InBuffer::around(input);
    // Each round takes input, gives output or ends.
    loop {
        if used == output.len() {
            codec::grow(&mut output, used, limit, DOING)?;
        }
        let mut target = OutBuffer::around_pos(output.as_mut_slice(), used);
        // What the frame still wants: 0 when it is complete and all of it was handed out.
        let wanted = context.decompress_stream(&mut target, &mut source).map_err(failed)?;
        used = target.pos();
        if source.pos() == input.len() {
            if wanted == 0 {
                break;
            }
            if used < output.len() {
                return Err(Error::corrupt(DOING, "it ends too early"));
            }
        }
    }
    codec::check_length(used, limit, DOING)?;
    output.truncate(used);
    Ok(output)
}

/// One frame as the kernel takes it for an initramfs.
pub(in crate::codec) fn encode(input: &[u8]) -> Result<Vec<u8>> {
    const PACKING: &str = "pack zstd data";
    /// The highest before `--ultra`; unpacking is as fast as at any other.
    const LEVEL: i32 = 19;
    /// 8 MiB: the largest window that the kernel unpacks an initramfs with (`lib/decompress_unzstd.c`).
    const WINDOW_LOG: u32 = 23;
    let failed = |code| Error::refused(PACKING, zstd_safe::get_error_name(code));
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

fn no_memory(doing: &'static str) -> Error {
    Error::refused(doing, "not enough memory")
}
