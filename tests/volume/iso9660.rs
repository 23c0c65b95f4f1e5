//! ISO 9660 by genisoimage and xorriso.

use std::fs;

use wisp::error::Kind as ErrorKind;
use wisp::filesystem::Kind;

use crate::seed::{Dir, LIMIT, holds_seed, open, open_bytes};

#[test]
fn rock_ridge_and_joliet_are_read() {
    let folder = Dir::with_seed("iso");
    for command in [
        "genisoimage -quiet -r -J",
        "genisoimage -quiet -r",
        "genisoimage -quiet -R",
        "genisoimage -quiet -J",
        "xorriso -as mkisofs -quiet -r -J",
        "xorriso -as mkisofs -quiet -r",
        "xorriso -as mkisofs -quiet -J",
        "xorriso -as mkisofs -quiet -r -J -partition_offset 16",
    ] {
        folder.run(&format!("{command} -V cidata -o volume seed"));
        let volume = open(folder.text("volume"));
        holds_seed(&volume, Kind::Iso9660, &[]);
        assert_eq!(volume.label(), "cidata");
        assert_eq!(volume.read("META-DATA", LIMIT), Ok(None), "names are as they were written");
    }
}

#[test]
fn cloud_localds_makes_a_seed_that_is_read() {
    let folder = Dir::with_seed("iso-localds");
    folder.run("cloud-localds --network-config seed/meta-data volume seed/user-data seed/meta-data");
    let volume = open(folder.text("volume"));
    assert_eq!((volume.kind(), volume.label()), (Kind::Iso9660, "cidata"));
    let mut names = volume.list("").unwrap().unwrap();
    names.sort();
    assert_eq!(names, ["meta-data", "network-config", "user-data"]);
    for name in ["user-data", "meta-data"] {
        let there = fs::read(folder.0.join("seed").join(name)).unwrap();
        assert_eq!(volume.read(name, LIMIT).unwrap(), Some(there));
    }
}

#[test]
fn plain_names_are_shown_small_and_found_in_any_case() {
    let folder = Dir::new("iso-plain");
    folder.put("seed/METADATA", b"1");
    folder.put("seed/user.txt", b"2");
    folder.put("seed/latest/meta", b"3");
    folder.run("genisoimage -quiet -o volume seed");
    let volume = open(folder.text("volume"));
    let mut names = volume.list("").unwrap().unwrap();
    names.sort();
    assert_eq!(names, ["latest", "metadata", "user.txt"]);
    for path in ["METADATA", "metadata", "USER.TXT", "user.txt", "latest/META", "Latest/meta"] {
        assert_eq!(volume.read(path, 1).unwrap().map(|bytes| bytes.len()), Some(1), "{path}");
    }
    assert_eq!(volume.read("METADATA;1", 1), Ok(None));
}

#[test]
fn labels_are_the_ones_of_blkid() {
    let folder = Dir::new("iso-labels");
    folder.put("seed/meta-data", b"");
    for label in ["cidata", "config-2", "CIDATA", "a label of thirty-two characters", "Gr\u{f6}\u{df}e", "x", ""] {
        for options in ["-r", "-J", "-r -J"] {
            folder.run(&format!("genisoimage -quiet -input-charset utf-8 {options} -V '{label}' -o volume seed"));
            let volume = open(folder.text("volume"));
            // Without Joliet the letters are of a code page that no one tells, and `blkid` prints their bytes.
            if label.is_ascii() || options.contains('J') {
                assert_eq!(volume.label(), folder.blkid("volume", "LABEL").unwrap_or_default(), "{label} {options}");
            }
            assert!(!label.is_ascii() || label.is_empty() || volume.has_label(&label.to_ascii_uppercase()), "{label}");
        }
    }
}

#[test]
fn long_names_continue_elsewhere() {
    let folder = Dir::new("iso-long");
    for length in [100, 180, 200, 220, 254, 255] {
        folder.put(&format!("seed/{}", "n".repeat(length)), format!("{length}").as_bytes());
    }
    for command in ["genisoimage -quiet -r", "xorriso -as mkisofs -quiet -r"] {
        folder.run(&format!("{command} -o volume seed"));
        let volume = open(folder.text("volume"));
        for length in [100, 180, 200, 220, 254] {
            let there = volume.read(&"n".repeat(length), LIMIT).unwrap();
            assert_eq!(there, Some(format!("{length}").into()), "{command} {length}");
        }
    }
}

#[test]
fn what_is_no_plain_file_is_refused_and_nothing_else_suffers() {
    let folder = Dir::new("iso-special");
    folder.put("seed/meta-data", b"here");
    folder.put("seed/a/b/c/d/e/f/g/h/i/deep", b"deep");
    folder.run("ln -s meta-data seed/link && mkfifo seed/fifo && genisoimage -quiet -r -o volume seed");
    let image = fs::read(folder.0.join("volume")).unwrap();
    let volume = open_bytes(&image).unwrap();
    assert_eq!(volume.read("meta-data", 4).unwrap(), Some(b"here".to_vec()));
    for path in ["link", "fifo"] {
        let error = volume.read(path, LIMIT).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert_eq!(error.to_string(), format!("read {path}: it is no plain file in one piece"));
    }
    assert_eq!(volume.read("a/b/c/d/e/f/g/h/i/deep", LIMIT), Ok(None), "moved elsewhere, which is not followed");
    // A file of several extents, and an interleaved one.
    for (field, value) in [(25, 0x80), (26, 1), (27, 1)] {
        let mut changed = image.clone();
        let name = changed
            .windows(11)
            .position(|name| name == b"META_DATA.;")
            .or_else(|| changed.windows(10).position(|name| name == b"META_DAT.;"));
        changed[name.unwrap() - 33 + field] = value;
        assert_eq!(open_bytes(&changed).unwrap().read("meta-data", 4).unwrap_err().kind, ErrorKind::Unsupported);
    }
}

#[test]
fn fields_that_go_on_in_circles_end() {
    let folder = Dir::new("iso-circle");
    folder.put(&format!("seed/{}", "n".repeat(250)), b"x");
    folder.run("genisoimage -quiet -r -o volume seed");
    let sound = fs::read(folder.0.join("volume")).unwrap();
    // The continuation of the long name begins with a part of it; it is replaced by one that leads to itself.
    let field = sound.windows(4).rposition(|bytes| bytes == b"CE\x1c\x01").unwrap();
    let number = |at: usize| u32::from_le_bytes(sound[at..at + 4].try_into().unwrap()) as usize;
    let target = number(field + 4) * 2048 + number(field + 12);
    let mut circle = sound.clone();
    circle.copy_within(field..field + 28, target);
    circle[field + 20..field + 24].copy_from_slice(&28u32.to_le_bytes());
    circle[target + 20..target + 24].copy_from_slice(&28u32.to_le_bytes());
    let error = open_bytes(&circle).unwrap().list("").unwrap_err();
    assert_eq!(error.to_string(), "read the Rock Ridge fields on: they go on without end");
    let mut large = sound;
    large[field + 20..field + 24].copy_from_slice(&4096u32.to_le_bytes());
    assert_eq!(open_bytes(&large).unwrap().list("").unwrap_err().kind, ErrorKind::Corrupt);
}

#[test]
fn descriptors_that_cannot_be_are_refused() {
    let folder = Dir::new("iso-descriptors");
    folder.put("seed/meta-data", b"");
    folder.run("genisoimage -quiet -r -J -o volume seed");
    let sound = fs::read(folder.0.join("volume")).unwrap();
    let why = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut image = sound.clone();
        change(&mut image);
        let error = open_bytes(&image).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Corrupt);
        error.why.clone()
    };
    assert_eq!(why(&|image| image[32768 + 129] = 1), "its block size cannot be");
    assert_eq!(why(&|image| image[32768] = 0), "it has no primary descriptor");
    assert_eq!(why(&|image| image[32769 + 2 * 2048] = b'X'), "its list of descriptors has no end");
    assert_eq!(
        why(&|image| {
            image[32768] = 0;
            (17..60).for_each(|sector| image.copy_within(16 * 2048..17 * 2048, sector * 2048));
        }),
        "it has no primary descriptor"
    );
}
