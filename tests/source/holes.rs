//! Holes are neither read nor handed on as bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use wisp::image::{Content, Piece, Source};
use wisp::units::ByteCount;

use crate::image::{Dir, MIB};
use crate::reading::{MEANS, NOTHING};

/// Bytes and zeros of the image `name`, and how many answers they came in.
fn count(folder: &Dir, name: &str) -> (u64, u64, usize) {
    let mut source = Source::open(folder.path(name).to_str().unwrap(), MEANS).unwrap();
    let mut image = source.image(&NOTHING).unwrap();
    let (mut bytes, mut zeros, mut answers) = (0, 0, 0);
    let mut room = vec![0; 4 << 20];
    loop {
        match image.next(&mut room).unwrap() {
            Piece::Bytes(count) => bytes += count as u64,
            Piece::Zeros(count) => zeros += count,
            Piece::End => break,
        }
        answers += 1;
    }
    assert_eq!(image.data().unwrap().unwrap(), ByteCount(bytes), "what is stored is told beforehand");
    assert!(image.read() <= image.stored.unwrap().0);
    (bytes, zeros, answers)
}

/// A disk of 100 GiB: were its holes read, this test would take a minute.
#[test]
fn a_sparse_file_is_read_where_it_is_stored() {
    const SIZE: u64 = 100 << 30;
    let folder = Dir::new("source-holes");
    let file = File::create(folder.path("disk.raw")).unwrap();
    file.set_len(SIZE).unwrap();
    for at in [0, 50 << 30, SIZE - MIB] {
        file.write_all_at(&vec![1; MIB as usize], at).unwrap();
    }
    assert_eq!(count(&folder, "disk.raw"), (3 * MIB, SIZE - 3 * MIB, 5));
    // Up to the end there is a hole.
    file.set_len(SIZE + MIB).unwrap();
    assert_eq!(count(&folder, "disk.raw"), (3 * MIB, SIZE - 2 * MIB, 6));
    file.set_len(0).unwrap();
    file.set_len(SIZE).unwrap();
    assert_eq!(count(&folder, "disk.raw"), (0, SIZE, 1));

    // A table says the same, in as few answers as tables are looked at together.
    folder.run(
        "qemu-img create -q -f qcow2 image 100G; qemu-io -t unsafe -f qcow2 -c 'write -P 1 50G 1M' image >/dev/null",
    );
    let (bytes, zeros, answers) = count(&folder, "image");
    assert_eq!((bytes, zeros), (MIB, SIZE - MIB));
    assert!(answers < 40, "{answers}");
}

/// The footer of a fixed VHD does not make its holes data.
#[test]
fn a_sparse_vhd_is_read_where_it_is_stored() {
    let folder = Dir::new("source-vhd");
    folder.run("truncate -s 1G disk.raw; printf x | dd of=disk.raw bs=1M seek=512 conv=notrunc status=none");
    folder.run("qemu-img convert -t unsafe -S 4k -f raw -O vpc -o subformat=fixed,force_size disk.raw image");
    let (bytes, zeros, _) = count(&folder, "image");
    assert!(bytes <= 64 << 10, "{bytes}");
    assert_eq!(bytes + zeros, 1 << 30);
}
