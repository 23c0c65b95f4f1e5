//! Any bytes as a partition: detected, refused or unknown, and what is known about it can be asked.
//!
//! The first byte of the input says how much larger than the input the partition is; the rest is its start.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wisp::filesystem;
use wisp::units::ByteCount;
use wisp_fuzz::Disk;

fuzz_target!(|input: &[u8]| {
    let Some((&flags, start)) = input.split_first() else { return };
    let disk = Disk::new(start, if flags & 1 == 0 { 0 } else { 1 << (flags >> 2) });
    let Ok(Some(found)) = filesystem::detect(&disk, ByteCount(disk.size)) else { return };
    assert!(!found.kind.name().is_empty());
    let _ = (found.kind.policy(), found.kind.module(), found.obstacle());
    if let Some(extent) = found.extent {
        assert!(extent.block_size.is_power_of_two());
        let _ = extent.bytes();
    }
});
