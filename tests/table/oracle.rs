//! Other people's tools as judges: they make the tables, they say whether what wisp wrote is sound, and they grow a
//! copy of the same image for comparison.
//!
//! Ends are equal up to less than one alignment unit: growpart 0.33 and sfdisk take every sector there is, wisp ends on
//! a MiB (as growpart does since 0.34), so that a filesystem or LUKS never gets a tail that it cannot use.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::make::{Gpt, MIB};
use crate::support::FileDisk;
use wisp::table::{self, Growth, Rule};
use wisp::units::SectorSize;

/// Runs a tool that must succeed; returns what it printed.
fn run(tool: &str, arguments: &[&str], image: &Path, input: &str) -> String {
    // An ordinary user's PATH lacks the folders where partitioning tools are.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut child = Command::new("env")
        .arg(format!("PATH={path}"))
        .args(["LC_ALL=C", tool])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?} for {}: {text}{complaint}", image.display());
    text
}

fn tool(tool: &str, options: &[&str], image: &Path) -> String {
    run(tool, &[options, &[image.to_str().unwrap()]].concat(), image, "")
}

/// Feeds a script to sfdisk or fdisk.
fn script(tool: &str, options: &[&str], image: &Path, input: &str) -> String {
    run(tool, &[options, &[image.to_str().unwrap()]].concat(), image, input)
}

/// An empty image of `mib` MiB in a file of its own.
fn image(name: &str, mib: u64) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("table-{name}.img"));
    let _ = fs::remove_file(&path); // Left by a run that failed, or not there.
    enlarge(&path, mib);
    path
}

fn enlarge(path: &Path, mib: u64) {
    File::options().create(true).append(true).open(path).unwrap().set_len(mib << 20).unwrap();
}

/// A copy that the other tool may grow.
fn copy(path: &Path) -> PathBuf {
    let theirs = path.with_extension("theirs");
    run("cp", &["--sparse=always", path.to_str().unwrap(), theirs.to_str().unwrap()], path, "");
    theirs
}

fn grow(path: &Path, sector: SectorSize, number: u32) -> Growth {
    let mut disk = FileDisk::open(path, sector);
    let plan = |disk: &FileDisk| {
        let table = table::read(disk, disk.geometry()).unwrap().expect("a table");
        table.grow(disk, number, Rule::default()).unwrap()
    };
    let growth = plan(&disk);
    growth.writes.iter().for_each(|write| disk.apply(write));
    assert_eq!(plan(&disk).writes, [], "a second run changes nothing");
    growth
}

fn end(path: &Path, number: u32) -> u64 {
    let disk = FileDisk::open(path, SectorSize::B512);
    table::read(&disk, disk.geometry()).unwrap().unwrap().partition(number).unwrap().last.0
}

/// The dump of sfdisk with the file's name, and the numbers that growth may change, taken out.
fn what_must_survive(path: &Path, numbers: &[u32]) -> String {
    let mut kept = String::new();
    for line in tool("sfdisk", &["--dump"], path).lines().filter(|line| !line.starts_with("last-lba:")) {
        let mut line = line.replace(path.to_str().unwrap(), "image");
        let grown = numbers.iter().any(|number| line.starts_with(&format!("image{number} ")));
        if let (true, Some(from)) = (grown, line.find("size=")) {
            let to = from + line[from..].find(',').unwrap();
            line.replace_range(from..to, "");
        }
        kept += &line;
        kept.push('\n');
    }
    kept
}

fn assert_sound_gpt(path: &Path) {
    let verdict = tool("sgdisk", &["--verify"], path);
    assert!(verdict.contains("No problems found."), "{verdict}");
    assert_sound(path);
}

fn assert_sound(path: &Path) {
    let verdict = tool("sfdisk", &["--verify"], path);
    assert!(verdict.contains("No errors detected."), "{verdict}");
}

fn remove(images: &[&Path]) {
    images.iter().for_each(|path| fs::remove_file(path).unwrap());
}

/// An image of 64 MiB as a cloud's image builder makes it, on a disk of 1 GiB.
fn cloud_image(name: &str, options: &[&str]) -> PathBuf {
    let path = image(name, 64);
    tool("sgdisk", options, &path);
    tool("sgdisk", &["--attributes=1:set:2", "--attributes=1:set:48", "--attributes=1:set:63"], &path);
    enlarge(&path, 1024);
    path
}

#[test]
fn the_table_maker_of_these_tests_makes_sound_tables() {
    let partitions = [(1, MIB, 8 * MIB - 1), (2, 8 * MIB, 60 * MIB - 1)];
    for (name, shape) in [
        ("made", Gpt::of_mib(64, &partitions)),
        ("made-16", Gpt { count: 16, ..Gpt::of_mib(64, &partitions) }),
        ("made-moved", Gpt { entries_at: 1000, first_usable: 2048, ..Gpt::of_mib(64, &partitions) }),
    ] {
        let path = image(name, 64);
        shape.make().store(&path);
        assert_sound_gpt(&path);
        remove(&[&path]);
    }
}

#[test]
fn a_grown_gpt_is_sound_and_as_large_as_growpart_makes_it() {
    let options = ["--new=1:2048:+8M", "--new=2:0:0", "--change-name=2:root äöü", "--typecode=2:8304"];
    for (name, other) in [("growpart", true), ("sfdisk", false)] {
        let ours = cloud_image(&format!("gpt-{name}"), &options);
        let theirs = copy(&ours);
        let before = what_must_survive(&ours, &[2]);
        let growth = grow(&ours, SectorSize::B512, 2);
        assert_sound_gpt(&ours);
        assert_eq!(what_must_survive(&ours, &[2]), before);
        if other {
            run("growpart", &[theirs.to_str().unwrap(), "2"], &theirs, "");
        } else {
            script("sfdisk", &["-N", "2", "--no-reread", "--force"], &theirs, ", +\n");
        }
        let (ours_end, theirs_end) = (end(&ours, 2), end(&theirs, 2));
        assert_eq!(ours_end, growth.after.last.0);
        assert!(ours_end <= theirs_end && theirs_end - ours_end < MIB, "{ours_end} {theirs_end}");
        remove(&[&ours, &theirs]);
    }
}

/// F.3/55.
#[test]
fn a_relocated_backup_is_the_one_that_sgdisk_makes() {
    let ours = image("relocate", 64);
    tool("sgdisk", &["--new=1:2048:+8M", "--new=2:0:0"], &ours);
    enlarge(&ours, 65);
    let theirs = copy(&ours);
    tool("sgdisk", &["--move-second-header"], &theirs);
    let mut disk = FileDisk::open(&ours, SectorSize::B512);
    let table = table::read(&disk, disk.geometry()).unwrap().unwrap();
    assert!(!table.ends_the_disk());
    let (writes, notes) = table.relocate(&disk, Rule::default()).unwrap();
    assert_eq!(notes, ["the backup GPT moves to the end of the disk"]);
    writes.iter().for_each(|write| disk.apply(write));
    // sgdisk also changes the end in cylinders of the protective entry, which nothing reads.
    run("cmp", &["--ignore-initial=512", ours.to_str().unwrap(), theirs.to_str().unwrap()], &ours, "");
    assert_sound_gpt(&ours);
    let table = table::read(&disk, disk.geometry()).unwrap().unwrap();
    assert!(table.ends_the_disk());
    assert_eq!(table.relocate(&disk, Rule::default()), Ok((vec![], vec![])));
    remove(&[&ours, &theirs]);
}

#[test]
fn a_partition_in_the_middle_ends_where_growpart_ends_it() {
    let options = ["--new=1:2048:+8M", "--new=2:20M:+4M", "--new=3:40M:0"];
    let ours = cloud_image("gpt-middle", &options);
    let theirs = copy(&ours);
    let before = what_must_survive(&ours, &[2]);
    grow(&ours, SectorSize::B512, 2);
    assert_sound_gpt(&ours);
    assert_eq!(what_must_survive(&ours, &[2]), before);
    run("growpart", &[theirs.to_str().unwrap(), "2"], &theirs, "");
    assert_eq!((end(&ours, 2), end(&theirs, 2)), (40 * MIB - 1, 40 * MIB - 1));
    remove(&[&ours, &theirs]);
}

#[test]
fn tables_of_other_sizes_and_places_stay_sound() {
    for (name, option) in
        [("56", "--resize-table=56"), ("256", "--resize-table=256"), ("main", "--move-main-table=1000")]
    {
        let path = image(&format!("gpt-shape-{name}"), 64);
        tool("sgdisk", &[option], &path);
        tool("sgdisk", &["--new=1:2048:+8M", "--new=2:0:0"], &path);
        enlarge(&path, 1024);
        let before = what_must_survive(&path, &[2]);
        assert_eq!(grow(&path, SectorSize::B512, 2).after.last.0, 1023 * MIB - 1);
        assert_sound_gpt(&path);
        assert_eq!(what_must_survive(&path, &[2]), before);
        remove(&[&path]);
    }
}

/// sgdisk and sfdisk take a file for a disk with 512-byte sectors; fdisk can be told.
#[test]
fn a_grown_gpt_with_4096_byte_sectors_is_sound() {
    let path = image("gpt-4096", 64);
    script("fdisk", &["-b", "4096"], &path, "g\nn\n1\n\n+16M\nn\n2\n\n\nw\n");
    enlarge(&path, 1024);
    let list = |path: &Path| tool("fdisk", &["-b", "4096", "-l", "-o", "Device,Start,UUID,Name,Type"], path);
    let last_lines =
        |text: String| text.lines().skip_while(|line| !line.starts_with("Device")).map(String::from).collect();
    let before: Vec<String> = last_lines(list(&path));
    assert_eq!(before.len(), 3);
    assert_eq!(grow(&path, SectorSize::B4096, 2).after.last.0, 1023 * 256 - 1);
    let verdict = script("fdisk", &["-b", "4096"], &path, "v\nq\n");
    assert!(verdict.contains("No errors detected.") && !verdict.contains("not on the end"), "{verdict}");
    assert_eq!(last_lines(list(&path)), before);
    remove(&[&path]);
}

#[test]
fn a_grown_gpt_on_5_tib_is_sound() {
    let path = cloud_image("gpt-5t", &["--new=1:2048:0"]);
    enlarge(&path, 5 << 20);
    assert_eq!(grow(&path, SectorSize::B512, 1).after.last.0, ((5 << 20) - 1) * MIB - 1);
    assert_sound_gpt(&path);
    remove(&[&path]);
}

#[test]
fn a_grown_mbr_is_sound_and_as_large_as_growpart_makes_it() {
    let ours = image("mbr", 64);
    let table = "label: dos\nlabel-id: 0xcafe1234\n2048,16384,c,*\n18432,20480,83\n";
    script("sfdisk", &[], &ours, table);
    enlarge(&ours, 1024);
    let theirs = copy(&ours);
    let before = what_must_survive(&ours, &[2]);
    grow(&ours, SectorSize::B512, 2);
    assert_sound(&ours);
    assert_eq!(what_must_survive(&ours, &[2]), before);
    run("growpart", &[theirs.to_str().unwrap(), "2"], &theirs, "");
    let (ours_end, theirs_end) = (end(&ours, 2), end(&theirs, 2));
    assert!(ours_end <= theirs_end && theirs_end - ours_end < MIB, "{ours_end} {theirs_end}");
    remove(&[&ours, &theirs]);
}

#[test]
fn a_grown_logical_partition_is_sound_and_as_large_as_sfdisk_makes_it() {
    let ours = image("mbr-logical", 64);
    let table = "label: dos\n2048,16384,83\n18432,65536,5\n20480,8192,83\n30720,32768,83\n";
    script("sfdisk", &[], &ours, table);
    enlarge(&ours, 1024);
    let theirs = copy(&ours);
    let before = what_must_survive(&ours, &[2, 6]);
    grow(&ours, SectorSize::B512, 6);
    assert_sound(&ours);
    assert_eq!(what_must_survive(&ours, &[2, 6]), before);
    script("sfdisk", &["-N", "2", "--no-reread", "--force"], &theirs, ", +\n");
    script("sfdisk", &["-N", "6", "--no-reread", "--force"], &theirs, ", +\n");
    let (ours_end, theirs_end) = (end(&ours, 6), end(&theirs, 6));
    // sfdisk goes to the very last sector; the 33 that wisp keeps free cost it one MiB.
    assert_eq!((ours_end, theirs_end), (1023 * MIB - 1, 1024 * MIB - 1));
    remove(&[&ours, &theirs]);
}

/// growpart 0.33 fails here (it asks sfdisk for one sector too many); the dump shows that sfdisk reads ours.
#[test]
fn a_grown_mbr_on_3_tib_ends_at_2_tib() {
    let path = image("mbr-3t", 64);
    script("sfdisk", &[], &path, "label: dos\n2048,16384,83\n");
    enlarge(&path, 3 << 20);
    assert_eq!(grow(&path, SectorSize::B512, 1).after.last.0, (1 << 32) - 1);
    let dump = tool("sfdisk", &["--dump"], &path);
    assert!(dump.contains("start=        2048, size=  4294965248, type=83"), "{dump}");
    remove(&[&path]);
}

/// F.1/20: whole-disk filesystems as mkfs makes them, one with the boot sector of a boot loader's installer.
#[test]
fn a_whole_disk_filesystem_is_no_table() {
    let path = image("fat", 64);
    tool("mkfs.vfat", &["-F", "32", "-I"], &path);
    let disk = FileDisk::open(&path, SectorSize::B512);
    assert_eq!(table::read(&disk, disk.geometry()), Ok(None));
    remove(&[&path]);
    let path = image("ext4", 64);
    tool("mkfs.ext4", &["-q"], &path);
    let mut boot_sector: Vec<u8> = b"\xEB\x58\x90EXTLINUX".iter().copied().cycle().take(510).collect();
    boot_sector.extend([0x55, 0xAA]);
    let mut disk = FileDisk::open(&path, SectorSize::B512);
    let at = wisp::units::ByteCount(0);
    disk.apply(&table::Write { what: "a boot sector", at, bytes: boot_sector });
    assert_eq!(table::read(&disk, disk.geometry()), Ok(None));
    remove(&[&path]);
}
