//! `wisp grow` on disks of this machine's kernel: loop devices over images that the tools of others made.
//!
//! Root is needed for that.

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MIB: u64 = 1 << 20;
/// Where the partition starts.
const START: u64 = MIB;
/// The size that it can have on a disk of 64 MiB, which leaves room for the backup of a GPT.
const LARGEST: u64 = 62 * MIB;

/// Runs a command that has to work; arguments are separated by spaces.
#[track_caller]
fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().into()
}

fn wisp(arguments: &[&str]) -> Output {
    let path = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    Command::new(path).args(arguments).output().unwrap()
}

/// A disk with one partition, detached when the test is over.
struct Disk {
    root: Root,
    /// Start and length of the partition, in sectors.
    slice: (u64, u64),
    node: Option<String>,
    is_mounted: bool,
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg(self.point()).status();
        }
        if let Some(node) = &self.node {
            let _ = Command::new("losetup").args(["-d", node]).status();
        }
    }
}

impl Disk {
    /// `mkfs`, whose last word is the option for a tree, makes a filesystem of what `fill` puts into one. `sizes`, in MiB,
    /// are those of the filesystem, its partition and the disk.
    fn new(name: &str, mkfs: &str, sizes: [u64; 3], fill: impl Fn(&Root)) -> Self {
        let [size, partition_size, disk_size] = sizes.map(|size| size * MIB);
        let (start, sectors) = (START / 512, partition_size / 512);
        let root = Root::empty(name);
        fs::create_dir_all(root.join("tree/etc")).unwrap();
        fs::create_dir(root.join("point")).unwrap();
        fill(&root);
        let (filesystem, tree, image) = (root.join("filesystem"), root.join("tree"), root.join("image"));
        fs::File::create(&filesystem).unwrap().set_len(size).unwrap();
        run(&format!("{mkfs} {} {}", tree.display(), filesystem.display()));
        let disk = fs::File::create(&image).unwrap();
        disk.set_len(disk_size).unwrap();
        let layout = format!("label: dos\nstart={start}, size={sectors}\n");
        root.write("layout", &layout);
        let made = Command::new("sfdisk")
            .args(["-q", "--no-reread", image.to_str().unwrap()])
            .stdin(fs::File::open(root.join("layout")).unwrap())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        disk.write_all_at(&fs::read(&filesystem).unwrap(), start * 512).unwrap();
        fs::remove_file(filesystem).unwrap();
        Self { root, slice: (start, sectors), node: None, is_mounted: false }
    }

    /// The usual one: ext4 that fills its partition.
    fn ext4(name: &str, fill: impl Fn(&Root)) -> Self {
        Self::new(name, "mkfs.ext4 -q -b 4096 -d", [32, 32, 64], fill)
    }

    /// Makes it a device with partitions. `false` where none is to be had, and then the test is skipped.
    fn attach(&mut self) -> bool {
        let output = Command::new("losetup").args(["-P", "-f", "--show"]).arg(self.image()).output().unwrap();
        if !output.status.success() {
            skip::skip("losetup makes no loop device");
            return false;
        }
        self.node = Some(String::from_utf8(output.stdout).unwrap().trim().into());
        // A kernel without code for partition tables has to be told.
        if !Path::new(&self.partition()).exists() {
            let (start, sectors) = self.slice;
            run(&format!("addpart {} 1 {start} {sectors}", self.node.as_ref().unwrap()));
        }
        true
    }

    fn image(&self) -> PathBuf {
        self.root.join("image")
    }

    fn point(&self) -> PathBuf {
        self.root.join("point")
    }

    fn partition(&self) -> String {
        format!("{}p1", self.node.as_ref().unwrap())
    }

    fn mount(&mut self, options: &str) {
        run(&format!("mount -o {options} {} {}", self.partition(), self.point().display()));
        self.is_mounted = true;
    }

    fn bytes(&self) -> Vec<u8> {
        run(&format!("blockdev --flushbufs {}", self.node.as_ref().unwrap()));
        fs::read(self.image()).unwrap()
    }

    /// The partition's size as the kernel has it.
    fn size(&self) -> u64 {
        run(&format!("blockdev --getsize64 {}", self.partition())).parse().unwrap()
    }

    /// The blocks of the ext4 on it.
    fn blocks(&self) -> u64 {
        let text = run(&format!("dumpe2fs -h {}", self.partition()));
        let line = text.lines().find(|line| line.starts_with("Block count:")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// `wisp grow TARGET` refuses because of `why` and changes nothing.
    #[track_caller]
    fn refuses(&self, target: &str, why: &str) {
        let before = self.bytes();
        let output = wisp(&["grow", target]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{output:?}");
        assert!(told.contains(why), "{told}");
        assert!(self.bytes() == before, "the disk changed");
    }
}

/// The ways in which the file that switches growing off can be there. A link counts by its name: where the filesystem is
/// mounted for a moment, the end of an absolute one is not where it is in the running system.
#[test]
fn the_owners_word_is_found_however_it_is_written() {
    const MARKER: &str = "tree/etc/growroot-disabled";
    type Fill<'a> = &'a dyn Fn(&Root);
    let file: Fill<'_> = &|root| root.write(MARKER, "");
    let folder: Fill<'_> = &|root| fs::create_dir(root.join(MARKER)).unwrap();
    let dangling: Fill<'_> = &|root| symlink("../var/nowhere", root.join(MARKER)).unwrap();
    let absolute: Fill<'_> = &|root| {
        root.write("tree/usr/share/wisp-test-image/off", "");
        symlink("/usr/share/wisp-test-image/off", root.join(MARKER)).unwrap();
    };
    let moved: Fill<'_> = &|root| {
        root.write("tree/wisp-test-etc/growroot-disabled", "");
        fs::remove_dir(root.join("tree/etc")).unwrap();
        symlink("/wisp-test-etc", root.join("tree/etc")).unwrap();
    };
    let ways = [("file", file), ("folder", folder), ("dangling", dangling), ("absolute", absolute), ("moved", moved)];
    for (name, fill) in ways {
        let mut disk = Disk::ext4(name, fill);
        if !disk.attach() {
            return;
        }
        let why = "it is switched off by /etc/growroot-disabled";
        disk.refuses(&disk.partition(), why);
        disk.mount("ro");
        disk.refuses(&disk.partition(), why);
        disk.refuses(disk.point().to_str().unwrap(), why);
    }
}

/// A link that leads out of the filesystem, and one in a circle, are no word against growing.
#[test]
fn a_folder_that_cannot_be_there_switches_nothing_off() {
    for (name, end) in [("circle", "etc"), ("outside", "/wisp-test-nowhere")] {
        let mut disk = Disk::ext4(name, |root| {
            fs::remove_dir(root.join("tree/etc")).unwrap();
            symlink(end, root.join("tree/etc")).unwrap();
        });
        if !disk.attach() {
            return;
        }
        // The filesystem grows where the kernel lets this process do it.
        let output = wisp(&["grow", &disk.partition()]);
        assert_eq!(disk.size(), LARGEST, "{name}: {output:?}");
    }
}

/// Its table was lost after it had grown, so that the file is seen only when the partition has its size again.
#[test]
fn the_owners_word_in_a_filesystem_that_its_partition_cuts_off() {
    let mut disk = Disk::new("cut-off", "mkfs.ext4 -q -b 4096 -d", [32, 16, 64], |root| {
        root.write("tree/etc/growroot-disabled", "");
    });
    if !disk.attach() {
        return;
    }
    let output = wisp(&["grow", &disk.partition()]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("it is switched off by"), "{output:?}");
    assert_eq!((disk.size(), disk.blocks() * 4096), (LARGEST, 32 * MIB));
    run(&format!("e2fsck -fn {}", disk.partition()));
}

/// Where the filesystem cannot be mounted, the word of its owner is not known.
#[test]
fn what_cannot_be_mounted_is_not_changed() {
    let mut disk = Disk::ext4("unmountable", |_| {});
    // A feature that no kernel has. The superblock has no checksum to go with it.
    run(&format!("tune2fs -O ^metadata_csum {}?offset={START}", disk.image().display()));
    let file = fs::File::options().read(true).write(true).open(disk.image()).unwrap();
    let mut incompat = [0; 4];
    file.read_exact_at(&mut incompat, START + 1024 + 0x60).unwrap();
    incompat[3] |= 0x40;
    file.write_all_at(&incompat, START + 1024 + 0x60).unwrap();
    if !disk.attach() {
        return;
    }
    let before = disk.bytes();
    let output = wisp(&["grow", &disk.partition()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("mount "), "{output:?}");
    assert!(disk.bytes() == before, "the disk changed");
}

/// A mount of someone else, by which the journal is not replayed; the next usual mount replays it.
#[test]
fn below_a_mount_that_skips_the_journal_nothing_changes() {
    let mut disk = Disk::ext4("noload", |_| {});
    let image = format!("{}?offset={START}", disk.image().display());
    let output = Command::new("debugfs").args(["-w", "-R", "feature needs_recovery", &image]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("needs_recovery"), "{output:?}");
    if !disk.attach() {
        return;
    }
    disk.mount("ro,noload");
    for target in [disk.partition(), disk.point().to_str().unwrap().to_owned()] {
        disk.refuses(&target, "journal");
    }
}

/// Each on a disk of its own; none takes the directory away that another one mounts at.
#[test]
fn several_at_a_time_do_not_disturb_each_other() {
    let mut disks =
        ["first", "second", "third"].map(|name| Disk::ext4(name, |root| root.write("tree/etc/growroot-disabled", "")));
    if !disks.iter_mut().all(Disk::attach) {
        return;
    }
    let partitions = disks.each_ref().map(Disk::partition);
    std::thread::scope(|scope| {
        for partition in &partitions {
            scope.spawn(move || {
                for _ in 0..20 {
                    let output = wisp(&["grow", partition]);
                    let told = String::from_utf8_lossy(&output.stderr);
                    assert!(told.contains("it is switched off by"), "{output:?}");
                }
            });
        }
    });
}

/// btrfs shows no device in the list of mounts. The one that is mounted is grown through its mount, as another one would
/// see another subvolume and would leave the filesystem writable.
#[test]
fn a_mounted_btrfs_is_found_by_its_device() {
    let mut disk = Disk::new("btrfs", "mkfs.btrfs -q --mixed --rootdir", [128, 128, 512], |_| {});
    if !disk.attach() {
        return;
    }
    disk.mount("rw");
    let point = disk.point().to_str().unwrap().to_owned();
    run(&format!("btrfs subvolume create {point}/system"));
    fs::create_dir(format!("{point}/system/etc")).unwrap();
    fs::write(format!("{point}/system/etc/growroot-disabled"), "").unwrap();
    run(&format!("umount {point}"));
    disk.mount("ro,subvol=system");
    disk.refuses(&disk.partition(), "it is switched off by /etc/growroot-disabled");

    run(&format!("umount {point}"));
    disk.mount("ro");
    let output = wisp(&["grow", &disk.partition()]);
    assert!(output.status.success(), "{output:?}");
    let shown = run(&format!("btrfs filesystem show --raw {point}"));
    assert!(shown.contains(&format!("size {} ", 510 * MIB)), "{shown}");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(&point)).unwrap();
    assert!(line.split_once(" - ").unwrap().1.contains(" ro,"), "{line}");
}
