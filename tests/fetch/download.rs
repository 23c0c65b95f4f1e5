//! Large things from a web server: they arrive whole and are of one piece, or there is one clear error.

use super::store::{End, Store, Turn, field};
use super::{HASTY, ONCE, PATIENT};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use wisp::codec::Source;
use wisp::error::{Error, Kind};
use wisp::fetch::{Download, Policy};

/// Bytes that do not repeat where a mistake would be hidden by it.
pub fn noise(size: usize) -> Arc<Vec<u8>> {
    let mut state = 1u64;
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    Arc::new(std::iter::repeat_with(next).take(size).collect())
}

/// What comes from `url`, and what was told meanwhile.
fn fetch(url: &str, policy: Policy) -> (Result<Vec<u8>, Error>, Vec<String>) {
    let told = RefCell::new(Vec::new());
    let notify = |line: &str| told.borrow_mut().push(line.to_owned());
    let outcome = Download::open(url, policy, &[], &notify).and_then(|mut download| read(&mut download));
    (outcome, told.into_inner())
}

fn read(download: &mut Download<'_>) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 100_000]);
    loop {
        match download.read(&mut piece)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// The error of what must not succeed.
#[track_caller]
fn error(url: &str, policy: Policy) -> Error {
    let error = fetch(url, policy).0.unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    error
}

#[test]
fn one_request_brings_all_of_it() {
    let bytes = noise(3_000_000);
    let file = bytes.clone();
    let store = Store::new(move |_, _| Turn::whole(&file));
    let silent = |_: &str| ();
    let mut download = Download::open(&store.url("/a?secret"), PATIENT, &[], &silent).unwrap();
    assert_eq!((download.size(), download.takes_ranges()), (Some(3_000_000), true));
    assert!(read(&mut download).unwrap() == *bytes);
    assert_eq!(download.read(&mut [0; 9]), Ok(0), "the end stays the end");
    let request = format!("GET /a?secret HTTP/1.1\nHost: 127.0.0.1:{}\nAccept-Encoding: identity\n", store.port);
    assert_eq!(store.heard(), [request]);
}

#[test]
fn it_goes_on_where_it_broke_off() {
    let bytes = noise(1_000_000);
    // Twenty points at which it breaks, as if by chance, in every way; some at once, some after the last byte but one.
    let cuts: Vec<usize> = noise(40).chunks(2).map(|two| usize::from(two[0]) * 256 + usize::from(two[1])).collect();
    let file = bytes.clone();
    let store = Store::new(move |number, _| {
        let turn = Turn::whole(&file);
        match (cuts.get(number), number % 3) {
            (Some(cut), 0) => turn.ending(End::Close(*cut)),
            (Some(cut), 1) => turn.ending(End::Reset(*cut)),
            (Some(cut), _) => turn.ending(End::Silence(*cut)),
            (None, _) => turn,
        }
    });
    let (outcome, told) = fetch(&store.url("/disk?secret"), Policy { reply: Duration::from_millis(100), ..PATIENT });
    assert!(outcome.unwrap() == *bytes, "it is the same as if nothing had happened");
    let heard = store.heard();
    assert!(heard.len() >= 21, "{}", heard.len());
    assert!(heard[1..].iter().all(|request| field(request, "If-Range") == Some("\"one\"")), "{heard:?}");
    let url = format!("GET {}: ", store.url("/disk"));
    assert!(told.iter().all(|line| line.starts_with(&url) && !line.contains("secret")), "{told:#?}");
    assert!(told[0].contains(" after ") && told[0].contains("; trying again for up to "), "{told:#?}");
    assert!(told[1].contains("goes on at ") && told[1].ends_with(" s"), "{told:#?}");
}

/// A store whose second request, and every later one, is answered by `second`, the first reply having ended early.
fn broken(second: impl Fn(&Arc<Vec<u8>>) -> Turn + Send + 'static) -> Store {
    let bytes = noise(1000);
    Store::new(move |number, _| match number {
        0 => Turn::whole(&bytes).ending(End::Close(600)),
        _ => second(&bytes),
    })
}

#[test]
fn what_changed_on_the_server_is_never_mixed() {
    let tagged = |tag: &str| format!("ETag: {tag}\r\n");
    for (name, store) in [
        ("another tag", broken(move |bytes| Turn { fields: tagged("\"two\""), ..Turn::whole(bytes) })),
        ("another length", broken(|bytes| Turn::whole(&Arc::new(bytes[..900].to_vec())))),
        ("shorter than what came", broken(|bytes| Turn::whole(&Arc::new(bytes[..500].to_vec())))),
    ] {
        let (kind, why) = (Kind::Refused, "it changed on the server while it was fetched");
        let error = error(&store.url("/a?secret"), PATIENT);
        assert_eq!((error.kind, &*error.why), (kind, why), "{name}");
        assert_eq!(error.to, store.url("/a"));
        assert_eq!(store.heard().len(), 2, "{name}: no third request");
    }
}

#[test]
fn parts_that_were_not_asked_for_are_refused() {
    let part = |range: &str, length: usize| {
        let head =
            format!("HTTP/1.1 206 Part\r\nETag: \"one\"\r\nContent-Range: {range}\r\nContent-Length: {length}\r\n");
        head + "\r\n" + &"x".repeat(length)
    };
    for (head, why) in [
        (part("bytes 0-399/1000", 400), "another part"),
        (part("bytes 601-999/1000", 399), "another part"),
        (part("bytes 600-1000/1000", 401), "another part"),
        (part("bytes 600-999", 400), "another part"),
        (part("lines 600-999/1000", 400), "another part"),
        (part("bytes +600-999/1000", 400), "another part"),
        (part("bytes 600-999/1000", 399), "another length"),
        (part("bytes 600-999/*", 400), "it changed"),
        (part("bytes 600-999/1001", 400), "it changed"),
        ("HTTP/1.1 206 Part\r\nContent-Length: 400\r\n\r\n".into(), "another part"),
    ] {
        let said = head.clone();
        let store = broken(move |_| Turn::saying(said.clone()));
        let error = error(&store.url("/"), PATIENT);
        assert_eq!(error.kind, Kind::Refused, "{head}");
        assert!(error.why.contains(why), "{head}: {error}");
    }
}

#[test]
fn a_part_may_end_before_the_end() {
    let bytes = noise(1000);
    let (file, all) = (bytes.clone(), bytes.clone());
    let store = Store::new(move |number, request| match (number, field(request, "Range")) {
        (0, _) => Turn::whole(&file).ending(End::Close(1)),
        (_, Some(range)) => {
            let first: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
            let last = (first + 299).min(999);
            let text: String = all[first..=last].iter().map(|byte| char::from(byte & 0x7F)).collect();
            let head = format!(
                "HTTP/1.1 206 P\r\nContent-Range: bytes {first}-{last}/1000\r\nContent-Length: {}\r\n\r\n",
                text.len()
            );
            Turn::saying(head + &text)
        }
        (_, None) => panic!("{request}"),
    });
    let got = fetch(&store.url("/"), PATIENT).0.unwrap();
    assert_eq!((got.len(), got[0], store.heard().len()), (1000, bytes[0], 5));
    assert!(got[1..].iter().zip(&bytes[1..]).all(|(got, own)| *got == own & 0x7F));
}

#[test]
fn without_ranges_it_is_read_again_if_it_is_surely_the_same() {
    let store = broken(|bytes| Turn { ranges: false, ..Turn::whole(bytes) });
    assert!(fetch(&store.url("/"), PATIENT).0.unwrap() == *noise(1000));
    for fields in ["ETag: W/\"one\"\r\n", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n", ""] {
        let bytes = noise(1000);
        let turn = Turn { fields: fields.into(), ranges: false, ..Turn::whole(&bytes) };
        let store = Store::new(move |_, _| turn.clone().ending(End::Close(600)));
        let error = error(&store.url("/"), PATIENT);
        assert_eq!(error.kind, Kind::Refused, "{fields}");
        assert!(error.why.contains("does not do ranges"), "{error}");
        assert_eq!(store.heard().len(), 2);
    }
}

#[test]
fn a_date_and_a_length_will_do_where_there_are_ranges() {
    for (fields, condition) in [
        ("Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n", Some("Wed, 21 Oct 2015 07:28:00 GMT")),
        ("ETag: W/\"one\"\r\n", None),
        ("", None),
    ] {
        let bytes = noise(1000);
        let turn = Turn { fields: fields.into(), ..Turn::whole(&bytes) };
        let store = Store::new(move |_, _| turn.clone().ending(End::Close(600)));
        assert!(fetch(&store.url("/"), PATIENT).0.unwrap() == *noise(1000), "{fields}");
        assert_eq!(field(&store.heard()[1], "If-Range"), condition);
        assert_eq!(field(&store.heard()[1], "Range"), Some("bytes=600-"));
    }
}

#[test]
fn every_framing_arrives_and_chunks_go_on_too() {
    let bytes = noise(200_000);
    let file = bytes.clone();
    let store = Store::new(move |_, _| Turn { chunks: Some(4000), ..Turn::whole(&file) }.ending(End::Close(70_000)));
    let silent = |_: &str| ();
    let mut download = Download::open(&store.url("/"), PATIENT, &[], &silent).unwrap();
    assert_eq!(download.size(), None);
    assert!(read(&mut download).unwrap() == *bytes);
    assert_eq!(store.heard().len(), 3);

    // Neither length nor age: what breaks is lost, and what ends with its connection is whole as far as anybody knows.
    let turn = Turn { chunks: Some(100), fields: String::new(), ..Turn::whole(&noise(1000)) };
    let store = Store::new(move |_, _| turn.clone().ending(End::Close(300)));
    let lost = error(&store.url("/"), PATIENT);
    assert_eq!(lost.kind, Kind::Refused);
    assert!(lost.why.contains("neither its length nor its age"), "{lost}");
    let store = Store::new(|_, _| Turn::saying("HTTP/1.0 200 OK\r\n\r\nall of it"));
    let mut download = Download::open(&store.url("/"), PATIENT, &[], &silent).unwrap();
    assert_eq!((download.size(), read(&mut download).unwrap()), (None, b"all of it".to_vec()));
    assert_eq!(download.read(&mut [0; 9]), Ok(0));
    let store = Store::new(|_, _| Turn::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(fetch(&store.url("/"), PATIENT).0, Ok(Vec::new()));
}

/// As curl and wget do: identity was asked for, and these formats are known by their first bytes.
#[test]
fn a_reply_with_a_content_encoding_is_taken_as_stored() {
    for coding in ["Identity", "gzip", "x-gzip", "GZIP", "zstd", "xz", "x-xz", "x-bzip2"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\nx");
        let store = Store::new(move |_, _| Turn::saying(head.clone()));
        assert_eq!(fetch(&store.url("/"), PATIENT).0, Ok(b"x".to_vec()), "{coding}");
    }
    for coding in ["br", "deflate", "gzip, br", "x-", "compress"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\nx");
        let store = Store::new(move |_, _| Turn::saying(head.clone()));
        let error = error(&store.url("/"), PATIENT);
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.why.contains(&format!("Content-Encoding {coding}")), "{error}");
    }
}

#[test]
fn silence_and_failure_end_when_nothing_came_for_so_long() {
    // A connection is made, and then nothing.
    let policy = Policy {
        total: Duration::from_millis(400),
        later: Duration::from_millis(400),
        reply: Duration::from_millis(60),
        ..PATIENT
    };
    let empty = Arc::default();
    let turn = Turn::saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: \"one\"\r\n\r\n");
    for (turn, kind, why) in [
        (Turn::saying("").ending(End::Silence(0)), Kind::TimedOut, "no reply comes"),
        (turn.clone().ending(End::Silence(0)), Kind::TimedOut, "the reply does not go on"),
        (turn, Kind::Corrupt, "in the middle of the body"),
        (Turn::saying("HTTP/1.1 503 Later\r\n\r\n"), Kind::Remote(503), "asked later"),
        (Turn::whole(&empty).ending(End::Reset(0)), Kind::Os(104), "given up"),
    ] {
        let is_reset = matches!(turn.end, End::Reset(_));
        let turn = Turn { instead: turn.instead.or(is_reset.then(String::new)), ..turn };
        let store = Store::new(move |_, _| turn.clone());
        let (outcome, told) = fetch(&store.url("/"), policy);
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.why.contains(why) && error.why.contains("given up, at try "), "{error}");
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(store.heard().len() > 2);
    }
    // A byte at a time is progress, however long it takes in all.
    let bytes = noise(12);
    let store = Store::new(move |_, _| Turn::whole(&bytes).ending(End::Silence(1)));
    assert_eq!(fetch(&store.url("/"), policy).0.as_deref(), Ok(noise(12).as_slice()));
    assert_eq!(store.heard().len(), 12);
}

#[test]
fn bytes_that_are_read_again_are_no_progress() {
    // Without ranges each try begins at 0, and each ends at the same byte.
    let bytes = noise(600_000);
    let limit = Duration::from_millis(400);
    let policy = Policy { total: limit, later: limit, ..PATIENT };
    let store = Store::new(move |_, _| Turn { ranges: false, ..Turn::whole(&bytes) }.ending(End::Close(300_000)));
    let (done, finished) = std::sync::mpsc::channel();
    let url = store.url("/x");
    std::thread::spawn(move || done.send(fetch(&url, policy)));
    let (outcome, told) = finished.recv_timeout(Duration::from_secs(30)).expect("the download does not give up");
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
    assert!(error.why.contains("given up after 292.96 KiB, at try "), "{error}");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(store.heard().len() > 2);
}

#[test]
fn byte_after_byte_is_not_enough() {
    let bytes = noise(60_000);
    let store = Store::new(move |_, _| Turn::whole(&bytes).ending(End::Close(1)));
    let error = error(&store.url("/x?secret"), Policy { later: Duration::from_millis(60), ..PATIENT });
    assert_eq!(error.kind, Kind::TimedOut);
    assert!(error.why.starts_with("no more than ") && error.why.contains(" came in "), "{error}");
}

#[test]
fn what_the_server_refuses_is_an_error_at_once() {
    for (status, kind) in
        [(404, Kind::Remote(404)), (403, Kind::Remote(403)), (204, Kind::Remote(204)), (206, Kind::Remote(206))]
    {
        let store = Store::new(move |_, _| Turn::saying(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")));
        assert_eq!(error(&store.url("/?secret"), PATIENT).kind, kind);
        assert_eq!(store.heard().len(), 1);
    }
    let store = Store::new(|number, _| match number {
        0 => Turn::saying("HTTP/1.1 429 Later\r\nRetry-After: 0\r\n\r\n"),
        _ => Turn::whole(&noise(10)),
    });
    let (outcome, told) = fetch(&store.url("/"), PATIENT);
    assert_eq!(outcome.as_deref(), Ok(noise(10).as_slice()));
    assert!(told[1].contains("answers, after "), "{told:#?}");
}

#[test]
fn redirects_are_followed_and_a_resume_begins_where_they_led() {
    let bytes = noise(1000);
    let store = Store::new(move |number, request| {
        let moved = |status: u16, to: &str| Turn::saying(format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\n\r\n"));
        let target = request.split(' ').nth(1).unwrap();
        match (target, number) {
            ("/a/b?secret", _) => moved(301, "c"),
            ("/a/c", _) => moved(302, "?x=secret"),
            ("/a/c?x=secret", _) => moved(303, "/d#fragment"),
            ("/d", _) => moved(307, "./x/../e"),
            ("/e", 4) => moved(308, "/signed?secret=1"),
            ("/e", _) => moved(308, "/signed?secret=2"),
            ("/signed?secret=1", 5) => Turn::whole(&bytes).ending(End::Close(600)),
            ("/signed?secret=1", _) => Turn::saying("HTTP/1.1 403 Expired\r\n\r\n"),
            ("/signed?secret=2", _) => Turn::whole(&bytes),
            _ => panic!("{request}"),
        }
    });
    let (outcome, told) = fetch(&store.url("/a/b?secret"), PATIENT);
    assert!(outcome.unwrap() == *noise(1000));
    assert_eq!(store.heard().len(), 6 + 1 + 6);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told.iter().all(|line| line.starts_with(&format!("GET {}: ", store.url("/signed")))), "{told:#?}");
}

#[test]
fn redirects_end() {
    for (location, kind, why) in [
        ("Location: /\r\n", Kind::Refused, "more than 10 redirects"),
        ("Location: ftp://a/b\r\n", Kind::Unsupported, "only http and https"),
        ("Location: http://user:secret@localhost/\r\n", Kind::Usage, "it redirects to no URL"),
        ("", Kind::Corrupt, "says not where"),
    ] {
        let head = format!("HTTP/1.1 302 Moved\r\n{location}\r\n");
        let store = Store::new(move |_, _| Turn::saying(head.clone()));
        let error = error(&store.url("/"), PATIENT);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.why.contains(why), "{error}");
    }
    assert_eq!(error("http://localhost:1/?secret", HASTY).kind, Kind::Os(111));
    assert_eq!(error("ftp://localhost/", ONCE).kind, Kind::Unsupported);
}
