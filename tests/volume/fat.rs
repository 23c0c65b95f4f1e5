//! FAT by dosfstools and mtools.

use std::fs;

use wisp::error::Kind as ErrorKind;
use wisp::filesystem::Kind;

use crate::seed::{Dir, LIMIT, MIB, holds_seed, open, open_bytes, patch};

/// Where the first allocation table and the root directory of FAT12 or FAT16 lie.
fn places(image: &[u8]) -> (usize, usize) {
    let number = |at: usize| usize::from(u16::from_le_bytes([image[at], image[at + 1]]));
    let table = number(14) * number(11);
    (table, table + usize::from(image[16]) * number(22) * number(11))
}

#[test]
fn every_width_cluster_and_sector_size_is_read() {
    let folder = Dir::with_seed("fat-widths");
    for (size, options) in [
        (4, "-F 12"),
        (16, "-F 12 -s 64"),
        (32, "-F 16"),
        (32, "-F 16 -s 1 -f 1 -R 8"),
        (64, "-F 32 -s 1"),
        (100, "-F 32 -s 2"),
        (64, "-F 16 -S 4096 -s 1"),
        (300, "-F 32 -S 4096 -s 1"),
        (64, "-F 16 -S 2048 -r 1024"),
    ] {
        let image = folder.image("volume", size * MIB);
        folder.run(&format!("mkfs.vfat {options} -n CIDATA {image}"));
        folder.run(&format!("mcopy -s -i {image} seed/* ::"));
        let volume = open(&image);
        holds_seed(&volume, Kind::Vfat, &[]);
        assert_eq!(volume.read("/OpenStack//Latest/META_DATA.JSON", LIMIT).unwrap().unwrap().len(), 13);
        assert_eq!(volume.label(), "CIDATA");
    }
}

#[test]
fn cloud_localds_makes_a_seed_that_is_read() {
    let folder = Dir::with_seed("fat-localds");
    // The volume that it makes has no room for the large one.
    folder.put("seed/user-data", b"#cloud-config\n");
    folder.run("cloud-localds --filesystem vfat volume seed/user-data seed/meta-data");
    let volume = open(folder.text("volume"));
    assert_eq!((volume.kind(), volume.label()), (Kind::Vfat, "cidata"));
    assert_eq!(volume.read("user-data", LIMIT).unwrap().unwrap(), b"#cloud-config\n");
    assert_eq!(volume.read("meta-data", LIMIT).unwrap().unwrap(), b"instance-id: i-0123\n");
}

/// Too few clusters for its width: mtools refuses it, mkfs makes it, the kernel mounts it.
#[test]
fn a_small_fat32_is_a_fat32() {
    let folder = Dir::new("fat-small-32");
    let image = folder.image("volume", 8 * MIB);
    folder.run(&format!("mkfs.vfat -F 32 -n CIDATA {image}"));
    assert_eq!(open(&image).list(""), Ok(Some(vec![])));
    assert_eq!(open(&image).label(), "CIDATA");
    // Its root directory lies nowhere; the boot sector still has a name.
    patch(&image, 44, &[0; 4]);
    assert_eq!(open(&image).list("").unwrap_err().kind, ErrorKind::Corrupt);
    assert_eq!(open(&image).label(), "CIDATA");
}

#[test]
fn the_label_is_the_one_of_the_root_directory_and_the_other_is_known() {
    let folder = Dir::new("fat-labels");
    for options in ["-F 12", "-F 32"] {
        let image = folder.image("volume", 64 * MIB);
        folder.run(&format!("mkfs.vfat {options} {image}"));
        assert_eq!(open(&image).label(), "");
        for rename in ["fatlabel volume cidata", "mlabel -i volume ::CONFIG-2", "mlabel -i volume ::other"] {
            folder.run(rename);
            assert_eq!(Some(open(&image).label().to_owned()), folder.blkid("volume", "LABEL"), "{rename}");
        }
        // What Windows does: it changes the root directory alone.
        let at = if options == "-F 12" { 43 } else { 71 };
        patch(&image, at, b"CIDATA     ");
        let volume = open(&image);
        assert_eq!(volume.label(), "OTHER");
        assert_eq!(folder.blkid("volume", "LABEL_FATBOOT").as_deref(), Some("CIDATA"));
        assert!(volume.has_label("cidata") && volume.has_label("other") && !volume.has_label(""));
        folder.run("mlabel -c -i volume :: && fatlabel volume");
        patch(&image, at, b"BOOT-ONLY  ");
        assert_eq!(open(&image).label(), "BOOT-ONLY");
    }
}

#[test]
fn names_that_are_short_are_shown_as_they_were_meant() {
    let folder = Dir::new("fat-short");
    let image = folder.image("volume", 4 * MIB);
    folder.run(
        "mkfs.vfat volume && touch lower.txt UPPER.TXT MIXED.txt none lower.UP && mcopy -i volume [a-zA-Z]*.* none ::",
    );
    let mut names = open(&image).list("").unwrap().unwrap();
    names.sort();
    assert_eq!(names, ["MIXED.txt", "UPPER.TXT", "lower.UP", "lower.txt", "none"]);
}

#[test]
fn a_file_in_many_pieces_is_put_together() {
    let folder = Dir::new("fat-pieces");
    let image = folder.image("volume", 2 * MIB);
    folder.put("piece", &[b'x'; 3000]);
    let whole = crate::seed::noise(400_000);
    folder.put("whole", &whole);
    folder.run("mkfs.vfat -s 1 -r 1024 volume");
    folder.run("i=0; while mcopy -i volume piece ::piece$i 2>/dev/null; do i=$((i + 1)); done; mdel -i volume '::piece*[13579]'");
    folder.run("mcopy -i volume whole ::");
    assert_eq!(open(&image).read("whole", LIMIT).unwrap(), Some(whole));
    assert_eq!(open(&image).list("").unwrap().unwrap().iter().filter(|name| name.ends_with('3')).count(), 0);
}

#[test]
fn a_long_name_counts_only_with_the_short_name_it_was_given_to() {
    let folder = Dir::new("fat-orphan");
    let image = folder.image("volume", 4 * MIB);
    folder.run("mkfs.vfat volume && touch 'a long name for a file' && mcopy -i volume 'a long name for a file' ::");
    let mut bytes = fs::read(&image).unwrap();
    assert_eq!(open_bytes(&bytes).unwrap().list(""), Ok(Some(vec!["a long name for a file".to_owned()])));
    let (_, root) = places(&bytes);
    let sound = bytes.clone();
    // A system without long names renamed the file; deleted one of the entries; an entry is missing in between.
    for (at, byte) in [(root + 64, b'B'), (root, 0xe5), (root + 32, 0x43), (root + 32, 0x03), (root + 13, 0)] {
        bytes[at] = byte;
        let names = open_bytes(&bytes).unwrap().list("").unwrap().unwrap();
        assert!(matches!(names.as_slice(), [name] if name.ends_with("LONGN~1")), "{at}: {names:?}");
        bytes.clone_from(&sound);
    }
}

#[test]
fn chains_that_lead_nowhere_end() {
    let folder = Dir::new("fat-chains");
    let image = folder.image("volume", MIB);
    folder.put("file", &crate::seed::noise(10_000));
    folder.run("mkfs.vfat -F 12 -s 1 volume && mmd -i volume ::folder && mcopy -i volume file ::folder/ && mcopy -i volume file ::");
    let sound = fs::read(&image).unwrap();
    let (table, root) = places(&sound);
    let complaint = |bytes: &[u8], path: &str| {
        let volume = open_bytes(bytes).unwrap();
        let error = volume.read(path, LIMIT).unwrap_err();
        assert_eq!(error.kind == ErrorKind::Refused, path == "folder/file", "{error}");
        error.to_string()
    };
    // Cluster 2 is the folder, 3 its file's first. Entries of 12 bits: 2 and 3 share the bytes from 3 to 5.
    let mut circle = sound.clone();
    circle[table + 3..table + 6].copy_from_slice(&[0x02, 0x40, 0x00]);
    assert_eq!(complaint(&circle, "folder/file"), "read folder/file: it is larger than 262144 bytes");
    let file = sound[root..].windows(4).position(|name| name == b"FILE").unwrap() + root;
    for (cluster, why) in [(0u16, "leads out"), (1, "leads out"), (0xff7, "leads out"), (0x7000, "leads out")] {
        let mut lost = sound.clone();
        lost[file + 26..file + 28].copy_from_slice(&cluster.to_le_bytes());
        assert!(complaint(&lost, "file").contains(why));
    }
    let mut long = sound.clone();
    long[file + 28..file + 32].copy_from_slice(&12_000u32.to_le_bytes());
    assert!(complaint(&long, "file").contains("ends before its file"));
}
