//! Images with tables that are compressed, or come from a pipe or a server without ranges: they go to a temporary file.
//! `WISP_UNDER_TEST` names the program. The images are made by `qemu-img` and the reference compressors.
#![cfg(feature = "full")]

#[allow(dead_code, reason = "the tests of the container formats use more of it")]
#[path = "container/image.rs"]
mod image;
#[path = "support/skip.rs"]
mod skip;
#[allow(dead_code, reason = "the tests of downloads use more of it")]
#[path = "fetch/store.rs"]
mod store;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use image::{Dir, MIB, same};
use store::{Store, Turn};

/// How images are made of `disk.raw`, and what the command says of them.
const IMAGES: [(&str, &str, &str); 6] = [
    ("qcow2.xz", "qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a; xz -1c a", "qcow2, in xz"),
    (
        "vmdk.gz",
        "qemu-img convert -t unsafe -f raw -O vmdk -o subformat=streamOptimized disk.raw a; gzip -1c a",
        "VMDK, in gzip",
    ),
    (
        "vhd.zst",
        "qemu-img convert -t unsafe -f raw -O vpc -o subformat=dynamic,force_size disk.raw a; zstd -qc a",
        "VHD, in zstd",
    ),
    (
        "qcow2.zst.gz",
        "qemu-img convert -t unsafe -f raw -c -O qcow2 disk.raw a; zstd -qc a | gzip -1",
        "qcow2, in zstd, in gzip",
    ),
    ("tar.gz", "qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2; tar cz a.qcow2", "qcow2, in gzip"),
    ("vmdk.bz2", "qemu-img convert -t unsafe -f raw -O vmdk disk.raw a; bzip2 -1c a", "VMDK, in bzip2"),
];

/// What is done away with when the test is over, by this command.
struct Undo(&'static str, String);

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = Command::new("sh").args(["-c", &format!("{} {}", self.0, self.1)]).status();
    }
}

/// A loop device over a file; `None` where there are none.
fn loop_device(file: &Path) -> Option<Undo> {
    let output = Command::new("losetup").args(["-f", "--show"]).arg(file).output().ok();
    let Some(output) = output.filter(|output| output.status.success()) else {
        skip::skip("losetup makes no loop device");
        return None;
    };
    Some(Undo("losetup -d", String::from_utf8(output.stdout).unwrap().trim().into()))
}

/// A mount at `point`, which is made; `None` where nothing may be mounted.
fn mount(arguments: &[&str], point: &Path) -> Option<Undo> {
    fs::create_dir_all(point).unwrap();
    if !Command::new("mount").args(arguments).arg(point).status().is_ok_and(|status| status.success()) {
        skip::skip(&format!("mount {} does not work here", arguments.join(" ")));
        return None;
    }
    Some(Undo("umount", point.to_str().unwrap().into()))
}

fn program() -> OsString {
    std::env::var_os("WISP_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_wisp").into())
}

/// `wisp image ARGUMENTS` in the folder, the temporary files in its `spool`, and what goes through a pipe to it.
fn command(folder: &Dir, line: &str, input: Stdio) -> Command {
    fs::create_dir_all(folder.path("spool")).unwrap();
    let mut command = Command::new(program());
    command.arg("image").args(line.split(' ')).current_dir(folder.path("")).stdin(input);
    command.env("TMPDIR", folder.path("spool")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output, standard error.
fn wisp(folder: &Dir, line: &str) -> (i32, String, String) {
    finish(command(folder, line, Stdio::null()).spawn().unwrap())
}

fn finish(child: Child) -> (i32, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn through_a_pipe(folder: &Dir, name: &str, line: &str) -> (i32, String, String) {
    let mut child = command(folder, line, Stdio::piped()).spawn().unwrap();
    // The command may end before all of it was taken.
    let _ = child.stdin.take().unwrap().write_all(&fs::read(folder.path(name)).unwrap());
    finish(child)
}

/// The names in the directory of temporary files.
fn left(folder: &Dir) -> usize {
    fs::read_dir(folder.path("spool")).unwrap().count()
}

fn digest(folder: &Dir, name: &str) -> String {
    folder.run(&format!("sha256sum {name}"))[..64].into()
}

/// A disk of 32 MiB that is full of something else, behind a loop device.
fn target(folder: &Dir) -> Option<Undo> {
    fs::write(folder.path("target"), vec![0xaa; 32 << 20]).unwrap();
    loop_device(&folder.path("target"))
}

#[track_caller]
fn untouched(folder: &Dir) {
    assert!(fs::read(folder.path("target")).unwrap().iter().all(|byte| *byte == 0xaa), "the target is as it was");
}

#[test]
fn compressed_images_with_tables_are_written_from_a_file_and_a_pipe() {
    let (folder, disk) = Dir::with_disk("spool-write");
    let Some(device) = target(&folder) else { return };
    for (name, make, words) in IMAGES {
        folder.run(&format!("({make}) > image.{name}"));
        let image = format!("image.{name}");
        let right = digest(&folder, &image);
        let (code, out, errors) = wisp(&folder, &format!("write --raw --sha256 {right} {image} {}", device.1));
        assert_eq!(code, 0, "{image}: {errors}");
        let first = errors.lines().next().unwrap();
        assert!(first.contains(&format!("putting {words}, for a disk of ")), "the size is said first: {errors}");
        assert!(first.contains(&format!(" in {}, where ", folder.path("spool").display())), "{errors}");
        assert!(out.contains("SHA-256 verified"), "{out}");
        same(&fs::read(folder.path("target")).unwrap()[..disk.len()], &disk, name);
        let (code, _, errors) = wisp(&folder, &format!("verify {image} {}", device.1));
        assert_eq!(code, 0, "{image}: {errors}");
        fs::write(folder.path("target"), vec![0xaa; 32 << 20]).unwrap();
        let (code, _, errors) = through_a_pipe(&folder, &image, &format!("write --raw - {}", device.1));
        assert_eq!(code, 0, "{image}: {errors}");
        same(&fs::read(folder.path("target")).unwrap()[..disk.len()], &disk, name);
        assert_eq!(left(&folder), 0);
    }
}

#[test]
fn the_size_is_stated_where_the_source_knows_it() {
    let (folder, _) = Dir::with_disk("spool-stated");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2");
    folder.run("xz -1k a.qcow2; zstd -q a.qcow2; gzip -1k a.qcow2; tar cf a.tar a.qcow2; zstd -q < a.qcow2 > b.zst");
    let size = fs::metadata(folder.path("a.qcow2")).unwrap().len();
    let stated = format!("into a temporary file of {} in ", wisp::units::ByteCount(size));
    let unknown = "into a temporary file of a size that is known at its end in ";
    for name in ["a.qcow2.xz", "a.qcow2.zst"] {
        let (code, _, errors) = wisp(&folder, &format!("info {name}"));
        assert!(code == 0 && errors.contains(&stated), "{name}: {errors}");
    }
    for name in ["a.qcow2.gz", "b.zst"] {
        let (code, _, errors) = wisp(&folder, &format!("info {name}"));
        assert!(code == 0 && errors.contains(unknown), "{name}: {errors}");
    }
    let (_, _, errors) = through_a_pipe(&folder, "a.tar", "info -");
    assert!(errors.contains(&stated), "{errors}");
    let (_, _, errors) = through_a_pipe(&folder, "a.qcow2", "info -");
    assert!(errors.contains(unknown), "{errors}");
    let (_, _, errors) = wisp(&folder, "info a.qcow2");
    assert_eq!(errors, "", "it is read in place");
}

#[test]
fn info_and_pack_see_the_image_itself() {
    let (folder, _) = Dir::with_disk("spool-pack");
    folder.run("PATH=$PATH:/usr/sbin; truncate -s 64M part.raw; sgdisk -n 1:2048:0 part.raw");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 part.raw a.qcow2; xz -1k a.qcow2");
    let facts = |text: &str| {
        text.lines()
            .filter(|line| !line.contains("a.qcow2") && !line.starts_with("  source"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (_, plain, _) = wisp(&folder, "info a.qcow2");
    let (code, packed, errors) = wisp(&folder, "info a.qcow2.xz");
    assert_eq!(code, 0, "{errors}");
    assert_eq!(
        facts(&packed),
        facts(&plain).replace("version 3", "version 3, in xz").replace("128 KiB", "12 KiB"),
        "zeros in clusters are holes now"
    );
    let (_, json, _) = wisp(&folder, "info --json a.qcow2.xz");
    assert!(json.contains(r#""format":"qcow2","variant":"version 3","compression":["xz"],"size":67108864,"#), "{json}");
    let (code, _, errors) = wisp(&folder, "pack --for aws a.qcow2.xz one.raw");
    assert_eq!(code, 0, "{errors}");
    let (code, _, errors) = through_a_pipe(&folder, "a.qcow2", "pack --for aws - two.raw");
    assert_eq!(code, 0, "{errors}");
    folder.run("cmp one.raw part.raw; cmp two.raw part.raw");
    let (code, _, errors) = through_a_pipe(&folder, "a.qcow2", "pack --for aws --check - three.raw");
    assert!(code == 6 && errors.contains("it comes only once"), "{errors}");
    let (code, out, errors) = through_a_pipe(&folder, "a.qcow2", "pack --for aws --check -");
    assert!(code == 6 && !out.is_empty(), "without a file to make it is only looked at: {out}{errors}");
    assert_eq!(left(&folder), 0);
}

#[test]
fn servers_send_it_compressed_or_without_ranges() {
    let (folder, disk) = Dir::with_disk("spool-server");
    let Some(device) = target(&folder) else { return };
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2; xz -1k a.qcow2");
    let whole = |name: &str| Turn::whole(&Arc::new(fs::read(folder.path(name)).unwrap()));
    let deaf = || Turn { ranges: false, fields: String::new(), ..whole("a.qcow2") };
    for (turn, is_stored) in [
        (whole("a.qcow2"), false),
        (whole("a.qcow2.xz"), true),
        (deaf(), true),
        (Turn { chunks: Some(70_000), ..deaf() }, true),
    ] {
        let context = format!("{} {:?}", turn.ranges, turn.chunks);
        let store = Store::new(move |_, _| turn.clone());
        fs::write(folder.path("target"), vec![0xaa; 32 << 20]).unwrap();
        let (code, _, errors) = wisp(&folder, &format!("write --raw {} {}", store.url("/image?secret"), device.1));
        assert_eq!(code, 0, "{context}: {errors}");
        assert_eq!(errors.contains("into a temporary file"), is_stored, "{context}: {errors}");
        assert!(!errors.contains("secret"), "{errors}");
        same(&fs::read(folder.path("target")).unwrap()[..disk.len()], &disk, &context);
    }
}

#[test]
fn what_is_not_the_image_leaves_the_target_as_it_was() {
    let (folder, _) = Dir::with_disk("spool-digest");
    let Some(device) = target(&folder) else { return };
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2; xz -1k a.qcow2; gzip -1k a.qcow2");
    folder.run("head -c -100 a.qcow2.gz > cut.gz; head -c -9000 a.qcow2.xz > cut.xz; gzip -1kc a.qcow2.gz > two.gz");
    folder.run("printf garbage | cat a.qcow2.gz - > tail.gz; head -c 100000 a.qcow2 | gzip -1 > part.gz");
    folder.run("qemu-img create -q -f qcow2 large.qcow2 1G; gzip -1 large.qcow2");
    folder.run("qemu-img create -q -f vhdx d.vhdx 8M; zstd -q d.vhdx");
    let wrong = "0".repeat(64);
    let target = &device.1;
    for (arguments, code, why) in [
        (format!("--sha256 {wrong} a.qcow2.xz"), 6, "was expected"),
        (format!("--sha256 {wrong} a.qcow2.gz"), 6, "was expected"),
        ("cut.gz".into(), 5, "cut.gz"),
        ("cut.xz".into(), 5, "cut.xz"),
        ("tail.gz".into(), 5, "something that is not compressed follows"),
        ("part.gz".into(), 5, "read the qcow2 image part.gz"),
        ("large.qcow2.gz".into(), 6, "its disk has 1073741824 bytes"),
        ("--size 1M a.qcow2.gz".into(), 6, "1048576 were expected"),
        ("d.vhdx.zst".into(), 4, "its format, VHDX, is not read"),
    ] {
        let (found, _, errors) = wisp(&folder, &format!("write --raw {arguments} {target}"));
        assert!(found == code && errors.lines().last().unwrap().contains(why), "{arguments}: {found}: {errors}");
        untouched(&folder);
    }
    let (code, _, errors) = through_a_pipe(&folder, "a.qcow2", &format!("write --raw --sha256 {wrong} - {target}"));
    assert!(code == 6 && errors.contains("temporary file"), "{errors}");
    untouched(&folder);
    let (code, _, _) = wisp(&folder, &format!("write --raw two.gz {target}"));
    assert_eq!(code, 0, "two layers are taken off");
    assert_eq!(left(&folder), 0);
}

#[test]
fn a_full_directory_is_one_clear_error() {
    let (folder, _) = Dir::with_disk("spool-full");
    let Some(device) = target(&folder) else { return };
    let Some(_mount) = mount(&["-t", "tmpfs", "-o", "size=1M", "none"], &folder.path("small")) else { return };
    folder.run("head -c 3M /dev/urandom | dd of=disk.raw conv=notrunc status=none");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2; xz -0k a.qcow2; gzip -1k a.qcow2");
    let elsewhere = "; --spool DIR or TMPDIR names another directory";
    for (name, why) in
        [("a.qcow2.xz", "are needed and 1 MiB are free"), ("a.qcow2.gz", "no space left on device (ENOSPC)")]
    {
        let (code, out, errors) = wisp(&folder, &format!("write --raw --spool small {name} {}", device.1));
        let last = errors.lines().last().unwrap();
        assert!(code == 1 && last.contains(why) && last.ends_with(elsewhere), "{name}: {code}: {errors}");
        assert!(out.is_empty() && errors.lines().count() == 2, "what is tried, and one error: {errors}");
        untouched(&folder);
        assert_eq!(fs::read_dir(folder.path("small")).unwrap().count(), 0);
        assert_eq!(folder.run("df --output=used small | tail -n 1").trim(), "0", "nothing of it is left");
    }
    let (code, _, errors) = wisp(&folder, &format!("write --raw --spool none a.qcow2.gz {}", device.1));
    assert!(code == 3 && errors.contains("it does not exist or is not a directory"), "{errors}");
    let (code, _, errors) = wisp(&folder, &format!("write --raw --spool= a.qcow2.gz {}", device.1));
    assert!(code == 2 && errors.contains("--spool"), "{errors}");
    untouched(&folder);
}

#[test]
fn a_bomb_ends_before_it_fills_the_directory() {
    let folder = Dir::new("spool-bomb");
    folder.run("qemu-img create -q -f qcow2 a.qcow2 1M; (cat a.qcow2; head -c 1200M /dev/zero) | zstd -q > bomb.zst");
    let (code, _, errors) = wisp(&folder, "info bomb.zst");
    assert!(code == 6 && errors.contains("too much for a disk of 1 MiB"), "{code}: {errors}");
    folder.run("(cat a.qcow2; head -c 1200M /dev/zero) > bomb; zstd -q bomb -o stated.zst; rm bomb");
    let (code, _, errors) = wisp(&folder, "info stated.zst");
    assert!(code == 6 && errors.contains("too much for a disk of 1 MiB"), "{code}: {errors}");
    assert_eq!(left(&folder), 0);
}

/// A folder with an image that goes to a temporary file.
fn with_image(name: &str) -> Dir {
    let (folder, _) = Dir::with_disk(name);
    folder.run("head -c 3M /dev/urandom | dd of=disk.raw conv=notrunc status=none");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2");
    folder
}

#[test]
fn a_program_that_is_killed_leaves_no_file() {
    leaves_no_file(&with_image("spool-killed"), "spool");
}

fn leaves_no_file(folder: &Dir, directory: &str) {
    let bytes = fs::read(folder.path("a.qcow2")).unwrap();
    let mut child = command(folder, &format!("info --spool {directory} -"), Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A pipe holds a MiB at most, and the command reads one before it makes the file: with all of this written, it has.
    assert!(bytes.len() > 3 << 20);
    input.write_all(&bytes[..bytes.len() - 100_000]).unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("into a temporary file"), "{first}");
    // The directory is open too; what has no name is a deleted file to the kernel.
    let is_ours =
        |link: &PathBuf| link.starts_with(folder.path(directory)) && link.to_str().unwrap().ends_with(" (deleted)");
    let open = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().map(|link| link.unwrap().path());
    let open: Vec<PathBuf> = open.filter(|link| fs::read_link(link).is_ok_and(|to| is_ours(&to))).collect();
    assert_eq!(open.len(), 1, "one file without a name");
    assert_eq!(fs::metadata(&open[0]).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path(directory)).unwrap().count(), 0, "{directory}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_dir(folder.path(directory)).unwrap().count(), 0, "{directory}");
    // The same to its end.
    let (code, out, errors) = through_a_pipe(folder, "a.qcow2", &format!("info --spool {directory} -"));
    assert!(code == 0 && out.contains("qcow2, version 3"), "{directory}: {errors}");
}

/// What would be written there would change what is compared.
#[test]
fn no_temporary_file_lies_on_the_target() {
    refuses_its_own_filesystem("ext4");
}

/// Its files have the number of a subvolume, not that of the device.
#[test]
fn no_temporary_file_lies_on_a_target_with_btrfs() {
    refuses_its_own_filesystem("btrfs");
}

fn refuses_its_own_filesystem(kind: &str) {
    let (folder, _) = Dir::with_disk(&format!("spool-target-{kind}"));
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2; gzip -1k a.qcow2");
    File::create(folder.path("target")).unwrap().set_len(128 * MIB).unwrap();
    folder.run(&format!("PATH=$PATH:/usr/sbin:/sbin mkfs.{kind} -q target"));
    let Some(device) = loop_device(&folder.path("target")) else { return };
    let Some(_mount) = mount(&[&device.1], &folder.path("mount")) else { return };
    fs::create_dir(folder.path("mount/deep")).unwrap();
    std::os::unix::fs::symlink("mount/deep", folder.path("link")).unwrap();
    for directory in ["mount", "mount/deep", "link"] {
        let (code, _, errors) = wisp(&folder, &format!("verify --spool {directory} a.qcow2.gz {}", device.1));
        let why = format!("into a temporary file in {directory}: it lies on {}; --spool DIR", device.1);
        assert!(code == 6 && errors.contains(&why), "{errors}");
    }
    let (code, _, errors) = wisp(&folder, &format!("verify a.qcow2.gz {}", device.1));
    assert!(code == 5 && errors.contains("they differ at byte"), "{errors}");
}
