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
use wisp::plan::grow::{Facts, Goal, Half, Plan, Slice, Step, plan, refit};
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
        let slice = self.number.map(|number| Slice {
            disk: "/dev/vda".into(),
            number,
            start: ByteCount(self.start),
            geometry,
            read_only: self.read_only,
            table: table::read(&self.disk, geometry),
        });
        Facts {
            device: "/dev/vda2".into(),
            size: ByteCount(self.size),
            slice,
            layers: self.layers.clone(),
            content: self.content.clone(),
            live_blocks: self.live_blocks,
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
                Step::WriteTable(write) => self.disk.apply(write),
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

/// ext4 with this many blocks of 4 KiB, recognised from its superblock.
fn ext4(blocks: u64) -> Superblock {
    ext4_in_state(blocks, 1)
}

/// The same with another `s_state`.
fn ext4_in_state(blocks: u64, state: u8) -> Superblock {
    let mut disk = MemoryDisk::new(SectorSize::B512, DISK_MIB * SECTORS);
    let fields: [(u64, &[u8]); 8] = [
        (0x4, &(blocks as u32).to_le_bytes()),
        (0x18, &2u32.to_le_bytes()),
        (0x20, &(GROUP as u32).to_le_bytes()),
        (0x24, &(GROUP as u32).to_le_bytes()),
        (0x28, &8192u32.to_le_bytes()),
        (0x38, &[0x53, 0xEF, state, 0]),
        (0x5C, &4u32.to_le_bytes()),
        (0x60, &0x42u32.to_le_bytes()),
    ];
    for (at, bytes) in fields {
        disk.patch(1024 + at, bytes);
    }
    filesystem::recognise(&disk, ByteCount(DISK_MIB * MIB)).unwrap().expect("an ext superblock")
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
            Step::WriteTable(write) => write.what,
            Step::TellKernel { .. } => "kernel",
            Step::GrowFilesystem(_) => "filesystem",
        })
        .collect()
}

#[track_caller]
fn sizes(half: &Half) -> (u64, u64) {
    match half {
        Half::Change { before, after, .. } => (before.0, after.0),
        other => panic!("does not change: {other:?}"),
    }
}

#[track_caller]
fn refusal(half: &Half) -> &Error {
    match half {
        Half::Refused(error) => error,
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
        assert!(matches!(second.partition, Half::Full(_) | Half::Absent), "{second:?}");
        assert!(matches!(second.filesystem, Half::Full(_) | Half::Left(_)), "{second:?}");
        assert_eq!(second.notes, [""; 0]);
    }
}

/// F.27: other tools stop at a partition that has its size, and the filesystem in it stays small for ever.
#[test]
fn a_full_partition_does_not_keep_the_filesystem_small() {
    let plan = Machine::full().holding(ext4(SMALL_BLOCKS)).plan();
    assert_eq!(plan.partition, Half::Full(ByteCount(LARGE)));
    assert_eq!(names(&plan), ["filesystem"]);
    assert_eq!((goal(&plan).from, goal(&plan).to), (SMALL_BLOCKS, LARGE_BLOCKS));
}

#[test]
fn a_full_filesystem_does_not_keep_the_partition_small() {
    let plan = Machine::new().holding(ext4(LARGE_BLOCKS)).plan();
    assert_eq!(plan.filesystem, Half::Full(ByteCount(LARGE)));
    assert_eq!(names(&plan), ["the backup GPT", "the primary GPT", "kernel"]);
}

#[test]
fn a_gain_of_less_than_a_mebibyte_mends_the_table_only() {
    let mut machine = Machine::new();
    machine.disk.resize(2048 * SECTORS + 20);
    let plan = machine.plan();
    assert_eq!(names(&plan), ["the backup GPT", "the primary GPT"]);
    assert_eq!(sizes(&plan.partition), (SMALL, SMALL));
    assert_eq!(plan.filesystem, Half::Full(ByteCount(SMALL)));
}

#[test]
fn a_whole_disk_has_one_half() {
    let plan = Machine::whole_disk().plan();
    assert_eq!(plan.partition, Half::Absent);
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
    only_the_partition_is_refused(&machine.plan(), ErrorKind::Refused, "/dev/vda2", "no GPT and no MBR");
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
fn a_kernel_that_knows_less_than_the_table_is_told() {
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
    }
}

#[derive(Debug)]
enum Fate {
    Grows,
    Layer(&'static str),
    Refused(&'static str),
}

const KINDS: [Kind; 22] = [
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
                assert_eq!(plan.filesystem, Half::Left(format!("the {name} on it was not grown")));
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
        assert_eq!(plan.filesystem, Half::Left("the LUKS volume on it was not grown".into()));
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
    assert_eq!(plan.filesystem, Half::Full(ByteCount(LARGE)));
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
        assert_eq!(machine(Some(room)).plan().filesystem, Half::Full(ByteCount(room * 4096)), "{kind:?}");
    }
}

#[test]
fn a_filesystem_of_several_devices_grows_on_this_one() {
    assert_eq!(goal(&Machine::new().holding(btrfs(400_000)).plan()).devid, 3);
}

#[test]
fn a_size_that_nobody_can_tell_is_left() {
    let plan = Machine::new().holding(bare(Kind::Btrfs)).plan();
    assert_eq!(plan.filesystem, Half::Left("wisp cannot tell the size of btrfs".into()));
    assert_eq!(sizes(&plan.partition), (SMALL, LARGE));
}

/// The room turned out smaller than planned: the kernel could not be told.
#[test]
fn a_filesystem_is_fitted_into_the_room_there_is() {
    let machine = Machine::new();
    let facts = machine.facts();
    assert_eq!(refit(&facts, ByteCount(SMALL)), Half::Full(ByteCount(SMALL)));
    assert_eq!(refit(&facts, ByteCount(LARGE)), machine.plan().filesystem);
    assert_eq!(refit(&facts, ByteCount(4096)), Half::Full(ByteCount(SMALL)), "it never shrinks");
    assert_eq!(refit(&Facts { content: None, ..facts }, ByteCount(LARGE)), Half::Absent);
}
