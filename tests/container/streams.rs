//! Images that are read from beginning to end: tars of every make, compression around them, raw bytes.

use std::fs::File;

use wisp::codec::{Input, read_all, unpack};
use wisp::container::{Format, stream};
use wisp::error::{Kind, Result};
use wisp::units::ByteCount;

use crate::image::{Dir, Pipe, same};

/// Takes the compression off, and reads all of the disk.
fn read(folder: &Dir, name: &str) -> Result<(Format, Option<ByteCount>, Vec<u8>)> {
    let file = Pipe(File::open(folder.path(name)).unwrap());
    let mut stream = stream::open(unpack(Input::new(file), u64::MAX)?)?;
    let bytes = read_all(&mut stream.content, 64 << 20)?;
    Ok((stream.format, stream.size, bytes))
}

#[track_caller]
fn kind(folder: &Dir, name: &str) -> Kind {
    read(folder, name).expect_err("it is refused").kind
}

#[test]
fn the_image_in_a_tar_comes_back() {
    let (folder, disk) = Dir::with_disk("tar");
    for command in [
        "tar --format=oldgnu -cf image disk.raw",
        "tar --format=oldgnu -Scf image disk.raw",
        "tar --format=gnu -Scf image disk.raw",
        "tar --format=ustar -cf image disk.raw",
        "tar --format=posix -cf image disk.raw",
        "tar --format=oldgnu -czf image disk.raw",
        "tar --format=oldgnu -Sc disk.raw | xz -1 > image",
        "tar --format=oldgnu -Sc disk.raw | zstd -q > image",
        "tar -c --format=oldgnu --transform=s,^,./, disk.raw > image",
        "mkdir -p folder && ln -f disk.raw folder/ && tar --format=gnu -c folder > image",
        "busybox tar c disk.raw > image",
        // The image is compressed, and then put into the tar.
        "gzip -1c disk.raw > disk.raw.gz; tar cf image disk.raw.gz",
        "xz -1c disk.raw > disk.raw.xz; tar cf image disk.raw.xz",
        "zstd -qc disk.raw > disk.raw.zst; tar cz disk.raw.zst > image",
        // A fixed VHD, as Ubuntu's azure.vhd.tar.gz.
        "qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw vhd; tar cf image vhd",
        "qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw vhd; tar -Sc vhd | gzip -1 > image",
        // Behind the file nothing, instead of two blocks of zeros.
        "tar --format=ustar -cf image disk.raw && truncate -s $((512 + 9438720)) image",
    ] {
        folder.run(command);
        let (format, size, bytes) = read(&folder, "image").unwrap_or_else(|error| panic!("{command}: {error}"));
        // Half a KiB more than whole pages: it might be that of a fixed VHD.
        assert_eq!((format, size), (Format::Tar, None), "{command}");
        same(&bytes, &disk, command);
    }
}

#[test]
fn the_size_of_a_plain_image_in_a_tar_is_known_before_it_is_read() {
    let folder = Dir::new("tar-size");
    folder.run("truncate -s 3M disk.raw; tar --format=oldgnu -Scf image disk.raw");
    assert_eq!(read(&folder, "image").unwrap().1, Some(ByteCount(3 << 20)));
}

#[test]
fn holes_of_all_kinds_come_back() {
    let folder = Dir::new("holes");
    for writes in [
        "truncate -s 3M disk.raw",
        "truncate -s 3M disk.raw; printf x | dd of=disk.raw conv=notrunc bs=1 seek=3145727 status=none",
        "truncate -s 3M disk.raw; printf x | dd of=disk.raw conv=notrunc status=none",
        "for i in $(seq 0 60); do printf $i | dd of=disk.raw conv=notrunc bs=16k seek=$i status=none; done",
    ] {
        folder.run(&format!("rm -f disk.raw; {writes}; tar --format=oldgnu -Scf image disk.raw"));
        same(&read(&folder, "image").unwrap().2, &std::fs::read(folder.path("disk.raw")).unwrap(), writes);
    }
}

#[test]
fn a_tar_holds_one_image() {
    let (folder, _) = Dir::with_disk("tar-refused");
    folder.run("cp disk.raw two.raw; tar cf image disk.raw two.raw");
    assert_eq!(kind(&folder, "image"), Kind::Unsupported);
    folder.run("mkdir -p empty; tar cf image empty");
    assert_eq!(kind(&folder, "image"), Kind::Absent);
    folder.run("tar --format=posix -Scf image disk.raw");
    let error = read(&folder, "image").unwrap_err();
    assert!(error.why.starts_with("its holes are noted as POSIX wants it"), "{error}");
    folder.run("qemu-img convert -t unsafe -O qcow2 disk.raw disk.qcow2; tar cf image disk.qcow2");
    let (format, _, bytes) = read(&folder, "image").unwrap();
    assert_eq!(format, Format::Qcow2);
    same(&bytes, &std::fs::read(folder.path("disk.qcow2")).unwrap(), "the file itself comes, to be stored");
    folder.run("tar cf image disk.raw; truncate -s 5M image");
    assert_eq!(kind(&folder, "image"), Kind::Corrupt);
    // The checksum of what is around it comes behind the end of the archive.
    folder.run("tar cz disk.raw > image; printf '\\377\\377' | dd of=image bs=1 conv=notrunc seek=$(($(stat -c %s image) - 6)) status=none");
    assert_eq!(kind(&folder, "image"), Kind::Corrupt);
}

#[test]
fn raw_images_and_fixed_vhd_come_back() {
    let (folder, disk) = Dir::with_disk("raw");
    for command in [
        "cp disk.raw image",
        "gzip -c disk.raw > image",
        "bzip2 -c disk.raw > image",
        "lz4 -qc disk.raw > image",
        "qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw image",
        "qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw vhd; xz -1c vhd > image",
    ] {
        if cfg!(not(feature = "formats")) && (command.starts_with("bzip2") || command.starts_with("lz4")) {
            continue;
        }
        folder.run(command);
        let (format, size, bytes) = read(&folder, "image").unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!((format, size), (Format::Raw, None), "{command}");
        same(&bytes, &disk, command);
    }
}
