//! gzip: a header, deflated data, CRC-32 and length; members may follow each other (RFC 1952).

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::bytes::Fields;
use crate::error::{Error, Result};

/// ID1, ID2, and the only compression method there is, deflate.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

const DOING: &str = "unpack gzip data";

/// The fixed part of a member's header.
const HEADER_LENGTH: usize = 10;
/// CRC32 and ISIZE.
const TRAILER_LENGTH: usize = 8;

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

pub(super) fn decode(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut used = 0;
    let mut left = input;
    // Each member takes at least a header from `left`. Zeros behind the last one are padding of a tape or a disk.
    loop {
        (left, used) = decode_member(left, &mut output, used, limit)?;
        if left.iter().all(|byte| *byte == 0) {
            break;
        }
    }
    super::check_length(used, limit, DOING)?;
    output.truncate(used);
    Ok(output)
}

/// Puts what the member at the beginning of `input` holds behind the `start` first bytes of `output`, and returns what
/// follows the member and where its content ends.
fn decode_member<'a>(input: &'a [u8], output: &mut Vec<u8>, start: usize, limit: usize) -> Result<(&'a [u8], usize)> {
    let deflated = input.get(header_length(input)?..).unwrap_or_default();
    let (consumed, end) = inflate(deflated, output, start, limit)?;
    let content = output.get(start..end).unwrap_or_default();

    let trailer = Fields::new(deflated, DOING).slice(consumed, TRAILER_LENGTH)?;
    let fields = Fields::new(trailer, DOING);
    let crc32 = fields.u32_le(0)?;
    let isize = fields.u32_le(4)?;
    if crc32 != crc32fast::hash(content) {
        return Err(Error::corrupt(DOING, "checksum does not match"));
    }
    // The length is stated modulo 2^32.
    if u64::from(isize) != (content.len() as u64 & u64::from(u32::MAX)) {
        return Err(Error::corrupt(DOING, "length does not match"));
    }
    Ok((deflated.get(consumed.saturating_add(TRAILER_LENGTH)..).unwrap_or_default(), end))
}

/// How long the header at the beginning of `input` is.
fn header_length(input: &[u8]) -> Result<usize> {
    let fields = Fields::new(input, DOING);
    if fields.array(0)? != MAGIC {
        return Err(Error::corrupt(DOING, "no gzip header"));
    }
    let flg = fields.u8(3)?;
    if flg & RESERVED != 0 {
        return Err(Error::unsupported(DOING, "reserved flags are set"));
    }
    let mut at = HEADER_LENGTH;
    if flg & FEXTRA != 0 {
        let xlen = usize::from(fields.u16_le(at)?);
        at = at.saturating_add(2).saturating_add(xlen);
    }
    for flag in [FNAME, FCOMMENT] {
        if flg & flag != 0 {
            let text = input.get(at..).unwrap_or_default();
            let length = text.iter().position(|byte| *byte == 0);
            let length = length.ok_or_else(|| Error::corrupt(DOING, "a name in the header does not end"))?;
            at = at.saturating_add(length).saturating_add(1);
        }
    }
    if flg & FHCRC != 0 {
        let crc16 = fields.u16_le(at)?;
        if u32::from(crc16) != crc32fast::hash(fields.slice(0, at)?) & 0xffff {
            return Err(Error::corrupt(DOING, "checksum of the header does not match"));
        }
        at = at.saturating_add(2);
    }
    fields.slice(0, at)?;
    Ok(at)
}

/// Puts what the deflate stream at the beginning of `input` holds behind the `start` first bytes of `output`, and
/// returns how long the stream is and where its content ends.
fn inflate(input: &[u8], output: &mut Vec<u8>, start: usize, limit: usize) -> Result<(usize, usize)> {
    const FLAGS: u32 = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    let mut left = input;
    let mut end = start;
    loop {
        if end == output.len() {
            super::grow(output, end, limit, DOING)?;
        }
        // What earlier members hold is out of reach for this one's distances.
        let target = output.get_mut(start..).unwrap_or_default();
        let (status, consumed, produced) = decompress(&mut state, left, target, end.saturating_sub(start), FLAGS);
        left = left.get(consumed..).unwrap_or_default();
        end = end.saturating_add(produced);
        match status {
            TINFLStatus::Done => return Ok((input.len().saturating_sub(left.len()), end)),
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                return Err(Error::corrupt(DOING, "it ends too early"));
            }
            _ => return Err(Error::corrupt(DOING, "it is no valid deflate stream")),
        }
    }
}

/// One member without name and time, so that the same input gives the same bytes.
#[cfg(feature = "full")]
pub(super) fn encode(input: &[u8]) -> Vec<u8> {
    /// 10 is miniz's own and far slower for a few bytes less.
    const LEVEL: u8 = 9;
    /// XFL 2: slowest algorithm.
    const XFL: u8 = 2;
    /// OS 3: Unix.
    const OS: u8 = 3;
    let mut output = Vec::from(MAGIC);
    // FLG and MTIME are 0.
    output.extend_from_slice(&[0, 0, 0, 0, 0, XFL, OS]);
    output.extend_from_slice(&miniz_oxide::deflate::compress_to_vec(input, LEVEL));
    output.extend_from_slice(&crc32fast::hash(input).to_le_bytes());
    output.extend_from_slice(&(input.len() as u32).to_le_bytes());
    output
}
