//! Any bytes as a volume: opened, refused or unknown; what it lists can be read, and nothing costs more than allowed.
//!
//! The first byte of the input says how much larger than the input the volume is, and whether checksums of UDF are put
//! right first, so that the fuzzer meets more than their check; the rest is its start.
#![no_main]

use std::cell::Cell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use wisp::bytes::ReadAt;
use wisp::error::Result;
use wisp::units::ByteCount;
use wisp::volume::{self, Volume};
use wisp_fuzz::Disk;

/// What the reader of a file allows.
const LIMIT: usize = 64 << 10;
/// Names of a directory that are looked at, and how deep.
const NAMES: usize = 4;
const DEPTH: usize = 2;
/// What one call may read, however the volume is made.
const MOST_BYTES: u64 = 64 << 20;

/// A disk that counts what is read of it.
struct Counted<'a> {
    disk: Disk<'a>,
    bytes: Rc<Cell<u64>>,
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.bytes.set(self.bytes.get() + buffer.len() as u64);
        assert!(self.bytes.get() <= MOST_BYTES, "too much is read");
        self.disk.read_at(offset, buffer)
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let mut start = bytes.to_vec();
    if flags & 1 == 0 {
        put_checksums_right(&mut start);
    }
    let bytes = Rc::new(Cell::new(0));
    let disk = Disk::new(&start, if flags & 2 == 0 { 0 } else { 1 << (flags >> 2) });
    let size = ByteCount(disk.size);
    let Ok(Some(volume)) = volume::open(Box::new(Counted { disk, bytes: Rc::clone(&bytes) }), size) else { return };
    let label = volume.label();
    assert!(label.is_empty() || volume.has_label(label));
    walk(&volume, "", DEPTH, &bytes);
    let _ = volume.read("openstack/latest/meta_data.json", LIMIT);
});

fn walk(volume: &Volume<'_>, path: &str, depth: usize, bytes: &Cell<u64>) {
    bytes.set(0);
    let Ok(Some(names)) = volume.list(path) else { return };
    assert!(names.iter().all(|name| name.len() <= 3 * 255), "no format has longer names");
    for name in names.iter().take(NAMES) {
        let path = format!("{path}/{name}");
        bytes.set(0);
        if let Ok(Some(file)) = volume.read(&path, LIMIT) {
            assert!(file.len() <= LIMIT);
        } else if depth > 0 {
            walk(volume, &path, depth - 1, bytes);
        }
    }
}

/// Puts right whatever looks like a tag of UDF (ECMA-167, 7.2), the last one first: others may lie around it.
fn put_checksums_right(bytes: &mut [u8]) {
    for at in (0..bytes.len().saturating_sub(16)).step_by(4).rev() {
        let rest = &mut bytes[at..];
        let number = |at: usize| u16::from_le_bytes([rest[at], rest[at + 1]]);
        let is_tag = matches!(number(0), 1..=9 | 256..=266) && matches!(number(2), 2 | 3) && rest[5] == 0;
        let Some(body) = rest.get(16..16 + usize::from(number(10))).filter(|_| is_tag) else { continue };
        let crc = body.iter().fold(0u16, |crc, &byte| {
            (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
        });
        rest[8..10].copy_from_slice(&crc.to_le_bytes());
        rest[4] = 0;
        rest[4] = rest[..16].iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte));
    }
}
