//! Images that `qemu-img` and `qemu-io` made, with every size of cluster and every kind of packing they have.

use std::fs::File;
use std::os::unix::fs::FileExt;

use wisp::bytes::ReadAt;
use wisp::container::{Disk, Format, Map, Place};
use wisp::units::ByteCount;

use crate::image::{Dir, Image, MIB, bytes_at, same};

/// Converts the disk to `image` with these arguments, and holds what we read against what went in.
#[track_caller]
fn round_trip(folder: &Dir, disk: &[u8], arguments: &str) {
    folder.run(&format!("rm -f image; qemu-img convert -t unsafe -f raw {arguments} disk.raw image"));
    same(&folder.read("image"), disk, arguments);
    // And here and there, in pieces that know of no clusters.
    let image = Image::open(&folder.path("image"));
    let found = Disk::new(&image, Map::open(&image, image.size).unwrap());
    assert_eq!(found.size().0, disk.len() as u64);
    let mut buffer = vec![0; 70_001];
    for at in (0..disk.len() - buffer.len()).rev().step_by(99_991).chain((0..disk.len()).step_by(1_000_003)) {
        let length = buffer.len().min(disk.len() - at);
        found.read_at(ByteCount(at as u64), &mut buffer[..length]).unwrap();
        same(&buffer[..length], &disk[at..at + length], arguments);
    }
}

/// What qemu-img itself reads.
fn by_qemu(folder: &Dir, format: &str) -> Vec<u8> {
    folder.run(&format!("qemu-img convert -t unsafe -f {format} -O raw image qemu.raw"));
    std::fs::read(folder.path("qemu.raw")).unwrap()
}

#[test]
fn qcow2_of_every_cluster_size_comes_back() {
    let (folder, disk) = Dir::with_disk("qcow2");
    for cluster in ["512", "1k", "4k", "64k", "256k", "2M"] {
        for version in ["0.10", "1.1"] {
            round_trip(&folder, &disk, &format!("-O qcow2 -o compat={version},cluster_size={cluster}"));
            round_trip(&folder, &disk, &format!("-c -O qcow2 -o compat={version},cluster_size={cluster}"));
        }
        round_trip(&folder, &disk, &format!("-c -O qcow2 -o compression_type=zstd,cluster_size={cluster}"));
    }
    for options in ["preallocation=metadata", "preallocation=falloc", "lazy_refcounts=on", "refcount_bits=1"] {
        round_trip(&folder, &disk, &format!("-O qcow2 -o {options}"));
    }
}

#[test]
fn subclusters_come_back() {
    let (folder, disk) = Dir::with_disk("subclusters");
    for cluster in ["16k", "64k", "2M"] {
        for packing in ["", "-c"] {
            round_trip(&folder, &disk, &format!("{packing} -O qcow2 -o extended_l2=on,cluster_size={cluster}"));
        }
        folder.run(&format!("qemu-img create -f qcow2 -o extended_l2=on,cluster_size={cluster} image 9M"));
        folder.run(WRITES);
        same(&folder.read("image"), &by_qemu(&folder, "qcow2"), cluster);
    }
}

/// What a running machine does to its disk.
const WRITES: &str = "qemu-io -t unsafe -f qcow2 \
    -c 'write -P 1 0 512' -c 'write -P 2 65024 1024' -c 'write -P 3 1M 3M' -c 'write -z 1536k 70k' \
    -c 'discard 2M 128k' -c 'write -zu 2560k 1M' -c 'write -P 4 2561k 512' -c 'write -c -P 5 6M 2M' \
    -c 'write -P 6 6267k 512' -c 'write -P 7 9436672 512' image >/dev/null";

#[test]
fn what_a_machine_wrote_comes_back() {
    let (folder, _) = Dir::with_disk("written");
    for options in ["compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M", "compression_type=zstd"] {
        folder.run(&format!("qemu-img create -q -f qcow2 -o {options} image 9M"));
        folder.run(WRITES);
        same(&folder.read("image"), &by_qemu(&folder, "qcow2"), options);
        // The snapshot keeps its own clusters, and the tables that are read are the current ones.
        folder.run("qemu-img snapshot -c before image");
        folder.run("qemu-io -t unsafe -f qcow2 -c 'write -P 9 0 8M' image >/dev/null");
        same(&folder.read("image"), &by_qemu(&folder, "qcow2"), &format!("{options}, with a snapshot"));
    }
}

/// Its reference counts may be wrong; no one reads them.
#[test]
fn an_image_that_was_not_closed_is_read() {
    let (folder, _) = Dir::with_disk("dirty");
    folder.run("qemu-img create -q -f qcow2 -o lazy_refcounts=on image 9M");
    folder.run("! qemu-io -f qcow2 -c 'write -P 1 3M 100k' -c 'flush' -c 'sigraise 9' image >/dev/null 2>&1");
    assert_eq!(bytes_at(&folder.path("image"), 79, 1), [1], "it is marked dirty");
    let disk = folder.read("image");
    assert!(disk[3 * MIB as usize..][..100 << 10].iter().all(|&byte| byte == 1));
}

#[test]
fn vhd_comes_back() {
    let (folder, mut disk) = Dir::with_disk("vhd");
    for options in ["subformat=dynamic,force_size", "subformat=fixed,force_size"] {
        round_trip(&folder, &disk, &format!("-O vpc -o {options}"));
    }
    // Without the word, it is made larger to a whole number of cylinders and heads.
    for kind in ["dynamic", "fixed"] {
        folder.run(&format!("qemu-img convert -t unsafe -f raw -O vpc -o subformat={kind} disk.raw image"));
        let found = folder.read("image");
        assert!(found.len() >= disk.len());
        disk.resize(found.len(), 0);
        same(&found, &disk, kind);
        let image = Image::open(&folder.path("image"));
        let map = Map::open(&image, image.size).unwrap();
        assert_eq!((map.format(), map.variant()), (Format::Vhd, kind));
    }
}

#[test]
fn vmdk_comes_back() {
    let (folder, disk) = Dir::with_disk("vmdk");
    for kind in ["streamOptimized", "monolithicSparse"] {
        for options in ["", ",compat6=on", ",zeroed_grain=on"] {
            if kind == "monolithicSparse" || options != ",zeroed_grain=on" {
                round_trip(&folder, &disk, &format!("-O vmdk -o subformat={kind}{options}"));
            }
        }
    }
    folder.run("qemu-img create -q -f vmdk -o subformat=monolithicSparse,zeroed_grain=on image 9M");
    folder.run(&WRITES.replace("qcow2", "vmdk").replace("-c 'write -c -P 5 6M 2M'", ""));
    same(&folder.read("image"), &by_qemu(&folder, "vmdk"), "written");
}

/// As VMware's own tools export them: the header knows no directory, the footer does.
#[test]
fn vmdk_with_its_directory_at_the_end_comes_back() {
    let (folder, disk) = Dir::with_disk("vmdk-footer");
    folder.run("qemu-img convert -t unsafe -f raw -O vmdk -o subformat=streamOptimized disk.raw image");
    let path = folder.path("image");
    let mut header = bytes_at(&path, 0, 512);
    let footer = header.clone();
    header[56..64].fill(0xff);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&header, 0).unwrap();
    let end = file.metadata().unwrap().len().next_multiple_of(512);
    let mut marker = [0; 512];
    marker[0] = 1;
    marker[12] = 3;
    file.write_all_at(&marker, end).unwrap();
    file.write_all_at(&footer, end + 512).unwrap();
    file.write_all_at(&[0; 512], end + 1024).unwrap();
    same(&by_qemu(&folder, "vmdk"), &disk, "qemu-img takes it");
    same(&folder.read("image"), &disk, "and so do we");
    file.set_len(end + 1024).unwrap();
    let image = Image::open(&path);
    let error = Map::open(&image, image.size).err().unwrap();
    assert_eq!(error.to_string(), "read the VMDK image: it does not end with its footer: it was cut off");
}

/// Many tables, and none of them held whole.
#[test]
fn a_large_disk_costs_as_much_as_its_data() {
    let (folder, _) = Dir::with_disk("large");
    for (format, options, size) in [
        ("qcow2", "cluster_size=64k", "20T"),
        ("qcow2", "cluster_size=2M", "64T"),
        ("qcow2", "cluster_size=512", "60G"),
        ("vpc", "subformat=dynamic,force_size", "1T"),
        ("vmdk", "subformat=monolithicSparse", "1T"),
    ] {
        folder.run(&format!("rm -f image; qemu-img create -q -f {format} -o {options} image {size}"));
        folder.run(&format!(
            "qemu-io -t unsafe -f {format} -c 'write -P 1 50G 1M' -c 'write -P 2 32G 64k' image >/dev/null"
        ));
        let image = Image::open(&folder.path("image"));
        let mut map = Map::open(&image, image.size).unwrap();
        let (mut at, mut stored, mut runs) = (0, 0, 0);
        while let Some(run) = map.run_at(at).unwrap() {
            at += run.length;
            runs += 1;
            if run.place != Place::Zero {
                stored += run.length;
            }
        }
        assert_eq!(at, map.size().0);
        assert!((MIB + (64 << 10)..8 * MIB).contains(&stored) && runs < 1000, "{format} {options}: {stored} in {runs}");
    }
}
