//! Labelled volumes among the devices of a machine: a sysfs and a `/dev` of plain files.

use std::fs;
use std::os::unix::fs::symlink;

use wisp::error::Kind as ErrorKind;
use wisp::probe::block::Sysfs;
use wisp::probe::media::{discs, labelled, open_volume};

use crate::seed::{Dir, LIMIT, MIB};

/// A machine without devices.
fn machine(name: &str) -> Dir {
    let folder = Dir::new(name);
    for path in ["sys/class/block", "dev"] {
        fs::create_dir_all(folder.0.join(path)).unwrap();
    }
    folder
}

/// Adds a device: a path in the device tree, whose last part is its name, and its attributes; its node is an image
/// that `make` makes of the path behind it.
fn device(machine: &Dir, path: &str, attributes: &[(&str, &str)], make: &str) {
    let name = path.rsplit('/').next().unwrap();
    machine.put(&format!("sys/devices/{path}/dev"), b"8:0\n");
    machine.put(&format!("sys/devices/{path}/size"), b"8192\n");
    for (what, text) in attributes {
        machine.put(&format!("sys/devices/{path}/{what}"), format!("{text}\n").as_bytes());
    }
    symlink(format!("../../devices/{path}"), machine.0.join("sys/class/block").join(name)).unwrap();
    let node = machine.image(&format!("dev/{name}"), 4 * MIB);
    if !make.is_empty() {
        machine.run(&format!("{make} {node}"));
    }
}

fn search<'a>(machine: &Dir, labels: &[&'a str]) -> Vec<(String, &'a str)> {
    let found = labelled(Sysfs { root: &machine.text("sys") }, &machine.text(""), labels);
    found.into_iter().map(|(path, label)| (name(&path), label)).collect()
}

fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

const DISC: &[(&str, &str)] = &[("device/type", "5"), ("removable", "1")];
const DISK: &[(&str, &str)] = &[("device/type", "0"), ("removable", "1")];
const PARTITION: &[(&str, &str)] = &[("partition", "1"), ("start", "2048")];

#[test]
fn volumes_are_found_on_discs_disks_and_partitions_the_last_name_first() {
    let machine = machine("media-found");
    machine.put("seed/meta-data", b"instance-id: i-1\n");
    device(&machine, "sr0", DISC, "genisoimage -quiet -r -V cidata seed >");
    device(&machine, "vda", DISK, "");
    device(&machine, "vda/vda1", PARTITION, "mkfs.vfat -n CIDATA");
    device(&machine, "vdb", DISK, "mkudffs -b 512 -l CiData");
    device(&machine, "sda", DISK, "mkfs.vfat -n CONFIG-2");
    device(&machine, "sdb", DISK, "mkfs.ext4 -q -L CIDATA -d seed");
    device(&machine, "sdc", DISK, "mkfs.ext2 -q -L config-2");
    device(&machine, "sdd", DISK, "mkfs.ext4 -q -L root");

    let found = |labels: &[&'static str]| search(&machine, labels);
    let of = |name: &str, label| (name.to_owned(), label);
    let seeds = ["vdb", "vda1", "sr0", "sdb"].map(|name| of(name, "cidata"));
    assert_eq!(found(&["cidata"]), seeds);
    // What cloud-init looks at comes first.
    assert_eq!(found(&["config-2"]), ["sda", "sdc"].map(|name| of(name, "config-2")));
    let small = ["vdb", "vda1", "sr0"].map(|name| of(name, "cidata"));
    let both = [&small[..], &[of("sda", "config-2"), of("sdc", "config-2"), of("sdb", "cidata")]].concat();
    assert_eq!(found(&["config-2", "cidata"]), both);
    for seed in ["dev/sr0", "dev/sdb"] {
        let volume = open_volume(&machine.text(seed)).unwrap().unwrap();
        assert_eq!(volume.read("meta-data", LIMIT).unwrap().unwrap(), b"instance-id: i-1\n", "{seed}");
    }
    let drives = discs(Sysfs { root: &machine.text("sys") }, &machine.text(""));
    assert_eq!(drives.iter().map(|path| name(path)).collect::<Vec<_>>(), ["sr0"], "no disk poses as a disc");
    assert!(search(&machine, &["", "context"]).is_empty());
}

#[test]
fn what_the_system_made_itself_and_what_cannot_be_read_is_passed_over() {
    let machine = machine("media-made-up");
    for name in ["loop0", "ram1", "zram0", "dm-0"] {
        device(&machine, &format!("virtual/{name}"), DISK, "mkfs.vfat -n CIDATA");
    }
    device(&machine, "vdc", &[("size", "0")], "mkfs.vfat -n CIDATA");
    device(&machine, "vdd", DISK, "");
    fs::remove_file(machine.0.join("dev/vdd")).unwrap();
    assert!(search(&machine, &["cidata"]).is_empty());
    device(&machine, "vde", DISK, "mkfs.vfat -n CIDATA");
    assert_eq!(search(&machine, &["cidata"]).len(), 1);
}

#[test]
fn what_holds_no_volume_is_nothing_and_what_is_not_there_is_an_error() {
    let folder = Dir::new("media-nothing");
    assert!(open_volume(&folder.image("empty", 0)).unwrap().is_none());
    assert!(open_volume(&folder.image("zeros", MIB)).unwrap().is_none());
    let absent = open_volume(&folder.text("absent")).err().unwrap();
    assert_eq!((absent.kind, absent.to.ends_with("/absent")), (ErrorKind::Os(2), true));
}
