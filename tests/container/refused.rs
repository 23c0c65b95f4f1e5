//! What is no whole image, or of a kind that is not read, says so by its name; what is damaged gives an answer.

use wisp::container::Map;
use wisp::error::{Error, Kind};

use crate::image::{Dir, Image, bytes_at, patch, read};

#[track_caller]
fn error(folder: &Dir) -> Error {
    let image = Image::open(&folder.path("image"));
    Map::open(&image, image.size).err().expect("it is refused")
}

#[test]
fn no_other_file_is_opened() {
    let (folder, _) = Dir::with_disk("backing");
    folder.run("qemu-img create -q -f qcow2 -F raw -b disk.raw image");
    let refused = error(&folder);
    assert_eq!(refused.kind, Kind::Refused);
    assert!(refused.why.starts_with("it is only the difference to disk.raw, which is not opened"), "{refused}");
    folder.run("qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on image 9M");
    assert!(error(&folder).why.starts_with("its data is in another file"));
    for kind in ["monolithicFlat", "twoGbMaxExtentFlat", "twoGbMaxExtentSparse"] {
        folder.run(&format!("qemu-img create -q -f vmdk -o subformat={kind} image 9M"));
        assert_eq!(
            error(&folder).why,
            "its format, VMDK whose data is in other files, is not read; \
            make a qcow2 or raw image of it with `qemu-img convert`"
        );
    }
    folder.run("mv image-s001.vmdk image 2>/dev/null || mv image-s001* image");
    assert_eq!(error(&folder).why, "of its kinds only streamOptimized and monolithicSparse are read");
    folder.run("rm image; qemu-img create -q -f vmdk -o subformat=monolithicSparse base.vmdk 9M");
    folder.run("qemu-img create -q -f vmdk -F vmdk -b base.vmdk image");
    assert_eq!(error(&folder).to_string(), "read the VMDK image: it is only the difference to another image");
}

#[test]
fn other_formats_are_refused_by_name() {
    let (folder, _) = Dir::with_disk("others");
    for (format, name) in
        [("vdi", "VDI"), ("vhdx", "VHDX"), ("qed", "QED"), ("qcow", "qcow"), ("parallels", "Parallels")]
    {
        folder.run(&format!("rm -f image; qemu-img convert -t unsafe -f raw -O {format} disk.raw image"));
        let refused = error(&folder);
        assert_eq!(refused.kind, Kind::Unsupported);
        assert!(refused.why.starts_with(&format!("its format, {name}, is not read")), "{refused}");
    }
    folder.run("tar cf image disk.raw");
    assert!(error(&folder).why.contains("an image in a tar"));
    // Of LUKS it would measure for seconds how fast this machine is.
    let secret = "--object secret,id=s,data=x";
    folder.run(&format!("qemu-img create -q {secret} -f qcow2 -o encrypt.format=aes,encrypt.key-secret=s image 9M"));
    assert_eq!(error(&folder).why, "it is encrypted, by method 1");
}

#[test]
fn damage_that_is_marked_or_seen_is_refused() {
    let (folder, _) = Dir::with_disk("marked");
    let path = folder.path("image");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image");
    patch(&path, 79, &[2]);
    assert!(error(&folder).why.starts_with("it is marked as corrupt"));
    patch(&path, 72, &[0x80, 0, 0, 0, 0, 0, 0, 0]);
    assert!(error(&folder).why.ends_with("not known: 0x8000000000000000"));
    folder.run("rm image; qemu-img convert -t unsafe -f raw -O vpc disk.raw image");
    patch(&path, 80, &[!bytes_at(&path, 80, 1)[0]]);
    assert_eq!(error(&folder).why, "checksum of its first sector does not match");
}

/// A download that stopped: whatever was lost is missed, if not at once then where it is needed.
#[test]
fn an_image_that_was_cut_off_gives_no_disk() {
    let (folder, disk) = Dir::with_disk("cut");
    for arguments in [
        "-O qcow2",
        "-c -O qcow2",
        "-c -O qcow2 -o compression_type=zstd",
        "-O vpc -o subformat=dynamic,force_size",
        "-O vmdk -o subformat=streamOptimized",
        "-O vmdk -o subformat=monolithicSparse",
    ] {
        folder.run(&format!("rm -f image; qemu-img convert -t unsafe -f raw {arguments} disk.raw image"));
        let path = folder.path("image");
        let length = std::fs::metadata(&path).unwrap().len();
        // Below a last sector, a packed cluster is whole.
        for lost in [1024, 4096, 65_536, length / 3, length / 2, length - 600, length - 100] {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(length - lost).unwrap();
            match read(&Image::open(&path)) {
                Err(error) => assert_eq!(error.kind, Kind::Corrupt, "{arguments}: {error}"),
                Ok(found) => assert!(found == disk, "{arguments}: {lost} of {length} are not missed"),
            }
        }
    }
}
