//! The reference tools, and what they are given.

use std::io::Write as _;
use std::process::{Command, Stdio};

use wisp::codec::Format;

/// A way of packing.
pub struct Packer {
    pub format: Format,
    pub program: &'static str,
    pub arguments: &'static [&'static str],
    /// Whether any damage to the content is found.
    pub checked: bool,
}

const fn packer(format: Format, program: &'static str, arguments: &'static [&'static str]) -> Packer {
    Packer { format, program, arguments, checked: true }
}

const fn unchecked(format: Format, program: &'static str, arguments: &'static [&'static str]) -> Packer {
    Packer { format, program, arguments, checked: false }
}

/// Each tool as distributions call it for kernel modules, and in its other forms.
pub const PACKERS: &[Packer] = &[
    packer(Format::Gzip, "gzip", &["-n", "-9"]),
    packer(Format::Gzip, "gzip", &["-1"]),
    packer(Format::Xz, "xz", &["--check=crc32", "--lzma2=dict=1MiB"]),
    packer(Format::Xz, "xz", &["--check=crc32", "--x86", "--lzma2=dict=2MiB"]),
    packer(Format::Xz, "xz", &["--check=sha256", "--block-size=100000"]),
    packer(Format::Xz, "xz", &["-9e", "--check=crc64"]),
    packer(Format::Xz, "xz", &["--arm64", "--delta=dist=4", "--lzma2=preset=1"]),
    unchecked(Format::Xz, "xz", &["-0", "--check=none"]),
    packer(Format::Zstd, "zstd", &["-q"]),
    packer(Format::Zstd, "zstd", &["-q", "--ultra", "-22"]),
    packer(Format::Zstd, "zstd", &["-q", "-1", "--long=24"]),
    unchecked(Format::Zstd, "zstd", &["-q", "-19", "--no-check"]),
    #[cfg(feature = "formats")]
    packer(Format::Bzip2, "bzip2", &["-1"]),
    #[cfg(feature = "formats")]
    packer(Format::Bzip2, "bzip2", &["-9"]),
    #[cfg(feature = "formats")]
    unchecked(Format::Lzma, "xz", &["--format=lzma", "-1"]),
    #[cfg(feature = "formats")]
    unchecked(Format::Lzma, "xz", &["--format=lzma", "--lzma1=preset=6e,lc=1,lp=2,pb=0"]),
    #[cfg(feature = "formats")]
    packer(Format::Lzop, "lzop", &["-1"]),
    #[cfg(feature = "formats")]
    packer(Format::Lzop, "lzop", &["-3", "--crc32", "-C"]),
    #[cfg(feature = "formats")]
    packer(Format::Lzop, "lzop", &["-9", "-C"]),
    #[cfg(feature = "formats")]
    unchecked(Format::Lzop, "lzop", &["-F"]),
    #[cfg(feature = "formats")]
    packer(Format::Lz4, "lz4", &["-q", "-9"]),
    #[cfg(feature = "formats")]
    packer(Format::Lz4, "lz4", &["-q", "-B4", "-BD"]),
    #[cfg(feature = "formats")]
    packer(Format::Lz4, "lz4", &["-q", "-B5", "-BX", "-BD"]),
    #[cfg(feature = "formats")]
    packer(Format::Lz4, "lz4", &["-q", "-B6", "--content-size"]),
    #[cfg(feature = "formats")]
    unchecked(Format::Lz4, "lz4", &["-q", "--no-frame-crc"]),
    #[cfg(feature = "formats")]
    unchecked(Format::Lz4, "lz4", &["-q", "-l"]),
];

impl Packer {
    pub fn pack(&self, content: &[u8]) -> Vec<u8> {
        through(self.program, &[self.arguments, &["-c"]].concat(), content)
    }

    pub fn line(&self) -> String {
        format!("{} {}", self.program, self.arguments.join(" "))
    }
}

/// What `program` makes of `input`.
pub fn through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// A generator (xorshift, Marsaglia 2003), so that a failure repeats.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Bytes of any length, the same at every run: text that repeats near and far, runs of zeros, and noise.
pub fn sample(length: usize) -> Vec<u8> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 5000);
    while bytes.len() < length {
        match random.below(100) {
            0 => bytes.resize(bytes.len() + random.below(5000), 0),
            1 => bytes.extend((0..100).map(|_| random.below(256) as u8)),
            2..9 if bytes.len() > 50 => {
                let from = random.below(bytes.len() - 40);
                bytes.extend_from_within(from..from + 40);
            }
            _ => bytes.extend_from_slice(format!("{:x} ", random.below(4096)).as_bytes()),
        }
    }
    bytes.truncate(length);
    bytes
}
