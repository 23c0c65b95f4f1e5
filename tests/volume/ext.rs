//! ext2, ext3 and ext4 by e2fsprogs, as they lie in images.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};

use wisp::bytes::ReadAt;
use wisp::error::Kind as ErrorKind;
use wisp::units::ByteCount;
use wisp::volume::{self, Volume};

use crate::seed::{Dir, Image, LIMIT, MIB, holds_seed, noise};

/// The volume in an image, which may be ext.
fn open(path: &str) -> Volume<'static> {
    let file = File::open(path).unwrap();
    let size = ByteCount(file.metadata().unwrap().len());
    volume::open_with_ext(Box::new(Image(file)), size).unwrap().expect("a volume")
}

/// Blocks of data with holes between them, more than fit an inode or one block of a map; the last block is a hole.
fn put_scattered(folder: &Dir, path: &str, blocks: u64) -> Vec<u8> {
    let file = File::create(folder.0.join(path)).unwrap();
    file.set_len(blocks * 8192).unwrap();
    let mut whole = vec![0; (blocks * 8192) as usize];
    for (number, part) in (0..).zip(whole.chunks_exact_mut(8192)) {
        let bytes = noise(4096 + number as usize % 7)[..4096].to_vec();
        part[..4096].copy_from_slice(&bytes);
        file.write_at(&bytes, number * 8192).unwrap();
    }
    whole
}

#[test]
fn every_generation_block_size_and_map_is_read() {
    let folder = Dir::with_seed("ext-generations");
    let scattered = put_scattered(&folder, "seed/scattered", 400);
    for options in [
        "-t ext2 -b 1024",
        "-t ext3 -b 4096",
        "-t ext4 -b 1024",
        "-t ext4 -b 4096",
        "-t ext4 -b 4096 -I 128 -O ^64bit,^metadata_csum",
        "-t ext4 -b 1024 -O meta_bg,^resize_inode -g 1024",
        "-t ext4 -b 2048 -O bigalloc -C 16384",
    ] {
        let image = folder.image("volume", 16 * MIB);
        folder.run(&format!("mkfs.ext4 -q -F -L system {options} -d seed {image}"));
        let volume = open(&image);
        holds_seed(&volume, volume.kind(), &["lost+found", "scattered"]);
        assert!(volume.read("scattered", LIMIT).unwrap().unwrap() == scattered, "{options}");
        assert_eq!(volume.label(), "system", "{options}");
        assert_eq!(volume.read("scattered", 4096).unwrap_err().kind, ErrorKind::Refused);
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn a_file_is_read_in_parts() {
    let folder = Dir::new("ext-parts");
    fs::create_dir(folder.0.join("tree")).unwrap();
    let whole = put_scattered(&folder, "tree/file", 100);
    for (mkfs, copy) in [("mkfs.ext4 -q -F -d tree", "true"), ("mkfs.vfat", "mcopy -i volume tree/file ::")] {
        let image = folder.image("volume", 16 * MIB);
        folder.run(&format!("{mkfs} {image} && {copy}"));
        let volume = open(&image);
        let file = volume.file("file", LIMIT).unwrap().unwrap();
        assert_eq!(file.size(), ByteCount(whole.len() as u64));
        for (at, length) in
            [(0, 0), (0, 1), (4095, 2), (4000, 20_000), (8191, 4098), (0, whole.len()), (whole.len() - 1, 1)]
        {
            let mut part = vec![1; length];
            file.read_at(ByteCount(at as u64), &mut part).unwrap();
            assert!(part == whole[at..at + length], "{mkfs}: {length} from {at}");
        }
        assert!(file.read_at(ByteCount(whole.len() as u64), &mut [0]).is_err());
        assert!(file.read_at(ByteCount(u64::MAX), &mut [0]).is_err());
        assert!(volume.file("gone", LIMIT).unwrap().is_none() && volume.file("", LIMIT).unwrap().is_none());
    }
}

#[test]
fn links_lead_within_the_volume() {
    let folder = Dir::new("ext-links");
    folder.put("tree/usr/lib/os-release", b"here");
    let long = format!("../{}usr/lib/os-release", "./".repeat(50));
    let links = [
        ("lib", "usr/lib"),
        ("os", "/lib/os-release"),
        ("usr/up", "../../../../lib/os-release"),
        ("usr/long", long.as_str()),
        ("usr/lib/self", "."),
        ("loop", "/loop"),
        ("a", "b/b"),
        ("b", "a/a"),
        ("outside", "/proc/version"),
    ];
    for (path, target) in links {
        symlink(target, folder.0.join("tree").join(path)).unwrap();
    }
    let image = folder.image("volume", 4 * MIB);
    folder.run(&format!("mkfs.ext4 -q -F -d tree {image}"));
    let volume = open(&image);
    for path in ["os", "usr/up", "usr/long", "lib/os-release", "lib/self/self/os-release", "/usr/../os"] {
        assert_eq!(volume.read(path, LIMIT), Ok(Some(b"here".to_vec())), "{path}");
    }
    for path in ["loop", "a", "a/b", "outside", "lib", "os/x"] {
        assert_eq!(volume.read(path, LIMIT), Ok(None), "{path}");
    }
    assert_eq!(volume.list("lib/self").unwrap().unwrap().len(), 2);
}

#[test]
fn what_is_not_understood_is_said() {
    let folder = Dir::new("ext-inline");
    folder.put("tree/short", b"40 bytes");
    folder.put("tree/longer", &[b'x'; 100]);
    let image = folder.image("volume", 4 * MIB);
    folder.run(&format!("mkfs.ext4 -q -F -O inline_data -d tree {image}"));
    let volume = open(&image);
    assert_eq!(volume.read("short", LIMIT), Ok(Some(b"40 bytes".to_vec())));
    assert_eq!(volume.read("longer", LIMIT).unwrap_err().kind, ErrorKind::Unsupported);
}
