//! Images that we wrote, judged and read back by others.
#![cfg(feature = "full")]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;

use wisp::codec::Packer;
use wisp::container::{Cluster, Qcow2, fixed_vhd_footer, tar_end, tar_header};
use wisp::error::{Error, Result};
use wisp::units::ByteCount;

use crate::image::{Dir, MIB, bytes_at, disk, same};

/// Writes the disk as qcow2, and returns how long the file should be.
fn pack(folder: &Dir, name: &str, disk: &[u8]) -> u64 {
    let file = File::create(folder.path(name)).unwrap();
    let mut write = |at: ByteCount, bytes: &[u8]| file.write_all_at(bytes, at.0).map_err(|_| Error::os(5, "write"));
    let mut image = Qcow2::new(ByteCount(disk.len() as u64), &mut write).unwrap();
    let mut packer = Packer::new();
    let mut room = vec![0; Qcow2::CLUSTER - 1];
    for (at, bytes) in (0..).step_by(Qcow2::CLUSTER).zip(disk.chunks(Qcow2::CLUSTER)) {
        if bytes.iter().all(|&byte| byte == 0) {
            continue;
        }
        let mut cluster = bytes.to_vec();
        cluster.resize(Qcow2::CLUSTER, 0);
        let put = match packer.pack(&cluster, &mut room) {
            Some(length) => Cluster::Packed(&room[..length]),
            None => Cluster::Stored(&cluster),
        };
        image.put(ByteCount(at), put).unwrap();
    }
    image.finish().unwrap().0
}

#[test]
fn qemu_img_finds_nothing_wrong_with_our_qcow2() {
    let (folder, disk) = Dir::with_disk("own-qcow2");
    let length = pack(&folder, "image", &disk);
    assert_eq!(std::fs::metadata(folder.path("image")).unwrap().len(), length);
    folder.run("qemu-img check -q -f qcow2 image");
    folder.run("qemu-img compare -q -f qcow2 -F raw image disk.raw");
    let info = folder.run("qemu-img info -f qcow2 image");
    for line in [
        "virtual size: 9 MiB (9438720 bytes)".to_owned(),
        "cluster_size: 65536".to_owned(),
        "compat: 1.1".to_owned(),
        "compression type: zlib".to_owned(),
        "corrupt: false".to_owned(),
    ] {
        assert!(info.contains(&line), "{line} is not in {info}");
    }
    same(&folder.read("image"), &disk, "qcow2");
    // QEMU can go on with it.
    folder.run("qemu-io -t unsafe -f qcow2 -c 'write -P 9 0 9M' image >/dev/null && qemu-img check -q -f qcow2 image");
    assert!(length < 1_500_000, "{length} bytes are packed");
    pack(&folder, "second", &disk);
    pack(&folder, "third", &disk);
    folder.run("cmp second third");
    let _ = pack(&folder, "image", &[]);
    folder.run("qemu-img check -q -f qcow2 image");
}

/// Two GiB and more: the second block of reference counts. The data itself stays a hole.
#[test]
fn qemu_img_finds_nothing_wrong_with_a_large_one() {
    let folder = Dir::new("own-large");
    let file = File::create(folder.path("image")).unwrap();
    let mut write = |at: ByteCount, bytes: &[u8]| -> Result<()> {
        if bytes[0] != 0xff {
            file.write_all_at(bytes, at.0).unwrap();
        }
        Ok(())
    };
    let count = 70_000_u64;
    let whole = vec![0xff; Qcow2::CLUSTER];
    let mut image = Qcow2::new(ByteCount(3 << 40), &mut write).unwrap();
    for index in 0..count {
        // Far from each other, so that there are many tables too.
        let at = ByteCount((index * 500) << 16);
        let cluster = if index % 3 == 0 { Cluster::Packed(&whole[..60_000]) } else { Cluster::Stored(&whole) };
        image.put(at, cluster).unwrap();
    }
    let length = image.finish().unwrap();
    assert!(length.0 > 4 << 30);
    file.set_len(length.0).unwrap();
    let check = folder.run("qemu-img check -f qcow2 image");
    assert!(check.starts_with("No errors were found on the image."), "{check}");
}

#[test]
fn our_vhd_is_that_of_qemu_img_but_for_id_and_time() {
    let folder = Dir::new("own-vhd");
    for mebibytes in [1, 9, 129, 2049] {
        folder.run(&format!("rm -f disk.raw; truncate -s {mebibytes}M disk.raw"));
        let size = mebibytes * MIB;
        let file = File::options().write(true).open(folder.path("disk.raw")).unwrap();
        file.write_all_at(&disk()[..1 << 20], 0).unwrap();
        folder.run("qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw theirs");
        let theirs = bytes_at(&folder.path("theirs"), size, 512);
        let seconds = u64::from(u32::from_be_bytes(theirs[24..28].try_into().unwrap()));
        let mut ours = fixed_vhd_footer(ByteCount(size), [0x5a; 16], seconds + 946_684_800).unwrap().to_vec();
        folder.run("cp --sparse=always disk.raw image");
        File::options().append(true).open(folder.path("image")).unwrap().write_all(&ours).unwrap();
        folder.run("qemu-img compare -q -f vpc -F raw image disk.raw");
        assert!(folder.run("qemu-img info -f vpc image").contains(&format!("({size} bytes)")));
        // The id, and with it the checksum.
        ours[64..84].copy_from_slice(&theirs[64..84]);
        assert_eq!(ours, theirs, "{mebibytes} MiB");
    }
}

#[test]
fn gnu_tar_and_busybox_unpack_our_tar() {
    let (folder, disk) = Dir::with_disk("own-tar");
    let size = disk.len() as u64;
    let mut archive = tar_header("disk.raw", size, 1_700_000_000).unwrap().to_vec();
    archive.extend_from_slice(&disk);
    archive.extend(tar_end(size));
    std::fs::write(folder.path("image"), &archive).unwrap();
    let listed = folder.run("TZ=UTC tar tvf image");
    assert_eq!(listed.trim(), "-rw-r--r-- 0/0         9438720 2023-11-14 22:13 disk.raw");
    let listed = folder.run("TZ=UTC busybox tar tvf image");
    assert_eq!(listed.trim(), "-rw-r--r-- 0/0   9438720 2023-11-14 22:13:20 disk.raw");
    for tool in ["tar", "busybox tar"] {
        folder.run(&format!("mkdir -p out && cd out && {tool} xf ../image && cmp disk.raw ../disk.raw && rm disk.raw"));
    }
    // The header is the one that GNU tar writes, but for who owns the file, and its checksum.
    folder.run("touch -d @1700000000 disk.raw; chmod 644 disk.raw");
    folder.run("tar --format=oldgnu --owner=0 --group=0 --numeric-owner -cf theirs disk.raw");
    folder.run("cmp image theirs");
}

/// From 8 GiB on a size is no octal number.
#[test]
fn a_file_of_nine_gib_is_listed() {
    let folder = Dir::new("own-nine");
    let size = 9 << 30;
    let mut file = File::create(folder.path("image")).unwrap();
    file.write_all(&tar_header("disk.raw", size, 0).unwrap()).unwrap();
    file.write_all_at(&tar_end(size), 512 + size).unwrap();
    let listed = folder.run("TZ=UTC tar tvf image; TZ=UTC busybox tar tvf image");
    assert_eq!(listed.matches("9663676416 1970-01-01 00:00").count(), 2, "{listed}");
}
