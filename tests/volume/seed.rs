//! The files that go onto a volume, the tools that put them there, and the check that they come back.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wisp::bytes::ReadAt;
use wisp::error::{Error, Result};
use wisp::filesystem::Kind;
use wisp::units::ByteCount;
use wisp::volume::{self, Volume};

pub const MIB: u64 = 1 << 20;

/// Larger than every file that goes onto a volume here.
pub const LIMIT: usize = 16 << 20;

/// A folder for one test, which goes away with it.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wisp-volume-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// With a folder `seed` in it: what NoCloud and a config drive have, and names that are hard to keep.
    pub fn with_seed(name: &str) -> Self {
        let folder = Self::new(name);
        for (path, bytes) in seed() {
            folder.put(&format!("seed/{path}"), &bytes);
        }
        folder
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        self.0.join(path).to_str().unwrap().to_owned()
    }

    /// An empty image of this size.
    pub fn image(&self, name: &str, size: u64) -> String {
        let path = self.text(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// Runs a command of the shell in the folder; what it printed.
    #[track_caller]
    pub fn run(&self, command: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.0)
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {complaint}; `make test` says which packages are needed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What `blkid` says of an image under this name.
    pub fn blkid(&self, image: &str, name: &str) -> Option<String> {
        let text = self.run(&format!("blkid -p -o value -s {name} {image}"));
        Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What is left behind in the directory for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An image as a medium.
pub struct Image(pub File);

impl ReadAt for Image {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.0.read_exact_at(buffer, offset.0).map_err(|_| Error::corrupt("read", "the range lies behind the end"))
    }
}

/// Bytes without a pattern that some format might take for its own, the same in each run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(next).collect()
}

/// Paths and contents.
pub fn seed() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = [
        ("meta-data", "instance-id: i-0123\n".into()),
        ("user-data", noise(300_000)),
        ("network-config", Vec::new()),
        ("openstack/latest/meta_data.json", b"{\"uuid\": \"0\"}".into()),
        ("openstack/2018-08-27/meta_data.json", b"{\"uuid\": \"1\"}".into()),
        ("openstack/2018-08-27/user_data", noise(2048)),
        ("a/b/c/d/e/f/deep", noise(2049)),
        ("A Name with Blanks, a comma and \u{fc}ml\u{e4}uts.txt", b"long".into()),
        ("0123456789012345678901234567890123456789012345678901234567890123", b"64".into()),
    ]
    .into_iter()
    .map(|(path, bytes): (&str, Vec<u8>)| (path.to_owned(), bytes))
    .collect();
    for number in 0..100 {
        files.push((format!("openstack/content/{number:04}"), format!("content {number}").into()));
    }
    files
}

/// The volume on an image.
pub fn open(path: impl AsRef<Path>) -> Volume<'static> {
    let file = File::open(path).unwrap();
    let size = ByteCount(file.metadata().unwrap().len());
    volume::open(Box::new(Image(file)), size).unwrap().expect("a volume")
}

/// The volume on an image in memory.
pub fn open_bytes(bytes: &[u8]) -> Result<Volume<'_>> {
    let opened = volume::open(Box::new(bytes), ByteCount(bytes.len() as u64))?;
    opened.ok_or_else(|| Error::absent("open", "it is no volume"))
}

/// Overwrites a part of an image.
pub fn patch(path: &str, at: u64, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

/// Everything of the seed is on the volume, and nothing else but `extra` at the top.
#[track_caller]
pub fn holds_seed(volume: &Volume<'_>, kind: Kind, extra: &[&str]) {
    assert_eq!(volume.kind(), kind);
    let mut folders: std::collections::BTreeMap<&str, Vec<&str>> = [("", extra.to_vec())].into();
    let files = seed();
    for (path, bytes) in &files {
        assert_eq!(volume.read(path, LIMIT).unwrap().as_ref(), Some(bytes), "{path}");
        assert_eq!(volume.read(path, bytes.len()).unwrap().as_ref(), Some(bytes), "{path}");
        assert_eq!(volume.list(path), Ok(None), "{path} is no directory");
        assert_eq!(volume.read(&format!("{path}/x"), LIMIT), Ok(None), "{path} has nothing in it");
        if let Some(less) = bytes.len().checked_sub(1) {
            let refusal = volume.read(path, less).unwrap_err().to_string();
            assert_eq!(refusal, format!("read {path}: it is larger than {less} bytes"));
        }
        for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let (above, name) = path[..at].rsplit_once('/').unwrap_or(("", &path[..at]));
            let names = folders.entry(above).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    for (path, mut names) in folders {
        let mut found = volume.list(path).unwrap().unwrap_or_else(|| panic!("{path} is a directory"));
        found.sort();
        names.sort();
        assert_eq!(found, names, "{path}");
        assert_eq!(volume.read(path, LIMIT), Ok(None), "{path} is no file");
    }
    assert_eq!(volume.read("vendor-data", LIMIT), Ok(None));
    assert_eq!(volume.list("ec2/latest"), Ok(None));
}
