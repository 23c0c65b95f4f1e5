//! Images on a web server: in one request what comes as it is, by ranges what has tables.

use std::sync::Arc;

use wisp::container::Format;
use wisp::error::Kind;
use wisp::image::{Expected, Source};
use wisp::text::checksum::Checksum;
use wisp::units::ByteCount;

use crate::digest::digest_of;
use crate::image::{Dir, same};
use crate::reading::{MEANS, NOTHING, failure, read};
use crate::store::{End, Store, Turn, field};

fn serve(folder: &Dir, name: &str) -> (Store, Arc<Vec<u8>>) {
    let bytes = Arc::new(std::fs::read(folder.path(name)).unwrap());
    let own = bytes.clone();
    (Store::new(move |_, _| Turn::whole(&own)), bytes)
}

#[test]
fn images_come_from_a_server() {
    let (folder, disk) = Dir::with_disk("source-server");
    for (command, format) in [
        ("cp disk.raw image", Format::Raw),
        ("gzip -1c disk.raw > image", Format::Raw),
        ("tar --format=oldgnu -Scf image disk.raw", Format::Tar),
        ("qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw image", Format::Raw),
        ("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image", Format::Qcow2),
        ("qemu-img convert -t unsafe -f raw -c -O qcow2 disk.raw image", Format::Qcow2),
        ("qemu-img convert -t unsafe -f raw -O vmdk -o subformat=streamOptimized disk.raw image", Format::Vmdk),
    ] {
        folder.run(&format!("rm -f image; {command}"));
        let (store, bytes) = serve(&folder, "image");
        let url = store.url("/image?key=secret");
        same(&read(&url, &NOTHING, 1 << 20).unwrap(), &disk, command);
        let is_stream = matches!(format, Format::Raw | Format::Tar);
        assert!(store.heard().len() <= if is_stream { 1 } else { 8 }, "{command}: {:#?}", store.heard());
        let right = digest_of(&folder, "image");
        same(&read(&url, &right, 1 << 20).unwrap(), &disk, command);
        let wrong = Expected { checksum: Some(Checksum::Sha256([1; 32])), size: None };
        let error = failure(read(&url, &wrong, 1 << 20));
        assert_eq!(error.kind, Kind::Refused, "{command}");
        assert_eq!(error.to, store.url("/image"), "no key");
        let mut source = Source::open(&url, MEANS).unwrap();
        assert_eq!(source.label(), store.url("/image"));
        let image = source.image(&NOTHING).unwrap();
        assert_eq!((image.format, image.stored), (format, Some(ByteCount(bytes.len() as u64))), "{command}");
    }
}

/// The size of a raw disk is known before its last byte, unless that may be a footer's.
#[test]
fn the_size_of_a_download_is_known() {
    let (folder, _) = Dir::with_disk("source-server-size");
    folder.run("truncate -s 8M disk.raw; gzip -1c disk.raw > image.gz");
    folder.run("qemu-img convert -t unsafe -f raw -O vpc -o subformat=fixed,force_size disk.raw image");
    let size = |name: &str| {
        let (store, _) = serve(&folder, name);
        Source::open(&store.url("/"), MEANS).unwrap().image(&NOTHING).unwrap().size
    };
    assert_eq!((size("disk.raw"), size("image"), size("image.gz")), (Some(ByteCount(8 << 20)), None, None));
}

/// The bytes before the break count in the digest once.
#[test]
fn a_download_that_breaks_off_keeps_its_digest() {
    let (folder, disk) = Dir::with_disk("source-breaks");
    folder.run("gzip -1c disk.raw > image; qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image.qcow2");
    for name in ["image", "image.qcow2"] {
        let bytes = Arc::new(std::fs::read(folder.path(name)).unwrap());
        let store = Store::new(move |number, _| match number {
            0 | 1 => Turn::whole(&bytes).ending(End::Close(100_000)),
            _ => Turn::whole(&bytes),
        });
        let expected = digest_of(&folder, name);
        same(&read(&store.url("/"), &expected, 1 << 20).unwrap(), &disk, name);
        assert!(store.heard().iter().any(|request| field(request, "Range").is_some()), "it went on where it was");
    }
}

/// A server that sends something else once the digest was right.
#[test]
fn a_server_that_changes_its_mind_is_found_out() {
    let (folder, _) = Dir::with_disk("source-mind");
    folder.run("qemu-img convert -t unsafe -f raw -O qcow2 disk.raw image");
    let expected = digest_of(&folder, "image");
    let honest = Arc::new(std::fs::read(folder.path("image")).unwrap());
    let mut other = (*honest).clone();
    let text = other.windows(10).rposition(|bytes| bytes == [0x33; 10]).unwrap();
    other[text] = 0;
    let other = Arc::new(other);
    // Each connection ends early, so that the second pass needs new ones.
    let turn = |bytes: &Arc<Vec<u8>>| Turn::whole(bytes).ending(End::Close(600_000));
    let count = {
        let own = honest.clone();
        let store = Store::new(move |_, _| turn(&own));
        let url = store.url("/");
        let mut source = Source::open(&url, MEANS).unwrap();
        source.image(&expected).unwrap();
        store.heard().len()
    };
    let store = Store::new(move |number, _| turn(if number < count { &honest } else { &other }));
    let error = failure(read(&store.url("/"), &expected, 1 << 20));
    assert!(error.why.starts_with("it has other bytes than a moment ago"), "{error}");
}
