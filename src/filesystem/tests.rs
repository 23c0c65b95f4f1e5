//! Hand-made superblocks, the smallest that each specification allows; `tests/filesystem.rs` has the real ones.

use super::*;
use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::units::ByteCount;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

/// What `formats.rs` promises.
const MOST_READS: usize = 5;
const MOST_BYTES: usize = 100 << 10;
/// A multiple of every alignment that a format asks of the end of a device.
const SIZE: u64 = 64 << 20;
const UUID: [u8; 16] = *b"\xc7\x11\x63\x6b\xe7\x99\x47\x55\x90\xa6\x26\xe3\x51\xff\xff\x47";
const UUID_TEXT: &str = "c711636b-e799-4755-90a6-26e351ffff47";

/// A device that is zero but for a few pieces, and counts what is read.
#[derive(Clone)]
struct Device {
    size: u64,
    pieces: Vec<(u64, Vec<u8>)>,
    reads: Cell<usize>,
    bytes: Cell<usize>,
}

impl Device {
    fn new(size: u64) -> Self {
        Self { size, pieces: vec![], reads: Cell::new(0), bytes: Cell::new(0) }
    }

    /// The same device with `bytes` at `offset`.
    fn with(mut self, offset: u64, bytes: impl Into<Vec<u8>>) -> Self {
        self.pieces.push((offset, bytes.into()));
        self
    }

    fn detect(&self) -> Result<Option<Superblock>> {
        self.reads.set(0);
        self.bytes.set(0);
        let result = detect(self, ByteCount(self.size));
        assert!(self.reads.get() <= MOST_READS, "{} reads", self.reads.get());
        assert!(self.bytes.get() <= MOST_BYTES, "{} bytes", self.bytes.get());
        result
    }

    fn kind(&self) -> Option<Kind> {
        self.detect().unwrap().map(|found| found.kind)
    }

    fn why(&self) -> alloc::borrow::Cow<'static, str> {
        self.detect().unwrap_err().why.clone()
    }
}

impl ReadAt for Device {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.bytes.set(self.bytes.get() + buffer.len());
        let (start, end) = (offset.0, offset.0 + buffer.len() as u64);
        if end > self.size {
            return Err(Error::corrupt("read", "the range lies behind the end"));
        }
        buffer.fill(0);
        for (at, piece) in &self.pieces {
            let (from, to) = (start.max(*at), end.min(at + piece.len() as u64));
            if from < to {
                let source = &piece[(from - at) as usize..(to - at) as usize];
                buffer[(from - start) as usize..(to - start) as usize].copy_from_slice(source);
            }
        }
        Ok(())
    }
}

/// `length` zero bytes with fields in them.
fn fields(length: usize, values: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (at, value) in values {
        bytes[*at..at + value.len()].copy_from_slice(value);
    }
    bytes
}

/// 8192 blocks of 4 KiB in one group of 32768, with a journal and extents.
fn ext4() -> Vec<u8> {
    fields(
        1024,
        &[
            (0x4, &8192u32.to_le_bytes()),
            (0x18, &2u32.to_le_bytes()),
            (0x20, &32768u32.to_le_bytes()),
            (0x24, &32768u32.to_le_bytes()),
            (0x28, &8192u32.to_le_bytes()),
            (0x38, b"\x53\xef\x01\0"),
            (0x5c, &0x4u32.to_le_bytes()),
            (0x60, &0xc2u32.to_le_bytes()),
            (0x64, &0x3u32.to_le_bytes()),
            (0x68, &UUID),
            (0x78, b"root\0rest"),
        ],
    )
}

/// Four groups of 4096 blocks of 4 KiB, the last one short.
fn xfs() -> Vec<u8> {
    fields(
        512,
        &[
            (0, b"XFSB"),
            (4, &4096u32.to_be_bytes()),
            (8, &16000u64.to_be_bytes()),
            (32, &UUID),
            (84, &4096u32.to_be_bytes()),
            (88, &4u32.to_be_bytes()),
            (100, &0xb4a4u16.to_be_bytes()),
            (108, b"exactly12chr"),
            (120, &[12]),
        ],
    )
}

/// One device with the number 3 and 60 MiB.
fn btrfs() -> Vec<u8> {
    fields(
        4096,
        &[
            (0x20, &UUID),
            (0x30, &65536u64.to_le_bytes()),
            (0x40, b"_BHRfS_M"),
            (0x88, &2u64.to_le_bytes()),
            (0x90, &4096u32.to_le_bytes()),
            (0xc9, &3u64.to_le_bytes()),
            (0xd1, &(60u64 << 20).to_le_bytes()),
            (0xc9 + 82, &UUID),
            (0x12b, b"tree"),
        ],
    )
}

fn f2fs() -> Vec<u8> {
    fields(
        1024 + 0x7c,
        &[
            (0, b"\x10\x20\xf5\xf2"),
            (0x10, &12u32.to_le_bytes()),
            (0x24, &16384u64.to_le_bytes()),
            (0x6c, &UUID),
            (0x7c, b"f\0l\0\xe4\0s\0h\0"),
        ],
    )
}

/// A swap header, at 1024.
fn swap() -> Vec<u8> {
    fields(512, &[(0, &1u32.to_le_bytes()), (4, &4095u32.to_le_bytes()), (12, &UUID), (28, b"swapped")])
}

fn luks(version: u16) -> Vec<u8> {
    fields(512, &[(0, b"LUKS\xba\xbe"), (6, &version.to_be_bytes()), (24, b"label"), (168, UUID_TEXT.as_bytes())])
}

/// A label that belongs into `sector`.
fn lvm(sector: u64) -> Vec<u8> {
    let mut bytes = fields(
        512,
        &[
            (0, b"LABELONE"),
            (8, &sector.to_le_bytes()),
            (20, &32u32.to_le_bytes()),
            (24, b"LVM2 001"),
            (32, b"abcdefGHIJklmnOPQRstuvWXYZ012345"),
        ],
    );
    // Bit by bit, as the specification of the checksum reads.
    let mut crc = 0xf597_a6cf_u32;
    for byte in &bytes[20..] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Metadata of version 1 that belongs to `offset`.
fn md_1(offset: u64) -> Vec<u8> {
    fields(
        256,
        &[
            (0, &raid::MAGIC),
            (4, &1u32.to_le_bytes()),
            (16, &UUID),
            (32, b"host:0"),
            (144, &(offset / 512).to_le_bytes()),
        ],
    )
}

/// Metadata of version 0.90 of a member that uses `size_kib`.
fn md_0(size_kib: u32) -> Vec<u8> {
    fields(
        4096,
        &[
            (0, &raid::MAGIC),
            (8, &90u32.to_le_bytes()),
            (20, b"\x6b\x63\x11\xc7"),
            (32, &size_kib.to_le_bytes()),
            (52, b"\x55\x47\x99\xe7\xe3\x26\xa6\x90\x47\xff\xff\x51"),
        ],
    )
}

/// The description of a pool: version, name, state, pool_guid.
fn zfs() -> Vec<u8> {
    fn pair(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        bytes.extend((name.len() as u32).to_be_bytes());
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(1u32.to_be_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }
    let mut bytes = zfs::MAGICS[0].to_vec();
    bytes.extend(pair("version", 8, &5000u64.to_be_bytes()));
    bytes.extend(pair("name", 9, b"\0\0\0\x05rpool"));
    bytes.extend(pair("state", 8, &0u64.to_be_bytes()));
    bytes.extend(pair("pool_guid", 8, &12_345_678_901_234_567_890u64.to_be_bytes()));
    bytes.resize(4096, 0);
    bytes
}

fn bcachefs(magic: [u8; 16]) -> Vec<u8> {
    fields(512, &[(24, &magic), (56, &UUID), (72, b"cached"), (104, &8u64.to_le_bytes())])
}

/// A boot sector with the parameters of FAT16.
fn fat16() -> Vec<u8> {
    fields(
        512,
        &[
            (0, b"\xeb\x3c\x90mkfs.fat\0\x02\x04\x04\0\x02"),
            (21, b"\xf8\x20\0"),
            (32, &65536u32.to_le_bytes()),
            (38, b"\x29\xc6\x54\xee\x90EFISYS     FAT16   "),
            (510, b"\x55\xaa"),
        ],
    )
}

fn fat32() -> Vec<u8> {
    fields(
        512,
        &[
            (0, b"\xeb\x58\x90mkfs.fat\0\x02\x01\x20\0\x02"),
            (21, b"\xf8"),
            (32, &65536u32.to_le_bytes()),
            (36, &512u32.to_le_bytes()),
            (66, b"\x29\xc6\x54\xee\x90NO NAME    FAT32   "),
            (510, b"\x55\xaa"),
        ],
    )
}

fn exfat() -> Vec<u8> {
    fields(512, &[(3, b"EXFAT   "), (100, b"\xc6\x54\xee\x90"), (108, &[9, 3]), (510, b"\x55\xaa")])
}

fn ntfs() -> Vec<u8> {
    fields(512, &[(3, b"NTFS    \0\x02"), (72, &0x0123_4567_89ab_cdefu64.to_le_bytes()), (510, b"\x55\xaa")])
}

fn iso9660() -> Vec<u8> {
    fields(
        2048,
        &[
            (0, b"\x01CD001\x01"),
            (40, b"cidata                          "),
            (813, b"2024013112000000"),
            (830, b"2024020112000000"),
        ],
    )
}

/// The three descriptors of a UDF volume, each in a sector of this size.
fn udf(sector: usize) -> Vec<u8> {
    fields(3 * sector, &[(0, b"\0BEA01\x01"), (sector, b"\0NSR03\x01"), (2 * sector, b"\0TEA01\x01")])
}

fn squashfs() -> Vec<u8> {
    fields(96, &[(0, b"hsqs"), (12, &131_072u32.to_le_bytes()), (22, &17u16.to_le_bytes())])
}

fn erofs() -> Vec<u8> {
    fields(128, &[(0, b"\xe2\xe1\xf5\xe0"), (12, &[12]), (48, &UUID), (64, b"image")])
}

/// A device with one superblock, and what `blkid` would say of it.
struct Sample {
    /// Where the superblock lies.
    at: u64,
    device: Device,
    kind: Kind,
    uuid: Option<&'static str>,
    label: Option<&'static str>,
}

/// One device per format and place.
fn samples() -> Vec<Sample> {
    let here = |at: u64, bytes: Vec<u8>| (at, Device::new(SIZE).with(at, bytes));
    let also = |(at, device): (u64, Device), offset: u64, bytes: &[u8]| (at, device.with(offset, bytes));
    let rows = [
        (here(1024, ext4()), Kind::Ext4, Some(UUID_TEXT), Some("root")),
        (here(0, xfs()), Kind::Xfs, Some(UUID_TEXT), Some("exactly12chr")),
        (here(65536, btrfs()), Kind::Btrfs, Some(UUID_TEXT), Some("tree")),
        (here(1024, f2fs()), Kind::F2fs, Some(UUID_TEXT), Some("fläsh")),
        (also(here(1024, swap()), 4086, b"SWAPSPACE2"), Kind::Swap, Some(UUID_TEXT), Some("swapped")),
        (also(here(1024, swap()), 65526, b"SWAPSPACE2"), Kind::Swap, Some(UUID_TEXT), Some("swapped")),
        (also(here(1024, swap()), 4086, b"SWAP-SPACE"), Kind::Swap, None, None),
        (also(here(1024, swap()), 8182, b"S1SUSPEND"), Kind::Hibernation, Some(UUID_TEXT), Some("swapped")),
        (also(here(1024, swap()), 4086, b"LINHIB0001"), Kind::Hibernation, Some(UUID_TEXT), Some("swapped")),
        (also(here(1024, swap()), 0, swap::TUXONICE), Kind::Hibernation, Some(UUID_TEXT), Some("swapped")),
        (here(0, luks(1)), Kind::Luks, Some(UUID_TEXT), None),
        (here(0, luks(2)), Kind::Luks, Some(UUID_TEXT), Some("label")),
        (here(512, lvm(1)), Kind::LvmPhysicalVolume, Some("abcdef-GHIJ-klmn-OPQR-stuv-WXYZ-012345"), None),
        (here(1536, lvm(3)), Kind::LvmPhysicalVolume, Some("abcdef-GHIJ-klmn-OPQR-stuv-WXYZ-012345"), None),
        (here(0, md_1(0)), Kind::LinuxRaid, Some(UUID_TEXT), Some("host:0")),
        (here(4096, md_1(4096)), Kind::LinuxRaid, Some(UUID_TEXT), Some("host:0")),
        (here(SIZE - 8192, md_1(SIZE - 8192)), Kind::LinuxRaid, Some(UUID_TEXT), Some("host:0")),
        (here(SIZE - 65536, md_0(32 << 10)), Kind::LinuxRaid, Some(UUID_TEXT), None),
        (here(16 << 10, zfs()), Kind::Zfs, Some("12345678901234567890"), Some("rpool")),
        (here(SIZE - (240 << 10), zfs()), Kind::Zfs, Some("12345678901234567890"), Some("rpool")),
        (here(4096, bcachefs(bcache::BCACHEFS_MAGIC)), Kind::Bcachefs, Some(UUID_TEXT), Some("cached")),
        (here(4096, bcachefs(bcache::BCACHE_MAGIC)), Kind::Bcachefs, Some(UUID_TEXT), Some("cached")),
        (here(0, fat16()), Kind::Vfat, Some("90EE-54C6"), Some("EFISYS")),
        (here(0, fat32()), Kind::Vfat, Some("90EE-54C6"), None),
        (here(0, exfat()), Kind::Exfat, Some("90EE-54C6"), None),
        (here(0, ntfs()), Kind::Ntfs, Some("0123456789ABCDEF"), None),
        (here(32768, iso9660()), Kind::Iso9660, Some("2024-02-01-12-00-00-00"), Some("cidata")),
        (here(32768, udf(2048)), Kind::Udf, None, None),
        (here(32768, udf(4096)), Kind::Udf, None, None),
        (also(here(32768, iso9660()), 32768 + 4 * 2048, b"\0NSR02\x01"), Kind::Udf, None, None),
        (here(0, squashfs()), Kind::Squashfs, None, None),
        (here(1024, erofs()), Kind::Erofs, Some(UUID_TEXT), Some("image")),
    ];
    rows.into_iter().map(|((at, device), kind, uuid, label)| Sample { at, device, kind, uuid, label }).collect()
}

#[test]
fn each_format_is_detected_with_its_names() {
    for Sample { at, device, kind, uuid, label } in samples() {
        let found = device.detect().unwrap().unwrap_or_else(|| panic!("{kind:?} at {at} is not detected"));
        assert_eq!((found.kind, found.uuid.as_deref(), found.label.as_deref()), (kind, uuid, label), "at {at}");
    }
}

#[test]
fn every_truncation_and_every_bit_flip_ends_in_a_value_or_an_error() {
    for Sample { at, device, kind, .. } in samples() {
        // The device ends inside of the superblock.
        let length = device.pieces[0].1.len() as u64;
        for size in (0..64).chain(at..at + length) {
            let _ = Device { size, ..device.clone() }.detect();
        }
        for bit in 0..device.pieces[0].1.len() * 8 {
            let mut flipped = device.clone();
            flipped.pieces[0].1[bit / 8] ^= 1 << (bit % 8);
            if let Err(error) = flipped.detect() {
                assert_eq!(error.kind, crate::error::Kind::Corrupt, "{kind:?}, bit {bit}");
                assert!(!error.why.is_empty() && error.doing.starts_with("read the "));
            }
        }
    }
}

#[test]
fn an_empty_device_holds_nothing() {
    for size in [0, 1, 511, 512, 4096, 8191, 8192, 65536, 131_072, SIZE] {
        assert_eq!(Device::new(size).detect(), Ok(None), "{size}");
    }
}

#[test]
fn what_grows_costs_three_or_four_reads() {
    for (at, bytes, reads) in [(1024, ext4(), 3), (0, xfs(), 3), (65536, btrfs(), 4)] {
        let device = Device::new(SIZE).with(at, bytes);
        assert!(device.detect().is_ok());
        assert_eq!(device.reads.get(), reads);
        assert!(device.bytes.get() <= if reads == 3 { 24 << 10 } else { 96 << 10 });
    }
}

#[test]
fn a_mirror_is_not_the_filesystem_inside_it() {
    for (at, bytes) in [(SIZE - 8192, md_1(SIZE - 8192)), (SIZE - 65536, md_0(32 << 10)), (4096, md_1(4096))] {
        assert_eq!(Device::new(SIZE).with(1024, ext4()).with(at, bytes).kind(), Some(Kind::LinuxRaid));
    }
}

#[test]
fn raid_metadata_that_belongs_elsewhere_is_no_member() {
    // As left at the old end of a partition that grew, or copied with a part of a disk.
    assert_eq!(Device::new(SIZE).with(SIZE - 8192, md_1(SIZE / 2)).kind(), None);
    // A member cannot use more than what lies before its metadata.
    assert_eq!(Device::new(SIZE).with(SIZE - 65536, md_0((64 << 10) - 63)).kind(), None);
    assert_eq!(Device::new(SIZE).with(SIZE - 65536, md_0((64 << 10) - 64)).kind(), Some(Kind::LinuxRaid));
}

#[test]
fn raid_metadata_is_found_at_the_end_of_devices_of_any_length() {
    for odd in [0, 512, 3584, 4096, 4608, 65024] {
        let size = SIZE + odd;
        let sectors = size / 512;
        let offset = ((sectors - 16) & !7) * 512;
        assert_eq!(Device::new(size).with(offset, md_1(offset)).kind(), Some(Kind::LinuxRaid), "1.0, {odd}");
        let offset = ((sectors & !127) - 128) * 512;
        assert_eq!(Device::new(size).with(offset, md_0(1024)).kind(), Some(Kind::LinuxRaid), "0.90, {odd}");
    }
}

#[test]
fn stale_zfs_labels_do_not_hide_a_filesystem() {
    let stale = Device::new(SIZE).with(16 << 10, zfs()).with(SIZE - (240 << 10), zfs());
    assert_eq!(stale.kind(), Some(Kind::Zfs));
    assert_eq!(stale.clone().with(1024, ext4()).kind(), Some(Kind::Ext4));
    assert_eq!(stale.clone().with(0, xfs()).kind(), Some(Kind::Xfs));
    assert_eq!(stale.with(65536, btrfs()).kind(), Some(Kind::Btrfs));
}

#[test]
fn a_boot_sector_does_not_hide_a_filesystem() {
    // What extlinux leaves: a jump, a name, code, and no parameters.
    let code = fields(512, &[(0, b"\xeb\x58\x90EXTLINUX"), (90, &[0xfa; 400]), (510, b"\x55\xaa")]);
    assert_eq!(Device::new(SIZE).with(0, code.clone()).kind(), None);
    assert_eq!(Device::new(SIZE).with(0, code).with(1024, ext4()).kind(), Some(Kind::Ext4));
    assert_eq!(Device::new(SIZE).with(0, fat16()).with(1024, ext4()).kind(), Some(Kind::Ext4));
    let without_end = fields(512, &[(0, &fat16()[..510])]);
    assert_eq!(Device::new(SIZE).with(0, without_end).kind(), None);
}

#[test]
fn a_damaged_superblock_is_an_error_unless_something_sound_lies_behind_it() {
    let damaged = Device::new(SIZE).with(0, luks(3));
    assert_eq!(damaged.why(), "its version is neither 1 nor 2");
    assert_eq!(damaged.with(1024, ext4()).kind(), Some(Kind::Ext4));
}

#[test]
fn a_device_that_cannot_be_read_is_an_error() {
    struct Broken;
    impl ReadAt for Broken {
        fn read_at(&self, _: ByteCount, _: &mut [u8]) -> Result<()> {
            Err(Error::os(5, "read"))
        }
    }
    assert_eq!(detect(&Broken, ByteCount(SIZE)), Err(Error::os(5, "read")));
}

#[test]
fn an_end_that_cannot_be_read_does_not_hide_a_sound_start() {
    struct BadEnd(Device);
    impl ReadAt for BadEnd {
        fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
            if offset.0 >= SIZE / 2 { Err(Error::os(5, "read")) } else { self.0.read_at(offset, buffer) }
        }
    }
    let detect = |device: Device| detect(&BadEnd(device), ByteCount(SIZE)).map(|found| found.map(|it| it.kind));
    assert_eq!(detect(Device::new(SIZE).with(1024, ext4())), Ok(Some(Kind::Ext4)));
    assert_eq!(detect(Device::new(SIZE).with(65536, btrfs())), Ok(Some(Kind::Btrfs)));
    assert_eq!(detect(Device::new(SIZE)), Err(Error::os(5, "read")), "what may lie there is not known");
}

/// The ext superblock with one field changed.
fn ext_with(at: usize, value: &[u8]) -> Device {
    Device::new(SIZE).with(1024, ext4()).with(1024 + at as u64, value)
}

#[test]
fn ext_contradictions_are_named() {
    for (at, value, why) in [
        (0x18, 7u32, "the block size is above 64 KiB"),
        (0x18, u32::MAX, "the block size is above 64 KiB"),
        (0x20, 0, "a group has no blocks or no inodes"),
        (0x28, 0, "a group has no blocks or no inodes"),
        (0x20, 32769, "a group is larger than its bitmap"),
        (0x4, 0, "the number of blocks cannot be"),
        (0x14, 8192, "the number of blocks cannot be"),
        (0x150, 0x1_0000, "the number of blocks cannot be"),
    ] {
        assert_eq!(ext_with(at, &value.to_le_bytes()).why(), why, "{at:#x} = {value}");
    }
    assert_eq!(ext_with(0x5a, &[3, 0]).why(), "it is a backup from another group");
}

#[test]
fn ext_features_decide_the_name() {
    for (compat, incompat, ro_compat, kind) in [
        (0u32, 0u32, 0u32, Kind::Ext2),
        (0x38, 0x12, 0x7, Kind::Ext2),
        (0x4, 0x2, 0x3, Kind::Ext3),
        (0x3c, 0x6, 0x3, Kind::Ext3),
        (0x4, 0x42, 0x3, Kind::Ext4),
        (0x4, 0x2, 0x8, Kind::Ext4),
        (0x0, 0x42, 0x0, Kind::Ext4),
        (0x0, 0x8, 0x0, Kind::ExtJournal),
    ] {
        let features: Vec<u8> = [compat, incompat, ro_compat].iter().flat_map(|bits| bits.to_le_bytes()).collect();
        assert_eq!(ext_with(0x5c, &features).kind(), Some(kind), "{compat:#x} {incompat:#x} {ro_compat:#x}");
    }
    // The journal's own superblock keeps no groups.
    let journal = ext_with(0x60, &8u32.to_le_bytes()).with(1024 + 0x20, [0; 4]);
    assert_eq!(journal.detect().unwrap().unwrap().extent, None);
}

#[test]
fn ext_extents_know_their_limits() {
    let extent = |device: Device| device.detect().unwrap().unwrap().extent.unwrap();
    // 64bit, and 8192 inodes in a group: 2^32 - 1 inodes are used up first.
    let groups = u64::from(u32::MAX) / 8192;
    let expected = Extent { block_size: 4096, blocks: 8192, granule: 32768, max_blocks: groups * 32768 };
    assert_eq!(extent(ext_with(0, &[0; 4])), expected);
    assert_eq!(expected.bytes(), ByteCount(32 << 20));
    // Without 64bit the upper half of the block count is not there.
    let narrow = ext_with(0x60, &0x42u32.to_le_bytes()).with(1024 + 0x150, [1, 0, 0, 0]);
    assert_eq!(extent(narrow), Extent { max_blocks: u64::from(u32::MAX), ..expected });
    assert_eq!(extent(ext_with(0x150, &[1, 0, 0, 0])).blocks, (1 << 32) + 8192);
    // With bigalloc, a group has as many clusters as its bitmap has bits, and more blocks; so many more here that the
    // block numbers are used up first.
    let clusters = ext_with(0x64, &0x200u32.to_le_bytes()).with(1024 + 0x20, (32768u32 << 15).to_le_bytes());
    assert_eq!(extent(clusters), Extent { granule: 32768 << 15, max_blocks: (1 << 48) - 1, ..expected });
}

#[test]
fn ext_obstacles_are_named() {
    let obstacle = |device: Device| device.detect().unwrap().unwrap().obstacle();
    assert_eq!(obstacle(ext_with(0x3a, &[1, 0])), None);
    assert_eq!(obstacle(ext_with(0x3a, &[3, 0])), Some("it has errors; run e2fsck -f"));
    assert!(obstacle(ext_with(0x5c, &0x204u32.to_le_bytes())).unwrap().contains("sparse_super2"));
    assert_eq!(obstacle(ext_with(0x5c, &0x14u32.to_le_bytes())), None);
    let both = ext_with(0x5c, &0x14u32.to_le_bytes()).with(1024 + 0x60, 0xd2u32.to_le_bytes());
    assert!(obstacle(both).unwrap().contains("meta_bg"));
    assert_eq!(obstacle(ext_with(0x64, &0x1000u32.to_le_bytes())), Some("it is marked read-only"));
    // A journal to be replayed is ordinary.
    let dirty = ext_with(0x60, &0xc6u32.to_le_bytes()).detect().unwrap().unwrap();
    assert!(matches!(dirty.details, Details::Ext(Ext { needs_recovery: true, wide: true, .. })));
    assert_eq!(dirty.obstacle(), None);
}

#[test]
fn xfs_contradictions_are_named() {
    let with = |at: u64, value: &[u8]| Device::new(SIZE).with(0, xfs()).with(at, value);
    let groups = "its allocation groups do not add up to its size";
    for (at, value, why) in [
        (4, 0u32, "the block size and its logarithm disagree"),
        (120, 0x0900_0000, "the block size and its logarithm disagree"),
        (120, 0xff00_0000, "the block size and its logarithm disagree"),
        (84, 63, groups),
        (88, 0, groups),
        (88, 3, groups),
        (88, 5, groups),
        (12, 3 * 4096 + 63, groups),
        (12, 4 * 4096 + 1, groups),
        (124, 0x0000_0100, "mkfs.xfs did not finish"),
    ] {
        assert_eq!(with(at, &value.to_be_bytes()).why(), why, "{at} = {value:#x}");
    }
    let sound = with(12, &(3u32 * 4096 + 64).to_be_bytes()).detect().unwrap().unwrap();
    let max_blocks = 4096 * u64::from(u32::MAX);
    assert_eq!(sound.extent, Some(Extent { block_size: 4096, blocks: 12352, granule: 64, max_blocks }));
    assert_eq!(sound.details, Details::Xfs(Xfs { group_blocks: 4096, groups: 4, needs_repair: false }));
    assert_eq!(sound.obstacle(), None);
    let broken = with(216, &0x10u32.to_be_bytes());
    assert_eq!(broken.detect().unwrap().unwrap().obstacle(), None, "version 4 has no such field");
    let broken = broken.with(100, 0xb4a5u16.to_be_bytes()).detect().unwrap().unwrap();
    assert_eq!(broken.obstacle(), Some("it is marked as needing xfs_repair"));
}

#[test]
fn btrfs_contradictions_are_named() {
    let with = |at: u64, value: &[u8]| Device::new(SIZE).with(65536, btrfs()).with(65536 + at, value);
    for (at, value, why) in [
        (0x30, 1u64 << 26, "it belongs to another place on the device"),
        (0x90, 0, "the sector size cannot be"),
        (0x90, 4095, "the sector size cannot be"),
        (0x90, 1 << 17, "the sector size cannot be"),
        (0xc9 + 82, 0, "its device item belongs to another filesystem"),
        (0x88, 0, "it has no devices or this device has no bytes"),
        (0xd1, 0, "it has no devices or this device has no bytes"),
    ] {
        assert_eq!(with(at, &value.to_le_bytes()).why(), why, "{at:#x} = {value:#x}");
    }
    let sound = with(0, &[]).detect().unwrap().unwrap();
    let extent = sound.extent.unwrap();
    assert_eq!((extent.block_size, extent.blocks, extent.granule), (4096, 15360, 1));
    let details = Btrfs { devid: 3, device_bytes: 60 << 20, devices: 2, seed: false };
    assert_eq!(sound.details, Details::Btrfs(details));
    let seed = with(0x38, &(1u64 << 32).to_le_bytes()).detect().unwrap().unwrap();
    assert_eq!(seed.obstacle(), Some("it is a seed device, which never changes"));
    // After `btrfstune -m` the device items keep the first UUID.
    let renamed = with(0x20, &[7; 16]).with(65536 + 0xbc, (1u64 << 10).to_le_bytes()).with(65536 + 0x23b, UUID);
    assert_eq!(renamed.detect().unwrap().unwrap().uuid.unwrap(), "07070707-0707-0707-0707-070707070707");
}

#[test]
fn other_contradictions_are_named() {
    let at = |offset: u64, bytes: Vec<u8>, change: u64, value: &[u8]| {
        Device::new(SIZE).with(offset, bytes).with(offset + change, value).why()
    };
    assert_eq!(at(1024, f2fs(), 0x10, &[11]), "the block size cannot be");
    assert_eq!(at(1024, f2fs(), 0x24, &[0; 8]), "it has no blocks");
    assert_eq!(at(1024, erofs(), 12, &[8]), "the block size cannot be");
    assert_eq!(at(0, squashfs(), 22, &[16]), "the block size and its logarithm disagree");
    assert_eq!(at(0, squashfs(), 12, &[1]), "the block size and its logarithm disagree");
    assert_eq!(at(0, exfat(), 108, &[13]), "the sector size cannot be");
    assert_eq!(at(0, ntfs(), 11, &[1]), "the sector size cannot be");
    assert_eq!(at(512, lvm(1), 40, b"x"), "checksum does not match");
    assert_eq!(at(512, lvm(2), 0, b"L"), "it belongs into another sector");
    let swapped = |change: u64, value: &[u8]| {
        Device::new(SIZE).with(1024, swap()).with(4086, b"SWAPSPACE2").with(1024 + change, value).why()
    };
    assert_eq!(swapped(0, &[2]), "its version is not 1");
    assert_eq!(swapped(4, &[0; 4]), "it has no pages");
}

#[test]
fn an_lvm_volume_header_outside_of_the_sector_is_refused() {
    let mut label = lvm(1);
    label[20..24].copy_from_slice(&481u32.to_le_bytes());
    let mut crc = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
    crc.update(&label[20..]);
    label[16..20].copy_from_slice(&(!crc.finalize()).to_le_bytes());
    assert_eq!(Device::new(SIZE).with(512, label).why(), "its volume header lies outside the sector");
}

#[test]
fn bcache_is_distinguished_from_early_bcachefs() {
    let bcache = fields(512, &[(8, &8u64.to_le_bytes()), (24, &bcache::BCACHE_MAGIC), (40, &UUID)]);
    let found = Device::new(SIZE).with(4096, bcache.clone()).detect().unwrap().unwrap();
    assert_eq!((found.kind, found.uuid.as_deref()), (Kind::Bcache, Some(UUID_TEXT)));
    assert_eq!(Device::new(SIZE).with(4096, bcache).with(4104, [9]).kind(), None, "a copy from another place");
}

#[test]
fn names_that_are_not_set_are_none() {
    let unnamed = ext_with(0x68, &[0; 16]).with(1024 + 0x78, [0; 16]).detect().unwrap().unwrap();
    assert_eq!((unnamed.uuid, unnamed.label), (None, None));
    let blank = ext_with(0x78, b"  two words \t\n  ").detect().unwrap().unwrap();
    assert_eq!(blank.label.as_deref(), Some("  two words"));
    let foreign = ext_with(0x78, b"caf\xe9\0").detect().unwrap().unwrap();
    assert_eq!(foreign.label.as_deref(), Some("caf\u{fffd}"));
    // An old mkswap left whatever lay there before.
    let old = Device::new(SIZE).with(1024, swap()).with(4086, b"SWAPSPACE2").with(1024 + 172, [1]);
    assert_eq!(old.detect().unwrap().unwrap().uuid, None);
    let undated = Device::new(SIZE).with(32768, iso9660()).with(32768 + 830, b"0000000000000000");
    assert_eq!(undated.clone().detect().unwrap().unwrap().uuid.as_deref(), Some("2024-01-31-12-00-00-00"));
    assert_eq!(undated.with(32768 + 813, [b' '; 16]).detect().unwrap().unwrap().uuid, None);
}

#[test]
fn zfs_lists_cannot_lead_astray() {
    let at = 16 << 10;
    let with = |change: u64, value: &[u8]| Device::new(SIZE).with(at, zfs()).with(at + change, value);
    // A length of zero would never end, one of all ones would leave the buffer.
    assert_eq!(with(12, &[0; 4]).detect().unwrap().unwrap().label, None);
    assert_eq!(with(12, &[0xff; 4]).detect().unwrap_err().kind, crate::error::Kind::Corrupt);
    assert_eq!(with(20, &[0xff; 4]).detect().unwrap_err().kind, crate::error::Kind::Corrupt);
    // Another list than a label's.
    assert_eq!(with(24, b"V").kind(), None);
}

#[test]
fn kinds_have_one_row_each() {
    assert_eq!((Kind::Ext2.name(), Kind::Ext2.module(), Kind::Ext2.policy()), ("ext2", Some("ext4"), Policy::Grow));
    assert_eq!((Kind::Luks.name(), Kind::Luks.policy()), ("crypto_LUKS", Policy::Layer));
    assert_eq!((Kind::LvmPhysicalVolume.name(), Kind::LvmPhysicalVolume.policy()), ("LVM2_member", Policy::Layer));
    for Sample { device, kind, .. } in samples() {
        let found = device.detect().unwrap().unwrap();
        let grows = matches!(kind, Kind::Ext4 | Kind::Xfs | Kind::Btrfs);
        assert_eq!(kind.policy() == Policy::Grow, grows);
        assert_eq!(found.extent.is_some(), grows || kind == Kind::F2fs);
        if let Policy::Refuse(why) = kind.policy() {
            assert!(!why.is_empty() && !why.ends_with('.'), "{}: {why}", kind.name());
        }
    }
}
