//! The sizes that an xz file states in its index, its block headers and its footer, against `xz` itself.

use crate::tools::{sample, through};
use wisp::codec::Format;
use wisp::error::Kind;

/// Bytes of content in a block.
const BLOCK: usize = 64 << 10;

/// What `xz` says of the file, and what wisp does: neither may give a byte of it for good.
fn assert_corrupt(packed: &[u8], what: &str) {
    assert_eq!(xz_unpacks(packed), None, "{what}: xz");
    let error = Format::Xz.decode(packed, 1 << 20).err().unwrap_or_else(|| panic!("{what} is accepted"));
    assert_eq!(error.kind, Kind::Corrupt, "{what}: {error}");
}

fn xz_unpacks(packed: &[u8]) -> Option<Vec<u8>> {
    let path = std::env::temp_dir().join(format!("wisp-xz-{}-{:p}", std::process::id(), packed));
    std::fs::write(&path, packed).unwrap();
    let output = std::process::Command::new("xz").args(["-dc", "--format=xz"]).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    output.status.success().then_some(output.stdout)
}

/// A file of six blocks, and where each of them begins; the last entry is where the index begins.
fn six_blocks(arguments: &[&str]) -> (Vec<u8>, Vec<u8>, Vec<usize>) {
    let content: Vec<u8> =
        (0..6).flat_map(|n| sample(BLOCK - n * 1000).into_iter().chain(vec![n as u8; n * 1000])).collect();
    let packed = through("xz", &[&["-c", "--block-size=65536"], arguments].concat(), &content);
    let backward = u32::from_le_bytes(packed[packed.len() - 8..][..4].try_into().unwrap());
    let index = packed.len() - 12 - (backward as usize + 1) * 4;
    let mut at = index + 1;
    let mut integer = || {
        let (mut value, mut shift) = (0_usize, 0);
        loop {
            let byte = packed[at];
            at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    };
    let count = integer();
    let mut starts = vec![12];
    for _ in 0..count {
        let unpadded = integer();
        integer();
        starts.push(starts.last().unwrap() + unpadded.next_multiple_of(4));
    }
    assert_eq!((count, *starts.last().unwrap()), (6, index));
    (content, packed, starts)
}

#[test]
fn blocks_that_are_not_those_of_the_index_are_refused() {
    let (content, packed, starts) = six_blocks(&[]);
    assert!(Format::Xz.decode(&packed, 1 << 20).unwrap() == content);
    let block = |n: usize| &packed[starts[n]..starts[n + 1]];
    let with = |order: &[usize]| {
        let blocks: Vec<u8> = order.iter().flat_map(|n| block(*n)).copied().collect();
        [&packed[..12], &blocks, &packed[starts[6]..]].concat()
    };
    assert!(with(&[0, 1, 2, 3, 4, 5]) == packed);
    assert_corrupt(&with(&[0, 1, 3, 2, 4, 5]), "two blocks exchanged");
    assert_corrupt(&with(&[0, 1, 1, 3, 4, 5]), "a block replaced by another");
    assert_corrupt(&with(&[0, 1, 3, 4, 5]), "a block missing");
    assert_corrupt(&with(&[0, 1, 2, 2, 3, 4, 5]), "a block twice");
    assert_corrupt(&with(&[0, 1, 2, 3, 4]), "the last block missing");
    assert_corrupt(&with(&[]), "no block");
}

/// Puts the checksum of `range` at its end.
fn seal(file: &mut [u8], range: std::ops::Range<usize>) {
    let crc = crc32fast::hash(&file[range.clone()]).to_le_bytes();
    file[range.end..range.end + 4].copy_from_slice(&crc);
}

#[test]
fn sizes_that_are_wrong_under_a_correct_checksum_are_refused() {
    // With more than one thread xz states both sizes in the block header.
    let (content, packed, starts) = six_blocks(&["-T2"]);
    assert!(Format::Xz.decode(&packed, 1 << 20).unwrap() == content);
    let header = (usize::from(packed[12]) + 1) * 4;
    assert_eq!(packed[13] & 0xc0, 0xc0, "both sizes are stated");
    let size = |at: usize| packed[at..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let uncompressed = 14 + size(14);
    for (at, what) in [(14, "compressed size"), (uncompressed, "uncompressed size")] {
        let mut bad = packed.clone();
        bad[at] ^= 1;
        seal(&mut bad, 12..12 + header - 4);
        assert_corrupt(&bad, what);
    }
    let end = packed.len();
    let index_end = end - 12 - 4;
    for at in starts[6] + 1..index_end {
        let mut bad = packed.clone();
        bad[at] ^= 1;
        seal(&mut bad, starts[6]..index_end);
        assert_corrupt(&bad, &format!("byte {at} of the index"));
    }
    // Backward Size, Stream Flags.
    for at in [end - 8, end - 7, end - 4, end - 3] {
        let mut bad = packed.clone();
        bad[at] ^= 1;
        let crc = crc32fast::hash(&bad[end - 8..end - 2]).to_le_bytes();
        bad[end - 12..end - 8].copy_from_slice(&crc);
        assert_corrupt(&bad, &format!("byte {at} of the footer"));
    }
}

/// Streams, padding between and behind them, empty streams, every check and filter: what xz takes is taken.
#[test]
fn whatever_xz_writes_is_accepted() {
    let content = sample(300_000);
    for arguments in [
        &["--check=none"][..],
        &["--check=crc32"],
        &["--check=crc64"],
        &["--check=sha256"],
        &["-0", "-T2", "--block-size=70000"],
        &["--x86", "--lzma2=preset=1"],
        &["--delta=dist=4", "--arm64", "--lzma2=preset=1"],
        &["--block-list=1000,1,2,70000,0"],
    ] {
        let packed = through("xz", &[&["-c"], arguments].concat(), &content);
        let empty = through("xz", &[&["-c"], arguments].concat(), &[]);
        assert!(Format::Xz.decode(&packed, 1 << 20).unwrap() == content, "{arguments:?}");
        let many = [empty.as_slice(), &[0; 4], &packed, &empty, &[0; 8], &packed, &[0; 12]].concat();
        let twice = [content.as_slice(), &content].concat();
        assert!(xz_unpacks(&many).as_ref() == Some(&twice), "{arguments:?}: xz");
        assert!(Format::Xz.decode(&many, 1 << 20).unwrap() == twice, "{arguments:?}");
        assert_corrupt(&[packed.as_slice(), &[0; 3]].concat(), "three bytes of padding");
        assert_corrupt(&[packed.as_slice(), &[0; 2], &packed].concat(), "two bytes of padding");
        assert_corrupt(&[&[0; 4], packed.as_slice()].concat()[..], "padding before the first stream");
    }
}

#[test]
fn a_filter_that_is_not_known_is_unsupported() {
    let mut packed = through("xz", &["-c", "--check=crc32"], &sample(1000));
    let header = (usize::from(packed[12]) + 1) * 4;
    assert_eq!(packed[14], 0x21);
    packed[14] = 0x22;
    seal(&mut packed, 12..12 + header - 4);
    assert_eq!(xz_unpacks(&packed), None);
    assert_eq!(Format::Xz.decode(&packed, 1 << 20).unwrap_err().kind, Kind::Unsupported);
}
