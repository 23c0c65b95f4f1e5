//! UDF by genisoimage, which makes bridges; by mkudffs, which makes empty volumes; and by the kernel, which fills them.

use std::fs;

use wisp::error::Kind as ErrorKind;
use wisp::filesystem::Kind;
use wisp::volume::Volume;

use crate::seed::{Dir, LIMIT, MIB, holds_seed, open, open_bytes};

#[test]
fn a_bridge_is_read_as_udf() {
    let folder = Dir::with_seed("udf-bridge");
    for options in ["-udf -r -J", "-udf -J", "-udf"] {
        folder.run(&format!("genisoimage -quiet {options} -V cidata -o volume seed"));
        let volume = open(folder.text("volume"));
        holds_seed(&volume, Kind::Udf, &[]);
        assert_eq!(Some(volume.label().to_owned()), folder.blkid("volume", "LABEL"));
        assert_eq!(volume.read("META-DATA", LIMIT), Ok(None), "names are as they were written");
    }
}

#[test]
fn a_bridge_whose_udf_is_damaged_is_read_as_iso_9660() {
    let folder = Dir::with_seed("udf-half");
    folder.run("genisoimage -quiet -udf -r -V cidata -o volume seed");
    let mut image = fs::read(folder.0.join("volume")).unwrap();
    image[256 * 2048] ^= 1;
    holds_seed(&open_bytes(&image).unwrap(), Kind::Iso9660, &[]);
    image[32769] ^= 1;
    let error = open_bytes(&image).err().unwrap().to_string();
    assert_eq!(error, "read the UDF volume on: it has no sound anchor", "the better half speaks for both");
}

#[test]
fn the_second_copy_of_the_descriptors_counts_when_the_first_is_damaged() {
    let folder = Dir::new("udf-reserve");
    folder.image("volume", 2 * MIB);
    folder.run("mkudffs -b 2048 -l cidata volume");
    let mut image = fs::read(folder.0.join("volume")).unwrap();
    let anchor = 256 * 2048;
    let extent =
        |at: usize| u32::from_le_bytes(image[anchor + at..anchor + at + 4].try_into().unwrap()) as usize * 2048;
    let (main, reserve) = (extent(20), extent(28));
    for sector in 0..16 {
        image[main + sector * 2048 + 100] ^= 1;
    }
    assert_eq!(open_bytes(&image).unwrap().label(), "cidata");
    for sector in 0..16 {
        image[reserve + sector * 2048 + 100] ^= 1;
    }
    assert_eq!(open_bytes(&image).err().unwrap().kind, ErrorKind::Corrupt);
}

#[test]
fn every_revision_and_sector_size_is_opened() {
    let folder = Dir::new("udf-revisions");
    for revision in ["0x0101", "0x0102", "0x0150", "0x0200", "0x0201"] {
        for block in [512, 1024, 2048, 4096] {
            let image = folder.image("volume", 4 * MIB);
            folder.run(&format!("mkudffs -r {revision} -b {block} -l 'l\u{e4}bel-{block}' volume"));
            let volume = open(&image);
            assert_eq!((volume.kind(), volume.label()), (Kind::Udf, format!("l\u{e4}bel-{block}").as_str()));
            assert_eq!(folder.blkid("volume", "LABEL").as_deref(), Some(volume.label()));
            assert_eq!(volume.list(""), Ok(Some(vec![])), "{revision} {block}");
            assert_eq!(volume.read("ovf-env.xml", LIMIT), Ok(None));
        }
    }
    folder.image("volume", 4 * MIB);
    folder.run("mkudffs -b 512 -l '' volume");
    assert_eq!(open(folder.text("volume")).label(), "");
    folder.run("mkudffs --utf8 -b 512 -l '\u{6f22}\u{5b57}' volume");
    assert_eq!(open(folder.text("volume")).label(), "\u{6f22}\u{5b57}");
}

#[test]
fn what_is_written_in_pieces_is_refused_by_name() {
    let folder = Dir::new("udf-pieces");
    for options in ["-m cdr --vat -r 0x0150", "-m cdrw -r 0x0201"] {
        folder.image("volume", 8 * MIB);
        folder.run(&format!("mkudffs -b 2048 {options} volume"));
        let error = open_bytes(&fs::read(folder.0.join("volume")).unwrap()).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{options}: {error}");
        assert_eq!(error.why, "it has a virtual, sparable or metadata partition");
    }
    folder.image("volume", 8 * MIB);
    folder.run("mkudffs -b 2048 -m hd --strategy=4096 volume");
    let error = open(folder.text("volume")).list("").unwrap_err();
    assert_eq!((error.kind, &*error.why), (ErrorKind::Unsupported, "its entry is written anew each time"));
}

/// `seq 1 LAST`.
fn numbers(last: u32) -> Vec<u8> {
    (1..=last).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

/// `linux/fill` says what is on them.
fn holds_what_linux_wrote(volume: &Volume<'_>) {
    let read = |path: &str| volume.read(path, LIMIT).unwrap().unwrap_or_else(|| panic!("{path} is there"));
    let mut names = volume.list("").unwrap().unwrap();
    names.sort();
    let text = "\u{dc}ml\u{e4}ut \u{20ac} and \u{6f22}\u{5b57}.txt";
    let files =
        ["begins-late", "link", "meta-data", "names", "network-config", "openstack", "scattered", "sparse", text];
    assert_eq!(names, files);
    assert_eq!(read("meta-data"), b"instance-id: i-0123\n");
    assert_eq!(read("network-config"), b"");
    assert_eq!(read("openstack/latest/meta_data.json"), b"{\"uuid\": \"0\"}\n");
    assert_eq!(read(text), b"text\n");
    assert_eq!(read("begins-late"), [&[0; 100_000][..], b"end\n"].concat());
    assert_eq!(read("sparse"), [b"start\n", &[0; 49_994][..], b"far\n"].concat());
    assert!(read("scattered") == numbers(50_000));
    let mut wanted: Vec<String> = (1..=40)
        .filter(|number| number % 10 != 7 && *number != 10)
        .map(|number| format!("a-name-of-some-length-{number}"))
        .chain(["renamed".to_owned()])
        .collect();
    wanted.sort();
    let mut names = volume.list("names").unwrap().unwrap();
    names.sort();
    assert_eq!(names, wanted);
    assert_eq!(read("names/renamed"), b"10\n");
    let error = volume.read("link", LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "read link: it is no plain file in one piece");
}

/// An image that the kernel wrote (`linux/fill`), unpacked.
pub fn linux(name: &str) -> Vec<u8> {
    let folder = Dir::new(&format!("udf-linux-{name}"));
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/volume/linux");
    folder.run(&format!("xz -dc '{packed}/{name}.xz' >volume"));
    fs::read(folder.0.join("volume")).unwrap()
}

#[test]
fn what_linux_wrote_in_short_extents_is_read() {
    let image = linux("short");
    let volume = open_bytes(&image).unwrap();
    assert_eq!((volume.kind(), volume.label()), (Kind::Udf, "cidata"));
    holds_what_linux_wrote(&volume);
}

#[test]
fn what_linux_wrote_in_long_extents_and_embedded_is_read() {
    let image = linux("long");
    let volume = open_bytes(&image).unwrap();
    assert_eq!((volume.kind(), volume.label()), (Kind::Udf, "Gr\u{f6}\u{df}e"));
    holds_what_linux_wrote(&volume);
}
