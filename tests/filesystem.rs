//! What `filesystem` says about images that the real tools made, held against what those tools and `blkid` say.
//!
//! Everything works on files, as an ordinary user. Software RAID, LVM, DRBD and ZFS need a kernel to be made: their labels
//! are written here by hand, and `blkid` is the judge of both.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use wisp::bytes::ReadAt;
use wisp::error::{Error, Result};
use wisp::filesystem::{
    Btrfs, Details, Extent, Kind, Metadata, Superblock, Xfs, detect, detect_owner, find_firmware_raid, find_signatures,
    requests,
};
use wisp::units::{ByteCount, SectorSize};

const MIB: u64 = 1 << 20;

/// A sparse file that goes away with the test.
struct Image {
    path: PathBuf,
    file: File,
}

impl Image {
    fn new(name: &str, size: u64) -> Self {
        let path = std::env::temp_dir().join(format!("wisp-filesystem-{}-{name}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        Self { path, file }
    }

    /// An image that `command` made; it gets the path as its last argument.
    fn made_by(name: &str, size: u64, command: &str) -> Self {
        let image = Self::new(name, size);
        run(&format!("{command} {}", image.text()), b"");
        image
    }

    fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).unwrap();
    }

    fn size(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    fn detect(&self) -> Superblock {
        detect(self, ByteCount(self.size())).unwrap().expect("something known")
    }

    /// What wisp says, after checking that `blkid` says the same.
    fn agreed(&self) -> Superblock {
        let found = self.detect();
        let blkid = self.blkid();
        let ours = (Some(found.kind.name()), found.uuid.as_deref(), found.label.as_deref());
        let word = |key: &str| blkid.get(key).map(String::as_str);
        assert_eq!(ours, (word("TYPE"), word("UUID"), word("LABEL")), "{}", self.text());
        found
    }

    /// The words of `blkid -p`; none when it is in doubt.
    fn blkid(&self) -> HashMap<String, String> {
        words(&output("blkid", &["-p", "-o", "export", self.text()], b"").1, "=")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // What is left behind in the directory for temporary files does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

impl ReadAt for Image {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset.0).map_err(|_| Error::corrupt("read", "the range lies behind the end"))
    }
}

/// Runs a tool; whether it succeeded, and what it said on its standard output.
fn output(program: &str, arguments: &[&str], input: &[u8]) -> (bool, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make test` says which packages are needed"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let finished = child.wait_with_output().unwrap();
    (finished.status.success(), String::from_utf8_lossy(&finished.stdout).into_owned())
}

/// Runs a tool that must succeed.
fn run(command: &str, input: &[u8]) -> String {
    let mut arguments = command.split(' ').filter(|word| !word.is_empty());
    let program = arguments.next().unwrap();
    let (success, text) = output(program, &arguments.collect::<Vec<_>>(), input);
    assert!(success, "{command}");
    text
}

/// Lines of a name, a separator and a value.
fn words(text: &str, separator: &str) -> HashMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// `dumpe2fs -h`, held against what wisp says.
fn ext_agrees(image: &Image, kind: Kind) -> Superblock {
    let found = image.agreed();
    let extent = found.extent.unwrap();
    let theirs = words(&run(&format!("dumpe2fs -h {}", image.text()), b""), ":");
    let number = |name: &str| theirs[name].parse::<u64>().unwrap();
    assert_eq!(found.kind, kind, "{}", image.text());
    assert_eq!(u64::from(extent.block_size), number("Block size"));
    assert_eq!(extent.blocks, number("Block count"));
    assert_eq!(extent.granule, number("Blocks per group"));
    let features: Vec<_> = theirs["Filesystem features"].split_whitespace().collect();
    let Details::Ext(ext) = found.details else { panic!("no details") };
    assert_eq!(ext.wide, features.contains(&"64bit"));
    assert_eq!(ext.sparse_super2, features.contains(&"sparse_super2"));
    assert_eq!(ext.meta_bg, features.contains(&"meta_bg"));
    assert_eq!(ext.resize_inode, features.contains(&"resize_inode"));
    assert_eq!(ext.needs_recovery, features.contains(&"needs_recovery"));
    assert_eq!(ext.read_only, features.contains(&"read-only"));
    assert_eq!(ext.has_errors, theirs["Filesystem state"].contains("errors"));
    found
}

#[test]
fn ext_filesystems_are_read_as_e2fsprogs_reads_them() {
    for (index, (command, kind)) in [
        ("mkfs.ext2 -q -L two", Kind::Ext2),
        ("mkfs.ext3 -q -L three", Kind::Ext3),
        ("mkfs.ext4 -q -b 1024 -L sixteen-letters!", Kind::Ext4),
        ("mkfs.ext4 -q -b 4096", Kind::Ext4),
        ("mkfs.ext4 -q -b 65536 -F", Kind::Ext4),
        ("mkfs.ext4 -q -O ^64bit", Kind::Ext4),
        ("mkfs.ext4 -q -O ^has_journal", Kind::Ext4),
        ("mkfs.ext4 -q -O bigalloc -C 65536", Kind::Ext4),
        ("mkfs.ext4 -q -O meta_bg,^resize_inode", Kind::Ext4),
        ("mkfs.ext4 -q -O sparse_super2", Kind::Ext4),
        ("mkfs.ext4 -q -O metadata_csum,metadata_csum_seed", Kind::Ext4),
    ]
    .into_iter()
    .enumerate()
    {
        let image = Image::made_by(&format!("ext-{index}"), 96 * MIB, command);
        let found = ext_agrees(&image, kind);
        assert_eq!(found.obstacle().is_some(), command.contains("sparse_super2"), "{command}");
    }
}

#[test]
fn an_ext4_of_more_than_2_to_the_32_blocks_is_read_whole() {
    // Large clusters keep what mkfs writes small: the file stays under 1 MiB.
    let command = "mkfs.ext4 -q -b 1024 -T largefile4 -O bigalloc,^has_journal -C 1048576 -E lazy_itable_init=1";
    let image = Image::made_by("ext-huge", 4500 << 30, command);
    assert!(ext_agrees(&image, Kind::Ext4).extent.unwrap().blocks > 1 << 32);
}

#[test]
fn ext_states_that_stop_growing_are_seen() {
    let image = Image::made_by("ext-state", 32 * MIB, "mkfs.ext4 -q");
    run(&format!("debugfs -w -R dirty {}", image.text()), b"");
    assert_eq!(ext_agrees(&image, Kind::Ext4).obstacle(), None);
    assert!(output("debugfs", &["-w", "-R", "ssv state 3", image.text()], b"").0);
    assert_eq!(ext_agrees(&image, Kind::Ext4).obstacle(), Some("it has errors; run e2fsck -f"));
    assert!(output("debugfs", &["-w", "-R", "feature needs_recovery", image.text()], b"").0);
    ext_agrees(&image, Kind::Ext4);
}

#[test]
fn an_external_journal_is_not_a_filesystem() {
    let image = Image::made_by("ext-journal", 32 * MIB, "mke2fs -q -F -O journal_dev -L log");
    let found = image.agreed();
    assert_eq!((found.kind, found.extent), (Kind::ExtJournal, None));
}

#[test]
fn xfs_is_read_as_xfs_db_reads_it() {
    for (index, command) in [
        "mkfs.xfs -q -L twelve-chars",
        "mkfs.xfs -q -m crc=0",
        "mkfs.xfs -q -b size=1024",
        "mkfs.xfs -q -s size=4096 -d agcount=5",
    ]
    .into_iter()
    .enumerate()
    {
        let image = Image::made_by(&format!("xfs-{index}"), 400 * MIB, command);
        let found = image.agreed();
        let extent = found.extent.unwrap();
        let theirs = ["-r", "-c", "sb 0", "-c", "print blocksize dblocks agblocks agcount", image.text()];
        let theirs = words(&output("xfs_db", &theirs, b"").1, " = ");
        let number = |name: &str| theirs[name].parse::<u64>().unwrap();
        assert_eq!(u64::from(extent.block_size), number("blocksize"));
        assert_eq!(extent.blocks, number("dblocks"));
        let (group_blocks, groups) = (number("agblocks") as u32, number("agcount") as u32);
        assert_eq!(found.details, Details::Xfs(Xfs { group_blocks, groups, needs_repair: false }), "{command}");
    }
}

/// `btrfs inspect-internal dump-super`, held against what wisp says.
fn btrfs_agrees(image: &Image) -> Btrfs {
    let found = image.agreed();
    let text = run(&format!("btrfs inspect-internal dump-super {}", image.text()), b"");
    let theirs: HashMap<_, _> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let number = |name: &str| theirs[name].trim().parse::<u64>().unwrap();
    let Details::Btrfs(btrfs) = found.details else { panic!("no details") };
    let extent = found.extent.unwrap();
    assert_eq!(btrfs.devid, number("dev_item.devid"));
    assert_eq!(btrfs.device_bytes, number("dev_item.total_bytes"));
    assert_eq!(btrfs.devices, number("num_devices"));
    assert_eq!(u64::from(extent.block_size), number("sectorsize"));
    assert_eq!(extent.bytes(), ByteCount(number("dev_item.total_bytes")));
    btrfs
}

#[test]
fn btrfs_is_read_as_btrfs_progs_read_it() {
    let image = Image::made_by("btrfs", 200 * MIB, "mkfs.btrfs -q -L a-tree");
    assert_eq!(btrfs_agrees(&image), Btrfs { devid: 1, device_bytes: 200 * MIB, devices: 1, seed: false });
    run(&format!("btrfstune -f -S 1 {}", image.text()), b"");
    assert!(btrfs_agrees(&image).seed);
    let renamed = Image::made_by("btrfs-renamed", 200 * MIB, "mkfs.btrfs -q");
    let before = renamed.agreed().uuid;
    run(&format!("btrfstune -f -m {}", renamed.text()), b"");
    btrfs_agrees(&renamed);
    assert_ne!(renamed.agreed().uuid, before);
}

#[test]
fn each_device_of_a_btrfs_speaks_for_itself() {
    let (first, second) = (Image::new("btrfs-1", 200 * MIB), Image::new("btrfs-2", 300 * MIB));
    run(&format!("mkfs.btrfs -q -m raid1 {} {}", first.text(), second.text()), b"");
    let (first, second) = (btrfs_agrees(&first), btrfs_agrees(&second));
    assert_eq!((first.devid, second.devid, second.devices), (1, 2, 2));
    assert_eq!((first.device_bytes, second.device_bytes), (200 * MIB, 300 * MIB));
}

#[test]
fn f2fs_is_detected() {
    let found = Image::made_by("f2fs", 100 * MIB, "mkfs.f2fs -q -l flash").agreed();
    let blocks = 100 * MIB / 4096;
    assert_eq!((found.kind, found.extent.map(|extent| extent.blocks)), (Kind::F2fs, Some(blocks)));
}

#[test]
fn swap_of_every_page_size_is_detected_and_so_is_a_suspended_system() {
    for page in [4096u64, 8192, 16384, 32768, 65536] {
        let image = Image::made_by(&format!("swap-{page}"), 4 * MIB, &format!("mkswap -p {page} -L swapped"));
        assert_eq!(image.agreed().kind, Kind::Swap, "{page}");
        for mark in [b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001"] {
            image.write(page - 10, mark);
            assert_eq!(image.agreed().kind, Kind::Hibernation, "{page} {mark:?}");
        }
    }
}

#[test]
fn luks_containers_are_detected() {
    let luks = |version: u16| {
        let image = Image::new(&format!("luks-{version}"), 32 * MIB);
        let label = if version == 2 { "--label sealed --pbkdf pbkdf2" } else { "" };
        let quick = "--pbkdf-force-iterations 1000";
        let command = format!("cryptsetup luksFormat -q --type luks{version} {label} {quick} {} -", image.text());
        run(&command, b"a passphrase");
        let found = image.agreed();
        assert_eq!((found.kind, found.details), (Kind::Luks, Details::Luks { version }));
    };
    luks(1);
    luks(2);
}

#[test]
fn fat_of_every_width_is_detected() {
    for (width, size) in [(12, 4), (16, 32), (32, 64)] {
        let named = Image::made_by("fat", size * MIB, &format!("mkfs.vfat -F {width} -n EFI-SYS")).agreed();
        assert_eq!((named.kind, named.label.as_deref()), (Kind::Vfat, Some("EFI-SYS")));
        Image::made_by("fat", size * MIB, &format!("mkfs.vfat -F {width}")).agreed();
    }
}

#[test]
fn udf_is_detected_alone_and_beside_iso_9660() {
    for block in [512, 1024, 2048, 4096] {
        for revision in ["0x0102", "0x0201"] {
            let image = Image::made_by("udf", 8 * MIB, &format!("mkudffs -b {block} -r {revision}"));
            assert_eq!(image.detect().kind, Kind::Udf, "{block} {revision}");
            assert_eq!(image.blkid()["TYPE"], "udf");
        }
    }
    for (options, kind) in [("-udf -r -J", Kind::Udf), ("-udf", Kind::Udf), ("-r -J", Kind::Iso9660)] {
        let image = Image::new("bridge", 0);
        run(&format!("genisoimage -quiet {options} -V cidata -o {} src/error.rs", image.text()), b"");
        assert_eq!(image.detect().kind, kind);
        assert_eq!(image.blkid()["TYPE"], kind.name());
        if kind == Kind::Iso9660 {
            image.agreed();
        }
    }
}

#[test]
fn an_lvm_physical_volume_is_detected() {
    for sector in 0..4u64 {
        let image = Image::new(&format!("lvm-{sector}"), 16 * MIB);
        let mut label = [0; 512];
        label[..8].copy_from_slice(b"LABELONE");
        label[8..16].copy_from_slice(&sector.to_le_bytes());
        label[20..24].copy_from_slice(&32u32.to_le_bytes());
        label[24..32].copy_from_slice(b"LVM2 001");
        label[32..64].copy_from_slice(b"8mpZdSKuNbVKI52BqMQdlb67v5s9P5OS");
        let mut crc = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
        crc.update(&label[20..]);
        label[16..20].copy_from_slice(&(!crc.finalize()).to_le_bytes());
        image.write(sector * 512, &label);
        assert_eq!(image.agreed().kind, Kind::LvmPhysicalVolume);
    }
}

/// RAID metadata of version 1 that belongs to `offset`.
fn md_1(offset: u64) -> Vec<u8> {
    let mut metadata = vec![0; 256];
    metadata[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    metadata[4] = 1;
    metadata[16..32].copy_from_slice(b"0123456789abcdef");
    metadata[32..38].copy_from_slice(b"host:0");
    metadata[144..152].copy_from_slice(&(offset / 512).to_le_bytes());
    metadata
}

#[test]
fn a_raid_member_is_not_the_filesystem_on_it() {
    for (extra, metadata) in [
        (0, Metadata::V1_0),
        (512, Metadata::V1_0),
        (3 * 512, Metadata::V1_0),
        (0, Metadata::V1_1),
        (0, Metadata::V1_2),
    ] {
        let size = 64 * MIB + extra;
        let image = Image::made_by(&format!("md-{metadata:?}-{extra}"), size, "mkfs.ext4 -q -b 4096");
        let offset = match metadata {
            Metadata::V1_1 => 0,
            Metadata::V1_2 => 4096,
            _ => (size / 512 - 16) / 8 * 8 * 512,
        };
        image.write(offset, &md_1(offset));
        let found = image.agreed();
        assert_eq!((found.kind, found.details), (Kind::LinuxRaid, Details::Raid(metadata)));
    }
}

#[test]
fn a_raid_member_with_old_metadata_is_detected() {
    let image = Image::made_by("md-0.90", 64 * MIB, "mkfs.ext4 -q");
    let mut metadata = [0; 4096];
    metadata[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    metadata[8] = 90;
    metadata[20..24].copy_from_slice(b"abcd");
    metadata[52..64].copy_from_slice(b"efghijklmnop");
    // 32 MiB, in KiB.
    metadata[32..36].copy_from_slice(&32768u32.to_le_bytes());
    image.write(64 * MIB - 65536, &metadata);
    assert_eq!(image.agreed().details, Details::Raid(Metadata::V0_90));
}

/// The four labels of a ZFS pool, each with its description and four uberblocks.
fn write_zfs_labels(image: &Image, labels: &[u64]) {
    let mut description = b"\x01\x01\0\0\0\0\0\0\0\0\0\x01".to_vec();
    let pairs: [(&[u8], u32, &[u8]); 3] = [
        (b"version\0", 8, &5000u64.to_be_bytes()),
        (b"name", 9, b"\0\0\0\x05rpool\0\0\0"),
        (b"pool_guid\0\0\0", 8, &1_234_567_890_123_456_789u64.to_be_bytes()),
    ];
    for (name, kind, value) in pairs {
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len()) as u32;
        description.extend((20 + name.len() as u32 + value.len() as u32).to_be_bytes());
        description.extend([0; 4]);
        description.extend(length.to_be_bytes());
        description.extend(name);
        description.extend(kind.to_be_bytes());
        description.extend(1u32.to_be_bytes());
        description.extend(value);
    }
    for label in labels {
        image.write(label + (16 << 10), &description);
        for uberblock in 0..4 {
            image.write(label + (128 << 10) + uberblock * 1024, &0x00ba_b10c_u64.to_le_bytes());
        }
    }
}

#[test]
fn a_zfs_member_is_detected_by_either_end() {
    let size = 96 * MIB;
    for labels in [&[0, 256 << 10][..], &[size - (512 << 10), size - (256 << 10)]] {
        let image = Image::new(&format!("zfs-{}", labels[0]), size);
        write_zfs_labels(&image, labels);
        assert_eq!(image.agreed().kind, Kind::Zfs);
    }
}

#[test]
fn stale_zfs_labels_leave_an_ext4_an_ext4() {
    let size = 96 * MIB;
    let image = Image::made_by("zfs-stale", size, "mkfs.ext4 -q -b 4096");
    write_zfs_labels(&image, &[size - (512 << 10), size - (256 << 10)]);
    assert_eq!(image.detect().kind, Kind::Ext4);
    assert_eq!(image.blkid().get("TYPE"), None, "blkid is in doubt where wisp follows the kernel");
}

#[test]
fn a_whole_disk_ext4_with_a_boot_sector_is_an_ext4() {
    let image = Image::made_by("ext-boot", 64 * MIB, "mkfs.ext4 -q -L alpine");
    let mut sector = [0x90; 512];
    sector[..11].copy_from_slice(b"\xeb\x58\x90EXTLINUX");
    sector[11..90].fill(0);
    sector[510..].copy_from_slice(b"\x55\xaa");
    image.write(0, &sector);
    assert_eq!(ext_agrees(&image, Kind::Ext4).label.as_deref(), Some("alpine"));
}

/// The head of an image in memory, the rest of it zero; counts its reads.
struct Head {
    bytes: Vec<u8>,
    reads: Cell<u32>,
}

impl Head {
    fn of(image: &Image) -> Self {
        let mut bytes = vec![0; 128 << 10];
        image.read_at(ByteCount(0), &mut bytes).unwrap();
        Self { bytes, reads: Cell::new(0) }
    }
}

impl ReadAt for Head {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.reads.set(self.reads.get() + 1);
        let start = usize::try_from(offset.0).unwrap().min(self.bytes.len());
        let end = (start + buffer.len()).min(self.bytes.len());
        buffer.fill(0);
        buffer[..end - start].copy_from_slice(&self.bytes[start..end]);
        Ok(())
    }
}

/// Flips each bit of the 4 KiB from `start`; whatever comes out must be a value or name what is wrong.
fn survive_flips(image: &Image, start: usize) {
    let size = ByteCount(image.size());
    let mut head = Head::of(image);
    let sound = detect(&head, size).unwrap().unwrap();
    let mut unharmed = 0;
    for bit in start * 8..(start + 4096) * 8 {
        head.bytes[bit / 8] ^= 1 << (bit % 8);
        head.reads.set(0);
        match detect(&head, size) {
            Ok(Some(found)) => {
                unharmed += usize::from(found == sound);
                let Some(Extent { block_size, granule, .. }) = found.extent else { continue };
                assert!(block_size.is_power_of_two() && granule > 0, "bit {bit}");
            }
            Ok(None) => {}
            Err(error) => assert_eq!(error.kind, wisp::error::Kind::Corrupt, "bit {bit}: {error}"),
        }
        assert!(head.reads.get() <= 5, "bit {bit}");
        head.bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(unharmed > 4096 && unharmed < 32768, "{unharmed} flips changed nothing");
}

#[test]
fn real_superblocks_survive_every_bit_flip() {
    survive_flips(&Image::made_by("flip-ext4", 64 * MIB, "mkfs.ext4 -q -b 4096"), 0);
    survive_flips(&Image::made_by("flip-xfs", 400 * MIB, "mkfs.xfs -q"), 0);
    survive_flips(&Image::made_by("flip-btrfs", 200 * MIB, "mkfs.btrfs -q"), 65536);
}

#[test]
fn real_images_survive_every_truncation() {
    for (name, size, command, last) in [
        ("cut-ext4", 64 * MIB, "mkfs.ext4 -q -b 4096", 8192),
        ("cut-xfs", 400 * MIB, "mkfs.xfs -q", 8192),
        ("cut-btrfs", 200 * MIB, "mkfs.btrfs -q", 72 << 10),
    ] {
        let image = Image::made_by(name, size, command);
        let mut bytes = vec![0; last];
        image.read_at(ByteCount(0), &mut bytes).unwrap();
        // What matters of btrfs starts at 64 KiB.
        for length in (0..last).filter(|length| *length <= 8192 || *length > 65000) {
            match detect(&&bytes[..length], ByteCount(length as u64)) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind, wisp::error::Kind::Corrupt, "{name} cut to {length}: {error}"),
            }
        }
    }
}

/// What the kernel asks modprobe for at the mount follows from the features of the superblock.
#[test]
fn features_of_ext4_name_modules() {
    let quota = &["crc32c", "quota_v2"] as &[_];
    for (features, modules) in [
        ("metadata_csum", &["crc32c"] as &[_]),
        ("quota", quota),
        ("quota,project", quota),
        ("casefold", &["crc32c", "utf8data"]),
        ("verity", &["crc32c", "sha256"]),
    ] {
        let name = format!("requests-{}", features.replace(',', "-"));
        let image = Image::made_by(&name, 32 * MIB, &format!("mkfs.ext4 -q -O {features}"));
        assert_eq!(requests(&image.detect(), ""), modules, "{features}");
    }
    let image = Image::made_by("requests-btrfs", 256 * MIB, "mkfs.btrfs -q --csum blake2");
    assert!(requests(&image.detect(), "").iter().any(|module| module == "blake2b-256"));
}

/// The superblock says where an external journal is; mke2fs makes one on block devices alone, so debugfs writes it.
#[test]
fn an_external_journal_is_known_by_its_uuid() {
    const UUID: &str = "0b1c2d3e-4f50-4162-8394-a5b6c7d8e9f0";
    let journal = Image::made_by("journal", 16 * MIB, &format!("mke2fs -q -O journal_dev -U {UUID}"));
    assert_eq!(journal.detect().kind, Kind::ExtJournal);
    let image = Image::made_by("journalled", 32 * MIB, "mkfs.ext4 -q -O ^has_journal,^metadata_csum");
    let external = |image: &Image| match image.detect().details {
        Details::Ext(ext) => ext.mount.journal,
        other => panic!("{other:?}"),
    };
    assert_eq!(external(&image), None);
    for request in ["feature has_journal", &format!("ssv journal_uuid {UUID}"), "ssv journal_dev 0xfe10"] {
        assert!(output("debugfs", &["-w", "-R", request, image.text()], b"").0, "{request}");
    }
    let found = external(&image).expect("an external journal");
    assert_eq!((found.name(), found.number), (journal.detect().uuid, 0xfe10));
}

/// The metadata of each RAID that firmware makes, where `blkid` looks for it: sectors before the end, bytes.
fn firmware_samples() -> Vec<(u64, Vec<u8>)> {
    let mut silicon = vec![0; 512];
    silicon[0x60..0x64].copy_from_slice(&0x2f00_0000_u32.to_le_bytes());
    silicon[0x13e..0x140].copy_from_slice(&0u16.wrapping_sub(0x2f00).to_le_bytes());
    let mut via = vec![0; 512];
    via[..3].copy_from_slice(&[0x55, 0xAA, 1]);
    via[50] = 0;
    let mut adaptec = vec![0; 512];
    adaptec[..4].copy_from_slice(&0x37fc_4d1e_u32.to_be_bytes());
    adaptec[256..260].copy_from_slice(b"DPTM");
    let mut all = vec![
        (2, b"Intel Raid ISM Cfg Sig. 1.1.00".to_vec()),
        (1, b"$XIDE$".to_vec()),
        (2, b"NVIDIA\0\0".to_vec()),
        (11, 0x5a78_16f3_u32.to_le_bytes().to_vec()),
        (11, 0x5a78_16fd_u32.to_le_bytes().to_vec()),
        (1, silicon),
        (1, via),
        (1, adaptec),
    ];
    for sectors in [16, 63, 255, 256, 399, 591, 675, 735, 911, 951, 974, 991, 3087] {
        all.push((sectors, b"Promise Technology, Inc.".to_vec()));
    }
    for (sectors, magic) in [(1, 0xDE11_DE11_u32.to_be_bytes()), (257, 0xDE11_DE11_u32.to_le_bytes())] {
        all.push((sectors, magic.to_vec()));
    }
    all
}

#[test]
fn a_raid_of_the_firmware_is_called_what_blkid_calls_it() {
    let kinds = |image: &Image| find_firmware_raid(image, ByteCount(image.size()), SectorSize::B512).unwrap();
    for size in [64 * MIB, 64 * MIB + 512 * 3] {
        for (index, (sectors, bytes)) in firmware_samples().into_iter().enumerate() {
            let image = Image::new(&format!("firmware-{size}-{index}"), size);
            assert_eq!(kinds(&image), None);
            image.write(size - sectors * 512, &bytes);
            let blkid = image.blkid();
            assert_eq!(kinds(&image), blkid.get("TYPE").map(String::as_str), "{index}");
            assert!(kinds(&image).is_some(), "{index}");
        }
        for magic in [0x5a78_16f0_u32, 0x5a78_16fd] {
            let image = Image::new(&format!("hpt37x-{size}-{magic:x}"), size);
            image.write(4608 + 32, &magic.to_le_bytes());
            assert_eq!(kinds(&image), image.blkid().get("TYPE").map(String::as_str));
            assert_eq!(kinds(&image), Some("hpt37x_raid_member"));
        }
    }
    // JMicron's checksum is looked at by some releases of blkid only.
    let image = Image::new("jmicron", 64 * MIB);
    image.write(64 * MIB - 512, b"JM\0\0");
    assert_eq!(kinds(&image), Some("jmicron_raid_member"));
    // Intel counts in sectors of the disk.
    let image = Image::new("imsm-4k", 64 * MIB);
    image.write(64 * MIB - 8192, b"Intel Raid ISM Cfg Sig. 1.1.00");
    assert_eq!(find_firmware_raid(&image, ByteCount(64 * MIB), SectorSize::B4096).unwrap(), Some("isw_raid_member"));
}

#[test]
fn metadata_with_a_wrong_checksum_claim_no_disk() {
    for (index, (sectors, bytes)) in
        firmware_samples().into_iter().enumerate().filter(|(index, _)| (5..8).contains(index))
    {
        let image = Image::new(&format!("checksum-{index}"), 64 * MIB);
        let mut wrong = bytes;
        wrong[3] ^= 1;
        image.write(64 * MIB - sectors * 512, &wrong);
        assert_eq!(find_firmware_raid(&image, ByteCount(64 * MIB), SectorSize::B512).unwrap(), None, "{index}");
        assert_eq!(image.blkid().get("TYPE"), None, "{index}");
    }
}

/// DRBD's metadata at the end as drbdmeta writes them, for both releases of the format.
fn drbd(magic: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[60..64].copy_from_slice(&magic.to_be_bytes());
    bytes
}

/// F6.
#[test]
fn an_ext4_below_drbd_belongs_to_drbd() {
    for (magic, extra) in [(0x8374_026b, 0), (0x8374_026c, 0), (0x8374_026d, 0), (0x8374_026b, 512 * 3)] {
        let image = Image::made_by(&format!("drbd-{magic:x}-{extra}"), 64 * MIB, "mkfs.ext4 -q -b 4096");
        image.file.set_len(64 * MIB + extra).unwrap();
        image.write(image.size() - 4096, &drbd(magic));
        let owner = detect_owner(&image, ByteCount(image.size())).unwrap().unwrap();
        assert_eq!((owner.kind, owner.uuid), (Kind::Drbd, None));
        assert_eq!(image.detect().kind, Kind::Ext4, "its names stay what the kernel would mount");
        assert_eq!(image.blkid().get("TYPE").map(String::as_str), Some("drbd"));
    }
}

#[test]
fn nilfs2_is_detected_by_either_superblock() {
    let image = Image::made_by("nilfs2", 200 * MIB, "mkfs.nilfs2 -q -L little");
    assert_eq!(image.agreed().kind, Kind::Nilfs2);
    image.write(1024, &[0; 1024]);
    assert_eq!(image.detect().kind, Kind::Nilfs2);
    let at = find_signatures(&image, ByteCount(image.size())).unwrap();
    assert_eq!(at.iter().map(|it| (it.kind, it.at.0)).collect::<Vec<_>>(), [(Kind::Nilfs2, 200 * MIB - 4096)]);
}

/// F5: whatever lay at the end is gone for `blkid` too, once the signatures that are found there are zeros.
#[test]
fn blkid_finds_an_ext4_again_when_the_signatures_at_its_end_are_erased() {
    type Maker<'a> = (&'a str, &'a dyn Fn(&Image));
    let size = 200 * MIB;
    let md = |image: &Image| image.write(size - 8192, &md_1(size - 8192));
    let zfs = |image: &Image| write_zfs_labels(image, &[size - (512 << 10), size - (256 << 10)]);
    let old_md = |image: &Image| {
        image.write(size - 65536, &[&0xa92b_4efc_u32.to_le_bytes()[..], &[0; 4], &[90, 0, 0, 0]].concat())
    };
    let nilfs = |image: &Image| {
        let made = Image::made_by("nilfs2-stale", size, "mkfs.nilfs2 -q");
        let mut bytes = [0; 4096];
        made.read_at(ByteCount(size - 4096), &mut bytes).unwrap();
        image.write(size - 4096, &bytes);
    };
    let drbd = |image: &Image| image.write(size - 4096, &drbd(0x8374_026b));
    let makers: [Maker<'_>; 5] = [("md", &md), ("zfs", &zfs), ("old-md", &old_md), ("nilfs2", &nilfs), ("drbd", &drbd)];
    for (name, make) in makers {
        let image = Image::made_by(&format!("stale-{name}"), 100 * MIB, "mkfs.ext4 -q -b 4096");
        image.file.set_len(size).unwrap();
        assert_eq!(find_signatures(&image, ByteCount(size)).unwrap(), []);
        make(&image);
        assert_ne!(image.blkid().get("TYPE").map(String::as_str), Some("ext4"), "{name}");
        for signature in find_signatures(&image, ByteCount(size)).unwrap() {
            assert!(signature.at.0 >= 100 * MIB, "{name}");
            image.write(signature.at.0, &vec![0; signature.length as usize]);
        }
        assert_eq!(image.agreed().kind, Kind::Ext4, "{name}");
    }
}
