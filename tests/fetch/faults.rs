//! What goes wrong between a client and a server: each fault ends in a value, an absence or one clear error, in time.

use super::server::{Server, Step, answer, deaf, dial};
use super::{HASTY, ONCE, PATIENT, get};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::cell::RefCell;
use std::time::{Duration, Instant};
use wisp::error::{Error, Kind};
use wisp::fetch::{Counts, Endpoint, Policy, Session, Token};

/// The error of a session that finds only this, for each connection that it makes.
#[track_caller]
fn error_of(policy: Policy, steps: &[Step]) -> Error {
    let started = Instant::now();
    let server = Server::tcp(vec![steps.to_vec()]);
    let error = Session::new(server.dial(), policy, &[], None).get("/x?secret").unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "in time");
    assert_eq!(error.to, "http://metadata.test/x");
    assert!(!error.to_string().contains("secret"), "{error}");
    server.heard();
    error
}

#[test]
fn a_port_without_a_listener_is_tried_until_the_deadline() {
    let lines = RefCell::new(Vec::new());
    let notify = |line: &str| lines.borrow_mut().push(line.to_owned());
    let mut session = Session::new(dial(vec![deaf()]), HASTY, &[], None).telling(&notify);
    let error = session.get("/x").unwrap_err();
    assert_eq!(error.kind, Kind::Os(111));
    assert!(
        error.to_string().starts_with("GET http://metadata.test/x: connection refused (ECONNREFUSED), 127.0.0.1:"),
        "{error}"
    );
    assert!(error.why.contains("given up at"), "{error}");
    let counts = session.counts();
    assert!(counts.retries > 3 && (counts.requests, counts.connections) == (0, 0), "{counts:?}");
    let lines = lines.into_inner();
    assert_eq!(lines.len(), 1, "one line for all these tries: {lines:?}");
    assert!(lines[0].contains("connection refused") && lines[0].ends_with("; trying again"), "{lines:?}");
}

/// An address that lets no one in: its queue is full, and the kernel drops what comes.
fn black_hole() -> (Vec<rustix::fd::OwnedFd>, Endpoint) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = || rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    let listener = socket();
    rustix::net::bind(&listener, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = std::net::SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
    let mut held = vec![listener];
    for _ in 0..4 {
        let client = socket();
        let _ = rustix::net::connect(&client, &address);
        held.push(client);
    }
    (held, Endpoint::Tcp(address))
}

#[test]
fn a_black_hole_is_given_up() {
    let (_held, hole) = black_hole();
    let started = Instant::now();
    let error = Session::new(dial(vec![hole.clone()]), HASTY, &[], None).get("/x").unwrap_err();
    assert_eq!(error.kind, Kind::TimedOut);
    assert!(error.why.contains("nobody answers"), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(100) && started.elapsed() < Duration::from_secs(5));

    let server = Server::tcp(vec![answer(200, "", "a").into()]);
    let mut session = Session::new(dial(vec![hole.clone(), server.endpoint.clone()]), PATIENT, &[], None);
    assert_eq!(get(&mut session).as_deref(), Some("a"), "the other address is tried before the first is given up");
    assert_eq!(server.heard().len(), 1);

    let error = Session::new(dial(vec![deaf(), hole]), HASTY, &[], None).get("/x").unwrap_err();
    assert_eq!(error.kind, Kind::Os(111), "a refusal tells more than silence: {error}");
}

#[test]
fn silence_and_slowness_end_in_time() {
    // What was said must have arrived by then, on a busy machine too.
    let policy = Policy { reply: Duration::from_millis(1500), ..ONCE };
    for (said, why) in [
        ("", "no reply comes"),
        ("HTTP/1.1 200 OK\r\nA:", "no reply comes"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na", "the reply does not go on"),
        ("HTTP/1.1 200 OK\r\n\r\na", "the reply does not go on"),
    ] {
        let error = error_of(policy, &[Step::Hear, Step::Say(said.into()), Step::Hold]);
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(error.why.starts_with(why), "{error}");
    }
}

#[test]
fn damage_is_tried_again_and_then_gone() {
    let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for damage in [
        vec![Step::Reset],
        vec![Step::Hear],
        vec![Step::Hear, Step::Say(b"garbage\r\n".into())],
        vec![Step::Hear, Step::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".into())],
        vec![Step::Hear, Step::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 3\r\n\r\nabc".into())],
        vec![Step::Hear, Step::Say([whole, "3\r\nabcd\r\n"].concat().into())],
        vec![Step::Hear, Step::Say([whole, "3\r\nabc\r\n"].concat().into())],
        vec![Step::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".into()), Step::Reset],
    ] {
        let script = vec![damage.clone(), damage.clone(), answer(200, "", "a").into()];
        let server = Server::tcp(script);
        let mut session = Session::new(server.dial(), PATIENT, &[], None);
        assert_eq!(get(&mut session).as_deref(), Some("a"), "{damage:?}");
        assert_eq!(session.counts().retries, 2, "{damage:?}");
        server.heard();
    }
}

#[test]
fn what_stays_damaged_is_one_clear_error() {
    for said in ["220 mail.example\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na", ""] {
        let error = error_of(ONCE, &[Step::Hear, Step::Say(said.into())]);
        assert_eq!(error.kind, Kind::Corrupt);
        assert!(error.why.ends_with("given up at try 1, after 0 s"), "{error}");
    }
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    let huge = [
        Step::Say(format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(20 << 10)).into_bytes()),
        Step::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n".into()),
    ];
    for said in huge {
        let error = error_of(PATIENT, &[Step::Hear, said, Step::Hold]);
        assert_eq!(error.kind, Kind::Refused, "{error}");
    }
    let endless = [
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), &[b'x'; 65536][..]),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), b"4\r\nabcd\r\n".as_slice()),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), b"A: b\r\n".as_slice()),
    ];
    for (head, babble) in endless {
        let error = error_of(PATIENT, &[Step::Hear, Step::Say(head), Step::Babble(babble)]);
        assert_eq!(error.kind, Kind::Refused, "{error}");
    }
    let server = Server::tcp(vec![[answer(200, "", "12345"), answer(200, "", "123456")].concat()]);
    let mut session = Session::new(server.dial(), PATIENT, &[], None);
    assert_eq!(session.get_within("/x", 5).unwrap().unwrap().body, b"12345");
    assert_eq!(session.get_within("/x", 5).unwrap_err().kind, Kind::Refused);
    assert_eq!(server.heard().len(), 2);
}

#[test]
fn what_the_service_refuses_is_final() {
    for (status, words) in [
        (301, "redirects are not followed"),
        (302, "redirects are not followed"),
        (206, "only a part"),
        (400, "understand"),
        (401, "credentials"),
        (403, "disabled"),
        (405, "not to be asked so"),
        (418, "does not want to"),
        (501, "fault"),
    ] {
        let steps = answer(status, "Location: http://127.0.0.1:1/\r\n", "secret");
        let error = error_of(PATIENT, &steps);
        assert_eq!(error.kind, Kind::Remote(status));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_service_in_trouble_is_asked_again() {
    let lines = RefCell::new(Vec::new());
    let notify = |line: &str| lines.borrow_mut().push(line.to_owned());
    let script = [429, 500, 502, 503, 503, 504, 408].map(|status| answer(status, "", "wait")).concat();
    let server = Server::tcp(vec![[&script[..], &answer(200, "", "a")].concat()]);
    let mut session = Session::new(server.dial(), PATIENT, &[], None).telling(&notify);
    assert_eq!(get(&mut session).as_deref(), Some("a"));
    assert_eq!(session.counts(), Counts { requests: 8, connections: 1, retries: 7 });
    assert_eq!(server.heard().len(), 8);
    let lines = lines.into_inner();
    assert_eq!(lines.len(), 7, "one for each change (503 twice is one) and one at the end: {lines:?}");
    assert!(lines[0].contains("answered 429") && lines[6].contains("answered at try 8"), "{lines:?}");
}

#[test]
fn what_a_cloud_means_by_not_yet_is_asked_again() {
    let script = [answer(404, "", ""), answer(410, "", ""), answer(200, "", "a")].concat();
    let server = Server::tcp(vec![script]);
    let policy = Policy { again: &[404, 410], ..PATIENT };
    assert_eq!(get(&mut Session::new(server.dial(), policy, &[], None)).as_deref(), Some("a"));
    assert_eq!(server.heard().len(), 3);
    let server = Server::tcp(vec![vec![answer(404, "", ""); 500].concat()]);
    let error = Session::new(server.dial(), Policy { again: &[404], ..HASTY }, &[], None).get("/x").unwrap_err();
    assert_eq!(error.kind, Kind::Remote(404), "an error is not an absence");
    server.heard();
}

#[test]
fn a_service_is_left_alone_as_long_as_it_wants() {
    let policy = Policy { first_pause: Duration::from_secs(30), longest_pause: Duration::from_secs(30), ..PATIENT };
    let server = Server::tcp(vec![[answer(503, "Retry-After: 1\r\n", ""), answer(200, "", "a")].concat()]);
    let started = Instant::now();
    assert_eq!(get(&mut Session::new(server.dial(), policy, &[], None)).as_deref(), Some("a"));
    let spent = started.elapsed();
    assert!(
        spent >= Duration::from_secs(1) && spent < Duration::from_secs(20),
        "its second, and not our 30: {spent:?}"
    );
    assert_eq!(server.heard().len(), 2);
}

#[test]
fn a_retry_after_beyond_the_deadline_leaves_one_try_before_it() {
    let policy = Policy { total: Duration::from_secs(1), ..PATIENT };
    let server = Server::tcp(vec![[answer(503, "Retry-After: 3600\r\n", ""), answer(200, "", "a")].concat()]);
    assert_eq!(get(&mut Session::new(server.dial(), policy, &[], None)).as_deref(), Some("a"));
    assert_eq!(server.heard().len(), 2);

    let started = Instant::now();
    let error = error_of(policy, &[0, 1].map(|_| answer(429, "Retry-After: 3600\r\n", "")).concat());
    assert_eq!(error.kind, Kind::Remote(429));
    assert!(error.why.contains("3600 s more") && error.why.contains("at try 2"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn nothing_is_sent_after_the_deadline_and_the_real_cause_is_reported() {
    let server = Server::tcp(vec![vec![answer(503, "", ""); 500].concat()]);
    let token = Token { target: "/token", ask: ("ttl", "5"), send: "token", optional: false };
    let mut session = Session::new(server.dial(), HASTY, &[], Some(token));
    let first = session.get("/x").unwrap_err();
    let before = session.counts();
    let second = session.get("/y").unwrap_err();
    assert_eq!((first.kind, second.kind), (Kind::Remote(503), Kind::Remote(503)), "{second}");
    assert!(!second.why.contains("hop limit"), "{second}");
    assert_eq!(session.counts(), before, "no request after the deadline");
    drop(session);
    server.heard();
}

#[test]
fn after_the_first_answer_there_is_less_time() {
    let server = Server::tcp(vec![answer(200, "", "a").into()]);
    let policy = Policy { total: Duration::from_secs(3600), later: Duration::from_millis(50), ..PATIENT };
    let mut session = Session::new(server.dial(), policy, &[], None);
    assert_eq!(get(&mut session).as_deref(), Some("a"));
    server.heard();
    let started = Instant::now();
    assert_eq!(session.get("/x").unwrap_err().kind, Kind::Os(111));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn who_gave_up_once_does_not_wait_again() {
    let mut session = Session::new(dial(vec![deaf()]), HASTY, &[], None);
    session.get("/x").unwrap_err();
    let before = session.counts().retries;
    session.get("/y").unwrap_err();
    assert_eq!(session.counts().retries, before);
}

#[test]
fn nothing_is_sent_that_could_begin_another_request() {
    let server = Server::tcp(vec![vec![]]);
    let mut session = Session::new(server.dial(), PATIENT, &[], None);
    assert_eq!(session.get("/x\r\nHost: evil").unwrap_err().kind, Kind::Usage);
    assert_eq!(session.counts(), Counts::default());
    let _ = std::net::TcpStream::connect(("127.0.0.1", server.port()));
    server.heard();
    let error = Session::new(dial(Vec::new()), PATIENT, &[], None).get("/x").unwrap_err();
    assert_eq!(error.kind, Kind::Usage, "a service without an address");
}
