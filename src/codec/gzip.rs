//! gzip: a header, deflated data, CRC-32 and length; members may follow each other (RFC 1952).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crc32fast::Hasher;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::source::too_early;
use super::{Input, Source};
use crate::error::{Error, Result};

/// ID1, ID2, and the only compression method there is, deflate.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

const DOING: &str = "unpack the gzip data of";

/// The fixed part of a member's header.
const HEADER_LENGTH: usize = 10;

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// Bytes of output that are kept for deflate's distances, which reach back 32 KiB. A power of two, as the library wants
/// it, and four times that, so that it is called rarely.
const WINDOW: usize = 128 << 10;

/// Bytes that a name or a comment may have: `gzip` itself knows no limit, and no file system has longer paths.
const TEXT_LIMIT: usize = 64 << 10;

/// Where in a member the input stands.
enum Stage {
    /// Before the header; before the first one nothing but a header may come.
    Header { first: bool },
    /// In the deflated data.
    Content,
    /// Behind it.
    Trailer,
    /// Behind the last member.
    End,
}

pub(super) struct Decoder<'a> {
    input: Input<'a>,
    stage: Stage,
    inflate: Box<DecompressorOxide>,
    window: Vec<u8>,
    /// What of the window was not handed out yet.
    start: usize,
    end: usize,
    crc32: Hasher,
    /// Bytes of content of this member, modulo 2^32 as its trailer states them.
    length: u32,
    has_garbage: bool,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self {
            input,
            stage: Stage::Header { first: true },
            inflate: Box::default(),
            window: vec![0; WINDOW],
            start: 0,
            end: 0,
            crc32: Hasher::new(),
            length: 0,
            has_garbage: false,
        }
    }

    /// Goes to the content of the next member, if there is one.
    fn next_member(&mut self, first: bool) -> Result<()> {
        if !first {
            let is_all = self.input.pass_zeros()?;
            // As `gzip` does: what does not begin like a member is no part of the file. The end of it may have checksums.
            let rest = self.input.peek(2)?;
            self.has_garbage = !is_all && !MAGIC.iter().zip(rest).take(2).all(|(id, byte)| id == byte);
            if is_all || self.has_garbage {
                self.input.drain()?;
                self.stage = Stage::End;
                return Ok(());
            }
        }
        pass_header(&mut self.input)?;
        self.inflate.init();
        self.crc32.reset();
        self.length = 0;
        self.stage = Stage::Content;
        Ok(())
    }

    /// Unpacks a piece into the window, all of which was handed out.
    fn inflate(&mut self) -> Result<()> {
        const FLAGS: u32 = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        self.start = self.end & WINDOW.saturating_sub(1);
        let packed = self.input.peek(1)?;
        let flags = if packed.is_empty() { 0 } else { FLAGS };
        let (status, consumed, produced) = decompress(&mut self.inflate, packed, &mut self.window, self.start, flags);
        self.input.take(consumed);
        self.end = self.start.saturating_add(produced);
        let content = self.window.get(self.start..self.end).unwrap_or_default();
        self.crc32.update(content);
        self.length = self.length.wrapping_add(produced as u32);
        match status {
            TINFLStatus::Done => self.stage = Stage::Trailer,
            TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput => {}
            TINFLStatus::FailedCannotMakeProgress => return Err(too_early(DOING)),
            _ => return Err(Error::corrupt(DOING, "it is no valid deflate stream")),
        }
        Ok(())
    }

    /// Holds the content against the trailer behind it.
    fn check(&mut self) -> Result<()> {
        let crc32 = u32::from_le_bytes(self.input.array(DOING)?);
        let isize = u32::from_le_bytes(self.input.array(DOING)?);
        if crc32 != self.crc32.clone().finalize() {
            return Err(Error::corrupt(DOING, "checksum does not match"));
        }
        if isize != self.length {
            return Err(Error::corrupt(DOING, "length does not match"));
        }
        self.stage = Stage::Header { first: false };
        Ok(())
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        // Each round hands out, takes input, or ends.
        loop {
            let mut ready = self.window.get(self.start..self.end).unwrap_or_default();
            if !ready.is_empty() {
                let count = ready.read(into)?;
                self.start = self.start.saturating_add(count);
                return Ok(count);
            }
            match self.stage {
                Stage::Header { first } => self.next_member(first)?,
                Stage::Content => self.inflate()?,
                Stage::Trailer => self.check()?,
                Stage::End => return Ok(0),
            }
        }
    }

    fn warning(&self) -> Option<&'static str> {
        if self.has_garbage { Some(super::TRAILING) } else { self.input.warning() }
    }
}

/// Takes a member's header.
fn pass_header(input: &mut Input) -> Result<()> {
    let header: [u8; HEADER_LENGTH] = input.array(DOING)?;
    let [id1, id2, cm, flg, ..] = header;
    if [id1, id2, cm] != MAGIC {
        return Err(Error::corrupt(DOING, "no gzip header"));
    }
    if flg & RESERVED != 0 {
        return Err(Error::unsupported(DOING, "reserved flags are set"));
    }
    let mut crc32 = Hasher::new();
    crc32.update(&header);
    if flg & FEXTRA != 0 {
        let xlen: [u8; 2] = input.array(DOING)?;
        crc32.update(&xlen);
        let length = usize::from(u16::from_le_bytes(xlen));
        let extra = input.peek(length)?.get(..length).ok_or_else(|| too_early(DOING))?;
        crc32.update(extra);
        input.take(length);
    }
    for flag in [FNAME, FCOMMENT] {
        if flg & flag != 0 {
            pass_text(input, &mut crc32)?;
        }
    }
    if flg & FHCRC != 0 && u32::from(u16::from_le_bytes(input.array(DOING)?)) != crc32.finalize() & 0xffff {
        return Err(Error::corrupt(DOING, "checksum of the header does not match"));
    }
    Ok(())
}

/// Takes a name or a comment, with the zero that ends it.
fn pass_text(input: &mut Input, crc32: &mut Hasher) -> Result<()> {
    let mut length = 0_usize;
    while length < TEXT_LIMIT {
        let bytes = input.peek(1)?;
        let end = bytes.iter().position(|byte| *byte == 0);
        let count = end.map_or(bytes.len(), |end| end.saturating_add(1));
        crc32.update(bytes.get(..count).unwrap_or_default());
        if count == 0 {
            return Err(too_early(DOING));
        }
        input.take(count);
        if end.is_some() {
            return Ok(());
        }
        length = length.saturating_add(count);
    }
    Err(Error::corrupt(DOING, "a name in the header does not end"))
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
