//! lz4: frames of blocks with checksums of the header, of each block and of the content (LZ4 Frame Format 1.6.3), and
//! the frames of before, which have none. Frames of both kinds, and skippable ones, may follow each other. The blocks
//! are unpacked by `lz4_flex`.

use core::hash::Hasher as _;

use alloc::format;
use alloc::vec::Vec;

use twox_hash::XxHash32;

use super::source::{lengthen, too_early};
use super::{Input, Source};
use crate::error::{Error, Result};

const DOING: &str = "unpack the lz4 data of";

/// The magic numbers, of which the skippable one has 16 values.
const MAGIC: u32 = 0x184d_2204;
const MAGIC_LEGACY: u32 = 0x184c_2102;
const MAGIC_SKIPPABLE: u32 = 0x184d_2a50;

/// How far a block that is linked to those before reaches back.
const HISTORY: usize = 64 << 10;

/// Bytes of content in a block of a legacy frame; only the last one has fewer.
const LEGACY_BLOCK: usize = 8 << 20;

/// How much longer than its content a packed block of a legacy frame may be, whose blocks are never stored:
/// `LZ4_compressBound`.
const LEGACY_PACKED: u32 = (LEGACY_BLOCK + LEGACY_BLOCK / 255 + 16) as u32;

/// The bit of a block's size that says it is stored.
const STORED: u32 = 1 << 31;

/// Whether a file that begins with `start` is lz4. Skippable frames are zstd's too: what is behind them decides.
pub(super) fn is_start(start: &[u8]) -> bool {
    let behind = start.get(super::zstd::behind_skippable(start)..);
    behind.and_then(<[u8]>::first_chunk).is_some_and(|magic| super::LZ4_MAGICS.contains(magic))
}

/// What the header of a frame says.
struct Frame {
    /// Bytes of content that a block has at most.
    block_limit: usize,
    /// Whether blocks refer to those before.
    linked: bool,
    block_checksums: bool,
    content_checksum: Option<XxHash32>,
    /// Bytes of content that are still to come, if the header said how many.
    content_left: Option<u64>,
}

/// Where the input stands.
enum Stage {
    /// Before a frame; there must be a first one.
    Between { first: bool },
    /// Before a block of a frame.
    Inside(Frame),
    /// Before a block of a legacy frame, which does not say when it ends.
    Legacy,
}

pub(super) struct Decoder<'a> {
    input: Input<'a>,
    stage: Stage,
    /// What linked blocks may refer to, and behind it the block.
    buffer: Vec<u8>,
    /// How much of the buffer's first part is history.
    history: usize,
    /// What of the block was not handed out yet, counted in the whole buffer.
    start: usize,
    end: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        let stage = Stage::Between { first: true };
        Self { input, stage, buffer: Vec::new(), history: 0, start: HISTORY, end: HISTORY }
    }

    /// Goes into the next frame, or past it if it is to be skipped.
    fn next_frame(&mut self) -> Result<()> {
        self.history = 0;
        (self.start, self.end) = (HISTORY, HISTORY);
        self.stage = match u32::from_le_bytes(self.input.array(DOING)?) {
            MAGIC => Stage::Inside(Frame::parse(&mut self.input)?),
            MAGIC_LEGACY => Stage::Legacy,
            magic if magic & !0xf == MAGIC_SKIPPABLE => {
                let size = u32::from_le_bytes(self.input.array(DOING)?);
                self.input.pass(size.into(), DOING)?;
                Stage::Between { first: false }
            }
            _ => return Err(Error::corrupt(DOING, "no lz4 frame")),
        };
        Ok(())
    }

    /// Unpacks the next block: into `into` if it can be left there, else into the buffer. Returns what was put into
    /// `into`.
    fn next_block(&mut self, into: &mut [u8]) -> Result<usize> {
        let Stage::Inside(frame) = &mut self.stage else { return Ok(0) };
        let field = u32::from_le_bytes(self.input.array(DOING)?);
        if field == 0 {
            frame.end(&mut self.input)?;
            self.stage = Stage::Between { first: false };
            return Ok(0);
        }
        let size = (field & !STORED) as usize;
        if size > frame.block_limit {
            return Err(Error::corrupt(DOING, "a block is longer than the header allows"));
        }
        let checksum_length = if frame.block_checksums { 4 } else { 0 };
        let bytes = self.input.peek(size.saturating_add(checksum_length))?;
        let (packed, rest) = bytes.split_at_checked(size).ok_or_else(|| too_early(DOING))?;
        if frame.block_checksums {
            let stated = rest.first_chunk().ok_or_else(|| too_early(DOING))?;
            if XxHash32::oneshot(0, packed) != u32::from_le_bytes(*stated) {
                return Err(Error::corrupt(DOING, "checksum of a block does not match"));
            }
        }
        let direct = !frame.linked && into.len() >= frame.block_limit;
        let (history, target) = if direct {
            ([].as_slice(), into.get_mut(..frame.block_limit).unwrap_or_default())
        } else {
            keep_history(&mut self.buffer, &mut self.history, self.end, frame)
        };
        let length = unpack(packed, field & STORED != 0, target, history)?;
        frame.account(target.get(..length).unwrap_or_default())?;
        self.input.take(size.saturating_add(checksum_length));
        (self.start, self.end) = (HISTORY, HISTORY.saturating_add(if direct { 0 } else { length }));
        Ok(if direct { length } else { 0 })
    }

    /// Unpacks the next block of a legacy frame, or finds what follows it.
    fn next_legacy_block(&mut self) -> Result<()> {
        let field = self.input.peek(4)?;
        let Some(size) = field.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else {
            let ended = field.is_empty();
            self.stage = Stage::Between { first: false };
            return if ended { Ok(()) } else { Err(too_early(DOING)) };
        };
        if matches!(size, MAGIC | MAGIC_LEGACY) || size & !0xf == MAGIC_SKIPPABLE {
            self.stage = Stage::Between { first: false };
            return Ok(());
        }
        if size > LEGACY_PACKED {
            return Err(Error::corrupt(DOING, "a block is longer than any can be"));
        }
        self.input.take(4);
        let size = size as usize;
        let packed = self.input.peek(size)?.get(..size).ok_or_else(|| too_early(DOING))?;
        lengthen(&mut self.buffer, HISTORY.saturating_add(LEGACY_BLOCK));
        let target = self.buffer.get_mut(HISTORY..).unwrap_or_default();
        let length = unpack(packed, false, target, &[])?;
        self.input.take(size);
        (self.start, self.end) = (HISTORY, HISTORY.saturating_add(length));
        Ok(())
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        // Each round hands out, takes input, or ends.
        loop {
            let mut ready = self.buffer.get(self.start..self.end).unwrap_or_default();
            if !ready.is_empty() {
                let count = ready.read(into)?;
                self.start = self.start.saturating_add(count);
                return Ok(count);
            }
            match self.stage {
                Stage::Between { first: false } if self.input.peek(1)?.is_empty() => return Ok(0),
                Stage::Between { .. } => self.next_frame()?,
                Stage::Legacy => self.next_legacy_block()?,
                Stage::Inside(_) => match self.next_block(into)? {
                    0 => {}
                    count => return Ok(count),
                },
            }
        }
    }

    fn warning(&self) -> Option<&'static str> {
        self.input.warning()
    }
}

impl Frame {
    /// Takes the frame descriptor.
    fn parse(input: &mut Input) -> Result<Self> {
        /// FLG and BD, content size, dictionary ID, header checksum.
        const LENGTH_LIMIT: usize = 2 + 8 + 4 + 1;
        let (flg, bd) = match input.peek(LENGTH_LIMIT)? {
            [flg, bd, ..] => (*flg, *bd),
            _ => return Err(too_early(DOING)),
        };
        let has = |bit: u8| flg & (1 << bit) != 0;
        let length = 2_usize.saturating_add(if has(3) { 8 } else { 0 }).saturating_add(if has(0) { 4 } else { 0 });
        let descriptor = input.peek(LENGTH_LIMIT)?.get(..length).ok_or_else(|| too_early(DOING))?;
        let checksum = (XxHash32::oneshot(0, descriptor) >> 8) as u8;
        let fields = crate::bytes::ByteReader::new(descriptor, DOING);
        let content_size = if has(3) { Some(fields.u64_le(2)?) } else { None };
        let dictionary = if has(0) { Some(fields.u32_le(length.saturating_sub(4))?) } else { None };
        input.take(length);
        if input.array(DOING)? != [checksum] {
            return Err(Error::corrupt(DOING, "checksum of the header does not match"));
        }
        if flg >> 6 != 1 || has(1) || bd & 0b1000_1111 != 0 {
            return Err(Error::unsupported(DOING, "its version of the format is not known"));
        }
        if let Some(dictionary) = dictionary {
            return Err(Error::unsupported(DOING, format!("it needs the dictionary {dictionary:#010x}")));
        }
        let block_limit = match bd >> 4 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return Err(Error::unsupported(DOING, "its block size is not known")),
        };
        let content_checksum = has(2).then(|| XxHash32::with_seed(0));
        Ok(Self { block_limit, linked: !has(5), block_checksums: has(4), content_checksum, content_left: content_size })
    }

    /// Counts and hashes what a block held.
    fn account(&mut self, content: &[u8]) -> Result<()> {
        if let Some(left) = &mut self.content_left {
            let remains = left.checked_sub(content.len() as u64);
            *left = remains.ok_or_else(|| Error::corrupt(DOING, "it is longer than its header says"))?;
        }
        if let Some(hash) = &mut self.content_checksum {
            hash.write(content);
        }
        Ok(())
    }

    /// Holds the content against what the header and the end of the frame say about it.
    fn end(&self, input: &mut Input) -> Result<()> {
        if self.content_left.is_some_and(|left| left != 0) {
            return Err(Error::corrupt(DOING, "it is shorter than its header says"));
        }
        let Some(hash) = &self.content_checksum else { return Ok(()) };
        if u32::from_le_bytes(input.array(DOING)?) != hash.finish_32() {
            return Err(Error::corrupt(DOING, "checksum does not match"));
        }
        Ok(())
    }
}

/// Makes room in `buffer` for a block of `frame`. If its blocks are linked, the last of what lies in front of `end` is
/// moved to where it lies right in front of the next block. Returns what is known of it, and the room.
fn keep_history<'b>(
    buffer: &'b mut Vec<u8>,
    history: &mut usize,
    end: usize,
    frame: &Frame,
) -> (&'b [u8], &'b mut [u8]) {
    lengthen(buffer, HISTORY.saturating_add(frame.block_limit));
    if frame.linked {
        let fresh = end.saturating_sub(HISTORY);
        *history = history.saturating_add(fresh).min(HISTORY);
        buffer.copy_within(end.saturating_sub(*history)..end, HISTORY.saturating_sub(*history));
    }
    let (before, room) = buffer.split_at_mut_checked(HISTORY).unwrap_or_default();
    let known = before.get(HISTORY.saturating_sub(*history)..).unwrap_or_default();
    (known, room.get_mut(..frame.block_limit).unwrap_or_default())
}

/// Puts what `packed` holds into the beginning of `target`, and returns how much it is.
fn unpack(packed: &[u8], stored: bool, target: &mut [u8], history: &[u8]) -> Result<usize> {
    let corrupt = || Error::corrupt(DOING, "it is no valid lz4 block");
    if stored {
        target.get_mut(..packed.len()).ok_or_else(corrupt)?.copy_from_slice(packed);
        return Ok(packed.len());
    }
    let length = match history {
        [] => lz4_flex::block::decompress_into(packed, target),
        _ => lz4_flex::block::decompress_into_with_dict(packed, target, history),
    };
    length.map_err(|_| corrupt())
}
