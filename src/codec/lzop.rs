//! lzop: a header, then LZO1X blocks with checksums of the packed and of the unpacked bytes; parts of several files may
//! follow each other. The container has no specification but `lzop` 1.04; `lib/decompress_unlzo.c` of the kernel reads
//! the same.

use alloc::vec::Vec;

use super::source::too_early;
use super::{Input, Source, lzo};
use crate::error::{Error, Result};

pub(super) const MAGIC: [u8; 9] = *b"\x89LZO\0\r\n\x1a\n";

const DOING: &str = "unpack the lzop data of";

/// The version of lzop since which a header has a level, a version needed and a time of 64 bits.
const VERSION_LONG: u16 = 0x0940;
/// The versions of the format that lzop 1.04 reads.
const VERSION_OLDEST: u16 = 0x0900;
const VERSION_NEEDED_NEWEST: u16 = 0x1040;

const F_ADLER32_D: u32 = 1 << 0;
const F_ADLER32_C: u32 = 1 << 1;
const F_H_EXTRA_FIELD: u32 = 1 << 6;
const F_CRC32_D: u32 = 1 << 8;
const F_CRC32_C: u32 = 1 << 9;
const F_H_FILTER: u32 = 1 << 11;
const F_H_CRC32: u32 = 1 << 12;

/// Bytes of content in a block. `lzop` writes 256 KiB and reads up to 64 MiB, which no other known writer makes use of.
const BLOCK_LIMIT: u32 = 4 << 20;

/// Bytes of an extra field: none is known to be written.
const EXTRA_LIMIT: u32 = 64 << 10;

/// Where the input stands.
enum Stage {
    /// Before a part; there must be a first one.
    Between { first: bool },
    /// Before a block of a part with these flags.
    Block { flags: u32 },
}

pub(super) struct Decoder<'a> {
    input: Input<'a>,
    stage: Stage,
    block: Vec<u8>,
    /// What of the block was not handed out yet.
    start: usize,
}

/// The checksums that a block or a header may have; 0 and 1 bytes of either are distinguished by their flags.
#[derive(Clone, Copy)]
struct Check {
    adler32: Option<u32>,
    crc32: Option<u32>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { input, stage: Stage::Between { first: true }, block: Vec::new(), start: 0 }
    }

    /// Unpacks the next block, or finds that there is none.
    fn next_block(&mut self, flags: u32) -> Result<()> {
        self.block.clear();
        self.start = 0;
        let unpacked = u32::from_be_bytes(self.input.array(DOING)?);
        if unpacked == 0 {
            self.stage = Stage::Between { first: false };
            return Ok(());
        }
        if unpacked == u32::MAX {
            return Err(Error::unsupported(DOING, "it is a part of a split file"));
        }
        if unpacked > BLOCK_LIMIT {
            return Err(Error::refused(DOING, "a block is larger than 4 MiB"));
        }
        let packed = u32::from_be_bytes(self.input.array(DOING)?);
        if packed == 0 || packed > unpacked {
            return Err(Error::corrupt(DOING, "a block is longer than what it unpacks to"));
        }
        let content_check = Check::parse(&mut self.input, flags & F_ADLER32_D != 0, flags & F_CRC32_D != 0)?;
        // A block that did not shrink is stored, and has one pair of checksums.
        let stored = packed == unpacked;
        let packed_check =
            Check::parse(&mut self.input, flags & F_ADLER32_C != 0 && !stored, flags & F_CRC32_C != 0 && !stored)?;
        let (packed, unpacked) = (packed as usize, unpacked as usize);
        let bytes = self.input.peek(packed)?.get(..packed).ok_or_else(|| too_early(DOING))?;
        packed_check.verify(bytes)?;
        if stored {
            self.block.extend_from_slice(bytes);
        } else {
            self.block.resize(unpacked, 0);
            lzo::unpack(bytes, &mut self.block).ok_or_else(|| Error::corrupt(DOING, "it is no valid LZO stream"))?;
        }
        content_check.verify(&self.block)?;
        self.input.take(packed);
        Ok(())
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        // Each round hands out, takes input, or ends.
        loop {
            let mut ready = self.block.get(self.start..).unwrap_or_default();
            if !ready.is_empty() {
                let count = ready.read(into)?;
                self.start = self.start.saturating_add(count);
                return Ok(count);
            }
            match self.stage {
                Stage::Between { first: false } if self.input.pass_zeros()? => return Ok(0),
                Stage::Between { .. } => self.stage = Stage::Block { flags: parse_header(&mut self.input)? },
                Stage::Block { flags } => self.next_block(flags)?,
            }
        }
    }

    fn warning(&self) -> Option<&'static str> {
        self.input.warning()
    }
}

impl Check {
    fn parse(input: &mut Input, adler32: bool, crc32: bool) -> Result<Self> {
        let adler32 = if adler32 { Some(u32::from_be_bytes(input.array(DOING)?)) } else { None };
        let crc32 = if crc32 { Some(u32::from_be_bytes(input.array(DOING)?)) } else { None };
        Ok(Self { adler32, crc32 })
    }

    fn verify(self, bytes: &[u8]) -> Result<()> {
        let adler32 = self.adler32.is_none_or(|stated| adler2::adler32_slice(bytes) == stated);
        let crc32 = self.crc32.is_none_or(|stated| crc32fast::hash(bytes) == stated);
        if adler32 && crc32 { Ok(()) } else { Err(Error::corrupt(DOING, "checksum does not match")) }
    }
}

/// A header while it is read: its bytes are kept for its checksum.
struct Header<'i, 'a> {
    input: &'i mut Input<'a>,
    seen: Vec<u8>,
}

impl Header<'_, '_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.input.array(DOING)?;
        self.seen.extend_from_slice(&bytes);
        Ok(bytes)
    }

    /// Takes `count` bytes that no one asks for.
    fn pass(&mut self, count: usize) -> Result<()> {
        let bytes = self.input.peek(count)?.get(..count).ok_or_else(|| too_early(DOING))?;
        self.seen.extend_from_slice(bytes);
        self.input.take(count);
        Ok(())
    }

    /// Takes the checksum of what was seen since the last one.
    fn verify(&mut self, flags: u32) -> Result<()> {
        let crc32 = flags & F_H_CRC32 != 0;
        Check::parse(self.input, !crc32, crc32)?.verify(&self.seen)?;
        self.seen.clear();
        Ok(())
    }
}

/// Takes the header of a part, and returns its flags.
fn parse_header(input: &mut Input) -> Result<u32> {
    let magic: [u8; MAGIC.len()] = input.array(DOING)?;
    if magic != MAGIC {
        return Err(Error::corrupt(DOING, "no lzop header"));
    }
    let mut header = Header { input, seen: Vec::new() };
    let version = u16::from_be_bytes(header.array()?);
    header.pass(2)?;
    let is_long = version >= VERSION_LONG;
    let version_needed = if is_long { u16::from_be_bytes(header.array()?) } else { version };
    let [method] = header.array()?;
    if is_long {
        header.pass(1)?;
    }
    let flags = u32::from_be_bytes(header.array()?);
    // Mode and time.
    header.pass(if is_long { 12 } else { 8 })?;
    let [name_length] = header.array()?;
    header.pass(usize::from(name_length))?;
    // Only now is it known that the fields are what was written.
    header.verify(flags)?;
    if version < VERSION_OLDEST || version_needed > VERSION_NEEDED_NEWEST {
        return Err(Error::unsupported(DOING, "its version of the format is not known"));
    }
    // LZO1X-1, LZO1X-1(15), LZO1X-999: packed differently, unpacked alike.
    if !matches!(method, 1..=3) {
        return Err(Error::unsupported(DOING, "its method is not LZO1X"));
    }
    if flags & F_H_FILTER != 0 {
        return Err(Error::unsupported(DOING, "it has a filter"));
    }
    if flags & F_H_EXTRA_FIELD != 0 {
        let length = u32::from_be_bytes(header.array()?);
        if length > EXTRA_LIMIT {
            return Err(Error::refused(DOING, "its extra field is larger than 64 KiB"));
        }
        header.pass(length as usize)?;
        header.verify(flags)?;
    }
    Ok(flags)
}
