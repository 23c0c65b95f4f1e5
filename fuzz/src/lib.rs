//! A disk as large as the fuzzer says, of which it wrote only the first bytes; the rest is zeros.
#![forbid(unsafe_code)]

use wisp::bytes::ReadAt;
use wisp::error::{Error, Result};
use wisp::table::Write;
use wisp::units::ByteCount;

/// The bytes written first, and what was written over them later.
#[derive(Clone)]
pub struct Disk<'a> {
    pub start: &'a [u8],
    pub size: u64,
    pub writes: Vec<(u64, Vec<u8>)>,
}

impl<'a> Disk<'a> {
    /// A disk of `size` bytes, or as many as `start` has.
    pub fn new(start: &'a [u8], size: u64) -> Self {
        Self { start, size: size.max(start.len() as u64), writes: Vec::new() }
    }

    /// Carries out a plan.
    pub fn write(&mut self, write: &Write) {
        let end = write.at.0 + write.bytes.len() as u64;
        assert!(end <= self.size, "{} is written behind the end", write.what);
        self.writes.push((write.at.0, write.bytes.clone()));
    }
}

impl ReadAt for Disk<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        let end = offset.0.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(Error::corrupt("read", "the range lies behind the end"));
        }
        buffer.fill(0);
        overlay(buffer, offset.0, 0, self.start);
        for (at, bytes) in &self.writes {
            overlay(buffer, offset.0, *at, bytes);
        }
        Ok(())
    }
}

/// Copies into `buffer`, which shows the disk from `offset`, what `bytes` hold from `at` on.
fn overlay(buffer: &mut [u8], offset: u64, at: u64, bytes: &[u8]) {
    let first = offset.max(at);
    let last = (offset + buffer.len() as u64).min(at + bytes.len() as u64);
    if first < last {
        let length = (last - first) as usize;
        let (to, from) = ((first - offset) as usize, (first - at) as usize);
        buffer[to..to + length].copy_from_slice(&bytes[from..from + length]);
    }
}
