//! The digest of the source decides, and of all of it; `sha256sum` says what it is.

use std::fs::File;
use std::os::unix::fs::FileExt;

use wisp::error::Kind;
use wisp::image::{Expected, Source};
use wisp::text::checksum::Checksum;

use crate::formats::read_through_a_pipe;
use crate::image::{Dir, bytes_at, patch, same};
use crate::reading::{MEANS, failure, read, rest};

/// The digest that the file `name` must have.
pub fn digest_of(folder: &Dir, name: &str) -> Expected {
    digest_of_kind(folder, name, "sha256")
}

fn digest_of_kind(folder: &Dir, name: &str, word: &str) -> Expected {
    let text = folder.run(&format!("{word}sum {name}"));
    let checksum = Checksum::parse(word, text.split(' ').next().unwrap()).unwrap();
    Expected { checksum: Some(checksum), size: None }
}

/// Every way of reading a source: in the order of its bytes, twice, and as a stream; with something behind the disk.
const WAYS: [&str; 9] = [
    "cp disk.raw image",
    "qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image",
    "qemu-img convert -t unsafe -f raw -c -O qcow2 disk.raw image",
    "qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw image",
    "qemu-img convert -t unsafe -f raw -O vmdk -o subformat=streamOptimized disk.raw image",
    "gzip -1c disk.raw > image",
    "gzip -1c disk.raw > image; head -c 300000 /dev/zero >> image",
    "tar --format=oldgnu -Scf image disk.raw",
    "tar --format=oldgnu -Sc disk.raw > image; head -c 300000 /dev/zero >> image; printf x >> image",
];

#[test]
fn only_the_expected_digest_lets_a_disk_end() {
    let (folder, disk) = Dir::with_disk("source-digest");
    let name = folder.path("image");
    let name = name.to_str().unwrap();
    for (way, command) in WAYS.iter().enumerate() {
        folder.run(&format!("rm -f image; {command}"));
        let right = digest_of_kind(&folder, "image", if way == 0 || way == 2 { "sha512" } else { "sha256" });
        same(&read(name, &right, 1 << 20).unwrap(), &disk, command);
        if way == 0 || way > 4 {
            same(&read_through_a_pipe(&folder, "image", &right).unwrap(), &disk, command);
        }
        let mut wrong = right;
        match wrong.checksum.as_mut().unwrap() {
            Checksum::Sha256(digest) => digest[31] ^= 1,
            Checksum::Sha512(digest) => digest[63] ^= 1,
        }
        for error in [read(name, &wrong, 1 << 20), read_through_a_pipe(&folder, "image", &wrong)].map(failure) {
            let is_told = error.kind == Kind::Refused && error.why.starts_with("its SHA-");
            assert!(is_told || error.kind == Kind::Unsupported && (1..=4).contains(&way), "{command}: {error}");
        }
        // One byte more, behind everything that tells of the disk.
        File::options().append(true).open(name).unwrap().write_all_at(b"\0", 0).unwrap();
        assert_eq!(failure(read(name, &right, 1 << 20)).kind, Kind::Refused, "{command}");
    }
}

/// What is read twice has the same bytes the second time, or is not believed.
#[test]
fn a_source_that_changes_after_its_digest_was_right_is_found_out() {
    let (folder, disk) = Dir::with_disk("source-changes");
    let path = folder.path("image");
    let name = path.to_str().unwrap();
    for command in [
        "qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image",
        "qemu-img convert -t unsafe -f raw -c -O qcow2 disk.raw image",
        "qemu-img convert -t unsafe -f raw -O vpc -o subformat=dynamic,force_size disk.raw image",
    ] {
        folder.run(&format!("rm -f image; {command}"));
        let expected = digest_of(&folder, "image");
        let end = std::fs::metadata(&path).unwrap().len();
        // In each MiB, a byte of which some cluster is made or some table.
        let mut found_out = 0;
        for at in (0..end).step_by(1 << 20).map(|at| at.min(end - 70_000) + 66_000) {
            let old = bytes_at(&path, at, 1);
            let mut source = Source::open(name, MEANS).unwrap();
            let mut image = source.image(&expected).unwrap();
            patch(&path, at, &[old[0] ^ 0x10]);
            match rest(&mut image, 1 << 20) {
                // It is in memory from the first time.
                Ok(found) => same(&found, &disk, command),
                Err(error) => {
                    assert!(error.why.starts_with("it has other bytes than a moment ago"), "{command}: {at}: {error}");
                    found_out += 1;
                }
            }
            drop(image);
            patch(&path, at, &old);
        }
        assert!(found_out > 0 || end < 1 << 20, "{command}");
        same(&read(name, &expected, 1 << 20).unwrap(), &disk, command);
    }
}

/// What is read once is hashed as it is handed on, not as it was.
#[test]
fn a_disk_that_changes_while_it_is_read_has_another_digest() {
    let (folder, disk) = Dir::with_disk("source-late");
    let expected = digest_of(&folder, "disk.raw");
    let mut source = Source::open(folder.path("disk.raw").to_str().unwrap(), MEANS).unwrap();
    let mut image = source.image(&expected).unwrap();
    patch(&folder.path("disk.raw"), disk.len() as u64 - 1, &[!disk[disk.len() - 1]]);
    assert_eq!(failure(rest(&mut image, 1 << 20)).kind, Kind::Refused);
}
