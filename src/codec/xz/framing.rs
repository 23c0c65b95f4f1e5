//! The framing of .xz, followed beside the decoder: sizes in block headers, in the index and in the footer (the .xz file
//! format 1.2, sections 2 to 4). The decoder compares only how many records the index has, so blocks that were exchanged
//! or replaced as a whole, each with a correct check, would come out as other bytes without an error.
//!
//! LZMA2 chunks state both of their sizes, so nothing is decoded here. It must never hold a list that grows with the input:
//! as liblzma does, it compares the number, the sums and a hash of the records.

use alloc::vec::Vec;

use super::{DOING, MAGIC};
use crate::error::{Error, Result};

/// Bytes of the stream header, and of the footer.
const STREAM_HEADER: usize = 12;

/// What ends a footer.
const FOOTER_MAGIC: [u8; 2] = *b"YZ";

/// Bytes of the check, by its number (2.1.1.2).
const CHECKS: [u64; 16] = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/// The numbers of the checks that have a name: none, CRC32, CRC64, SHA-256. The decoder refuses all others.
const KNOWN_CHECKS: [u8; 4] = [0, 1, 4, 10];

/// The filters that may be in front of LZMA2: delta and the BCJ filters (5.3), up to RISC-V of version 1.2.
const FILTERS: core::ops::RangeInclusive<u64> = 0x03..=0x0b;

/// The filter that must be the last.
const LZMA2: u64 = 0x21;

/// The largest number of bytes of an integer (1.2).
const INTEGER: usize = 9;

/// What the next bytes belong to.
#[derive(Clone, Copy)]
enum Stage {
    /// Stream padding, or the magic bytes of a stream; so many bytes of padding so far.
    Between(u64),
    StreamHeader,
    /// The size of a block header, or the indicator of the index.
    BlockStart,
    BlockHeader,
    /// The control byte of a chunk, and its sizes.
    Chunk,
    /// Bytes of a chunk.
    Data,
    BlockPadding,
    Check,
    /// An integer of the index: how many records.
    Count,
    UnpaddedSize,
    UncompressedSize,
    IndexPadding,
    IndexCrc,
    Footer,
}

/// What is compared of a list of blocks.
#[derive(Default)]
struct Records {
    count: u64,
    unpadded: u64,
    uncompressed: u64,
    crc32: crc32fast::Hasher,
}

/// The block that is being read.
#[derive(Default)]
struct Block {
    header: u64,
    compressed: u64,
    uncompressed: u64,
    stated_compressed: Option<u64>,
    stated_uncompressed: Option<u64>,
}

pub(super) struct Framing {
    stage: Stage,
    /// The bytes of the field that is being read: at most a block header, 1 KiB.
    held: Vec<u8>,
    /// How many bytes that field has, as far as known.
    wanted: usize,
    /// Bytes that pass without being held.
    left: u64,
    /// Stream flags.
    flags: [u8; 2],
    check: u64,
    block: Block,
    blocks: Records,
    index: Records,
    /// Records of the index that are to come.
    records_left: u64,
    unpadded: u64,
    /// Bytes of the index so far, without its CRC32.
    index_size: u64,
    index_crc32: crc32fast::Hasher,
    has_stream: bool,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Between(0),
            held: Vec::new(),
            wanted: 1,
            left: 0,
            flags: [0; 2],
            check: 0,
            block: Block::default(),
            blocks: Records::default(),
            index: Records::default(),
            records_left: 0,
            unpadded: 0,
            index_size: 0,
            index_crc32: crc32fast::Hasher::new(),
            has_stream: false,
        }
    }

    /// Follows the next bytes of the file.
    ///
    /// # Errors
    /// `Corrupt` where a size or a checksum contradicts what came before, `Unsupported` for an unknown filter.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.left > 0 {
                let count = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left = self.left.saturating_sub(count as u64);
                bytes = bytes.get(count..).unwrap_or_default();
                self.pass_empty()?;
                continue;
            }
            self.held.push(byte);
            bytes = rest;
            if self.held.len() >= self.wanted {
                let held = core::mem::take(&mut self.held);
                self.field(&held)?;
                if self.held.is_empty() {
                    // The allocation is kept.
                    self.held = held;
                    self.held.clear();
                }
                self.pass_empty()?;
            }
        }
        Ok(())
    }

    /// Whether the file may end here.
    pub(super) fn is_complete(&self) -> bool {
        self.has_stream
            && self.held.is_empty()
            && matches!(self.stage, Stage::Between(zeros) if zeros.is_multiple_of(4))
    }

    fn enter(&mut self, stage: Stage, wanted: usize) {
        (self.stage, self.wanted) = (stage, wanted);
    }

    /// Leaves the stages all of whose bytes have passed.
    fn pass_empty(&mut self) -> Result<()> {
        if self.left == 0 && matches!(self.stage, Stage::Data) {
            self.enter(Stage::Chunk, 1);
        }
        if self.left == 0 && matches!(self.stage, Stage::Check) {
            self.end_block()?;
        }
        Ok(())
    }

    /// Takes a whole field; one that turns out to be longer is put back.
    fn field(&mut self, held: &[u8]) -> Result<()> {
        match self.stage {
            Stage::Between(zeros) => self.between(held, zeros),
            Stage::StreamHeader => self.stream_header(held),
            Stage::BlockStart => self.block_start(held),
            Stage::BlockHeader => self.block_header(held),
            Stage::Chunk => self.chunk(held),
            Stage::BlockPadding => {
                zeros(held)?;
                self.begin_check()
            }
            Stage::Count | Stage::UnpaddedSize | Stage::UncompressedSize => self.index_field(held),
            Stage::IndexPadding => {
                zeros(held)?;
                self.index_bytes(held);
                self.enter(Stage::IndexCrc, 4);
                Ok(())
            }
            Stage::IndexCrc => self.end_index(held),
            Stage::Footer => self.footer(held),
            Stage::Data | Stage::Check => Ok(()),
        }
    }

    fn between(&mut self, held: &[u8], zeros: u64) -> Result<()> {
        if held == [0] && self.has_stream {
            self.stage = Stage::Between(zeros.saturating_add(1));
            return Ok(());
        }
        if !zeros.is_multiple_of(4) {
            return Err(corrupt("the padding behind a stream is not a multiple of four bytes"));
        }
        self.held.extend_from_slice(held);
        self.enter(Stage::StreamHeader, STREAM_HEADER);
        Ok(())
    }

    fn stream_header(&mut self, held: &[u8]) -> Result<()> {
        let Some(&[m0, m1, m2, m3, m4, m5, zero, check, ref crc @ ..]) = held.first_chunk::<STREAM_HEADER>() else {
            return Ok(());
        };
        if [m0, m1, m2, m3, m4, m5] != MAGIC {
            return Err(corrupt("something that is not an xz stream follows a stream"));
        }
        if crc32fast::hash(&[zero, check]).to_le_bytes() != *crc {
            return Err(corrupt("checksum of the stream header does not match"));
        }
        if zero != 0 || !KNOWN_CHECKS.contains(&check) {
            return Err(Error::unsupported(DOING, "its type of check is not known"));
        }
        self.flags = [zero, check];
        self.check = CHECKS.get(usize::from(check)).copied().unwrap_or_default();
        (self.blocks, self.index) = (Records::default(), Records::default());
        self.has_stream = true;
        self.enter(Stage::BlockStart, 1);
        Ok(())
    }

    fn block_start(&mut self, held: &[u8]) -> Result<()> {
        let size = held.first().copied().unwrap_or_default();
        if size == 0 {
            self.index_size = 0;
            self.index_crc32 = crc32fast::Hasher::new();
            self.index_bytes(held);
            self.enter(Stage::Count, 1);
            return Ok(());
        }
        self.held.extend_from_slice(held);
        self.enter(Stage::BlockHeader, usize::from(size).saturating_add(1).saturating_mul(4));
        Ok(())
    }

    fn block_header(&mut self, held: &[u8]) -> Result<()> {
        let Some((mut fields, crc)) = held.split_last_chunk::<4>() else { return Ok(()) };
        if crc32fast::hash(fields).to_le_bytes() != *crc {
            return Err(corrupt("checksum of a block header does not match"));
        }
        self.block = Block { header: held.len() as u64, ..Block::default() };
        fields = fields.get(1..).unwrap_or_default();
        let [flags] = take(&mut fields)?;
        if flags & 0b0011_1100 != 0 {
            return Err(Error::unsupported(DOING, "a block header has flags that are not known"));
        }
        if flags & 0x40 != 0 {
            self.block.stated_compressed = Some(integer(&mut fields)?).filter(|size| *size > 0);
            if self.block.stated_compressed.is_none() {
                return Err(corrupt("a block header states no size"));
            }
        }
        if flags & 0x80 != 0 {
            self.block.stated_uncompressed = Some(integer(&mut fields)?);
        }
        for left in (0..=flags & 3).rev() {
            let id = integer(&mut fields)?;
            if id != LZMA2 && !FILTERS.contains(&id) {
                return Err(Error::unsupported(DOING, alloc::format!("its filter {id:#x} is not known")));
            }
            if (id == LZMA2) != (left == 0) {
                return Err(Error::unsupported(DOING, "LZMA2 is not its last filter"));
            }
            let length = integer(&mut fields)?;
            let properties = usize::try_from(length).ok().and_then(|length| fields.get(length..));
            fields = properties.ok_or_else(|| corrupt("a block header ends too early"))?;
        }
        zeros(fields)?;
        self.enter(Stage::Chunk, 1);
        Ok(())
    }

    fn chunk(&mut self, held: &[u8]) -> Result<()> {
        let control = held.first().copied().unwrap_or_default();
        let length = match control {
            0 => 1,
            1 | 2 => 3,
            0x80..=0xbf => 5,
            0xc0.. => 6,
            _ => return Err(corrupt("it is not a valid LZMA2 stream")),
        };
        if held.len() < length {
            self.held.extend_from_slice(held);
            self.wanted = length;
            return Ok(());
        }
        self.block.compressed = self.block.compressed.saturating_add(length as u64);
        if control == 0 {
            return self.end_data();
        }
        let size =
            |at| held.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |size| u64::from(u16::from_be_bytes(*size)));
        let low = size(1).saturating_add(1);
        let (uncompressed, compressed) = match control {
            1 | 2 => (low, low),
            _ => (low.saturating_add(u64::from(control & 0x1f) << 16), size(3).saturating_add(1)),
        };
        self.block.uncompressed = self.block.uncompressed.saturating_add(uncompressed);
        self.block.compressed = self.block.compressed.saturating_add(compressed);
        self.left = compressed;
        self.enter(Stage::Data, 1);
        Ok(())
    }

    /// The LZMA2 stream of a block has ended.
    fn end_data(&mut self) -> Result<()> {
        let block = &self.block;
        if block.stated_compressed.is_some_and(|size| size != block.compressed)
            || block.stated_uncompressed.is_some_and(|size| size != block.uncompressed)
        {
            return Err(corrupt("a block has another size than its header states"));
        }
        match padding(block.compressed) {
            0 => self.begin_check(),
            count => {
                self.enter(Stage::BlockPadding, count);
                Ok(())
            }
        }
    }

    fn begin_check(&mut self) -> Result<()> {
        self.left = self.check;
        self.enter(Stage::Check, 1);
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let unpadded = self.block.header.saturating_add(self.block.compressed).saturating_add(self.check);
        self.blocks.add(unpadded, self.block.uncompressed);
        self.enter(Stage::BlockStart, 1);
        Ok(())
    }

    fn index_field(&mut self, held: &[u8]) -> Result<()> {
        if held.last().is_some_and(|byte| byte & 0x80 != 0) {
            self.held.extend_from_slice(held);
            self.wanted = held.len().saturating_add(1);
            return if held.len() >= INTEGER { Err(corrupt(BAD_INTEGER)) } else { Ok(()) };
        }
        let value = integer(&mut &*held)?;
        self.index_bytes(held);
        match self.stage {
            Stage::Count => {
                if value != self.blocks.count {
                    return Err(mismatch());
                }
                self.records_left = value;
            }
            Stage::UnpaddedSize => {
                self.unpadded = value;
                self.enter(Stage::UncompressedSize, 1);
                return Ok(());
            }
            _ => {
                self.index.add(self.unpadded, value);
                self.records_left = self.records_left.saturating_sub(1);
            }
        }
        if self.records_left > 0 {
            self.enter(Stage::UnpaddedSize, 1);
            return Ok(());
        }
        if !self.index.is_same(&self.blocks) {
            return Err(mismatch());
        }
        match padding(self.index_size) {
            0 => self.enter(Stage::IndexCrc, 4),
            count => self.enter(Stage::IndexPadding, count),
        }
        Ok(())
    }

    fn index_bytes(&mut self, bytes: &[u8]) {
        self.index_size = self.index_size.saturating_add(bytes.len() as u64);
        self.index_crc32.update(bytes);
    }

    fn end_index(&mut self, held: &[u8]) -> Result<()> {
        if self.index_crc32.clone().finalize().to_le_bytes() != *held {
            return Err(corrupt("checksum of the index does not match"));
        }
        self.enter(Stage::Footer, STREAM_HEADER);
        Ok(())
    }

    fn footer(&mut self, held: &[u8]) -> Result<()> {
        let Some((crc, rest)) = held.split_first_chunk::<4>() else { return Ok(()) };
        let Some((fields, magic)) = rest.split_last_chunk::<2>() else { return Ok(()) };
        if *magic != FOOTER_MAGIC || crc32fast::hash(fields).to_le_bytes() != *crc {
            return Err(corrupt("checksum of the stream footer does not match"));
        }
        let Some((size, flags)) = fields.split_first_chunk::<4>() else { return Ok(()) };
        let backward = u64::from(u32::from_le_bytes(*size)).saturating_add(1).saturating_mul(4);
        if backward != self.index_size.saturating_add(4) || flags != self.flags {
            return Err(corrupt("the stream footer does not match the index or the stream header"));
        }
        self.enter(Stage::Between(0), 1);
        Ok(())
    }
}

impl Records {
    fn add(&mut self, unpadded: u64, uncompressed: u64) {
        self.count = self.count.saturating_add(1);
        self.unpadded = self.unpadded.saturating_add(unpadded);
        self.uncompressed = self.uncompressed.saturating_add(uncompressed);
        self.crc32.update(&unpadded.to_le_bytes());
        self.crc32.update(&uncompressed.to_le_bytes());
    }

    fn is_same(&self, other: &Self) -> bool {
        let sums = |records: &Self| (records.count, records.unpadded, records.uncompressed);
        sums(self) == sums(other) && self.crc32.clone().finalize() == other.crc32.clone().finalize()
    }
}

const BAD_INTEGER: &str = "an integer is not encoded as the format requires";

#[cold]
fn corrupt(why: &'static str) -> Error {
    Error::corrupt(DOING, why)
}

fn mismatch() -> Error {
    corrupt("the sizes in its index are not those of its blocks")
}

/// Zeros up to a multiple of four.
fn padding(length: u64) -> usize {
    (length.wrapping_neg() & 3) as usize
}

fn zeros(bytes: &[u8]) -> Result<()> {
    if bytes.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(corrupt("its padding is not zeros")) }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, rest) = from.split_first_chunk().ok_or_else(|| corrupt("a block header ends too early"))?;
    *from = rest;
    Ok(*taken)
}

/// Seven bits a byte, the lowest first; the shortest form only (1.2).
fn integer(from: &mut &[u8]) -> Result<u64> {
    let mut value = 0_u64;
    for index in 0..INTEGER {
        let [byte] = take(from)?;
        value |= u64::from(byte & 0x7f) << (index.saturating_mul(7));
        if byte & 0x80 == 0 {
            return if byte == 0 && index > 0 { Err(corrupt(BAD_INTEGER)) } else { Ok(value) };
        }
    }
    Err(corrupt(BAD_INTEGER))
}
