//! A file on a web server at any offset: the right bytes for few requests, and never of two versions.

use super::PATIENT;
use super::download::noise;
use super::store::{End, Store, Turn, field};
use std::sync::Arc;
use wisp::bytes::ReadAt;
use wisp::error::{Error, Kind};
use wisp::fetch::{Download, RangeReader};
use wisp::units::ByteCount;

const SIZE: usize = 2 << 20;

#[track_caller]
fn check(remote: &RangeReader<'_>, bytes: &[u8], at: usize, length: usize) {
    let mut buffer = vec![0; length];
    remote.read_at(ByteCount(at as u64), &mut buffer).unwrap();
    assert!(buffer == bytes[at..at + length], "{length} bytes at {at}");
}

#[test]
fn any_offset_reads_right_and_moving_forward_costs_no_request() {
    let bytes = noise(SIZE);
    let file = bytes.clone();
    let store = Store::new(move |_, _| Turn::whole(&file));
    let silent = |_: &str| ();
    let remote = Download::open(&store.url("/"), PATIENT, &[], &silent).unwrap().into_remote().unwrap();
    assert_eq!(remote.size(), SIZE as u64);
    // A header, tables, and data behind them, with gaps.
    for (at, length) in [(0, 104), (4096, 512), (8, 8), (65_530, 70_000), (300_000, 16), (400_000, 300_000)] {
        check(&remote, &bytes, at, length);
    }
    assert_eq!(store.heard().len(), 1);
    // A table at the end, read entry by entry, and back.
    for at in (SIZE - 40_000..SIZE).step_by(8) {
        check(&remote, &bytes, at, 8);
    }
    assert_eq!(store.heard().len(), 2);
    check(&remote, &bytes, 700_000, 100_000);
    assert_eq!(store.heard().len(), 3);
    let ranges: Vec<_> = store.heard().iter().map(|request| field(request, "Range").map(String::from)).collect();
    assert_eq!(ranges, [None, Some(format!("bytes={}-", SIZE - 40_000)), Some("bytes=700000-".into())]);
    check(&remote, &bytes, SIZE, 0);
    for (at, length) in [(SIZE, 1), (SIZE - 1, 2), (usize::MAX, 1)] {
        let error = remote.read_at(ByteCount(at as u64), &mut vec![0; length]).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt);
    }
}

#[test]
fn random_reads_over_a_network_that_breaks_are_right() {
    let bytes = noise(SIZE);
    let file = bytes.clone();
    let store = Store::new(move |number, _| match number % 4 {
        0 => Turn::whole(&file).ending(End::Close(100_000)),
        1 => Turn::whole(&file).ending(End::Reset(150_000)),
        _ => Turn::whole(&file),
    });
    let silent = |_: &str| ();
    let remote = RangeReader::open(&store.url("/"), PATIENT, &[], &silent).unwrap();
    for three in noise(300).chunks(3) {
        let at = usize::from(three[0]) << 13;
        let length = 1 << (three[1] % 19);
        check(&remote, &bytes, at, length.min(SIZE - at));
    }
}

/// What a read far from the beginning comes to when the requests after the first are answered so.
fn far(turn: impl Fn(&Arc<Vec<u8>>) -> Turn + Send + 'static) -> Error {
    let bytes = noise(SIZE);
    let store = Store::new(move |number, _| if number == 0 { Turn::whole(&bytes) } else { turn(&bytes) });
    let silent = |_: &str| ();
    let remote = RangeReader::open(&store.url("/"), PATIENT, &[], &silent).unwrap();
    let error = remote.read_at(ByteCount(SIZE as u64 / 2), &mut [0; 512]).unwrap_err();
    assert_eq!(store.heard().len(), 2);
    error
}

#[test]
fn another_version_and_a_server_without_ranges_are_reported() {
    let changed = far(|bytes| Turn { fields: "ETag: \"two\"\r\n".into(), ..Turn::whole(bytes) });
    assert_eq!((changed.kind, &*changed.why), (Kind::Refused, "it changed on the server while it was fetched"));
    let longer = far(|_| Turn::whole(&noise(SIZE + 1)));
    assert_eq!((longer.kind, &*longer.why), (Kind::Refused, "it changed on the server while it was fetched"));
    let whole = far(|bytes| Turn { ranges: false, ..Turn::whole(bytes) });
    assert_eq!(whole.kind, Kind::Unsupported);
    assert!(whole.why.contains("does not do ranges"), "{whole}");
    let store = Store::new(|_, _| Turn { chunks: Some(9), ..Turn::whole(&noise(100)) });
    let silent = |_: &str| ();
    let error = RangeReader::open(&store.url("/"), PATIENT, &[], &silent).unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert!(error.why.contains("does not say how large it is"), "{error}");
}
