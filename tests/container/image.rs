//! Folders, tools, a disk whose data is where a reader may miss it, and the loop that reads any image.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wisp::bytes::ReadAt;
use wisp::codec::{Source, Unpacker};
use wisp::container::{Map, Place};
use wisp::error::{Error, Result};
use wisp::units::ByteCount;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;

/// A folder for one test, which goes away with it.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wisp-container-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// With `disk.raw` in it, and its bytes.
    pub fn with_disk(name: &str) -> (Self, Vec<u8>) {
        let folder = Self::new(name);
        let bytes = disk();
        // Holes are holes: `qemu-img` and `tar -S` ask the filesystem for them.
        let file = File::create(folder.path("disk.raw")).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        for (at, chunk) in (0..).step_by(4096).zip(bytes.chunks(4096)) {
            if chunk.iter().any(|&byte| byte != 0) {
                file.write_all_at(chunk, at).unwrap();
            }
        }
        (folder, bytes)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs a command of the shell in the folder; what it printed.
    #[track_caller]
    pub fn run(&self, command: &str) -> String {
        let output =
            Command::new("sh").args(["-c", command]).current_dir(&self.0).stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Opens the image `name` and reads all of its disk.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        let image = Image::open(&self.path(name));
        read(&image).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An image in a file.
pub struct Image {
    file: File,
    pub size: ByteCount,
}

impl Image {
    pub fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let size = ByteCount(file.metadata().unwrap().len());
        Self { file, size }
    }
}

impl ReadAt for Image {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset.0).map_err(|_| Error::corrupt("read", "the range lies behind the end"))
    }
}

/// A file from beginning to end.
pub struct Pipe(pub File);

impl Source for Pipe {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        self.0.read(into).map_err(|_| Error::os(5, "read"))
    }
}

/// All bytes of an image's disk, as the writer of disks will read them.
pub fn read(image: &Image) -> Result<Vec<u8>> {
    let mut map = Map::open(image, image.size)?;
    let mut unpacker = Unpacker::new();
    let mut disk = vec![0; map.size().0 as usize];
    let (mut packed_bytes, mut cluster) = (Vec::new(), vec![0; map.unit() as usize]);
    let mut at = 0;
    while let Some(run) = map.run_at(at as u64)? {
        let room = &mut disk[at..at + run.length as usize];
        match run.place {
            Place::Zero => {}
            Place::Stored(start) => image.read_at(ByteCount(start), room)?,
            Place::Packed(packed) => {
                packed_bytes.resize(packed.length, 0);
                image.read_at(ByteCount(packed.at), &mut packed_bytes)?;
                let length = unpacker.unpack(packed.packing, &packed_bytes, &mut cluster)?;
                let wanted = cluster[..length].get(packed.skip..packed.skip + room.len());
                room.copy_from_slice(wanted.ok_or_else(|| Error::corrupt("unpack", "a cluster is too short"))?);
            }
        }
        at += run.length as usize;
    }
    assert_eq!(at, disk.len(), "every byte has its place");
    Ok(disk)
}

/// Bytes without any order.
pub fn noise(length: usize, mut state: u32) -> Vec<u8> {
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A disk of 9 MiB and a half sector's worth of everything: data that can be packed and that cannot, at, before, behind
/// and across the borders of clusters, grains, blocks and tables of all sizes, and to the last sector.
pub fn disk() -> Vec<u8> {
    let mut disk = vec![0; (9 * MIB + 3 * 512) as usize];
    let mut put = |at: u64, bytes: &[u8]| disk[at as usize..][..bytes.len()].copy_from_slice(bytes);
    put(0, b"the first bytes");
    put(510, b"\x55\xaa");
    put(64 * KIB - 1, b"xy");
    put(100 * KIB, &[0x11; 300]);
    put(200 * KIB + 512, &noise(512, 1));
    put(MIB - 4 * KIB, &noise(8 << 10, 2));
    put(2 * MIB - 512, &[0x22; 1024]);
    put(3 * MIB, &noise(300 << 10, 3));
    put(4 * MIB - 100, &[0x33; 200 << 10]);
    let text: Vec<u8> = noise(400 << 10, 4).iter().map(|byte| b"eat on irs"[usize::from(byte % 10)]).collect();
    put(5 * MIB + 777, &text);
    put(8 * MIB - 1, &[0x44]);
    put(9 * MIB - 1, &[0x55]);
    put(9 * MIB + 2 * 512, &noise(512, 5));
    disk
}

/// The first place where two disks differ: two whole ones in a message help no one.
#[track_caller]
pub fn same(found: &[u8], wanted: &[u8], context: &str) {
    assert_eq!(found.len(), wanted.len(), "{context}: size");
    // At once, where nothing differs: byte by byte takes long in a debug build.
    if found == wanted {
        return;
    }
    let differs = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
    assert_eq!(differs, None, "{context}: where it differs first");
}

/// Changes bytes of a file.
pub fn patch(path: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

/// The bytes of a file from `at` on.
pub fn bytes_at(path: &Path, at: u64, length: usize) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).unwrap();
    bytes
}
