//! The decoders against the reference tools, and against damage; the encoders (full build) back through the tools.

mod damage;
mod tools;
mod xz_index;

use tools::{PACKERS, sample, through};
use wisp::codec::{Format, Input, Source, read_all, unpack};
use wisp::error::{Kind, Result};

/// Nothing, one byte, the edges of lzop's and lz4's smallest blocks, more than every step of ours and every block of the
/// tools but bzip2's, and more than that. (`lz4 -B4 -BD` 1.9.4 itself fails a few bytes below 64 KiB.)
const LENGTHS: [usize; 8] = [0, 1, 65_500, 65_536, 65_537, 262_145, 600_000, 1_100_000];

#[test]
fn what_the_tools_pack_is_unpacked() {
    for length in LENGTHS {
        let content = sample(length);
        for packer in PACKERS {
            let packed = packer.pack(&content);
            let context = format!("{} of {length} bytes", packer.line());
            assert_eq!(Format::sniff(&packed), Some(packer.format), "{context}");
            let unpacked = packer.format.decode(&packed, length).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(unpacked == content, "{context}");
            if length > 0 {
                assert_eq!(packer.format.decode(&packed, length - 1).unwrap_err().kind, Kind::Refused, "{context}");
            }
        }
    }
}

/// Gives as many bytes at a time as it is told.
struct Dripping<'a>(&'a [u8], usize);

impl Source for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = into.len().min(self.1);
        self.0.read(&mut into[..count])
    }
}

/// A pipe gives what it has, and a caller asks for what it needs.
#[test]
fn it_does_not_matter_in_what_pieces_bytes_come_and_go() {
    let content = sample(70_000);
    for packer in PACKERS {
        let packed = packer.pack(&content);
        for (piece, room) in [(1, 4_096), (7, 100_000), (4_096, 1), (100_000, 13)] {
            let mut decoder = packer.format.decoder(Input::new(Dripping(&packed, piece)));
            let (mut unpacked, mut into) = (Vec::new(), vec![0; room]);
            loop {
                match decoder.read(&mut into).unwrap_or_else(|error| panic!("{}: {error}", packer.line())) {
                    0 => break,
                    count => unpacked.extend_from_slice(&into[..count]),
                }
            }
            assert!(unpacked == content, "{} in pieces of {piece} to {room}", packer.line());
            assert_eq!(decoder.read(&mut into), Ok(0), "the end is the end");
        }
    }
}

#[test]
fn layers_are_taken_off_until_there_is_none() {
    let content = sample(5_000);
    let mut packed = content.clone();
    for packer in PACKERS.iter().step_by(4) {
        packed = packer.pack(&packed);
    }
    let unpacked =
        |limit| unpack(Input::new(packed.as_slice()), limit).and_then(|mut plain| read_all(&mut plain, 5_000));
    assert!(unpacked(u64::MAX) == Ok(content.clone()));
    // A layer on the way may be no longer than the last.
    assert_eq!(unpacked(4_000).unwrap_err().kind, Kind::Refused);
    let mut packed = content;
    for _ in 0..9 {
        packed = through("gzip", &["-c"], &packed);
    }
    let error = unpack(Input::new(packed.as_slice()), u64::MAX).err().unwrap();
    assert_eq!(error.to_string(), "unpack: it has more than 8 layers of compression");
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
    // lzma has an end, and nothing may follow it.
    for packer in PACKERS.iter().filter(|packer| packer.format.name() != "lzma") {
        let packed = [packer.pack(&one), packer.pack(&[]), packer.pack(&two)].concat();
        let line = packer.line();
        let unpacked = packer.format.decode(&packed, 75_000).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(unpacked == [one.as_slice(), two.as_slice()].concat(), "{line}");
        assert_eq!(packer.format.decode(&packed, 74_999).unwrap_err().kind, Kind::Refused, "{line}");
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
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 50 << 20];
    for packer in PACKERS.iter().step_by(2) {
        let packed = packer.pack(&zeros);
        assert_eq!(packer.format.decode(&packed, 1 << 20).unwrap_err().kind, Kind::Refused, "{}", packer.line());
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
    for bytes in [
        b"".as_slice(),
        b"\x7fELF",
        &[0x1f, 0x8b],
        &[0x28, 0xb5, 0x2f],
        b"#!/bin/sh\necho hello\n",
        b"BZh91 is no block",
        &[0; 512],
    ] {
        assert_eq!(Format::sniff(bytes), None);
    }
    for packer in PACKERS {
        let error = packer.format.decode(b"\x7fELF and more", 100).unwrap_err();
        let refused = error.kind == Kind::Refused && packer.format.name() == "lzma";
        assert!(error.kind == Kind::Corrupt || refused, "{}: {error}", packer.format.name());
    }
}

/// What a format can say and wisp leaves out is called by its name.
#[cfg(feature = "formats")]
#[test]
fn what_is_left_out_is_named() {
    let content = sample(1_000);
    let dictionary = std::env::temp_dir().join(format!("wisp-codec-{}", std::process::id()));
    std::fs::write(&dictionary, &content).unwrap();
    let path = dictionary.to_str().unwrap();
    let why = |format: Format, packed: &[u8]| {
        let error = format.decode(packed, 10_000).unwrap_err();
        (error.kind, error.why.to_string())
    };
    // The tool writes no ID of the dictionary: flag 0, the ID behind the descriptor, its checksum.
    let mut packed = through("lz4", &["-q", "-c", "-D", path], &content);
    packed[4] |= 1;
    packed.splice(6..7, [0x44, 0x33, 0x22, 0x11, 0]);
    packed[10] = (twox_hash::XxHash32::oneshot(0, &packed[4..10]) >> 8) as u8;
    assert_eq!(why(Format::Lz4, &packed), (Kind::Unsupported, "it needs the dictionary 0x11223344".into()));
    let packed = through("zstd", &["-q", "-c", "-D", path], &content);
    std::fs::remove_file(&dictionary).unwrap();
    // A raw dictionary has no ID either: the frame is as any other, and what it refers to is not there.
    assert_eq!(why(Format::Zstd, &packed).0, Kind::Corrupt);

    let mut packed = through("lzop", &["-c"], &content);
    let is_checked = |packed: &mut Vec<u8>| {
        // Behind the magic number 25 bytes and the name, whose length is the last of them.
        let end = 9 + 25 + usize::from(packed[33]);
        let sum = adler2::adler32_slice(&packed[9..end]).to_be_bytes();
        packed[end..end + 4].copy_from_slice(&sum);
    };
    is_checked(&mut packed);
    assert_eq!(Format::Lzop.decode(&packed, 1_000).as_ref(), Ok(&content), "the checksum is where it is looked for");
    packed[15] = 128;
    is_checked(&mut packed);
    assert_eq!(why(Format::Lzop, &packed), (Kind::Unsupported, "its method is not LZO1X".into()));
    packed[13..15].copy_from_slice(&[0x10, 0x50]);
    is_checked(&mut packed);
    assert_eq!(why(Format::Lzop, &packed), (Kind::Unsupported, "its version of the format is not known".into()));
}

/// A skippable frame between frames, one of each kind.
#[cfg(feature = "formats")]
#[test]
fn frames_of_lz4_of_every_kind_follow_each_other() {
    let content = sample(100_000);
    let frame = through("lz4", &["-q", "-c"], &content);
    let legacy = through("lz4", &["-q", "-c", "-l"], &content);
    let skippable = [&[0x5f, 0x2a, 0x4d, 0x18, 5, 0, 0, 0], b"extra".as_slice()].concat();
    let packed = [&legacy, &skippable, &frame, &legacy, &frame, &skippable].map(Vec::as_slice).concat();
    assert!(Format::Lz4.decode(&packed, 1 << 20) == Ok(content.repeat(4)));
    assert!(Format::Lz4.decode(&packed[..packed.len() - 1], 1 << 20).is_err());
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

/// What 7-Zip's lz4-mt writes: a skippable frame before each frame of lz4, whose magic number zstd has too.
#[cfg(feature = "formats")]
#[test]
fn what_follows_a_skippable_frame_is_lz4_or_zstd() {
    let content = sample(5_000);
    let skippable =
        |length: usize| [&[0x50, 0x2a, 0x4d, 0x18][..], &(length as u32).to_le_bytes(), &vec![7; length]].concat();
    for length in [0, 4, 300_000] {
        for (format, tool) in [(Format::Lz4, "lz4"), (Format::Zstd, "zstd")] {
            let frame = through(tool, &["-q", "-c"], &content);
            let packed = [skippable(4), skippable(length), frame.clone(), skippable(4), frame].concat();
            let mut input = Input::new(Dripping(&packed, 1000));
            assert_eq!(input.format(), Ok(Some(format)), "{tool} {length}");
            let unpacked = read_all(&mut format.decoder(input), 20_000).unwrap();
            assert!(unpacked == [content.as_slice(), &content].concat(), "{tool} {length}");
        }
    }
    // Where nothing follows it is an empty file of zstd; nothing is looked for without end.
    assert_eq!(Input::new(skippable(4).as_slice()).format(), Ok(Some(Format::Zstd)));
    assert_eq!(Input::new(skippable(20).repeat(50).as_slice()).format(), Ok(Some(Format::Zstd)));
}

/// As the tools: zeros are padding, and what is no member or stream is ignored with a warning.
#[cfg(feature = "formats")]
#[test]
fn what_follows_the_end_is_ignored_as_the_tools_do() {
    let content = sample(70_000);
    for (format, tool) in [(Format::Gzip, "gzip"), (Format::Bzip2, "bzip2"), (Format::Lzop, "lzop")] {
        let packed = through(tool, &["-c"], &content);
        for (rest, warns) in [(&[][..], false), (&[0; 700], false), (b"garbage", true), (b"\0\0garbage", true)] {
            let whole = [packed.as_slice(), rest].concat();
            let mut decoder = format.decoder(Input::new(whole.as_slice()));
            assert_eq!(decoder.warning(), None);
            let result = read_all(&mut decoder, 70_000);
            if warns && format == Format::Lzop {
                assert_eq!(result.unwrap_err().kind, Kind::Corrupt, "lzop warns of nothing that is no lzop file");
                continue;
            }
            assert!(result.unwrap() == content, "{tool} {rest:?}");
            assert_eq!(decoder.warning().is_some(), warns, "{tool} {rest:?}");
        }
        // A member that was cut off is no garbage.
        for length in [1, 2, 3, 5, 20] {
            let cut = [packed.as_slice(), &packed[..length]].concat();
            assert_eq!(format.decode(&cut, 1 << 20).unwrap_err().kind, Kind::Corrupt, "{tool} {length}");
        }
    }
}
