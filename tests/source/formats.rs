//! Every format in every packing, from a file and through a pipe.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::thread;

use wisp::container::Format;
use wisp::error::{Kind, Result};
use wisp::image::{Expected, Source};
use wisp::units::ByteCount;

use crate::image::{Dir, same};
use crate::reading::{MEANS, NOTHING, failure, read, rest};

/// Rooms for the pieces: as the writer's, smaller than any cluster, and of no even size.
const ROOMS: [usize; 3] = [4 << 20, 512, 70_001];

/// How an image is made of `disk.raw`, and what it is.
const SEEKABLE: [(&str, Format, &str); 8] = [
    ("cp disk.raw image", Format::Raw, ""),
    ("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image", Format::Qcow2, "version 3"),
    ("qemu-img convert -t unsafe -f raw -c -O qcow2 -o compat=0.10 disk.raw image", Format::Qcow2, "version 2"),
    (
        "qemu-img convert -t unsafe -f raw -c -O qcow2 -o compression_type=zstd,cluster_size=2M disk.raw image",
        Format::Qcow2,
        "version 3",
    ),
    ("qemu-img convert -t unsafe -f raw -O vpc -o subformat=dynamic,force_size disk.raw image", Format::Vhd, "dynamic"),
    ("qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw image", Format::Vhd, "fixed"),
    (
        "qemu-img convert -t unsafe -f raw -O vmdk -o subformat=streamOptimized disk.raw image",
        Format::Vmdk,
        "streamOptimized",
    ),
    ("qemu-img convert -t unsafe -f raw -O vmdk disk.raw image", Format::Vmdk, "monolithicSparse"),
];

/// What comes from beginning to end is made by.
const STREAMED: [&str; 4] = [
    "cp disk.raw plain",
    "tar --format=oldgnu -cf plain disk.raw",
    "tar --format=oldgnu -Scf plain disk.raw",
    "qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw plain",
];

/// The packings of this build.
fn packings() -> impl Iterator<Item = &'static str> {
    let all = ["cat", "gzip -1", "xz -1", "zstd -q", "bzip2 -1", "lz4 -q", "lzop -q", "gzip -1 | zstd -q"];
    all.into_iter().take(if cfg!(feature = "formats") { 8 } else { 4 })
}

/// What comes through a pipe that gets the file `name` little by little.
pub fn read_through_a_pipe(folder: &Dir, name: &str, expected: &Expected) -> Result<Vec<u8>> {
    let bytes = std::fs::read(folder.path(name)).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || bytes.chunks(99_991).try_for_each(|chunk| writer.write_all(chunk)));
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let opened = Source::open(&path, MEANS);
        // Anyone who writes may not wait for ever when no one reads.
        drop(reader);
        let mut source = opened?;
        let mut image = source.image(expected)?;
        rest(&mut image, 1 << 20)
    })
}

#[test]
fn what_has_a_map_comes_back() {
    let (folder, disk) = Dir::with_disk("source-seekable");
    for (command, format, variant) in SEEKABLE {
        folder.run(&format!("rm -f image; {command}"));
        let name = folder.path("image");
        let name = name.to_str().unwrap();
        for room in ROOMS {
            same(&read(name, &NOTHING, room).unwrap(), &disk, command);
        }
        let mut source = Source::open(name, MEANS).unwrap();
        let image = source.image(&NOTHING).unwrap();
        let size = Some(ByteCount(disk.len() as u64));
        assert_eq!((image.format, image.variant, image.size), (format, variant, size), "{command}");
        let stored = Some(ByteCount(std::fs::metadata(name).unwrap().len()));
        assert_eq!((image.stored, image.layers.len()), (stored, 0), "{command}");
    }
}

#[test]
fn what_is_packed_comes_back_from_a_file_and_through_a_pipe() {
    let (folder, disk) = Dir::with_disk("source-streamed");
    let name = folder.path("image");
    let name = name.to_str().unwrap();
    for command in STREAMED {
        folder.run(&format!("rm -f plain; {command}"));
        for packing in packings() {
            // One of them tells of all that the other decoders would do with another content.
            if command != STREAMED[0] && !matches!(packing, "cat" | "zstd -q") {
                continue;
            }
            let context = format!("{command} | {packing}");
            folder.run(&format!("cat plain | {packing} > image"));
            same(&read(name, &NOTHING, ROOMS[0]).unwrap(), &disk, &context);
            same(&read_through_a_pipe(&folder, "image", &NOTHING).unwrap(), &disk, &context);
        }
    }
}

#[test]
fn layers_are_named_the_outermost_first() {
    let (folder, _) = Dir::with_disk("source-layers");
    folder.run("tar --format=oldgnu -Sc disk.raw | xz -1 | gzip -1 > image");
    let mut source = Source::open(folder.path("image").to_str().unwrap(), MEANS).unwrap();
    let image = source.image(&NOTHING).unwrap();
    let names: Vec<&str> = image.layers.iter().map(|layer| layer.name()).collect();
    assert_eq!((names, image.format), (vec!["gzip", "xz"], Format::Tar));
    assert_eq!(image.size, None, "half a KiB more than whole pages may be that of a fixed VHD");
    folder.run("xz -1c disk.raw > disk.raw.xz; tar -c disk.raw.xz | gzip -1 > image");
    let mut source = Source::open(folder.path("image").to_str().unwrap(), MEANS).unwrap();
    let image = source.image(&NOTHING).unwrap();
    let names: Vec<&str> = image.layers.iter().map(|layer| layer.name()).collect();
    assert_eq!((names, image.format), (vec!["gzip", "xz"], Format::Tar));
}

/// Of a file, not compressed: there it can be read at any offset.
#[test]
fn what_has_tables_comes_out_of_a_tar() {
    let (folder, disk) = Dir::with_disk("source-tar-tables");
    folder.run("qemu-img convert -t unsafe -f raw -O vmdk -o subformat=streamOptimized disk.raw a.vmdk");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw a.qcow2");
    folder.run("echo '<Envelope/>' > a.ovf; echo SHA256 > a.mf; cp a.vmdk b.vmdk; touch z");
    let name = folder.path("image");
    let name = name.to_str().unwrap();
    for (files, format) in [
        ("a.qcow2", Format::Qcow2),
        ("a.vmdk", Format::Vmdk),
        ("a.ovf a.vmdk a.mf", Format::Vmdk),
        ("a.ovf a.mf a.vmdk", Format::Vmdk),
    ] {
        folder.run(&format!("tar --format=ustar -cf image {files}"));
        same(&read(name, &NOTHING, 70_001).unwrap(), &disk, files);
        let mut source = Source::open(name, MEANS).unwrap();
        assert_eq!(source.image(&NOTHING).unwrap().format, format);
        let digest =
            String::from_utf8(std::process::Command::new("sha256sum").arg(name).output().unwrap().stdout).unwrap();
        let checksum = |text: &str| Some(wisp::text::checksum::Checksum::parse("sha256", text).unwrap());
        let expected = Expected { checksum: checksum(&digest[..64]), size: None };
        same(&read(name, &expected, 4096).unwrap(), &disk, files);
        let expected = Expected { checksum: checksum(&"0".repeat(64)), size: None };
        assert_eq!(failure(read(name, &expected, 4096)).kind, Kind::Refused);
        // What was cut off is no image.
        folder.run("truncate -s -20K image");
        assert!(read(name, &NOTHING, 4096).is_err(), "{files}");
    }
    for files in ["a.ovf a.vmdk b.vmdk", "a.qcow2 z", "a.vmdk a.ovf", "a.qcow2 b.vmdk"] {
        folder.run(&format!("tar --format=ustar -cf image {files}"));
        assert_eq!(failure(read(name, &NOTHING, 4096)).kind, Kind::Unsupported, "{files}");
    }
}

/// Behind a member whose header is damaged there may be the rest of a disk.
#[test]
fn a_disk_is_not_followed_by_garbage() {
    let (folder, _) = Dir::with_disk("source-garbage");
    folder.run("gzip -1c disk.raw > image.gz; printf garbage >> image.gz");
    let error = failure(read(folder.path("image.gz").to_str().unwrap(), &NOTHING, 4096));
    assert_eq!(error.kind, Kind::Corrupt, "{error}");
}

#[test]
fn what_has_tables_comes_through_no_pipe() {
    let (folder, _) = Dir::with_disk("source-tables");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image; gzip -c image > image.gz");
    let error = failure(read_through_a_pipe(&folder, "image", &NOTHING));
    assert_eq!(error.kind, Kind::Unsupported, "{error}");
    let error = failure(read(folder.path("image.gz").to_str().unwrap(), &NOTHING, 512));
    assert_eq!(error.kind, Kind::Unsupported, "{error}");
    assert!(error.to_string().contains("image.gz: qcow2 cannot be read from beginning to end"), "{error}");
}

#[test]
fn what_is_no_image_is_refused() {
    let (folder, _) = Dir::with_disk("source-none");
    folder.run("touch empty; gzip -c empty > empty.gz; gzip -c disk.raw | head -c 50000 > cut.gz; mkfifo gone");
    let kind = |name: &str| failure(read(folder.path(name).to_str().unwrap(), &NOTHING, 4096)).kind;
    assert_eq!(kind("empty"), Kind::Refused);
    assert_eq!(kind("empty.gz"), Kind::Refused);
    assert_eq!(kind("cut.gz"), Kind::Corrupt);
    assert_eq!(kind("none"), Kind::Absent);
    assert_eq!(kind(""), Kind::Os(21), "a folder");
    assert_eq!(failure(read_through_a_pipe(&folder, "empty", &NOTHING)).kind, Kind::Refused);
}

#[test]
fn the_size_must_be_the_expected_one() {
    let (folder, disk) = Dir::with_disk("source-size");
    folder.run("gzip -c disk.raw > image.gz; qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image.qcow2");
    folder.run("tar cf image.tar disk.raw");
    for name in ["disk.raw", "image.gz", "image.qcow2", "image.tar"] {
        let path = folder.path(name);
        let path = path.to_str().unwrap();
        let expected = |size| Expected { checksum: None, size: Some(ByteCount(size)) };
        let size = disk.len() as u64;
        same(&read(path, &expected(size), 1 << 20).unwrap(), &disk, name);
        for other in [0, 512, size - 1, size + 1, size + 512] {
            assert_eq!(failure(read(path, &expected(other), 1 << 20)).kind, Kind::Refused, "{name}: {other}");
        }
        // A size that stands in the image is compared before the first byte.
        let mut source = Source::open(path, MEANS).unwrap();
        let is_stated = !matches!(name, "image.gz" | "image.tar");
        assert_eq!(source.image(&expected(size + 512)).is_err(), is_stated, "{name}");
        // And one that does not, as soon as it is passed.
        if name == "image.gz" {
            let mut image = source.image(&expected(1 << 20)).unwrap();
            let error = failure(rest(&mut image, 4096));
            assert!(image.read() < 600 << 10 && error.why.contains("more than"), "{} read: {error}", image.read());
        }
    }
}

#[test]
fn a_pipe_is_read_once() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"a disk").unwrap();
    drop(writer);
    let mut source = Source::open(&format!("/proc/self/fd/{}", reader.as_raw_fd()), MEANS).unwrap();
    assert_eq!(rest(&mut source.image(&NOTHING).unwrap(), 4).unwrap(), b"a disk");
    assert_eq!(source.image(&NOTHING).err().unwrap().kind, Kind::Absent);
}
