//! ISO 9660 by genisoimage and xorriso.

use wisp::filesystem::Kind;

use crate::seed::{Folder, holds_seed, open};

#[test]
fn rock_ridge_and_joliet_are_read() {
    let folder = Folder::with_seed("iso");
    let image = folder.text("volume");
    for command in [
        "genisoimage -quiet -r -J",
        "genisoimage -quiet -r",
        "genisoimage -quiet -R",
        "genisoimage -quiet -J",
        "xorriso -as mkisofs -quiet -r -J",
        "xorriso -as mkisofs -quiet -r",
        "xorriso -as mkisofs -quiet -J",
    ] {
        folder.run(&format!("{command} -V cidata -o {image} seed"));
        let volume = open(&image);
        holds_seed(&volume, Kind::Iso9660, &[]);
        assert_eq!(Some(volume.label().to_owned()), folder.blkid(&image, "LABEL"));
    }
}
