//! `wisp image write` and `verify` on loop devices, where the test may make them. `WISP_UNDER_TEST` names the program.
//!
//! What writing does in which order, and every fault of a disk, is tested beside `src/image/write.rs`.

#[path = "support/root.rs"]
mod root;
#[path = "support/skip.rs"]
mod skip;

use root::Root;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;

/// A loop device, and the folder with its file.
struct Loop(String);

impl Loop {
    /// `None` where the machine allows none: the test is skipped.
    #[track_caller]
    fn over(file: &Path, options: &[&str]) -> Option<Self> {
        let output = Command::new("losetup").args(options).args(["-f", "--show"]).arg(file).output();
        match output {
            Ok(output) if output.status.success() => {
                Some(Self(String::from_utf8(output.stdout).unwrap().trim().into()))
            }
            Ok(output) => {
                skip::skip(String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                skip::skip(&format!("losetup does not run: {error}"));
                None
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.0]).status();
    }
}

/// A mount, as long as this lasts; `None` where nothing may be mounted: the test is skipped.
struct Mount(String);

impl Mount {
    #[track_caller]
    fn new(arguments: &[&str], point: &str) -> Option<Self> {
        fs::create_dir_all(point).unwrap();
        let status = Command::new("mount").args(arguments).arg(point).status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Self(point.into()));
        }
        skip::skip("mount is not allowed here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Exit code, standard output, standard error.
fn wisp(arguments: &[&str]) -> (i32, String, String) {
    let program = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A file of zeros.
fn zeros(root: &Root, name: &str, size: u64) -> String {
    let path = root.join(name);
    File::create(&path).unwrap().set_len(size).unwrap();
    path.to_str().unwrap().into()
}

/// A disk with a GPT, data at 8 MiB and 40 MiB, and nothing else in 64 MiB.
fn image(root: &Root) -> String {
    let path = zeros(root, "image", 64 * MIB);
    let status = Command::new("sgdisk").args(["-n1:2048:0", &path]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let file = File::options().write(true).open(&path).unwrap();
    let data: Vec<u8> = (0..3 * MIB).map(|at| (at % 253) as u8 | 1).collect();
    file.write_all_at(&data, 8 * MIB + 512).unwrap();
    file.write_all_at(&data, 40 * MIB).unwrap();
    path
}

fn sha256(path: &str) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().into()
}

#[test]
fn an_image_is_written_with_its_table_at_the_end_of_the_disk() {
    let root = Root::empty("arrives");
    let (image, disk) = (image(&root), zeros(&root, "disk", 200 * MIB));
    // The file of the device is full of something else.
    File::options().write(true).open(&disk).unwrap().write_all_at(&vec![0xAA; 200 << 20], 0).unwrap();
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let (code, out, told) = wisp(&["image", "write", "-n", &image, &device.0]);
    assert_eq!((code, told.as_str()), (0, ""));
    assert!(out.contains("64 MiB") && out.contains(&format!("{} (200 MiB) holds nothing that wisp knows", device.0)));
    assert_eq!(fs::read(&disk).unwrap()[..1000], [0xAA; 1000], "nothing was written");

    let digest = sha256(&image);
    let (code, out, told) = wisp(&["image", "write", "--sha256", &digest, "--verify", &image, &device.0]);
    assert_eq!(code, 0, "{told}");
    let last = out.lines().last().unwrap();
    assert!(last.starts_with(&format!("wrote 64 MiB (7.12 MiB of data) to {} in ", device.0)), "{last}");
    assert!(last.ends_with("; SHA-256 verified; read back"), "{last}");
    let (written, wanted) = (fs::read(&disk).unwrap(), fs::read(&image).unwrap());
    assert!(written[4096..64 << 20] == wanted[4096..], "all of it is there, its own backup GPT too");
    let judged = Command::new("sgdisk").args(["-v", &device.0]).output().unwrap();
    assert!(String::from_utf8_lossy(&judged.stdout).contains("No problems found"), "{judged:?}");

    let (code, out, _) = wisp(&["image", "verify", &image, &device.0]);
    assert_eq!(code, 0);
    assert!(out.starts_with(&format!("{} holds the image, 64 MiB", device.0)), "{out}");
    let (_, out, _) = wisp(&["image", "write", "--dry-run", &image, &device.0]);
    assert!(out.contains("holds a partition table (GPT) with 1 partition"), "{out}");
    File::options().write(true).open(&device.0).unwrap().write_all_at(&[0], 40 * MIB + 1234).unwrap();
    let (code, _, told) = wisp(&["image", "verify", &image, &device.0]);
    let wanted = format!("wisp: compare the image with {}: they differ at byte {}\n", device.0, 40 * MIB + 1234);
    assert_eq!((code, told), (5, wanted));
}

#[test]
fn what_comes_through_a_pipe_with_another_digest_leaves_no_table() {
    let root = Root::empty("digest");
    let (image, disk) = (image(&root), zeros(&root, "disk", 64 * MIB));
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let program = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    let wrong = "0".repeat(64);
    let mut child = Command::new(program);
    child.args(["image", "write", "--json", "--sha256", &wrong, "-", &device.0]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(&image).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let out = String::from_utf8(output.stdout).unwrap();
    let last = out.lines().last().unwrap();
    assert!(last.starts_with(r#"{"event":"failed","target":"#) && last.contains(r#""kind":"refused""#), "{last}");
    let written = fs::read(&disk).unwrap();
    assert!(written[..1 << 20].iter().all(|byte| *byte == 0), "it does not boot");
    // Of the last rooms nothing need have come to the disk.
    assert!(written[(8 << 20) + 512..][..512].iter().any(|byte| *byte != 0), "though some of the rest was written");
}

/// Writes what comes through a pipe, and returns the exit code and standard output.
fn pipe(content: &[u8], arguments: &[&str], device: &str) -> (Option<i32>, String) {
    let program = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    let mut child = Command::new(program);
    child.args(["image", "write", "--raw"]).args(arguments).args(["-", device]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_length_that_nothing_states_is_a_note() {
    let root = Root::empty("length");
    let disk = zeros(&root, "disk", 8 * MIB);
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let content = vec![b'x'; 3 << 20];
    let note = "the length of the image is not verified";
    let (code, out) = pipe(&content, &[], &device.0);
    assert!(code == Some(0) && out.contains(note), "{out}");
    let (code, out) = pipe(&content, &["--json"], &device.0);
    assert!(code == Some(0) && out.lines().last().unwrap().contains(&format!("\"notes\":[\"{note}")), "{out}");
    let (code, out) = pipe(&content, &["--size", "3M"], &device.0);
    assert!(code == Some(0) && !out.contains(note), "{out}");
    let file = root.join("file");
    fs::write(&file, &content).unwrap();
    let digest = sha256(file.to_str().unwrap());
    let (code, out) = pipe(&content, &["--sha256", &digest], &device.0);
    assert!(code == Some(0) && !out.contains(note), "{out}");
    let (code, out, told) = wisp(&["image", "write", "--raw", file.to_str().unwrap(), &device.0]);
    assert!(code == 0 && !out.contains(note), "a file has a length: {out}{told}");
    assert!(Command::new("gzip").args(["-1k", file.to_str().unwrap()]).status().unwrap().success());
    let (code, out) = pipe(&fs::read(root.join("file.gz")).unwrap(), &[], &device.0);
    assert!(code == Some(0) && !out.contains(note), "gzip has an end: {out}");
}

#[test]
fn reading_back_has_its_own_phase_and_a_short_write_no_rate() {
    let root = Root::empty("phase");
    let (image, disk) = (image(&root), zeros(&root, "disk", 64 * MIB));
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let (code, out, told) = wisp(&["image", "write", "--json", "--verify", &image, &device.0]);
    assert_eq!(code, 0, "{told}");
    let back = "{\"event\":\"progress\",\"phase\":\"read-back\",\"read\":";
    let line = out.lines().find(|line| line.starts_with(back)).unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains(&format!("\"of\":{0},\"disk\":{0},", 64 * MIB)), "of the disk: {line}");
    let (_, _, told) = wisp(&["image", "write", "--verify", &image, &device.0]);
    assert!(told.contains("wisp: reading back 4%, 3 MiB of the disk"), "{told}");
    let small = root.join("small");
    fs::write(&small, [b'x'; 96]).unwrap();
    let (_, out, told) = wisp(&["image", "write", "--raw", small.to_str().unwrap(), &device.0]);
    assert!(out.starts_with("wrote 96 B (512 B of data) to ") && !out.contains("B/s"), "{out}{told}");
}

#[test]
fn growing_that_changed_nothing_is_a_note() {
    let root = Root::empty("grown");
    let (image, disk) = (root.join("image"), zeros(&root, "disk", 16 * MIB));
    let image = image.to_str().unwrap();
    assert!(Command::new("mkfs.ext4").args(["-q", image, "16M"]).status().unwrap().success());
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let (code, out, told) = wisp(&["image", "write", "--grow", image, &device.0]);
    assert!(code == 0 && out.lines().any(|line| line == "nothing was grown"), "{out}{told}");
    let (code, out, _) = wisp(&["image", "write", "--grow", "--json", image, &device.0]);
    assert!(code == 0 && out.lines().last().unwrap().contains("\"nothing was grown\""), "{out}");
    let (_, out, _) = wisp(&["image", "write", image, &device.0]);
    assert!(!out.contains("nothing was grown"), "{out}");
}

#[test]
fn targets_are_refused_before_a_byte_is_written() {
    let root = Root::empty("refused");
    let (image, disk) = (image(&root), zeros(&root, "disk", 65 * MIB));
    let small = zeros(&root, "small", 63 * MIB);
    let refused = |source: &str, target: &str, code: i32, why: &str| {
        let (found, _, told) = wisp(&["image", "write", source, target]);
        assert!(found == code && told.ends_with(&format!("{why}\n")), "{found}: {told}");
    };
    refused(&image, &disk, 6, "it is not a block device");
    refused(&image, "/dev/null", 6, "it is not a block device");
    refused(&image, "/nonexistent/disk", 3, "there is nothing of that name");
    if let Some(device) = Loop::over(small.as_ref(), &[]) {
        refused(&image, &device.0, 6, &format!("it has {} bytes, and the image has {}", 63 * MIB, 64 * MIB));
        // How large the disk of this is, its end tells; but where its partitions are, its beginning.
        assert!(Command::new("gzip").args(["-k1", &image]).status().unwrap().success());
        refused(&format!("{image}.gz"), &device.0, 6, "it has 63 MiB, and a partition of the image ends at 63.98 MiB");
        refused(&small, &device.0, 6, "lies on it");
        refused(&device.0, &device.0, 6, "lies on it");
        refused(&format!("{disk}.none"), &device.0, 3, "there is nothing of that name");
        let (_, _, told) = wisp(&["image", "write", "HTTP://me@127.0.0.1/disk", &device.0]);
        assert!(told.starts_with("wisp: nothing vouches for what comes over http"), "{told}");
        let why = "parse the URL of the image: a user or password in it is not sent";
        refused("https://me:secret@127.0.0.1/disk?key", &device.0, 2, why);
    }
    if let Some(device) = Loop::over(disk.as_ref(), &["-r"]) {
        refused(&image, &device.0, 6, "it is read-only");
    }
    if let Some(device) = Loop::over(disk.as_ref(), &["-b", "4096"]) {
        refused(&image, &device.0, 6, "sectors of 4096 bytes, and the image was made for sectors of 512");
    }
    assert!(fs::read(&disk).unwrap().iter().chain(&fs::read(&small).unwrap()).all(|byte| *byte == 0));
    assert!(Command::new("mkfs.ext4").args(["-q", &disk]).status().unwrap().success());
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let point = root.join("mount");
    let Some(_mount) = Mount::new(&[&device.0], point.to_str().unwrap()) else { return };
    refused(&image, &device.0, 6, &format!("{} is mounted at {}", device.0, point.display()));
}

#[test]
fn a_link_that_changes_during_the_write_leads_to_no_other_disk() {
    let root = Root::empty("exchanged");
    let (image, disk, other) = (image(&root), zeros(&root, "disk", 200 * MIB), zeros(&root, "other", 100 * MIB));
    assert!(Command::new("sgdisk").args(["-n1:4096:8191", &other]).stdout(Stdio::null()).status().unwrap().success());
    File::options().write(true).open(&other).unwrap().set_len(150 * MIB).unwrap();
    let before = sha256(&other);
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let Some(wrong) = Loop::over(other.as_ref(), &[]) else { return };
    let link = root.join("target");
    std::os::unix::fs::symlink(&device.0, &link).unwrap();
    let program = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
    let mut child = Command::new(program);
    child.args(["image", "write", "--quiet", "-", link.to_str().unwrap()]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let bytes = fs::read(&image).unwrap();
    let mut input = child.stdin.take().unwrap();
    // A pipe holds 64 KiB: when all of this was taken, the target is open.
    input.write_all(&bytes[..20 << 20]).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&wrong.0, &link).unwrap();
    input.write_all(&bytes[20 << 20..]).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sha256(&other), before, "the other disk is as it was");
    let judged = Command::new("sgdisk").args(["-v", &device.0]).output().unwrap();
    assert!(String::from_utf8_lossy(&judged.stdout).contains("No problems found"), "{judged:?}");
    let written = fs::read(&disk).unwrap();
    assert!(written[1024..64 << 20] == bytes[1024..], "the table of the other disk was not written to this one");
}

#[test]
fn what_the_kernel_does_not_see_is_no_way_around() {
    let root = Root::empty("around");
    let (image, disk) = (image(&root), zeros(&root, "disk", 64 * MIB));
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let Some(twin) = Loop::over(disk.as_ref(), &[]) else { return };
    for standard_input in [&device.0, &disk, &twin.0] {
        let program = std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into());
        let mut child = Command::new(program);
        child.args(["image", "write", "-", &device.0]).stdin(File::open(standard_input).unwrap());
        let output = child.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(6) && told.ends_with("standard input, lies on it\n"), "{told}");
    }
    let (code, _, told) = wisp(&["image", "write", &twin.0, &device.0]);
    assert!(code == 6 && told.ends_with("lies on it\n"), "two loop devices have one file: {told}");
    let Some(over) = Loop::over(device.0.as_ref(), &[]) else { return };
    let (code, _, told) = wisp(&["image", "write", &image, &device.0]);
    assert!(code == 6 && told.ends_with(&format!("{} was made over it\n", over.0)), "{told}");
    assert!(fs::read(&disk).unwrap().iter().all(|byte| *byte == 0));
    let (code, _, told) = wisp(&["image", "write", &image, &over.0]);
    assert_eq!(code, 0, "what is uppermost may be written: {told}");
}

#[test]
fn a_disk_that_fails_in_the_middle_is_reported_with_the_errno() {
    let root = Root::empty("fails");
    let image = image(&root);
    let point = root.join("full");
    let options = ["-t", "tmpfs", "-o", "size=4M", "tmpfs"];
    let Some(_mount) = Mount::new(&options, point.to_str().unwrap()) else { return };
    let disk = zeros(&root, "full/disk", 64 * MIB);
    let Some(device) = Loop::over(disk.as_ref(), &[]) else { return };
    let (code, _, told) = wisp(&["image", "write", &image, &device.0]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains(&format!("write to {}: ", device.0)) && told.contains(", at byte "), "{told}");
    let beginning = fs::read(&disk).unwrap();
    assert!(beginning[..1 << 20].iter().all(|byte| *byte == 0), "it does not boot");
}

#[test]
fn the_command_line_is_understood_or_refused() {
    for arguments in [
        &["image", "write"][..],
        &["image", "write", "a"],
        &["image", "write", "a", "b", "c"],
        &["image", "write", "", "b"],
        &["image", "write", "--sha256", "12", "a", "b"],
        &["image", "write", "--size", "12X", "a", "b"],
        &["image", "write", "--size", "+1", "a", "b"],
        &["image", "write", "--size", "99999999999T", "a", "b"],
        &["image", "verify", "--grow", "a", "b"],
        &["image", "verify", "-n", "a", "b"],
    ] {
        assert_eq!(wisp(arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(wisp(&["image", "write", "--size=10G", "--", "a", "/nonexistent"]).0, 3);
}
