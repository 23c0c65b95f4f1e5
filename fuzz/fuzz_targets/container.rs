//! Any bytes as a disk image: a map whose every run lies in the file and leads on, or an error; and the same bytes from
//! beginning to end.
//!
//! The first byte of the input says how much larger than the input the file is; the rest is its start. Checksums of VHD
//! and tar are put right, so that the fuzzer meets more than their check.
#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use wisp::bytes::ReadAt;
use wisp::codec::{Input, Source, Unpacker};
use wisp::container::{Map, Place, stream};
use wisp::error::Result;
use wisp::units::ByteCount;
use wisp_fuzz::Disk;

/// Runs that are asked for, and what may be read for one: both tables and a marker, for each cluster it is made of.
const RUNS: usize = 64;
const MOST_READS: u64 = 1 << 18;
/// Bytes of a stream that are read.
const STREAM: u64 = 16 << 20;

/// A file that counts how often it is read.
struct Counted<'a> {
    disk: Disk<'a>,
    reads: Cell<u64>,
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() <= MOST_READS && buffer.len() <= 64 << 10, "too much is read");
        assert!(offset.0 + buffer.len() as u64 <= self.disk.size, "behind the end");
        self.disk.read_at(offset, buffer)
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let mut start = bytes.to_vec();
    put_checksums_right(&mut start);
    let disk = Disk::new(&start, if flags & 1 == 0 { 0 } else { 1 << (flags >> 3) });
    let source = Counted { disk, reads: Cell::new(0) };
    let size = source.disk.size;
    if let Ok(mut map) = Map::open(&source, ByteCount(size)) {
        follow(&mut map, &source, size);
    }
    let Ok(mut stream) = stream::open(Input::new(start.as_slice())) else { return };
    let (mut room, mut left) = (vec![0; 64 << 10], STREAM);
    while let Ok(count @ 1..) = stream.content.read(&mut room) {
        let Some(rest) = left.checked_sub(count as u64) else { return };
        left = rest;
    }
});

fn follow(map: &mut Map<'_>, source: &Counted<'_>, size: u64) {
    let (mut at, mut unpacker) = (0, Unpacker::new());
    for _ in 0..RUNS {
        source.reads.set(0);
        let Ok(Some(run)) = map.run_at(at) else { return };
        assert!(run.length > 0 && at + run.length <= map.size().0);
        match run.place {
            Place::Zero => {}
            Place::Stored(start) => assert!(start + run.length <= size),
            Place::Packed(packed) => {
                assert!(packed.at + packed.length as u64 <= size && packed.length as u64 <= 2 * map.unit());
                assert!(packed.skip as u64 + run.length <= map.unit());
                let (mut bytes, mut cluster) = (vec![0; packed.length], vec![0; map.unit() as usize]);
                if source.disk.read_at(ByteCount(packed.at), &mut bytes).is_ok() {
                    let _ = unpacker.unpack(packed.packing, &bytes, &mut cluster);
                }
            }
        }
        at += run.length;
    }
}

/// Puts right what looks like a footer or a header of VHD, or a header of tar.
fn put_checksums_right(bytes: &mut [u8]) {
    for at in (0..bytes.len()).step_by(512) {
        let rest = &mut bytes[at..];
        let (length, sum_at) = match rest.get(..8) {
            Some(b"conectix") => (512, 64),
            Some(b"cxsparse") => (1024, 36),
            _ if rest.get(257..262) == Some(b"ustar") => (512, 148),
            _ => continue,
        };
        let Some(block) = rest.get_mut(..length) else { continue };
        let sum = |block: &[u8]| block.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        if sum_at == 148 {
            block[148..156].fill(b' ');
            let digits = format!("{:06o}\0", sum(block));
            block[148..155].copy_from_slice(digits.as_bytes());
        } else {
            block[sum_at..sum_at + 4].fill(0);
            let sum = !sum(block);
            block[sum_at..sum_at + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
}
