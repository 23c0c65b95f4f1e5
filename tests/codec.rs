//! The decoders against the reference tools, and against damage; the encoders (full build) back through the tools.

use std::io::Write as _;
use std::process::{Command, Stdio};

use wisp::codec::Format;
use wisp::error::Kind;

/// What `program` makes of `input`.
fn through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
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

/// Text-like bytes of any length, the same at every run.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = format!("{:x} ", state % 4096);
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Each tool as distributions call it for kernel modules, and in its other forms.
const PACKERS: &[(Format, &str, &[&str])] = &[
    (Format::Gzip, "gzip", &["-n", "-9"]),
    (Format::Gzip, "gzip", &["-1"]),
    (Format::Xz, "xz", &["--check=crc32", "--lzma2=dict=1MiB"]),
    (Format::Xz, "xz", &["--check=crc32", "--x86", "--lzma2=dict=2MiB"]),
    (Format::Xz, "xz", &["--check=sha256", "--block-size=100000"]),
    (Format::Xz, "xz", &["-0", "--check=none"]),
    (Format::Xz, "xz", &["--arm64", "--lzma2"]),
    (Format::Zstd, "zstd", &["-q"]),
    (Format::Zstd, "zstd", &["-q", "-19", "--no-check"]),
    (Format::Zstd, "zstd", &["-q", "--ultra", "-22"]),
    (Format::Zstd, "zstd", &["-q", "-1", "--long=24"]),
];

#[test]
fn what_the_tools_pack_is_unpacked() {
    // The second is longer than every step and the third more than one zstd or xz block.
    for length in [0, 1, 100_000, 600_000] {
        let content = sample(length);
        for (format, program, arguments) in PACKERS {
            let packed = through(program, &[*arguments, &["-c"]].concat(), &content);
            let context = format!("{program} {arguments:?} of {length} bytes");
            assert_eq!(Format::sniff(&packed), Some(*format), "{context}");
            let unpacked = format.decode(&packed, length).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(unpacked == content, "{context}");
            if length > 0 {
                assert_eq!(format.decode(&packed, length - 1).unwrap_err().kind, Kind::Refused, "{context}");
            }
        }
    }
}

/// What the decoders must accept although it takes memory.
#[test]
fn the_largest_dictionary_and_window_of_the_tools_are_accepted() {
    let content = sample(1_000);
    let packed = through("xz", &["-9", "-c"], &content);
    assert_eq!(Format::Xz.decode(&packed, 1_000).as_ref(), Ok(&content));
    let packed = through("zstd", &["-q", "--long=27", "-c"], &content);
    assert_eq!(Format::Zstd.decode(&packed, 1_000).as_ref(), Ok(&content));
    let packed = through("zstd", &["-q", "--ultra", "-22", "--long=28", "-c"], &content);
    assert!(Format::Zstd.decode(&packed, 1_000).is_err());
}

#[test]
fn members_streams_and_frames_follow_each_other() {
    let (one, two) = (sample(5_000), sample(70_000));
    for (format, program, arguments) in PACKERS {
        let arguments = [*arguments, &["-c"]].concat();
        let packed = [through(program, &arguments, &one), through(program, &arguments, &two)].concat();
        let unpacked = format.decode(&packed, 75_000).unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(unpacked == [one.as_slice(), two.as_slice()].concat(), "{program}");
        assert_eq!(format.decode(&packed, 74_999).unwrap_err().kind, Kind::Refused, "{program}");
    }
    // Padding of a tape (gzip), and of a multiple of four bytes (xz).
    let mut padded = through("gzip", &["-c"], &one);
    padded.extend_from_slice(&[0; 12]);
    assert_eq!(Format::Gzip.decode(&padded, 5_000).as_ref(), Ok(&one));
    let mut padded = through("xz", &["-c"], &one);
    padded.extend_from_slice(&[0; 12]);
    assert_eq!(Format::Xz.decode(&padded, 5_000).as_ref(), Ok(&one));
    // A skippable frame of zstd: RFC 8878, 3.1.2.
    let frame = through("zstd", &["-q", "-c"], &one);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9], frame.as_slice()].concat();
    assert_eq!(Format::Zstd.decode(&[frame, skippable].concat(), 10_000), Ok([one.as_slice(), &one].concat()));
}

#[test]
fn all_parts_of_a_gzip_header_are_passed_over() {
    let content = sample(1_000);
    let packed = through("gzip", &["-n", "-c"], &content);
    let mut header = packed[..10].to_vec();
    header[3] = 0b11110;
    header.extend_from_slice(&[4, 0, 1, 2, 3, 4]);
    header.extend_from_slice(b"name.ko\0a comment\0");
    let crc16 = crc32fast::hash(&header) as u16;
    let with_crc = [&header, crc16.to_le_bytes().as_slice(), &packed[10..]].concat();
    assert_eq!(Format::Gzip.decode(&with_crc, 1_000), Ok(content));
    let wrong = [&header, (!crc16).to_le_bytes().as_slice(), &packed[10..]].concat();
    assert_eq!(Format::Gzip.decode(&wrong, 1_000).unwrap_err().kind, Kind::Corrupt);
    let mut reserved = packed;
    reserved[3] = 0x80;
    assert_eq!(Format::Gzip.decode(&reserved, 1_000).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn every_truncation_is_an_error() {
    let content = sample(2_000);
    for (format, program, arguments) in PACKERS {
        let packed = through(program, &[*arguments, &["-c"]].concat(), &content);
        for length in 0..packed.len() {
            assert!(format.decode(&packed[..length], 10_000).is_err(), "{program} {arguments:?} cut to {length}");
        }
    }
}

#[test]
fn no_flipped_bit_gives_other_bytes() {
    let content = sample(300);
    for (format, program, arguments) in PACKERS {
        let unchecked = arguments.contains(&"--check=none") || arguments.contains(&"--no-check");
        let mut packed = through(program, &[*arguments, &["-c"]].concat(), &content);
        for bit in 0..packed.len() * 8 {
            packed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(unpacked) = format.decode(&packed, 10_000) {
                assert!(unchecked || unpacked == content, "{program} {arguments:?} bit {bit}");
            }
            packed[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 50 << 20];
    for (format, program) in [(Format::Gzip, "gzip"), (Format::Xz, "xz"), (Format::Zstd, "zstd")] {
        let packed = through(program, &["-c", "-1"], &zeros);
        assert_eq!(format.decode(&packed, 1 << 20).unwrap_err().kind, Kind::Refused, "{program}");
    }
    // A dictionary of 1.5 GiB is refused before it is allocated.
    let mut packed = through("xz", &["-c", "--check=crc32"], &sample(100));
    // The block header begins at 12: size, flags, filter 0x21, one property byte.
    assert_eq!(&packed[14..16], [0x21, 1]);
    packed[16] = 39;
    let header = packed[12..20].to_vec();
    packed[20..24].copy_from_slice(&crc32fast::hash(&header).to_le_bytes());
    assert_eq!(Format::Xz.decode(&packed, 1 << 20).unwrap_err().kind, Kind::Refused);
}

#[test]
fn other_bytes_are_no_format() {
    for bytes in [b"".as_slice(), b"\x7fELF", &[0x1f, 0x8b], &[0x28, 0xb5, 0x2f]] {
        assert_eq!(Format::sniff(bytes), None);
    }
    for format in [Format::Gzip, Format::Xz, Format::Zstd] {
        assert_eq!(format.decode(b"\x7fELF and more", 100).unwrap_err().kind, Kind::Corrupt);
    }
}

#[cfg(feature = "full")]
#[test]
fn what_is_packed_is_unpacked_by_the_tools_and_always_the_same() {
    for length in [0, 1, 300_000] {
        let content = sample(length);
        for (format, program) in [(Format::Gzip, "gzip"), (Format::Xz, "xz"), (Format::Zstd, "zstd")] {
            let packed = format.encode(&content).unwrap();
            assert_eq!(Format::sniff(&packed), Some(format));
            assert!(through(program, &["-d", "-c"], &packed) == content, "{program} {length}");
            assert!(format.decode(&packed, length) == Ok(content.clone()), "{program} {length}");
            assert!(format.encode(&content).unwrap() == packed, "{program} {length}");
        }
    }
}

#[cfg(feature = "full")]
#[test]
fn the_kernel_can_unpack_what_is_packed() {
    let content = sample(1_000);
    // Stream flags: check type 1 is CRC32.
    assert_eq!(Format::Xz.encode(&content).unwrap()[6..8], [0, 1]);
    // No flags, no time.
    assert_eq!(Format::Gzip.encode(&content).unwrap()[3..8], [0; 5]);
    // The window descriptor of a frame that is larger than its window: exponent 13 above 2^10, no mantissa.
    let frame = Format::Zstd.encode(&vec![0; 20 << 20]).unwrap();
    assert_eq!(frame[4] & 0b0010_0000, 0, "not a single segment");
    assert_eq!(frame[5], 13 << 3);
}
