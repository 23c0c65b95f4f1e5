//! A source whose digest was right, and which is held to it.
//!
//! What is read in another order than that of its bytes cannot be hashed on the way: it is read twice. Between the two,
//! a server without TLS could change its mind, and a file its content. So the first pass, which tells whether the digest
//! is the expected one, keeps a short digest of every block, and later only whole blocks are read that still have theirs.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use sha2::{Digest as _, Sha256};

use super::DOING;
use super::digest::Digest;
use super::locator::Seekable;
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::text::checksum::Checksum;
use crate::units::ByteCount;

/// Bytes of SHA-256 that are kept of each block: to find another block with the same 128 bits is as hard as to break AES.
const KEPT: usize = 16;

/// Digests that are kept at most, in 4 MiB.
const BLOCKS: u64 = 256 << 10;

/// Bytes of a block, as long as the source has few enough of them: up to 256 GiB.
const BLOCK: u64 = 1 << 20;

pub(super) struct Verified<'m> {
    source: Rc<dyn Seekable + 'm>,
    /// Bytes of a block; the last one may be shorter.
    block: u64,
    digests: Vec<[u8; KEPT]>,
    held: RefCell<Held>,
}

/// The block that was read last, for the many small reads that tables and packed clusters are.
#[derive(Default)]
struct Held {
    index: Option<u64>,
    bytes: Vec<u8>,
}

impl<'m> Verified<'m> {
    /// Reads all of `source`.
    pub(super) fn new(source: Rc<dyn Seekable + 'm>, checksum: Checksum) -> Result<Self> {
        let size = source.size();
        let mut block = BLOCK;
        while size.div_ceil(block) > BLOCKS {
            block = block.saturating_mul(2);
        }
        let mut whole = Digest::new(checksum);
        let mut digests = Vec::with_capacity(size.div_ceil(block) as usize);
        let mut bytes = vec![0; size.min(block) as usize];
        let mut at = 0_u64;
        while at < size {
            let count = size.saturating_sub(at).min(block) as usize;
            let now = bytes.get_mut(..count).unwrap_or_default();
            source.read_at(ByteCount(at), now)?;
            whole.update(now);
            digests.push(short(now));
            at = at.saturating_add(count as u64);
        }
        whole.check()?;
        Ok(Self { source, block, digests, held: RefCell::new(Held { index: None, bytes }) })
    }

    /// Fills `into`, as long as block `index` is, with it.
    fn read_block(&self, index: u64, into: &mut [u8]) -> Result<()> {
        self.source.read_at(ByteCount(index.saturating_mul(self.block)), into)?;
        if self.digests.get(index as usize) == Some(&short(into)) {
            return Ok(());
        }
        Err(Error::corrupt(DOING, "it has other bytes than a moment ago, when it had the digest that was expected"))
    }

    fn length_of(&self, index: u64) -> usize {
        self.source.size().saturating_sub(index.saturating_mul(self.block)).min(self.block) as usize
    }
}

impl ReadAt for Verified<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let behind = || Error::corrupt(DOING, "the range lies behind the end");
        let (mut at, mut rest) = (offset.0, buffer);
        let mut held = self.held.try_borrow_mut().map_err(|_| behind())?;
        while !rest.is_empty() {
            let (index, within) = (at.checked_div(self.block).unwrap_or(0), at & self.block.saturating_sub(1));
            let length = self.length_of(index);
            let count = length.saturating_sub(within as usize).min(rest.len());
            if count == 0 {
                return Err(behind());
            }
            let (now, later) = rest.split_at_mut(count);
            if count == length {
                self.read_block(index, now)?;
            } else {
                if held.index != Some(index) {
                    held.index = None;
                    self.read_block(index, held.bytes.get_mut(..length).unwrap_or_default())?;
                    held.index = Some(index);
                }
                let part = held.bytes.get(within as usize..).and_then(|part| part.get(..count));
                now.copy_from_slice(part.ok_or_else(behind)?);
            }
            at = at.saturating_add(count as u64);
            rest = later;
        }
        Ok(())
    }
}

impl Seekable for Verified<'_> {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn is_near(&self) -> bool {
        self.source.is_near()
    }
}

fn short(block: &[u8]) -> [u8; KEPT] {
    let digest: [u8; 32] = Sha256::digest(block).into();
    digest.first_chunk().copied().unwrap_or_default()
}
