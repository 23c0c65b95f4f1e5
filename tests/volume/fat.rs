//! FAT by dosfstools and mtools.

use wisp::filesystem::Kind;

use crate::seed::{Folder, LIMIT, MIB, holds_seed, open};

#[test]
fn every_width_cluster_and_sector_size_is_read() {
    let folder = Folder::with_seed("fat-widths");
    for (size, options) in [
        (4, "-F 12"),
        (16, "-F 12 -s 64"),
        (32, "-F 16"),
        (32, "-F 16 -s 1 -f 1 -R 8"),
        (64, "-F 32 -s 1"),
        (100, "-F 32 -s 2"),
        (64, "-F 16 -S 4096 -s 1"),
        (300, "-F 32 -S 4096 -s 1"),
        (64, "-F 16 -S 2048 -r 1024"),
    ] {
        let image = folder.image("volume", size * MIB);
        folder.run(&format!("mkfs.vfat {options} -n CIDATA {image}"));
        folder.run(&format!("mcopy -s -i {image} seed/* ::"));
        let volume = open(&image);
        holds_seed(&volume, Kind::Vfat, &[]);
        assert_eq!(volume.read("META-DATA", LIMIT), volume.read("meta-data", LIMIT));
        assert_eq!(volume.read("/OpenStack//Latest/META_DATA.JSON", LIMIT).unwrap().unwrap().len(), 13);
        assert_eq!(volume.label(), "CIDATA");
    }
}
