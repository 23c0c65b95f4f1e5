//! Which disk is taken for the root's while its table keeps the root from being seen (SECURITY.md: no other is changed).
//!
//! Loop devices over disks whose primary GPT an interrupted update left torn, in a sysfs that lists them alone.

#[expect(dead_code, reason = "shared with the tests of tables, which use the rest")]
#[path = "table/make.rs"]
mod make;
#[path = "support/skip.rs"]
mod skip;
#[expect(dead_code, reason = "shared with the tests of tables, which use the rest")]
mod support;

use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use wisp::probe::block::Sysfs;
use wisp::probe::search::find_broken_disk;
use wisp::table::{self, Rule};
use wisp::text::device_spec::DeviceSpec;

const MIB: u64 = 1 << 20;
const UUID: &str = "11111111-2222-3333-4444-555555555555";

/// Files of loop devices and a sysfs, gone when the test is over.
struct Machine {
    root: PathBuf,
    loops: Vec<String>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        for node in &self.loops {
            let _ = Command::new("losetup").args(["-d", node]).status();
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Machine {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("wisp-broken-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in ["class/block", "dev/block", "devices"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Self { root, loops: Vec::new() }
    }

    /// Adds a disk with ext4 on its only partition, torn while that grew; `spoil` may put something over it. `false` where
    /// the machine allows no loop device: the test is skipped.
    #[track_caller]
    fn disk(&mut self, spoil: impl Fn(&fs::File)) -> bool {
        let file = self.root.join(format!("disk-{}", self.loops.len()));
        let mut disk = make::Gpt::of_mib(64, &[(1, make::MIB, 40 * make::MIB - 1)]).make();
        disk.resize(128 * make::MIB);
        let before = disk.clone();
        let plan = table::read(&disk, disk.geometry()).unwrap().unwrap().grow(&disk, 1, Rule::default()).unwrap();
        plan.writes.iter().for_each(|write| disk.apply(write));
        // The header is the new one, the entry the old one.
        disk.write(1024, &before.sector(2));
        assert!(table::read(&disk, disk.geometry()).unwrap().unwrap().repair_needed());
        disk.store(&file);
        let filesystem = self.root.join("filesystem");
        fs::File::create(&filesystem).unwrap().set_len(39 * MIB).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F", "-U", UUID, "-L", "cloudimg"]).arg(&filesystem).status();
        assert!(made.unwrap().success());
        let opened = fs::File::options().read(true).write(true).open(&file).unwrap();
        opened.write_all_at(&fs::read(&filesystem).unwrap(), MIB).unwrap();
        spoil(&opened);
        opened.sync_all().unwrap();
        let output = Command::new("losetup").args(["-f", "--show"]).arg(&file).output();
        let Some(output) = output.ok().filter(|output| output.status.success()) else {
            skip::skip("losetup makes no loop device");
            return false;
        };
        let node = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let name = node.trim_start_matches("/dev/").to_owned();
        let folder = self.root.join("devices").join(&name);
        fs::create_dir_all(folder.join("holders")).unwrap();
        let number = name.trim_start_matches("loop").to_owned();
        fs::write(folder.join("dev"), format!("7:{number}\n")).unwrap();
        fs::write(folder.join("size"), format!("{}\n", 128 * MIB / 512)).unwrap();
        symlink(format!("../../devices/{name}"), self.root.join("class/block").join(&name)).unwrap();
        self.loops.push(node);
        true
    }

    fn find(&self, name: &DeviceSpec) -> Option<String> {
        find_broken_disk(Sysfs { root: self.root.to_str().unwrap() }, name).map(|disk| disk.node())
    }
}

fn label() -> DeviceSpec {
    DeviceSpec::Label("cloudimg".into())
}

#[test]
fn the_disk_whose_backup_has_the_named_partition_is_the_roots() {
    let mut machine = Machine::new("named");
    if !machine.disk(|_| {}) {
        return;
    }
    let node = machine.loops[0].clone();
    let number: u32 = node.trim_start_matches("/dev/loop").parse().unwrap();
    let bytes = fs::read(machine.root.join("disk-0")).unwrap();
    let entry = &bytes[1024..1152];
    let guid = wisp::units::Guid(entry[16..32].try_into().unwrap()).to_string();
    for name in [
        label(),
        DeviceSpec::Uuid(UUID.into()),
        DeviceSpec::PartUuid(guid.clone(), 0),
        DeviceSpec::Path(format!("{node}p1")),
        DeviceSpec::Number(7, number + 1),
    ] {
        assert_eq!(machine.find(&name).as_ref(), Some(&node), "{name}");
    }
    for name in [
        DeviceSpec::Label("other".into()),
        DeviceSpec::Uuid(UUID.replace('1', "9")),
        DeviceSpec::PartUuid(guid.clone(), 1),
        DeviceSpec::PartUuid(guid.replace(&guid[..4], "0000"), 0),
        DeviceSpec::PartLabel("root".into()),
        DeviceSpec::Path(format!("{node}p2")),
        DeviceSpec::Path(node.clone()),
        DeviceSpec::Path("/dev/mapper/vg-root".into()),
        DeviceSpec::Number(7, number),
        DeviceSpec::Serial("1".into()),
    ] {
        assert_eq!(machine.find(&name), None, "{name}");
    }
}

#[test]
fn of_two_disks_that_could_be_the_roots_none_is_taken() {
    let mut machine = Machine::new("twins");
    if machine.disk(|_| {}) && machine.disk(|_| {}) {
        assert_eq!(machine.find(&label()), None);
    }
}

/// F4: what was made over a disk that had a table.
#[test]
fn a_disk_with_other_content_is_not_taken() {
    let swap = |file: &fs::File| {
        file.write_all_at(&[1, 0, 0, 0, 9, 0, 0, 0], 1024).unwrap();
        file.write_all_at(b"SWAPSPACE2", 4086).unwrap();
    };
    let intel = |file: &fs::File| file.write_all_at(b"Intel Raid ISM Cfg Sig. 1.1.00", 128 * MIB - 1024).unwrap();
    for (name, spoil) in [("swap", &swap as &dyn Fn(&fs::File)), ("imsm", &intel)] {
        let mut machine = Machine::new(name);
        if machine.disk(spoil) {
            assert_eq!(machine.find(&label()), None, "{name}");
        }
    }
    let mut machine = Machine::new("held");
    if machine.disk(|_| {}) {
        let name = machine.loops[0].trim_start_matches("/dev/");
        fs::create_dir(machine.root.join("devices").join(name).join("holders/dm-0")).unwrap();
        assert_eq!(machine.find(&label()), None);
    }
}
