//! The planning table: facts in, two judged halves and their steps out.
//!
//! Facts are made as `probe` makes them, from a table and a superblock that lie on a disk in memory, so that a plan can
//! be carried out on them and judged again. F.27 is a row of the list of real failures in this project's specification.

#[expect(dead_code, reason = "shared with the tests of tables, which use the rest")]
#[path = "table/make.rs"]
mod make;
#[expect(dead_code, reason = "shared with the tests of tables, which use the rest")]
mod support;

use support::MemoryDisk;
use wisp::bytes::ReadAt;
use wisp::error::{Error, Kind as ErrorKind};
use wisp::filesystem::{self, Btrfs, Details, Extent, Kind, Superblock, Xfs};
use wisp::plan::grow::{Decision, Facts, Goal, PartitionInfo, Plan, Step, plan, refit};
use wisp::settings::Mode;
use wisp::table;
use wisp::units::{ByteCount, SectorSize};

const MIB: u64 = 1 << 20;
/// Sectors in a MiB.
const SECTORS: u64 = make::MIB;
/// The disk that an image of 2 GiB was put on.
const DISK_MIB: u64 = 10240;
/// Where the root of the image starts, and what it may have there and on the disk.
const START: u64 = 2 * MIB;
const SMALL: u64 = 2045 * MIB;
const LARGE: u64 = 10237 * MIB;
/// What fits into those.
const SMALL_BLOCKS: u64 = SMALL / 4096;
const LARGE_BLOCKS: u64 = LARGE / 4096;
/// Blocks in a group of an ext filesystem with blocks of 4 KiB.
const GROUP: u64 = 32768;

/// A machine as far as growing sees it.
struct Machine {
    disk: MemoryDisk,
    /// The root's number; `None` when it is the whole disk.
    number: Option<u32>,
    /// Where the kernel sees it, in bytes.
    start: u64,
    size: u64,
    layers: Vec<String>,
    content: Option<Superblock>,
    live_blocks: Option<u64>,
    read_only: bool,
    /// The options of its mount.
    mount_options: String,
    mounted_read_only: bool,
    /// What uses the whole disk, and the partition.
    holders: [Option<String>; 2],
}

impl Machine {
    /// An image of 2 GiB with a GPT, two partitions and ext4 on the second, on the larger disk.
    fn new() -> Self {
        let partitions = [(1, SECTORS, 2 * SECTORS - 1), (2, 2 * SECTORS, 2047 * SECTORS - 1)];
        let mut disk = make::Gpt::of_mib(2048, &partitions).make();
        disk.resize(DISK_MIB * SECTORS);
        Self {
            disk,
            number: Some(2),
            start: START,
            size: SMALL,
            layers: Vec::new(),
            content: Some(ext4(SMALL_BLOCKS)),
            live_blocks: None,
            read_only: false,
            mount_options: String::new(),
            mounted_read_only: false,
            holders: [None, None],
        }
    }

    /// An MBR with one partition from sector 63 on, as DOS and early images have it.
    fn unaligned() -> Self {
        let sectors = 2047 * SECTORS - 63;
        let mut disk = make::mbr(2048, &[(0x83, 63, sectors as u32)]);
        disk.resize(DISK_MIB * SECTORS);
        Self { disk, number: Some(1), start: 63 * 512, size: sectors * 512, ..Self::new() }
    }

    /// ext4 without a table.
    fn whole_disk() -> Self {
        let disk = MemoryDisk::new(SectorSize::B512, DISK_MIB * SECTORS);
        Self { disk, number: None, start: 0, size: DISK_MIB * MIB, ..Self::new() }
    }

    /// The image after everything has grown.
    fn full() -> Self {
        let mut machine = Self::new();
        let plan = machine.plan();
        machine.carry_out(&plan);
        machine
    }

    fn holding(self, content: Superblock) -> Self {
        Self { content: Some(content), ..self }
    }

    fn facts(&self) -> Facts {
        let geometry = self.disk.geometry();
        let slice = self.number.map(|number| PartitionInfo {
            disk: "/dev/vda".into(),
            number,
            start: ByteCount(self.start),
            geometry,
            read_only: self.read_only,
            table: table::read(&self.disk, geometry),
            holder: self.holders[0].clone(),
        });
        Facts {
            device: "/dev/vda2".into(),
            size: ByteCount(self.size),
            slice,
            layers: self.layers.clone(),
            content: self.content.clone(),
            live_blocks: self.live_blocks,
            mount_options: self.mount_options.clone(),
            mounted_read_only: self.mounted_read_only,
            holder: self.holders[1].clone(),
            claim: None,
        }
    }

    fn plan(&self) -> Plan {
        self.plan_in(Mode::On)
    }

    fn plan_in(&self, mode: Mode) -> Plan {
        self.judge(&self.facts(), mode)
    }

    /// Judges other facts of this disk.
    fn judge(&self, facts: &Facts, mode: Mode) -> Plan {
        plan(facts, self.number.is_some().then_some(&self.disk as &dyn ReadAt), mode)
    }

    /// Does what the kernel and the filesystem would do.
    fn carry_out(&mut self, plan: &Plan) {
        for step in plan.steps() {
            match step {
                Step::WriteTable(write) | Step::Erase(write) => self.disk.apply(write),
                Step::TellKernel { number, start, length } => {
                    assert_eq!((Some(*number), start.0), (self.number, self.start));
                    self.size = length.0;
                }
                Step::GrowFilesystem(goal) => {
                    let extent = self.content.as_mut().and_then(|content| content.extent.as_mut()).unwrap();
                    assert!(goal.to * u64::from(goal.block_size) <= self.size, "it is never larger than its device");
                    extent.blocks = goal.to;
                    self.live_blocks = self.live_blocks.map(|_| goal.to);
                }
            }
        }
    }
}

/// ext4 with this many blocks of 4 KiB, detected from its superblock.
fn ext4(blocks: u64) -> Superblock {
    ext4_in_state(blocks, 1)
}

/// The same with another `s_state`.
fn ext4_in_state(blocks: u64, state: u8) -> Superblock {
    ext4_with(blocks, state, 0x42)
}

/// The same with other incompatible features.
fn ext4_with(blocks: u64, state: u8, incompat: u32) -> Superblock {
    let mut disk = MemoryDisk::new(SectorSize::B512, DISK_MIB * SECTORS);
    let fields: [(u64, &[u8]); 8] = [
        (0x4, &(blocks as u32).to_le_bytes()),
        (0x18, &2u32.to_le_bytes()),
        (0x20, &(GROUP as u32).to_le_bytes()),
        (0x24, &(GROUP as u32).to_le_bytes()),
        (0x28, &8192u32.to_le_bytes()),
        (0x38, &[0x53, 0xEF, state, 0]),
        (0x5C, &4u32.to_le_bytes()),
        (0x60, &incompat.to_le_bytes()),
    ];
    for (at, bytes) in fields {
        disk.patch(1024 + at, bytes);
    }
    filesystem::detect(&disk, ByteCount(DISK_MIB * MIB)).unwrap().expect("an ext superblock")
}

/// A superblock of `kind` that says nothing of a size.
fn bare(kind: Kind) -> Superblock {
    Superblock { kind, uuid: None, label: None, extent: None, details: Details::Plain }
}

/// One of `kind` with blocks of 4 KiB.
fn sized(kind: Kind, blocks: u64, details: Details) -> Superblock {
    let extent = Extent { block_size: 4096, blocks, granule: 1, max_blocks: u64::MAX >> 12 };
    Superblock { extent: Some(extent), details, ..bare(kind) }
}

fn xfs(blocks: u64) -> Superblock {
    sized(Kind::Xfs, blocks, Details::Xfs(Xfs { group_blocks: 131_072, groups: 4, needs_repair: false }))
}

fn btrfs(blocks: u64) -> Superblock {
    let details = Btrfs { devid: 3, device_bytes: blocks * 4096, devices: 1, seed: false };
    sized(Kind::Btrfs, blocks, Details::Btrfs(details))
}

/// The steps of a plan by their names, and the table's writes by theirs.
fn names(plan: &Plan) -> Vec<&'static str> {
    plan.steps()
        .map(|step| match step {
            Step::WriteTable(write) | Step::Erase(write) => write.what,
            Step::TellKernel { .. } => "kernel",
            Step::GrowFilesystem(_) => "filesystem",
        })
        .collect()
}

#[track_caller]
fn sizes(half: &Decision) -> (u64, u64) {
    match half {
        Decision::Change { before, after, .. } => (before.0, after.0),
        other => panic!("does not change: {other:?}"),
    }
}

#[track_caller]
fn refusal(half: &Decision) -> &Error {
    match half {
        Decision::Refused(error) => error,
        other => panic!("is not refused: {other:?}"),
    }
}

#[track_caller]
fn goal(plan: &Plan) -> &Goal {
    let goal = plan.steps().find_map(|step| match step {
        Step::GrowFilesystem(goal) => Some(goal),
        _ => None,
    });
    goal.unwrap_or_else(|| panic!("the filesystem does not grow: {plan:?}"))
}

/// The partition is refused for `why`, and the filesystem still grows into the partition as it is.
#[track_caller]
fn only_the_partition_is_refused(plan: &Plan, kind: ErrorKind, to: &str, why: &str) {
    let error = refusal(&plan.partition);
    assert_eq!((error.kind, error.to.as_str()), (kind, to), "{error}");
    assert!(error.why.contains(why), "{error}");
    assert_eq!(names(plan), ["filesystem"]);
}

/// Nothing is touched, for `why`.
#[track_caller]
fn everything_is_refused(plan: &Plan, to: &str, why: &str) {
    for half in [&plan.partition, &plan.filesystem] {
        let error = refusal(half);
        assert_eq!((error.kind, error.to.as_str()), (ErrorKind::Refused, to), "{error}");
        assert!(error.why.contains(why), "{error}");
    }
    assert!(plan.is_empty());
}

#[test]
fn an_image_on_a_larger_disk_grows_table_first_filesystem_last() {
    let plan = Machine::new().plan();
    assert_eq!(names(&plan), ["the backup GPT", "the primary GPT", "kernel", "filesystem"]);
    assert_eq!(sizes(&plan.partition), (SMALL, LARGE));
    assert_eq!(sizes(&plan.filesystem), (SMALL, LARGE));
    let told = Step::TellKernel { number: 2, start: ByteCount(START), length: ByteCount(LARGE) };
    assert!(plan.steps().any(|step| *step == told), "{plan:?}");
    let wanted =
        Goal { kind: Kind::Ext4, block_size: 4096, from: SMALL_BLOCKS, to: LARGE_BLOCKS, granule: GROUP, devid: 0 };
    assert_eq!(*goal(&plan), wanted);
    assert_eq!(plan.notes, ["the backup GPT moves to the end of the disk"]);
    assert!(!plan.is_empty());
}

#[test]
fn a_second_run_has_nothing_to_do() {
    for mut machine in [
        Machine::new(),
        Machine::unaligned(),
        Machine::whole_disk(),
        Machine::new().holding(xfs(500_000)),
        Machine { live_blocks: Some(510_000), ..Machine::new().holding(btrfs(500_000)) },
        Machine::new().holding(bare(Kind::Luks)),
    ] {
        let first = machine.plan();
        assert!(!first.is_empty());
        machine.carry_out(&first);
        let second = machine.plan();
        assert!(second.is_empty(), "{second:?}");
        assert!(matches!(second.partition, Decision::Full(_) | Decision::Absent), "{second:?}");
        assert!(matches!(second.filesystem, Decision::Full(_) | Decision::Left(_)), "{second:?}");
        assert_eq!(second.notes, [""; 0]);
    }
}

/// F.27: other tools stop at a partition that has its size, and the filesystem in it stays small for ever.
#[test]
fn a_full_partition_does_not_keep_the_filesystem_small() {
    let plan = Machine::full().holding(ext4(SMALL_BLOCKS)).plan();
    assert_eq!(plan.partition, Decision::Full(ByteCount(LARGE)));
    assert_eq!(names(&plan), ["filesystem"]);
    assert_eq!((goal(&plan).from, goal(&plan).to), (SMALL_BLOCKS, LARGE_BLOCKS));
}

#[test]
fn a_full_filesystem_does_not_keep_the_partition_small() {
    let plan = Machine::new().holding(ext4(LARGE_BLOCKS)).plan();
    assert_eq!(plan.filesystem, Decision::Full(ByteCount(LARGE)));
    assert_eq!(names(&plan), ["the backup GPT", "the primary GPT", "kernel"]);
}

#[test]
fn a_gain_of_less_than_a_mebibyte_mends_the_table_only() {
    let mut machine = Machine::new();
    machine.disk.resize(2048 * SECTORS + 20);
    let plan = machine.plan();
    assert_eq!(names(&plan), ["the backup GPT", "the primary GPT"]);
    assert_eq!(sizes(&plan.partition), (SMALL, SMALL));
    assert_eq!(plan.filesystem, Decision::Full(ByteCount(SMALL)));
}

#[test]
fn a_whole_disk_has_one_half() {
    let plan = Machine::whole_disk().plan();
    assert_eq!(plan.partition, Decision::Absent);
    assert_eq!(names(&plan), ["filesystem"]);
    assert_eq!(sizes(&plan.filesystem), (SMALL, DISK_MIB * MIB));
}

#[test]
fn a_table_that_cannot_be_read_leaves_the_filesystem_its_partition() {
    let mut machine = Machine { size: SMALL, ..Machine::new().holding(ext4(400_000)) };
    machine.disk.patch(512, &[0; 512]);
    machine.disk.patch((2048 * SECTORS - 1) * 512, &[0; 512]);
    let plan = machine.plan();
    only_the_partition_is_refused(&plan, ErrorKind::Corrupt, "/dev/vda", "");
    assert_eq!((goal(&plan).from, goal(&plan).to), (400_000, SMALL_BLOCKS));
}

#[test]
fn a_table_that_is_not_there_is_refused() {
    let mut machine = Machine::new().holding(ext4(400_000));
    machine.disk.patch(510, &[0, 0]);
    only_the_partition_is_refused(
        &machine.plan(),
        ErrorKind::Refused,
        "/dev/vda2",
        "no GPT, and no MBR whose entries are all valid",
    );
}

#[test]
fn a_table_that_lacks_the_partition_is_refused() {
    let machine = Machine { number: Some(7), ..Machine::new().holding(ext4(400_000)) };
    only_the_partition_is_refused(&machine.plan(), ErrorKind::Absent, "/dev/vda2", "no partition 7");
}

#[test]
fn a_table_that_somebody_edits_meanwhile_is_refused() {
    let machine = Machine::new().holding(ext4(400_000));
    let (facts, other) = (machine.facts(), Machine::full());
    only_the_partition_is_refused(&other.judge(&facts, Mode::On), ErrorKind::Refused, "/dev/vda2", "changed");
}

#[test]
fn a_read_only_disk_is_refused() {
    let machine = Machine { read_only: true, ..Machine::new().holding(ext4(400_000)) };
    only_the_partition_is_refused(&machine.plan(), ErrorKind::Refused, "/dev/vda2", "read-only");
}

#[test]
fn a_damaged_primary_waits_for_the_users_word() {
    let mut machine = Machine::new().holding(ext4(400_000));
    machine.disk.resize(2048 * SECTORS);
    machine.disk.patch(512, &[0; 512]);
    only_the_partition_is_refused(&machine.plan(), ErrorKind::Refused, "/dev/vda2", "wisp.grow=repair");
    let plan = machine.plan_in(Mode::Repair);
    assert_eq!(names(&plan), ["the primary GPT", "filesystem"]);
    assert_eq!(sizes(&plan.partition), (SMALL, SMALL));
    assert_eq!(plan.notes, ["the damaged primary GPT is rebuilt from its backup"]);
}

/// A run that was cut off between the table and the kernel, or a tool that never told it.
#[test]
fn a_kernel_that_knows_less_than_the_table_is_updated() {
    let machine = Machine { size: SMALL, ..Machine::full().holding(ext4(SMALL_BLOCKS)) };
    let plan = machine.plan();
    assert_eq!(names(&plan), ["kernel", "filesystem"]);
    assert_eq!(sizes(&plan.partition), (SMALL, LARGE));
    assert_eq!(goal(&plan).to, LARGE_BLOCKS);
}

#[test]
fn a_kernel_that_sees_another_partition_than_the_table_is_not_argued_with() {
    const WHY: &str = "the table on the disk and the kernel's view of it differ";
    let longer = Machine { size: SMALL + 4096, ..Machine::new().holding(ext4(400_000)) };
    let elsewhere = Machine { start: START + 4096, ..Machine::new().holding(ext4(400_000)) };
    for machine in [longer, elsewhere] {
        let plan = machine.plan();
        only_the_partition_is_refused(&plan, ErrorKind::Refused, "/dev/vda2", WHY);
        assert_eq!(goal(&plan).to, machine.size / 4096, "into what the kernel sees");
    }
}

/// What becomes of a partition that holds `kind`. A new kind does not compile until it has its place here.
const fn fate(kind: Kind) -> Fate {
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Xfs | Kind::Btrfs => Fate::Grows,
        Kind::Luks => Fate::Layer("LUKS volume"),
        Kind::LvmPhysicalVolume => Fate::Layer("LVM physical volume"),
        Kind::Iso9660 | Kind::Udf | Kind::Squashfs | Kind::Erofs => Fate::Refused("read-only by design"),
        Kind::Vfat | Kind::Exfat | Kind::Ntfs => Fate::Refused("the kernel cannot grow it"),
        Kind::ExtJournal | Kind::Swap => Fate::Refused("that is no filesystem"),
        Kind::Hibernation => Fate::Refused("suspended system"),
        Kind::F2fs => Fate::Refused("only while unmounted"),
        Kind::LinuxRaid => Fate::Refused("the array"),
        Kind::Zfs => Fate::Refused("the pool"),
        Kind::Bcachefs => Fate::Refused("its own tools"),
        Kind::Bcache => Fate::Refused("the cache"),
        Kind::Drbd => Fate::Refused("at its end"),
        Kind::Nilfs2 => Fate::Refused("the kernel cannot grow it"),
    }
}

#[derive(Debug)]
enum Fate {
    Grows,
    Layer(&'static str),
    Refused(&'static str),
}

const KINDS: [Kind; 24] = [
    Kind::Ext2,
    Kind::Ext3,
    Kind::Ext4,
    Kind::ExtJournal,
    Kind::Xfs,
    Kind::Btrfs,
    Kind::F2fs,
    Kind::Swap,
    Kind::Hibernation,
    Kind::Luks,
    Kind::LvmPhysicalVolume,
    Kind::LinuxRaid,
    Kind::Zfs,
    Kind::Bcachefs,
    Kind::Bcache,
    Kind::Drbd,
    Kind::Nilfs2,
    Kind::Vfat,
    Kind::Exfat,
    Kind::Ntfs,
    Kind::Iso9660,
    Kind::Udf,
    Kind::Squashfs,
    Kind::Erofs,
];

#[test]
fn every_kind_has_its_policy() {
    for kind in KINDS {
        let plan = Machine::new().holding(sized(kind, 400_000, Details::Plain)).plan();
        match fate(kind) {
            Fate::Grows => assert_eq!(goal(&plan).kind, kind),
            Fate::Layer(name) => {
                assert_eq!(names(&plan), ["the backup GPT", "the primary GPT", "kernel"], "{kind:?}");
                assert_eq!(plan.filesystem, Decision::Left(format!("the {name} on it was not grown")));
            }
            Fate::Refused(why) => {
                assert!(plan.is_empty(), "{plan:?}");
                assert_eq!(plan.partition, plan.filesystem);
                let error = refusal(&plan.partition);
                assert_eq!((error.kind, error.to.as_str()), (ErrorKind::Refused, "/dev/vda2"));
                assert!(error.why.contains(kind.name()) && error.why.contains(why), "{error}");
            }
        }
    }
}

#[test]
fn what_wisp_does_not_know_is_not_touched() {
    for machine in [Machine::new(), Machine::whole_disk()] {
        let plan = Machine { content: None, ..machine }.plan();
        assert!(plan.is_empty());
        assert_eq!(plan.partition, plan.filesystem);
        assert!(refusal(&plan.filesystem).why.contains("no filesystem that wisp knows"));
    }
}

#[test]
fn switched_off_means_that_nothing_is_touched() {
    for machine in [Machine::new(), Machine::whole_disk(), Machine::new().holding(bare(Kind::Luks))] {
        let plan = machine.plan_in(Mode::Off);
        assert!(plan.is_empty() && plan.notes.is_empty());
        assert_eq!(plan.partition, plan.filesystem);
        assert!(refusal(&plan.filesystem).why.contains("wisp.grow=off"));
    }
}

/// cryptsetup refuses to open a volume on a disk with emulated sectors when its length is no multiple of 4096 bytes.
#[test]
fn below_a_layer_the_length_is_a_multiple_of_4096() {
    let plain = sizes(&Machine::unaligned().plan().partition).1;
    assert_eq!((63 * 512 + plain) % MIB, 0);
    assert_ne!(plain % 4096, 0);
    let layered = Machine { layers: vec!["LVM physical volume".into()], content: None, ..Machine::unaligned() };
    for machine in [
        Machine::unaligned().holding(bare(Kind::Luks)),
        Machine::unaligned().holding(bare(Kind::LvmPhysicalVolume)),
        layered,
    ] {
        assert_eq!(sizes(&machine.plan().partition).1, plain - plain % 4096);
    }
}

/// What lies on the partition is what the device mapper says, lowest first; the content agrees or is not known.
#[test]
fn the_lowest_layer_is_named() {
    let layers = vec!["LUKS volume".into(), "LVM physical volume".into()];
    for content in [None, Some(bare(Kind::Luks)), Some(ext4(400_000))] {
        let plan = Machine { layers: layers.clone(), content, ..Machine::new() }.plan();
        assert_eq!(plan.filesystem, Decision::Left("the LUKS volume on it was not grown".into()));
        assert_eq!(sizes(&plan.partition), (SMALL, LARGE));
    }
}

#[test]
fn an_obstacle_of_the_filesystem_does_not_keep_the_partition_small() {
    let plan = Machine::new().holding(ext4_in_state(SMALL_BLOCKS, 2)).plan();
    let error = refusal(&plan.filesystem);
    assert_eq!((error.kind, error.to.as_str()), (ErrorKind::Refused, "/dev/vda2"));
    assert!(error.why.contains("e2fsck"), "{error}");
    assert_eq!(names(&plan), ["the backup GPT", "the primary GPT", "kernel"]);
    assert_eq!(sizes(&plan.partition), (SMALL, LARGE));
}

#[test]
fn an_obstacle_matters_only_where_something_would_grow() {
    let plan = Machine::full().holding(ext4_in_state(LARGE_BLOCKS, 2)).plan();
    assert_eq!(plan.filesystem, Decision::Full(ByteCount(LARGE)));
}

#[test]
fn obstacles_of_every_kind_count() {
    let needs_repair = Details::Xfs(Xfs { group_blocks: 131_072, groups: 4, needs_repair: true });
    let seed = Details::Btrfs(Btrfs { devid: 1, device_bytes: 1, devices: 1, seed: true });
    for (kind, details, why) in [(Kind::Xfs, needs_repair, "xfs_repair"), (Kind::Btrfs, seed, "seed")] {
        let plan = Machine::new().holding(sized(kind, 400_000, details)).plan();
        assert!(refusal(&plan.filesystem).why.contains(why), "{plan:?}");
        assert_eq!(sizes(&plan.partition), (SMALL, LARGE));
    }
}

/// XFS and btrfs write their superblock when they like; what the mounted filesystem says is the truth.
#[test]
fn a_mounted_filesystem_knows_its_size_better_than_its_superblock() {
    for content in [xfs(400_000), btrfs(400_000)] {
        let kind = content.kind;
        let machine = |live| Machine { live_blocks: live, ..Machine::full().holding(content.clone()) };
        assert_eq!(goal(&machine(None).plan()).from, 400_000);
        assert_eq!(goal(&machine(Some(500_000)).plan()).from, 500_000);
        let room = machine(None).content.unwrap().largest_within(ByteCount(LARGE)).unwrap();
        assert_eq!(machine(Some(room)).plan().filesystem, Decision::Full(ByteCount(room * 4096)), "{kind:?}");
    }
}

#[test]
fn a_filesystem_of_several_devices_grows_on_this_one() {
    assert_eq!(goal(&Machine::new().holding(btrfs(400_000)).plan()).devid, 3);
    for (devices, note) in [
        (1, None),
        (2, Some("the filesystem has another device, which keeps its size; `wisp grow DEVICE` grows it")),
        (3, Some("the filesystem has 2 other devices, which keep their size; `wisp grow DEVICE` grows each")),
    ] {
        let spread = Details::Btrfs(Btrfs { devid: 3, device_bytes: 1 << 30, devices, seed: false });
        for blocks in [400_000, LARGE_BLOCKS] {
            let plan = Machine::full().holding(sized(Kind::Btrfs, blocks, spread)).plan();
            assert_eq!(plan.notes, Vec::from_iter(note));
        }
    }
}

#[test]
fn an_unknown_size_is_left() {
    let plan = Machine::new().holding(bare(Kind::Btrfs)).plan();
    assert_eq!(plan.filesystem, Decision::Left("wisp cannot tell the size of btrfs".into()));
    assert_eq!(sizes(&plan.partition), (SMALL, LARGE));
}

/// The room turned out smaller than planned: the kernel could not be told.
#[test]
fn a_filesystem_is_fitted_into_the_room_there_is() {
    let machine = Machine::new();
    let facts = machine.facts();
    assert_eq!(refit(&facts, ByteCount(SMALL)), Decision::Full(ByteCount(SMALL)));
    assert_eq!(refit(&facts, ByteCount(LARGE)), machine.plan().filesystem);
    assert_eq!(refit(&facts, ByteCount(4096)), Decision::Full(ByteCount(SMALL)), "it never shrinks");
    assert_eq!(refit(&Facts { content: None, ..facts }, ByteCount(LARGE)), Decision::Absent);
}

/// A RAID superblock of version 1.0 that says it lies at sector `at` of its member.
fn md_1_0(at: u64) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..8].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]);
    bytes[16..32].copy_from_slice(&[7; 16]);
    bytes[144..152].copy_from_slice(&at.to_le_bytes());
    bytes
}

/// F2: the disk is a member of an array whose partitions show on it as well.
#[test]
fn a_disk_that_belongs_to_something_as_a_whole_keeps_its_table() {
    let sectors = DISK_MIB * SECTORS;
    let mut via = vec![0; 51];
    via[..2].copy_from_slice(&[0x55, 0xAA]);
    via[50] = 0xFF;
    let mut md_0_90 = vec![0; 64];
    md_0_90[..12].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 0, 0, 0, 0, 90, 0, 0, 0]);
    let samples: [(&str, u64, Vec<u8>); 9] = [
        ("linux_raid_member", sectors - 16, md_1_0(sectors - 16)),
        ("linux_raid_member", sectors - 128, md_0_90),
        ("isw_raid_member", sectors - 2, b"Intel Raid ISM Cfg Sig. 1.1.00".to_vec()),
        ("ddf_raid_member", sectors - 1, vec![0xde, 0x11, 0xde, 0x11]),
        ("promise_fasttrack_raid_member", sectors - 3087, b"Promise Technology, Inc.".to_vec()),
        ("via_raid_member", sectors - 1, via),
        ("dynamic disk (LDM)", 6, b"PRIVHEAD".to_vec()),
        ("hpt37x_raid_member", 9, [&[0; 32][..], &[0xf0, 0x16, 0x78, 0x5a]].concat()),
        ("drbd", sectors - 8, [&[0; 60][..], &[0x83, 0x74, 0x02, 0x6b]].concat()),
    ];
    for (name, at, bytes) in samples {
        for mut machine in [Machine::new().holding(ext4(400_000)), Machine::unaligned().holding(ext4(400_000))] {
            if machine.number == Some(2) && at < 34 {
                // On a GPT disk its entries lie there.
                continue;
            }
            machine.disk.patch(at * 512, &bytes);
            everything_is_refused(&machine.plan(), "/dev/vda", name);
            // Also where only the filesystem would grow: the other half of a mirror would not.
            let plan = Machine { content: Some(ext4(1000)), ..machine }.plan_in(Mode::Repair);
            everything_is_refused(&plan, "/dev/vda", name);
        }
    }
    let machine = Machine { holders: [Some("md127".into()), None], ..Machine::new().holding(ext4(400_000)) };
    everything_is_refused(&machine.plan(), "/dev/vda", "md127 uses the whole disk");
}

#[test]
fn a_partition_that_something_else_uses_is_left() {
    let machine = Machine { holders: [None, Some("dm-0".into())], ..Machine::new() };
    let plan = machine.plan();
    assert!(plan.is_empty());
    assert!(refusal(&plan.filesystem).why.contains("dm-0 uses it"), "{plan:?}");
}

#[test]
fn a_whole_disk_filesystem_below_a_raid_of_the_firmware_is_left() {
    let machine = Machine::whole_disk();
    let facts = Facts { claim: Some("isw_raid_member"), ..machine.facts() };
    let plan = machine.judge(&facts, Mode::On);
    assert!(plan.is_empty());
    assert!(refusal(&plan.filesystem).why.contains("isw_raid_member"), "{plan:?}");
}

/// F4: the table of a disk that is used as a whole is not damaged, and no one is told to repair it.
#[test]
fn a_disk_whose_table_other_content_overwrote_is_not_called_damaged() {
    let swap = [(1024, [&1u32.to_le_bytes()[..], &9u32.to_le_bytes()].concat()), (4086, b"SWAPSPACE2".to_vec())];
    let raid = [(4096, md_1_0(8)), (4608, vec![1])];
    for (name, pieces) in [("swap", swap), ("linux_raid_member", raid)] {
        let mut machine = Machine::new().holding(ext4(400_000));
        for (at, bytes) in pieces {
            machine.disk.patch(at, &bytes);
        }
        for mode in [Mode::On, Mode::Repair] {
            everything_is_refused(&machine.plan_in(mode), "/dev/vda", name);
        }
    }
}

/// Metadata in the last partition are that partition's, wherever the disk ends.
#[test]
fn a_raid_partition_at_the_end_of_the_disk_claims_itself_alone() {
    let mut machine = Machine::new();
    let (first, end) = (4096 * SECTORS, DISK_MIB * SECTORS);
    let mut disk = make::mbr(
        DISK_MIB,
        &[(0x83, 2 * SECTORS as u32, 2045 * SECTORS as u32), (0xfd, first as u32, (end - first) as u32)],
    );
    let mut md_0_90 = vec![0; 64];
    md_0_90[..12].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 0, 0, 0, 0, 90, 0, 0, 0]);
    disk.patch((end - 128) * 512, &md_0_90);
    machine = Machine { disk, number: Some(1), ..machine };
    assert_eq!(sizes(&machine.plan().partition), (SMALL, 4094 * MIB));
}

/// An extended partition holds records and logical partitions; metadata in what is left of it are the disk's.
#[test]
fn raid_metadata_in_an_extended_partition_claim_the_disk() {
    let end = DISK_MIB * SECTORS;
    let mut disk = make::mbr(DISK_MIB, &[(0x0F, 2 * SECTORS as u32, (end - 2 * SECTORS) as u32), (0x83, 2048, 2048)]);
    make::boot_record(&mut disk, 2 * SECTORS, &[(0x83, SECTORS as u32, 2045 * SECTORS as u32)]);
    let mut md_0_90 = vec![0; 64];
    md_0_90[..12].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 0, 0, 0, 0, 90, 0, 0, 0]);
    let machine = Machine { disk, number: Some(5), start: 3 * MIB, ..Machine::new() };
    assert_eq!(sizes(&machine.plan().partition).1, DISK_MIB * MIB - 3 * MIB);
    for (at, bytes) in [(end - 128, md_0_90), (end - 16, md_1_0(end - 16))] {
        let mut machine = Machine { disk: machine.disk.clone(), number: Some(5), start: 3 * MIB, ..Machine::new() };
        machine.disk.patch(at * 512, &bytes);
        everything_is_refused(&machine.plan(), "/dev/vda", "linux_raid_member");
    }
}

/// F5: what an earlier use of the disk left where the partition is going to end.
#[test]
fn a_stale_signature_at_the_new_end_is_erased_before_anything_else() {
    let end = START + LARGE;
    let mut nilfs = vec![0; 1024];
    nilfs[6..10].copy_from_slice(&[0x34, 0x34, 0, 1]);
    let mut hasher = crc32fast::Hasher::new_with_initial(!0);
    hasher.update(&nilfs[..256]);
    nilfs[16..20].copy_from_slice(&(!hasher.finalize()).to_le_bytes());
    let mut md_0_90 = vec![0; 64];
    md_0_90[..12].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 0, 0, 0, 0, 90, 0, 0, 0]);
    let uberblock = 0x00ba_b10c_u64.to_le_bytes().to_vec();
    let samples: [(&str, u64, Vec<u8>, usize); 6] = [
        ("linux_raid_member", end - (8 << 10), md_1_0((LARGE - (8 << 10)) / 512), 512),
        ("linux_raid_member", end - (64 << 10), md_0_90, 512),
        ("drbd", end - 4096, [&[0; 60][..], &[0x83, 0x74, 0x02, 0x6d]].concat(), 512),
        ("nilfs2", end - 4096, nilfs, 512),
        // The last label of 256 KiB before the end, aligned on the partition; an uberblock 131 KiB in it.
        ("zfs_member", end - (LARGE % (256 << 10)) - (256 << 10) + (131 << 10), uberblock.clone(), 512 << 10),
        ("zfs_member", end - (LARGE % (256 << 10)) - (512 << 10) + (128 << 10), uberblock, 512 << 10),
    ];
    for (name, at, bytes, length) in samples {
        let mut machine = Machine::new();
        for (piece, bytes) in (0..).zip(bytes.chunks(512)) {
            machine.disk.patch(at + piece * 512, bytes);
        }
        let plan = machine.plan();
        assert_eq!(names(&plan), ["a stale signature", "the backup GPT", "the primary GPT", "kernel", "filesystem"]);
        assert!(plan.notes[0].contains(name) || plan.notes.iter().any(|note| note.contains(name)), "{:?}", plan.notes);
        let Some(Step::Erase(write)) = plan.steps().next() else { panic!("{plan:?}") };
        assert_eq!((write.bytes.len(), write.bytes.iter().all(|&byte| byte == 0)), (length, true));
        assert!(write.at.0 >= START + SMALL && write.at.0 <= at && at < write.at.0 + length as u64, "in the new space");
        machine.carry_out(&plan);
        let window = wisp::bytes::Window { whole: &machine.disk, start: START, size: LARGE };
        assert_eq!(filesystem::find_signatures(&window, ByteCount(LARGE)).unwrap(), []);
        assert!(machine.plan().is_empty(), "and a second run has nothing to do");
    }
}

/// F5 where the table was made larger before, by another tool: the kernel is not told before the signature is gone.
#[test]
fn a_stale_signature_is_erased_where_only_the_kernel_is_updated() {
    let mut machine = Machine { size: SMALL, ..Machine::full().holding(ext4(SMALL_BLOCKS)) };
    machine.disk.patch(START + LARGE - (8 << 10), &md_1_0((LARGE - (8 << 10)) / 512));
    assert_eq!(names(&machine.plan()), ["a stale signature", "kernel", "filesystem"]);
}

/// F1: without its journal, nothing of a filesystem can be relied on, and what is written now may be overwritten later.
#[test]
fn a_journal_that_is_not_replayed_keeps_table_and_filesystem_as_they_are() {
    for options in ["ro,noload", "norecovery", "rescue=nologreplay", "rescue=usebackuproot:nologreplay", "rescue=all"] {
        let machine = Machine { mount_options: options.into(), ..Machine::new() };
        let plan = machine.plan();
        assert!(plan.is_empty(), "{options}");
        assert!(refusal(&plan.partition).why.contains("journal"), "{plan:?}");
        let mut full = Machine { mount_options: options.into(), ..Machine::full() };
        full.content = Some(ext4(LARGE_BLOCKS));
        assert!(matches!(full.plan().filesystem, Decision::Full(_)), "nothing to do is no refusal");
    }
    let dirty =
        |mounted_read_only| Machine { mounted_read_only, ..Machine::new().holding(ext4_with(SMALL_BLOCKS, 1, 0x46)) };
    assert!(refusal(&dirty(true).plan().filesystem).why.contains("did not replay"));
    assert!(!dirty(false).plan().is_empty(), "a writable mount always says so");
}

/// D4: an ext4 made for a small disk has an end that no later disk moves.
#[test]
fn space_that_an_ext4_will_never_use_is_a_note() {
    let content = ext4(SMALL_BLOCKS);
    let extent = content.extent.map(|extent| Extent { max_blocks: SMALL_BLOCKS + 10 * GROUP, ..extent });
    let plan = Machine::new().holding(Superblock { extent, ..content }).plan();
    assert!(plan.notes.iter().any(|note| note.contains("no further")), "{:?}", plan.notes);
    assert!(Machine::new().plan().notes.iter().all(|note| !note.contains("no further")));
}

/// F5 and the power: at every cut, also in the middle of the erasing, the partition as the kernel sees it then is the ext4
/// that it was, and the next run ends where an undisturbed one does.
#[test]
fn a_power_cut_while_a_stale_signature_is_erased_leaves_the_root_detected() {
    let end = START + LARGE;
    let labels = end - (LARGE % (256 << 10)) - (512 << 10);
    let mut machine = Machine::new();
    // The magic and the features of ext4, where the partition's superblock is.
    for (at, bytes) in [
        (0x38, &[0x53, 0xEF, 1, 0][..]),
        (0x4, &[0, 0, 8, 0]),
        (0x18, &[2, 0, 0, 0]),
        (0x20, &[0, 0x80, 0, 0]),
        (0x24, &[0, 0x80, 0, 0]),
        (0x28, &[0, 0x20, 0, 0]),
        (0x60, &[0x42, 0, 0, 0]),
    ] {
        machine.disk.patch(START + 1024 + at, bytes);
    }
    machine.disk.patch(end - (8 << 10), &md_1_0((LARGE - (8 << 10)) / 512));
    for block in 0..4 {
        machine.disk.patch(labels + (128 << 10) + block * 1024, &0x00ba_b10c_u64.to_le_bytes());
    }
    let plan = machine.plan();
    assert_eq!(names(&plan)[..3], ["a stale signature", "a stale signature", "the backup GPT"]);
    let mut finished = Machine { disk: machine.disk.clone(), ..Machine::new() };
    finished.carry_out(&plan);

    let check = |disk: &MemoryDisk| {
        let table = table::read(disk, disk.geometry()).unwrap().unwrap();
        if !table.repair_needed() {
            let span = table.partition(2).unwrap().span().bytes(SectorSize::B512);
            let window = wisp::bytes::Window { whole: disk, start: START, size: span.0 };
            assert_eq!(filesystem::detect(&window, span).unwrap().unwrap().kind, Kind::Ext4);
            assert!(span.0 == SMALL || filesystem::find_signatures(&window, span).unwrap().is_empty());
        }
        let mut next = Machine { disk: disk.clone(), ..Machine::new() };
        let rest = next.plan();
        next.carry_out(&rest);
        assert!(next.disk == finished.disk, "the next run ends where an undisturbed one does");
    };
    let mut disk = machine.disk.clone();
    for step in plan.steps() {
        let (Step::Erase(write) | Step::WriteTable(write)) = step else { continue };
        let sectors: Vec<_> = (write.at.0..)
            .step_by(512)
            .zip(write.bytes.chunks(512))
            .filter(|(at, bytes)| disk.sector(at / 512) != *bytes)
            .collect();
        for (at, bytes) in &sectors {
            // Only this one, and all up to it.
            let mut torn = disk.clone();
            torn.write(*at, bytes);
            check(&torn);
        }
        for (at, bytes) in sectors {
            disk.write(at, bytes);
            check(&disk);
        }
    }
    assert!(disk == finished.disk);
}
