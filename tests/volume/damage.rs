//! Volumes that were cut off or changed: whatever they say, an answer comes, soon, and costs no more than was allowed.

use std::cell::Cell;
use std::fs;

use wisp::bytes::ReadAt;
use wisp::error::{Kind as ErrorKind, Result};
use wisp::units::ByteCount;
use wisp::volume;

use crate::seed::{Dir, noise};
use crate::udf;

/// What the reader of these files allows.
const LIMIT: usize = 512 << 10;
/// How much may be read of a volume, however it is damaged, to list two directories and to read four files.
const MOST_READ: u64 = 16 << 20;
const MOST_READS: u64 = 100_000;

/// Bytes in memory that count what is read of them.
struct Counted<'a> {
    bytes: &'a [u8],
    reads: &'a Cell<u64>,
    count: &'a Cell<u64>,
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.count.set(self.count.get() + buffer.len() as u64);
        self.bytes.read_at(offset, buffer)
    }
}

/// What all volumes hold, and one that the kernel wrote.
const PATHS: [&str; 4] = ["meta-data", "user-data", "folder/file", "scattered"];

/// What is found of these files: nothing where the volume or the file cannot be read.
fn look(bytes: &[u8]) -> [Option<Vec<u8>>; 4] {
    let (reads, count) = (Cell::new(0), Cell::new(0));
    let medium = Counted { bytes, reads: &reads, count: &count };
    let found = match volume::open(Box::new(medium), ByteCount(bytes.len() as u64)) {
        Ok(Some(volume)) => {
            let _ = (sound(volume.list("")), sound(volume.list("folder")), volume.label().len());
            PATHS.map(|path| sound(volume.read(path, LIMIT)))
        }
        other => {
            sound(other.map(|_| None::<()>));
            PATHS.map(|_| None)
        }
    };
    assert!(reads.get() < MOST_READS && count.get() < MOST_READ, "{} reads of {}", reads.get(), count.get());
    found
}

/// Damage is called damage, or it makes something look too large or of an unknown form.
fn sound<T>(result: Result<Option<T>>) -> Option<T> {
    result.unwrap_or_else(|error| {
        let kinds = [ErrorKind::Corrupt, ErrorKind::Refused, ErrorKind::Unsupported];
        assert!(kinds.contains(&error.kind), "{error}");
        None
    })
}

/// Small volumes with the same three files.
fn volumes(name: &str) -> (Dir, Vec<(&'static str, Vec<u8>)>) {
    let folder = Dir::new(name);
    folder.put("seed/meta-data", b"instance-id: i-0123\n");
    folder.put("seed/user-data", &noise(5000));
    folder.put("seed/folder/file", &noise(700));
    let mut made = Vec::new();
    for (kind, command) in [
        ("fat12", "truncate -s 64K v && mkfs.vfat -F 12 -s 1 -r 16 -n CIDATA v && mcopy -s -i v seed/* ::"),
        ("fat32", "truncate -s 0 v && truncate -s 34M v && mkfs.vfat -F 32 -s 1 -f 1 v && mcopy -s -i v seed/* ::"),
        ("rock ridge", "genisoimage -quiet -no-pad -r -V cidata -o v seed"),
        ("joliet", "genisoimage -quiet -no-pad -J -V cidata -o v seed"),
        ("bridge", "genisoimage -quiet -no-pad -udf -V cidata -o v seed"),
    ] {
        folder.run(command);
        made.push((kind, fs::read(folder.0.join("v")).unwrap()));
    }
    (folder, made)
}

fn contents() -> [Option<Vec<u8>>; 4] {
    [Some(b"instance-id: i-0123\n".to_vec()), Some(noise(5000)), Some(noise(700)), None]
}

#[test]
fn a_volume_that_is_cut_off_gives_whole_files_or_none() {
    let (_folder, volumes) = volumes("damage-cut");
    for (kind, image) in volumes {
        assert_eq!(look(&image), contents(), "{kind}");
        // Every length where there is little; elsewhere steps that meet every place within a sector.
        let step = if image.len() > 1 << 20 {
            65_537
        } else if image.len() > 100_000 {
            127
        } else {
            7
        };
        for length in (0..image.len()).step_by(step) {
            for (found, there) in look(&image[..length]).into_iter().zip(contents()) {
                assert!(found.is_none() || found == there, "{kind} cut to {length}");
            }
        }
    }
}

/// The parts of an image that hold something, in sectors: damage elsewhere changes nothing.
fn used(image: &[u8]) -> Vec<usize> {
    let sectors = image.chunks(512).enumerate();
    sectors.filter(|(_, sector)| sector.iter().any(|&byte| byte != 0)).map(|(number, _)| number * 512).collect()
}

#[test]
fn a_volume_that_was_changed_gives_an_answer() {
    let (_folder, mut volumes) = volumes("damage-changed");
    volumes.push(("linux", udf::linux("short")));
    let mut random = noise(6 << 20).into_iter().cycle();
    let mut next = |below: usize| {
        let number = (0..4).fold(0usize, |number, _| number << 8 | usize::from(random.next().unwrap()));
        number % below
    };
    for (kind, mut image) in volumes {
        let used = used(&image);
        let mut harmed = 0;
        let sound = look(&image);
        for _ in 0..if image.len() > 1 << 20 { 200 } else { 1000 } {
            let mut changes = Vec::new();
            for _ in 0..1 + next(4) {
                let at = (used[next(used.len())] + next(512)).min(image.len() - 4);
                changes.push((at, image[at..at + 4].to_vec()));
                // Small numbers, huge ones and single bits are what breaks a reader that trusts.
                match next(4) {
                    0 => image[at] ^= 1 << next(8),
                    1 => image[at..at + 4].fill(0xff),
                    2 => image[at..at + 4].fill(0),
                    _ => image[at] = next(256) as u8,
                }
            }
            harmed += usize::from(look(&image) != sound);
            for (at, bytes) in changes.into_iter().rev() {
                image[at..at + 4].copy_from_slice(&bytes);
            }
        }
        assert!(harmed > 20, "{kind}: only {harmed} changes did harm");
    }
}
