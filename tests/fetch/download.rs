//! Large things from a web server: they arrive whole and are of one piece, or there is one clear error.

use super::PATIENT;
use super::store::{End, Store, Turn, field};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use wisp::codec::Source;
use wisp::error::Error;
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
    let tell = |line: &str| told.borrow_mut().push(line.to_owned());
    let outcome = Download::open(url, policy, &[], &tell).and_then(|mut download| read(&mut download));
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
    assert!(told[0].contains(" after ") && told[0].ends_with("; trying again"), "{told:#?}");
    assert!(told[1].contains("goes on at ") && told[1].ends_with(" s"), "{told:#?}");
}
