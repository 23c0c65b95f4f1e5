//! Disks that were cut off at every place that matters, read at any offset and as they pass in pieces.

use super::*;
use std::fs;
use std::process::Command;

const MIB: u64 = 1 << 20;

/// What a shell makes of `commands` in a file `disk`, in a folder of its own.
fn disk(name: &str, commands: &str) -> Vec<u8> {
    let folder = std::env::temp_dir().join(format!("wisp-extent-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let script = format!("set -e; PATH=$PATH:/usr/sbin:/sbin; {commands}");
    let output = Command::new("sh").args(["-c", &script]).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    let bytes = fs::read(folder.join("disk")).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    bytes
}

/// 32 MiB: `label` with the partition 2 to 31 MiB, in which lies what `make` puts into the file `part`.
fn partitioned(label: &str, make: &str) -> Vec<u8> {
    let commands = format!(
        "truncate -s 32M disk; printf 'label: {label}\\nstart=4096, size=29MiB\\n' | sfdisk -q disk;
         {make}; dd if=part of=disk bs=1M seek=2 conv=notrunc,sparse status=none"
    );
    disk(&format!("{label}-{}", make.len()), &commands)
}

/// What is found of `disk` as it passes in pieces of `step` bytes, with the zeros told as such.
fn watched(disk: &[u8], step: usize) -> Result<()> {
    let mut watch = Watch::new("test");
    for piece in disk.chunks(step) {
        let is_zero = piece.iter().all(|byte| *byte == 0);
        watch.pass(if is_zero { &[] } else { piece }, piece.len() as u64);
    }
    watch.finish()
}

/// Holds what is found of the first `end` bytes of `disk`, however they come, against `wanted`.
#[track_caller]
fn assert_cut(disk: &[u8], end: u64, wanted: Option<&str>) {
    let cut = &disk[..end as usize];
    assert_eq!(find_cut(&cut, ByteCount(end)).as_deref(), wanted, "at {end}");
    for step in [4096, 65536, 1_000_000, 40 << 20] {
        let found = watched(cut, step);
        assert_eq!(found.is_err(), wanted.is_some(), "at {end}, pieces of {step}: {found:?}");
        let told = found.err().map(|error| (error.kind, error.why.contains(wanted.unwrap())));
        assert_eq!(told, wanted.map(|_| (Kind::Refused, true)));
    }
}

#[test]
fn a_filesystem_that_ends_behind_the_image_is_found() {
    for label in ["gpt", "dos"] {
        let disk = partitioned(label, "truncate -s 20M part; mkfs.ext4 -q part");
        assert_cut(&disk, 32 * MIB, None);
        // All of the filesystem is there, and the partition is larger: as OpenWrt's images are, which have no backup GPT.
        assert_cut(&disk, 22 * MIB, None);
        let why = "the ext4 of partition 1 ends at 22 MiB, and the image at 21 MiB";
        assert_cut(&disk, 21 * MIB, Some(why));
        assert_cut(&disk, 2 * MIB, Some("partition 1 begins at 2 MiB, and the image ends at 2 MiB"));
        assert_cut(&disk, MIB, Some("partition 1 begins at 2 MiB, and the image ends at 1 MiB"));
    }
}

#[test]
fn other_filesystems_say_how_far_they_reach() {
    for (make, name, end) in [
        ("truncate -s 20M part; mkfs.fat -F 16 part >/dev/null", "vfat", 22 * MIB),
        ("head -c 8M /dev/urandom >file; mksquashfs file part -quiet -no-progress", "squashfs", 0),
    ] {
        let disk = partitioned("dos", make);
        let window = Window { whole: &disk.as_slice(), start: 2 * MIB, size: 29 * MIB };
        let held = filesystem::detect(&window, ByteCount(29 * MIB)).unwrap().unwrap();
        let reached = 2 * MIB + reach(&window, &held).unwrap().0;
        assert!(end == 0 || end == reached, "{name}: {reached}");
        assert_cut(&disk, reached.next_multiple_of(4096), None);
        let whole = find_cut(&&disk[..6 << 20], ByteCount(6 * MIB)).unwrap();
        assert!(whole.starts_with(&format!("the {name} of partition 1 ends at")), "{whole}");
    }
}

#[test]
fn what_says_no_size_is_cut_where_the_backup_gpt_is_missing_too() {
    let unknown = "head -c 20M /dev/urandom >part";
    assert_cut(&partitioned("gpt", unknown), 21 * MIB, Some("partition 1 ends at 31 MiB, and the image at 21 MiB"));
    // The last partition is there, and only the backup of the table is not: nothing is lost.
    assert_cut(&partitioned("gpt", unknown), 31 * MIB, None);
    // Partitions of an MBR reach beyond the image in hybrid images.
    assert_cut(&partitioned("dos", unknown), 21 * MIB, None);
    let luks = "truncate -s 20M part; printf 'LUKS\\272\\276\\000\\002' | dd of=part conv=notrunc status=none";
    let disk = partitioned("dos", luks);
    let held = filesystem::detect(&Window { whole: &disk.as_slice(), start: 2 * MIB, size: MIB }, ByteCount(MIB));
    assert_eq!(held.unwrap().unwrap().kind, Content::Luks);
    assert_cut(&disk, 21 * MIB, Some("partition 1 ends at 31 MiB, and the image at 21 MiB"));
}

#[test]
fn logical_partitions_and_whole_disks_are_judged_too() {
    let logical = "truncate -s 64M disk; printf 'label: dos\\nstart=4096, size=60MiB, type=5\\n
         start=8192, size=10MiB, type=83\\nstart=40960, size=30MiB, type=83\\n' | sfdisk -q disk;
         truncate -s 30M part; mkfs.ext4 -q part; dd if=part of=disk bs=1M seek=20 conv=notrunc,sparse status=none";
    let logical = disk("logical", logical);
    assert_cut(&logical, 50 * MIB, None);
    assert_cut(&logical, 40 * MIB, Some("the ext4 of partition 6 ends at 50 MiB, and the image at 40 MiB"));
    for (name, make) in [("ext4", "mkfs.ext4 -q"), ("btrfs", "mkfs.btrfs -q"), ("xfs", "mkfs.xfs -q")] {
        let whole = disk(name, &format!("truncate -s 320M disk; {make} disk"));
        assert_cut(&whole, 320 * MIB, None);
        assert_cut(&whole, 200 * MIB, Some(&format!("its {name} has 320 MiB, and the image ends at 200 MiB")));
    }
}

#[test]
fn only_a_disk_is_a_disk() {
    let is_one = |bytes: &[u8]| is_disk(&bytes, Some(ByteCount(bytes.len() as u64)));
    let mut boots = vec![0; 512];
    boots[510..].copy_from_slice(&[0x55, 0xaa]);
    let (zeros, text) = (vec![0; 2 << 20], b"root:x:0:0:root:/root:/bin/bash\n".repeat(100));
    for no_disk in [&b"text"[..], b"", &boots[..511], &zeros, &text] {
        assert_eq!(is_one(no_disk), Ok(false), "{} bytes", no_disk.len());
        assert_eq!(judge(&no_disk, Some(ByteCount(no_disk.len() as u64)), "test").unwrap_err().kind, Kind::Refused);
    }
    assert_eq!(is_one(&boots), Ok(true));
    for (name, make) in
        [("swap", "mkswap disk"), ("iso", "xorrisofs -quiet -o disk x.txt"), ("ext", "mkfs.ext4 -q disk")]
    {
        let bytes =
            disk(&format!("is-{name}"), &format!("echo hi >x.txt; truncate -s 2M disk; {make} >/dev/null 2>&1"));
        assert_eq!(is_one(&bytes), Ok(true), "{name}");
        // Of a stream, only the first MiB is known.
        assert_eq!(is_disk(&&bytes[..bytes.len().min(1 << 20)], None), Ok(true), "{name}");
    }
}

#[test]
fn what_is_kept_has_a_limit() {
    let entries: String = (0..120).map(|part| format!("start={}, size=2048\\n", 2048 * (part + 1))).collect();
    let disk = disk("many", &format!("truncate -s 130M disk; printf 'label: gpt\\n{entries}' | sfdisk -q disk"));
    let mut watch = Watch::new("test");
    watch.pass(&disk, disk.len() as u64);
    let kept: usize = watch.kept.places.iter().map(|place| place.length).sum();
    assert!(kept <= KEPT_LIMIT && kept > KEPT_LIMIT / 2, "{kept}");
    assert_eq!(watch.finish(), Ok(()));
}
