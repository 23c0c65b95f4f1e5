//! `wisp image pack`, judged by those who read what it makes: `qemu-img`, GNU tar, busybox and gzip, `sgdisk`.
//!
//! Everything works on files, as an ordinary user. `WISP_UNDER_TEST` names the program, as in `program.rs`.
#![cfg(feature = "full")]

#[allow(dead_code, reason = "the tests of the container formats use more of it")]
#[path = "container/image.rs"]
mod image;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use image::{Dir, MIB, bytes_at, patch};

const GIB: u64 = 1 << 30;

/// Every cloud, the format to ask for, and the name of the file.
const WAYS: &[(&str, &str, &str)] = &[
    ("aws", "raw", "aws.raw"),
    ("aws", "vhd", "aws.vhd"),
    ("azure", "vhd", "azure.vhd"),
    ("gcp", "tar.gz", "gcp.tar.gz"),
    ("oci", "qcow2", "oci.qcow2"),
    ("nocloud", "qcow2", "nocloud.qcow2"),
    ("nocloud", "raw", "nocloud.raw"),
];

/// A folder with the disk of the other tests in `disk.raw`, under a GPT.
fn folder(name: &str) -> Dir {
    let (folder, _) = Dir::with_disk(&format!("pack-{name}"));
    // What looks like an MBR would be taken over.
    patch(&folder.path("disk.raw"), 510, &[0, 0]);
    folder.run("PATH=$PATH:/usr/sbin sgdisk -n 1:2048:+1M -t 1:ef02 -n 2:0:0 disk.raw");
    folder
}

fn program() -> String {
    std::env::var("WISP_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wisp").to_owned())
}

/// Runs `wisp image pack` in the folder; exit code, standard output, and what it complains about.
fn wisp(folder: &Dir, line: &str) -> (i32, String, String) {
    let command = format!("exec {} image pack {line}", program());
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &command]).current_dir(folder.path("")).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn pack(folder: &Dir, line: &str) -> String {
    let (code, said, complaint) = wisp(folder, line);
    assert_eq!(code, 0, "{line}: {complaint}");
    said
}

/// The exit code and the complaint of what must fail; nothing is left of it.
#[track_caller]
fn refusal(folder: &Dir, line: &str) -> (i32, String) {
    let names = || folder.run("ls -A");
    let before = names();
    let (code, _, complaint) = wisp(folder, line);
    assert_ne!(code, 0, "{line}");
    assert_eq!(names(), before, "{line}");
    (code, complaint)
}

/// What `sgdisk` makes of the disk when it has `size` bytes, in `reference`; the disk in an image may differ from that in
/// one thing, the end of the protective partition in cylinders, which nothing reads.
fn assert_holds(folder: &Dir, raw: &str, size: u64) {
    folder.run(&format!("cp --sparse=always disk.raw reference && truncate -s {size} reference"));
    folder.run("PATH=$PATH:/usr/sbin sgdisk --move-second-header reference");
    assert_eq!(fs::metadata(folder.path(raw)).unwrap().len(), size);
    folder.run(&format!("cmp --ignore-initial=512 {raw} reference"));
    let (ours, theirs) = (folder.path(raw), folder.path("reference"));
    for (at, length) in [(0, 451), (454, 58)] {
        assert_eq!(bytes_at(&ours, at, length), bytes_at(&theirs, at, length));
    }
    let verdict = folder.run(&format!("PATH=$PATH:/usr/sbin sgdisk --verify {raw}"));
    assert!(verdict.contains("No problems found."), "{verdict}");
}

#[test]
fn every_cloud_gets_the_disk_and_a_gpt_that_fits_it() {
    let folder = folder("clouds");
    let size = fs::metadata(folder.path("disk.raw")).unwrap().len();
    for (cloud, format, name) in WAYS {
        let said = pack(&folder, &format!("--for {cloud} --format {format} disk.raw {name}"));
        let grown = matches!(*format, "vhd" | "tar.gz");
        assert_eq!(said.starts_with("the backup GPT moves to the end of the disk\n"), grown, "{said}");
        assert_eq!(said.lines().count(), 1 + usize::from(grown), "{said}");
    }
    // As large as it was: not a byte is another one.
    folder.run("cmp aws.raw disk.raw; cmp nocloud.raw disk.raw; cmp oci.qcow2 nocloud.qcow2; cmp aws.vhd azure.vhd");
    folder.run("qemu-img check -q -f qcow2 oci.qcow2 && qemu-img compare -q -f raw -F qcow2 disk.raw oci.qcow2");
    let info = folder.run("qemu-img info -f qcow2 oci.qcow2");
    assert!(info.contains("compat: 1.1") && info.contains(&format!("({size} bytes)")), "{info}");

    folder.run("qemu-img convert -f vpc -O raw azure.vhd azure.raw");
    assert_holds(&folder, "azure.raw", 10 * MIB);
    assert_eq!(fs::metadata(folder.path("azure.vhd")).unwrap().len(), 10 * MIB + 512);

    folder.run("gzip -dc gcp.tar.gz | dd of=gcp.tar bs=1M iflag=fullblock conv=sparse");
    folder.run("dd if=gcp.tar of=gcp.raw bs=1M iflag=skip_bytes,count_bytes skip=512 count=1G conv=sparse");
    assert_holds(&folder, "gcp.raw", GIB);
    let listed = folder.run("TZ=UTC tar tvf gcp.tar; TZ=UTC busybox tar tvf gcp.tar");
    assert_eq!(listed.matches("1073741824 1970-01-01 00:00").count(), 2, "{listed}");
    assert_eq!(listed.matches("disk.raw\n").count(), 2, "{listed}");
}

/// F.3/56, and more: the same disk gives the same file whatever it came in.
#[test]
fn every_source_gives_the_same_bytes() {
    let folder = folder("sources");
    let sources: [(&str, &str); 11] = [
        ("again", "cp disk.raw again"),
        ("qcow2", "qemu-img convert -f raw -O qcow2 disk.raw qcow2"),
        ("zlib", "qemu-img convert -f raw -O qcow2 -c disk.raw zlib"),
        ("zstd", "qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd disk.raw zstd"),
        ("old", "qemu-img convert -f raw -O qcow2 -o compat=0.10 disk.raw old"),
        ("vpc", "qemu-img convert -f raw -O vpc -o force_size disk.raw vpc"),
        ("fixed", "qemu-img convert -f raw -O vpc -o subformat=fixed,force_size disk.raw fixed"),
        ("vmdk", "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.raw vmdk"),
        ("tar", "tar --format=oldgnu -S -cf tar disk.raw"),
        ("gz", "gzip -1 <disk.raw >gz"),
        ("zst", "zstd -q -1 <disk.raw >zst"),
    ];
    for (cloud, format, name) in WAYS {
        pack(&folder, &format!("--for {cloud} --format {format} disk.raw {name}"));
    }
    for (source, make) in sources {
        folder.run(make);
        for (cloud, format, name) in [WAYS[1], WAYS[3], WAYS[4], WAYS[6]] {
            pack(&folder, &format!("--for {cloud} --format {format} {source} out"));
            folder.run(&format!("cmp out {name}"));
        }
    }
    for line in ["--for gcp --size 1G - - <gz >out", "--for gcp --size 1G - - <disk.raw >out"] {
        pack(&folder, line);
        folder.run("cmp out gcp.tar.gz");
    }
}

/// F.3/53: the rule; its footer is tested for all sizes where it is made.
#[test]
fn a_vhd_has_whole_mebibytes() {
    let folder = Dir::new("pack-sizes");
    for (bytes, mebibytes) in
        [(512, 1), (MIB - 512, 1), (MIB, 1), (MIB + 512, 2), (129 * MIB - 512, 129), (2049 * MIB, 2049)]
    {
        folder.run(&format!("rm -f disk; truncate -s {bytes} disk"));
        patch(&folder.path("disk"), 100, b"data");
        let said = pack(&folder, "--for azure --raw --json disk out.vhd");
        let size = mebibytes * MIB;
        let wanted = format!(
            "{{\"findings\":null,\"packed\":{{\"format\":\"vhd\",\"disk\":{size},\"size\":{},\"data\":65536,\
             \"notes\":[]}}}}\n",
            size + 512
        );
        assert_eq!(said, wanted);
        let facts = fs::metadata(folder.path("out.vhd")).unwrap();
        assert_eq!(facts.len(), size + 512);
        assert!(facts.blocks() < 1000, "what was a hole is one");
        let info = folder.run("qemu-img info -f vpc out.vhd");
        assert!(info.contains(&format!("({size} bytes)")), "{info}");
        let footer = bytes_at(&folder.path("out.vhd"), size, 512);
        assert_eq!(footer[56..60], [0xff, 0xff, 16, 255]);
    }
}

/// F.3/54: 9 GiB are no octal number. And no hole is read: that of the 1 TiB would take minutes.
#[test]
fn large_disks_are_packed_as_fast_as_their_data() {
    let folder = Dir::new("pack-large");
    folder.run("truncate -s 8193M disk");
    patch(&folder.path("disk"), 8193 * MIB - 5, b"right");
    pack(&folder, "--for gcp --raw disk gcp.tar.gz");
    let head = "gzip -dc gcp.tar.gz 2>/dev/null | head -c 10240 >head";
    let listed = folder.run(&format!("{head}; TZ=UTC tar tvf head 2>&1; TZ=UTC busybox tar tvf head 2>&1; :"));
    assert_eq!(listed.matches("9663676416 1970-01-01 00:00").count(), 2, "{listed}");

    folder.run("truncate -s 1T disk");
    for (line, length) in [("--for nocloud --raw disk out", None), ("--for aws --raw disk out", Some(1 << 40))] {
        pack(&folder, line);
        let facts = fs::metadata(folder.path("out")).unwrap();
        assert!(facts.blocks() < 10_000 && length.is_none_or(|length| length == facts.len()), "{line}");
    }
}

#[test]
fn the_time_is_what_the_caller_says() {
    let folder = folder("time");
    for (setting, listed, seconds) in
        [("", "1970-01-01 00:00", 0), ("SOURCE_DATE_EPOCH=1700000000 ", "2023-11-14 22:13", 753_315_200_u32)]
    {
        for (cloud, name) in [("gcp", "out.tar.gz"), ("azure", "out.vhd")] {
            folder.run(&format!("{setting}{} image pack --for {cloud} disk.raw {name}", program()));
        }
        let lines = folder.run("gzip -dc out.tar.gz | head -c 10240 | TZ=UTC tar tvf - 2>&1; :");
        assert!(lines.contains(listed), "{lines}");
        assert_eq!(bytes_at(&folder.path("out.tar.gz"), 4, 4), [0; 4], "gzip's own time");
        assert_eq!(bytes_at(&folder.path("out.vhd"), 10 * MIB + 24, 4), seconds.to_be_bytes());
    }
    folder.run(&format!("! SOURCE_DATE_EPOCH=today {} image pack --for azure disk.raw out 2>/dev/null", program()));
}

#[test]
fn a_disk_grows_when_asked_and_never_shrinks() {
    let folder = folder("grow");
    pack(&folder, "--for nocloud --format raw --size 20M disk.raw out");
    assert_holds(&folder, "out", 20 * MIB);
    let (code, complaint) = refusal(&folder, "--for nocloud --size 9M disk.raw new");
    assert_eq!((code, complaint.contains("shrinks for nobody")), (6, true), "{complaint}");
    // What does not tell its size is found out on the way.
    folder.run("tail -c +2000000 disk.raw | gzip -1 >gz");
    let (code, complaint) = refusal(&folder, "--for nocloud --raw --size 2M gz new");
    assert_eq!((code, complaint.contains("shrinks for nobody")), (6, true), "{complaint}");
    // A table that bears no change: partition 1 lies over 2.
    folder.run("PATH=$PATH:/usr/sbin sgdisk -d 2 -n 2:0:0 disk.raw && cp disk.raw bad");
    patch(&folder.path("bad"), 1024 + 40, &[0xff, 0xff]);
    let (code, complaint) = refusal(&folder, "--for azure bad new");
    assert_eq!((code, complaint.contains("move the backup GPT of bad:")), (5, true), "{complaint}");
    // The backup alone is found at the end of the disk, and nowhere else.
    folder.run("cp disk.raw bad");
    patch(&folder.path("bad"), 512, &[0; 512]);
    let (code, complaint) = refusal(&folder, "--for azure bad new");
    assert_eq!((code, complaint.contains("its primary is not there")), (5, true), "{complaint}");
    pack(&folder, "--for aws bad new");
    folder.run("cmp bad new");
}

#[test]
fn what_fails_leaves_what_was_there() {
    let folder = folder("fails");
    folder.run(
        "gzip -1 <disk.raw >gz; head -c 200000 gz >cut; echo old >out; ln -s out link; ln disk.raw same; mkdir dir",
    );
    let wrong = "0".repeat(64);
    for (line, code) in [
        ("--for azure cut out", 5),
        ("--for gcp --size 1G cut out", 5),
        (&*format!("--for oci --sha256 {wrong} disk.raw out"), 6),
        (&*format!("--for oci --sha256 {wrong} gz out"), 6),
        ("--for aws nothing out", 3),
        ("--for aws disk.raw link", 6),
        ("--for aws disk.raw dir", 6),
        ("--for aws disk.raw /dev/null", 6),
        ("--for aws disk.raw no/such", 3),
        ("--for aws disk.raw disk.raw", 6),
        ("--for aws disk.raw same", 6),
        ("--for oci - out <gz", 6),
        ("--for oci disk.raw -", 2),
        ("--for azure --format qcow2 disk.raw out", 2),
        ("--for hetzner disk.raw out", 2),
        ("--for aws disk.raw", 2),
        ("disk.raw out", 2),
        ("--for aws --size large disk.raw out", 2),
    ] {
        let (found, complaint) = refusal(&folder, line);
        assert_eq!(found, code, "{line}: {complaint}");
    }
    assert_eq!(folder.run("cat out link"), "old\nold\n");
    pack(&folder, "--for aws disk.raw out");
    folder.run("cmp out disk.raw");
    assert_eq!(folder.run("ls -A | grep wisp; :"), "");
}

/// What is found is the business of other tests; here, what comes of it.
#[test]
fn a_fault_keeps_the_file_from_being_made() {
    let folder = folder("check");
    let (code, said, complaint) = wisp(&folder, "--for aws --check disk.raw out");
    assert!(code == 6 && said.lines().any(|line| line.starts_with("fault ")), "{said}{complaint}");
    let (code, said, _) = wisp(&folder, "--for aws --check --json disk.raw out");
    assert!(code == 6 && said.starts_with("{\"findings\":[{") && said.ends_with("],\"packed\":null}\n"), "{said}");
    assert!(!folder.path("out").exists());
    // Without a file to make it is a question, whose answer is the exit code too.
    let (code, said, complaint) = wisp(&folder, "--for aws --check disk.raw");
    assert!(code == 6 && said.lines().any(|line| line.starts_with("fault ")), "{said}{complaint}");
    let (code, said, _) = wisp(&folder, "--for aws --check --json disk.raw");
    assert!(code == 6 && said.ends_with("],\"packed\":null}\n"), "{said}");
    for words in ["--for aws disk.raw", "--for aws --check --size 1G disk.raw", "--for aws --check"] {
        assert_eq!(refusal(&folder, words).0, 2, "{words}");
    }
    for (words, code, kind) in [
        ("--for aws --json nothing out", 3, "absent"),
        ("--for aws --check --json nothing", 3, "absent"),
        ("--for aws --json disk.raw disk.raw", 6, "refused"),
    ] {
        let (found, said, complaint) = wisp(&folder, words);
        let why = complaint.strip_prefix("wisp: ").unwrap().trim_end();
        let wanted = format!("{{\"event\":\"failed\",\"kind\":\"{kind}\",\"why\":\"{why}\"}}\n");
        assert_eq!((found, said), (code, wanted), "{words}");
    }
    folder.run("gzip -1 <disk.raw >gz");
    let (code, complaint) = refusal(&folder, "--for aws --check gz out");
    assert_eq!((code, complaint.contains("only be read from beginning to end")), (6, true), "{complaint}");
}
