//! Block devices as sysfs shows them, from trees that have the links and attributes of real ones.
//!
//! Every tree lists `devices/PATH` with its attributes, and `class/block/NAME` and `dev/block/MAJOR:MINOR` that lead
//! there by relative links, as the kernel makes them (Documentation/ABI/stable/sysfs-block).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use wisp::error::{Error, Kind};
use wisp::probe::block::{Block, PartitionInfo, Sysfs};
use wisp::units::ByteCount;

/// A sysfs of its own, gone when the test is over.
struct Tree {
    root: PathBuf,
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Where a virtio disk hangs on a PCI bus.
const VDA: &str = "pci0000:00/0000:00:04.0/virtio1/block/vda";
/// What the device mapper calls a volume of LUKS, of LVM, and a path group.
const CRYPT: &str = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-root";
const LVM: &str = "LVM-abcdefghijklmnopqrstuvwxyz012345ABCDEFGHIJKLMNOPQRSTUVWXYZ678901";
const MULTIPATH: &str = "mpath-36001405aabbccddeeff00112233445566";

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("wisp-sysfs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in ["class/block", "dev/block", "devices"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Self { root }
    }

    /// A tree with one virtio disk of two partitions.
    fn virtio(name: &str) -> Self {
        let tree = Self::new(name);
        tree.disk(VDA, "254:0", 20_971_520);
        tree.partition(&format!("{VDA}/vda1"), "254:1", "1", 2048, 4096);
        tree.partition(&format!("{VDA}/vda2"), "254:2", "2", 6144, 20_965_376);
        tree
    }

    fn device(&self, path: &str, attributes: &[(&str, &str)]) {
        let folder = self.root.join("devices").join(path);
        for (what, text) in attributes {
            let file = folder.join(what);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{text}\n")).unwrap();
        }
        let name = path.rsplit('/').next().unwrap();
        symlink(format!("../../devices/{path}"), self.root.join("class/block").join(name)).unwrap();
        if let Some((_, number)) = attributes.iter().find(|(what, _)| *what == "dev") {
            symlink(format!("../../devices/{path}"), self.root.join("dev/block").join(number)).unwrap();
        }
    }

    /// A whole disk, which has the folder for what it is made of even though it is made of nothing.
    fn disk(&self, path: &str, number: &str, sectors: u64) {
        self.device(path, &[("dev", number), ("size", &sectors.to_string())]);
        fs::create_dir(self.root.join("devices").join(path).join("slaves")).unwrap();
    }

    fn partition(&self, path: &str, number: &str, partition: &str, start: u64, sectors: u64) {
        let (start, sectors) = (start.to_string(), sectors.to_string());
        self.device(path, &[("dev", number), ("size", &sectors), ("start", &start), ("partition", partition)]);
    }

    /// A virtual device made of `parts`; `uuid` is what the device mapper says of it, if it is one of its own.
    fn made_of(&self, name: &str, number: &str, uuid: Option<&str>, parts: &[&str]) {
        let path = format!("virtual/block/{name}");
        self.disk(&path, number, 20_000_000);
        let folder = self.root.join("devices").join(&path);
        if let Some(uuid) = uuid {
            fs::create_dir(folder.join("dm")).unwrap();
            fs::write(folder.join("dm/uuid"), format!("{uuid}\n")).unwrap();
        }
        for part in parts {
            symlink(format!("../../../../class/block/{part}"), folder.join("slaves").join(part)).unwrap();
        }
    }

    /// Gives an attribute of a device another text.
    fn falsify(&self, name: &str, what: &str, text: impl AsRef<[u8]>) {
        fs::write(self.root.join("class/block").join(name).join(what), text).unwrap();
    }

    fn sysfs(&self) -> Sysfs<'_> {
        Sysfs { root: self.root.to_str().unwrap() }
    }

    fn named(&self, name: &str) -> Block {
        self.sysfs().named(name).unwrap()
    }

    /// The name at the bottom of the device `name`, and the layers on it.
    fn bottom(&self, name: &str) -> (String, Vec<String>) {
        let (block, layers) = self.sysfs().bottom(self.named(name)).unwrap();
        assert_eq!(block, self.named(&block.name));
        (block.name, layers)
    }

    /// Why there is nothing to grow below `name`.
    fn refusal(&self, name: &str) -> Error {
        self.sysfs().bottom(self.named(name)).unwrap_err()
    }
}

/// `block` is partition `number` of `disk` and starts there.
#[track_caller]
fn is_slice(block: &Block, disk: &str, number: u32, start_sectors: u64) {
    let wanted = PartitionInfo { disk: disk.into(), number, start: ByteCount(start_sectors * 512) };
    assert_eq!(block.slice, Some(wanted));
}

#[test]
fn a_partition_knows_its_disk_number_start_and_size() {
    let tree = Tree::virtio("partition");
    let found = tree.sysfs().block((254, 2)).unwrap();
    assert_eq!((found.name.as_str(), found.number), ("vda2", (254, 2)));
    assert_eq!((found.node().as_str(), found.size), ("/dev/vda2", ByteCount(20_965_376 * 512)));
    is_slice(&found, "vda", 2, 6144);
    let disk = tree.sysfs().block((254, 0)).unwrap();
    assert_eq!(disk, Block { name: "vda".into(), number: (254, 0), size: ByteCount(10 << 30), slice: None });
    assert_eq!(tree.bottom("vda2"), ("vda2".into(), vec![]));
    assert_eq!(tree.bottom("vda"), ("vda".into(), vec![]));
}

/// Cutting digits off a name gives the wrong disk or number for every one of these.
#[test]
fn the_number_is_what_sysfs_says_and_never_what_the_name_looks_like() {
    let tree = Tree::new("names");
    let rows = [
        ("pci0000:00/0000:00:05.0/nvme/nvme0/nvme0n1", "259:0", "nvme0n1p3", "259:3", 3),
        ("platform/fe340000.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "179:0", "mmcblk0p2", "179:2", 2),
        ("virtual/block/loop0", "7:0", "loop0p1", "259:7", 1),
        ("pci0000:00/0000:00:06.0/ata1/host0/target0:0:0/0:0:0:0/block/sda", "8:0", "sda15", "8:15", 15),
        ("virtual/block/md127", "9:127", "md127p1", "259:8", 1),
        ("virtual/nvme-subsystem/nvme-subsys1/nvme1n1", "259:9", "nvme1n1p128", "259:137", 128),
    ];
    for (disk, disk_number, name, number, partition) in rows {
        tree.disk(disk, disk_number, 4_194_304);
        tree.partition(&format!("{disk}/{name}"), number, &partition.to_string(), 2048, 4_190_208);
        let (major, minor) = number.split_once(':').unwrap();
        let found = tree.sysfs().block((major.parse().unwrap(), minor.parse().unwrap())).unwrap();
        assert_eq!(found, tree.named(name));
        is_slice(&found, disk.rsplit('/').next().unwrap(), partition, 2048);
        assert_eq!(tree.bottom(name).0, name);
    }
}

#[test]
fn a_whole_disk_may_have_the_name_of_a_partition() {
    let tree = Tree::new("xen");
    tree.disk("vbd-51713/block/xvda1", "202:1", 16_777_216);
    assert_eq!(tree.named("xvda1").slice, None);
    assert_eq!(tree.bottom("xvda1"), ("xvda1".into(), vec![]));
}

#[test]
fn a_mark_in_the_name_is_a_slash_in_dev() {
    let tree = Tree::new("cciss");
    let disk = "pci0000:00/0000:00:07.0/cciss0/c0d0/block/cciss!c0d0";
    tree.disk(disk, "104:0", 4_194_304);
    tree.partition(&format!("{disk}/cciss!c0d0p1"), "104:1", "1", 63, 4_000_000);
    let found = tree.sysfs().block((104, 1)).unwrap();
    assert_eq!((found.name.as_str(), found.node().as_str()), ("cciss!c0d0p1", "/dev/cciss/c0d0p1"));
    is_slice(&found, "cciss!c0d0", 1, 63);
}

#[test]
fn all_devices_come_by_name_without_those_that_cannot_be_opened() {
    let tree = Tree::virtio("all");
    tree.made_of("dm-0", "253:0", Some(CRYPT), &["vda2"]);
    // One path of an NVMe disk with several: it is listed and has no number.
    tree.device("pci0000:00/0000:00:05.0/nvme/nvme0/nvme0c0n1", &[("size", "2048"), ("hidden", "1")]);
    let found = tree.sysfs().all();
    let names: Vec<&str> = found.iter().map(|block| block.name.as_str()).collect();
    assert_eq!(names, ["dm-0", "vda", "vda1", "vda2"]);
    assert_eq!(found[3], tree.named("vda2"));
    assert_eq!(Sysfs { root: "/nowhere" }.all(), []);
}

#[test]
fn below_a_layer_lies_the_partition() {
    let first_version = CRYPT.replace("LUKS2", "LUKS1");
    for (case, uuid, layer) in [
        ("crypt", CRYPT, "LUKS volume"),
        ("crypt-1", &first_version, "LUKS volume"),
        ("lvm", LVM, "LVM physical volume"),
    ] {
        let tree = Tree::virtio(case);
        tree.made_of("dm-0", "253:0", Some(uuid), &["vda2"]);
        assert_eq!(tree.sysfs().parts_of("dm-0"), ["vda2"]);
        assert_eq!(tree.bottom("dm-0"), ("vda2".into(), vec![layer.into()]));
    }
}

#[test]
fn layers_are_named_from_the_lowest_up() {
    let tree = Tree::virtio("stack");
    tree.made_of("dm-0", "253:0", Some(CRYPT), &["vda2"]);
    tree.made_of("dm-1", "253:1", Some(LVM), &["dm-0"]);
    assert_eq!(tree.bottom("dm-1"), ("vda2".into(), vec!["LUKS volume".into(), "LVM physical volume".into()]));
    // The other way round: an encrypted logical volume.
    let tree = Tree::virtio("stack-reversed");
    tree.made_of("dm-0", "253:0", Some(LVM), &["vda2"]);
    tree.made_of("dm-1", "253:1", Some(CRYPT), &["dm-0"]);
    assert_eq!(tree.bottom("dm-1"), ("vda2".into(), vec!["LVM physical volume".into(), "LUKS volume".into()]));
}

/// A RAID array with partitions is a disk like any other.
#[test]
fn a_partition_of_an_array_is_a_partition() {
    let tree = Tree::virtio("array-partition");
    tree.made_of("md127", "9:127", None, &["vda1", "vda2"]);
    tree.partition("virtual/block/md127/md127p1", "259:1", "1", 2048, 4_190_208);
    assert_eq!(tree.bottom("md127p1"), ("md127p1".into(), vec![]));
    is_slice(&tree.named("md127p1"), "md127", 1, 2048);
}

#[test]
fn below_what_spreads_or_is_not_known_nothing_grows() {
    let tree = Tree::virtio("refused");
    tree.disk("pci0000:00/0000:00:08.0/virtio2/block/vdb", "254:16", 20_971_520);
    let rows: [(&str, Option<&str>, &[&str], &str); 14] = [
        ("md0", None, &["vda2"], "a RAID array"),
        ("md1", None, &["vda2", "vdb"], "several devices: vda2, vdb"),
        ("dm-0", Some(MULTIPATH), &["vdb"], "a multipath device"),
        ("dm-1", Some(&format!("part1-{MULTIPATH}")), &["dm-0"], "a multipath device"),
        ("dm-2", Some(LVM), &["vda2", "vdb"], "several devices: vda2, vdb"),
        ("dm-3", Some("Stratis-1-private"), &["vda2"], "neither LUKS nor LVM"),
        ("dm-4", Some(""), &["vda2"], "without a name"),
        ("dm-5", Some("CRYPT-VERITY-0123456789abcdef0123456789abcdef-root"), &["vda2"], "a verity device"),
        ("dm-6", Some("CRYPT-INTEGRITY-root"), &["vda2"], "an integrity device"),
        ("dm-7", Some("CRYPT-TCRYPT-root"), &["vda2"], "a TrueCrypt or VeraCrypt volume"),
        ("dm-8", Some("CRYPT-BITLK-0123456789abcdef0123456789abcdef-root"), &["vda2"], "a BitLocker volume"),
        ("dm-10", Some("CRYPT-PLAIN-root"), &["vda2"], "a plain dm-crypt device"),
        ("dm-11", Some("CRYPT-SUBDEV-root"), &["vda2"], "neither LUKS nor LVM"),
        ("bcache0", None, &["vda2"], "without a name"),
    ];
    for (index, (name, uuid, parts, why)) in rows.into_iter().enumerate() {
        tree.made_of(name, &format!("253:{index}"), uuid, parts);
        let error = tree.refusal(name);
        assert_eq!((error.kind, error.to.as_str()), (Kind::Refused, format!("/dev/{name}").as_str()), "{error}");
        assert!(error.why.contains(why), "{error}");
    }
    // The device that is refused is the one in the middle, whatever lies on it.
    tree.made_of("dm-9", "253:99", Some(LVM), &["md0"]);
    assert_eq!(tree.refusal("dm-9").to, "/dev/md0");
}

#[test]
fn a_stack_that_never_ends_is_given_up() {
    let tree = Tree::virtio("endless");
    tree.made_of("dm-0", "253:0", Some(CRYPT), &["dm-0"]);
    let error = tree.refusal("dm-0");
    assert_eq!((error.kind, error.why.as_ref()), (Kind::Refused, "too many layers"));
}

#[test]
fn what_is_not_there_is_said_so() {
    let tree = Tree::virtio("absent");
    let error = tree.sysfs().block((254, 99)).unwrap_err();
    assert_eq!((error.kind, error.to.as_str()), (Kind::Absent, "254:99"));
    assert_eq!(tree.sysfs().named("vdz").unwrap_err().kind, Kind::Os(2));
    tree.made_of("dm-0", "253:0", Some(CRYPT), &["vdz"]);
    assert_eq!(tree.refusal("dm-0").kind, Kind::Os(2));
}

#[test]
fn attributes_that_sysfs_never_shows_are_errors() {
    let rows: [(&str, &str, &[u8]); 14] = [
        ("vda2", "size", b""),
        ("vda2", "size", b"-1\n"),
        ("vda2", "size", b"many\n"),
        ("vda2", "size", b"18446744073709551616\n"),
        ("vda2", "size", b"1 2\n"),
        ("vda2", "start", b"x\n"),
        ("vda2", "partition", b"\n"),
        ("vda2", "partition", b"4294967296\n"),
        ("vda2", "partition", b"\xff\xfe\n"),
        ("vda2", "dev", b"254\n"),
        ("vda2", "dev", b":\n"),
        ("vda2", "dev", b"254:x\n"),
        ("vda", "dev", b"4294967296:0\n"),
        ("vda", "size", b"\xff\n"),
    ];
    let tree = Tree::virtio("malformed");
    for (name, what, text) in rows {
        let path = tree.root.join("class/block").join(name).join(what);
        let before = fs::read(&path).unwrap();
        tree.falsify(name, what, text);
        let error = tree.sysfs().named(name).expect_err(what);
        assert!(matches!(error.kind, Kind::Corrupt | Kind::Unsupported), "{error}");
        assert!(error.to.ends_with(name) || error.to.ends_with(what), "{error}");
        assert!(!tree.sysfs().all().iter().any(|block| block.name == name), "{what}");
        tree.falsify(name, what, before);
        tree.named(name);
    }
    fs::remove_file(tree.root.join("class/block/vda2/start")).unwrap();
    assert_eq!(tree.sysfs().named("vda2").unwrap_err().kind, Kind::Os(2));
}

#[test]
fn a_size_beyond_any_disk_stays_a_size() {
    let tree = Tree::virtio("huge");
    tree.falsify("vda", "size", "18446744073709551615\n");
    assert_eq!(tree.named("vda").size, ByteCount(u64::MAX));
}

#[test]
fn a_partition_without_a_disk_is_corrupt() {
    let tree = Tree::virtio("orphan");
    let link = tree.root.join("class/block/vda2");
    fs::rename(tree.root.join("devices").join(VDA).join("vda2"), tree.root.join("class/block/orphan")).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("orphan", &link).unwrap();
    let error = tree.sysfs().named("vda2").unwrap_err();
    assert_eq!((error.kind, error.to.as_str()), (Kind::Corrupt, "vda2"));
    assert_eq!(tree.sysfs().named("orphan").unwrap_err().kind, Kind::Os(22), "a folder where a link belongs");
}
