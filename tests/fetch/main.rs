//! Sessions against real servers on this machine: every answer, every fault, and what is sent when.

mod download;
mod faults;
mod locked;
#[path = "../support/port.rs"]
mod port;
mod remote;
mod server;
mod store;
#[cfg(feature = "full")]
mod tls;
mod tokens;

use server::{Server, Step, answer, deaf, dial, reply};
use std::cell::RefCell;
use std::time::Duration;
use wisp::error::Kind;
use wisp::fetch::{Counts, Endpoint, HttpClient, Policy, Session};
use wisp::http::{Method, Request};

/// Patient with a busy machine, and quick between tries.
const PATIENT: Policy = Policy {
    connect: Duration::from_secs(10),
    reply: Duration::from_secs(10),
    total: Duration::from_secs(60),
    later: Duration::from_secs(60),
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(4),
    again: &[],
};

/// For tests that wait for the end of it.
const HASTY: Policy = Policy {
    connect: Duration::from_millis(40),
    reply: Duration::from_millis(40),
    total: Duration::from_millis(150),
    later: Duration::from_millis(100),
    ..PATIENT
};

/// Gives up at the first failure: the pause before a second try would be longer than there is time.
const ONCE: Policy =
    Policy { first_pause: Duration::from_secs(600), longest_pause: Duration::from_secs(600), ..PATIENT };

/// What is got at `/x`, as text.
fn get(session: &mut Session<'_>) -> Option<String> {
    session.get("/x").unwrap().map(|reply| String::from_utf8(reply.body).unwrap())
}

#[test]
fn one_connection_carries_all_requests() {
    let script = [answer(200, "", "one"), answer(404, "", "<html>"), answer(200, "", ""), answer(204, "", "")].concat();
    let server = Server::tcp(vec![script]);
    let headers = [("Metadata", "true")];
    let mut session = Session::new(server.dial(), PATIENT, &headers, None);
    assert_eq!(get(&mut session).as_deref(), Some("one"));
    assert_eq!(get(&mut session), None, "404 is absence");
    assert_eq!(get(&mut session).as_deref(), Some(""), "an empty body is a value");
    assert_eq!(get(&mut session), None, "204 is absence");
    assert_eq!(session.counts(), Counts { requests: 4, connections: 1, retries: 0 });
    let heard = server.heard();
    assert_eq!(heard[0], "GET /x HTTP/1.1\r\nHost: metadata.test\r\nMetadata: true\r\n\r\n");
    assert!(heard.iter().all(|request| *request == heard[0]));
}

#[test]
fn a_unix_socket_is_asked_the_same_way() {
    let server = Server::unix("same", vec![[answer(200, "", "a"), answer(410, "", "")].concat()]);
    let mut session = Session::new(server.dial(), PATIENT, &[], None);
    assert_eq!(get(&mut session).as_deref(), Some("a"));
    assert_eq!(get(&mut session), None, "410 is absence where the cloud does not say otherwise");
    assert_eq!(server.heard().len(), 2);
    let gone = Session::new(dial(vec![Endpoint::Unix("/nonexistent/sock".into())]), HASTY, &[], None).get("/1.0?a");
    let error = gone.unwrap_err();
    assert_eq!((error.kind, error.to.as_str()), (Kind::Os(2), "unix:/nonexistent/sock:/1.0"));
}

#[test]
fn a_unix_socket_that_only_root_may_use_says_that_and_no_more() {
    let path = std::env::temp_dir().join(format!("wisp-fetch-closed-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let closed = Endpoint::Unix(path.to_str().unwrap().to_owned());
    let error = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            // Of this thread alone.
            rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(65_534)).unwrap();
        }
        Session::new(dial(vec![closed]), ONCE, &[], None).get("/1.0").unwrap_err()
    });
    let error = error.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error.kind, Kind::Os(13));
    assert_eq!(error.why, path.to_str().unwrap(), "no word of routes and ports");
}

#[test]
fn bodies_of_every_framing_arrive() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    let script = vec![
        vec![Step::Hear, Step::Spell(chunked.into()), Step::Hear, Step::Say("HTTP/1.1 200 OK\r\n\r\nabcdef".into())],
        vec![Step::Hear, Step::Say("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nabcdef".into())],
        vec![Step::Hear, Step::Say("HTTP/1.1 100 Go\r\n\r\n".into()), reply(200, "Connection: close\r\n", "abcdef")],
    ];
    let server = Server::tcp(script);
    let mut session = Session::new(server.dial(), PATIENT, &[], None);
    for _ in 0..4 {
        assert_eq!(get(&mut session).as_deref(), Some("abcdef"));
    }
    assert_eq!(session.counts(), Counts { requests: 4, connections: 3, retries: 0 });
    assert_eq!(server.heard().len(), 4);
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_silently() {
    let told = RefCell::new(Vec::new());
    let notify = |line: &str| told.borrow_mut().push(line.to_owned());
    let once = || Vec::from(answer(200, "", "a"));
    let server = Server::tcp(vec![once(), [&once()[..], &[Step::Reset]].concat(), once()]);
    let mut session = Session::new(server.dial(), PATIENT, &[], None).telling(&notify);
    for _ in 0..3 {
        assert_eq!(get(&mut session).as_deref(), Some("a"));
    }
    let counts = session.counts();
    assert_eq!((counts.connections, counts.retries), (3, 0));
    assert_eq!(server.heard().len(), 3);
    assert!(told.borrow().is_empty(), "{told:?}");
}

#[test]
fn a_connection_with_unrequested_bytes_is_not_used_again() {
    let more = Step::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".into());
    let Step::Say(good) = reply(200, "", "good") else { panic!() };
    let Step::Say(evil) = &more else { panic!() };
    let script =
        vec![vec![Step::Hear, Step::Say([good, evil.clone()].concat()), Step::Hold], answer(200, "", "b").into()];
    let server = Server::tcp(script);
    let mut session = Session::new(server.dial(), PATIENT, &[], None);
    assert_eq!(get(&mut session).as_deref(), Some("good"));
    assert_eq!(get(&mut session).as_deref(), Some("b"));
    assert_eq!(server.heard().len(), 2);
}

#[test]
fn put_post_and_patch_carry_their_bodies() {
    let server = Server::tcp(vec![[answer(201, "", ""), answer(410, "", "a"), answer(404, "", "")].concat()]);
    let mut session = Session::new(server.dial(), PATIENT, &[("A", "b")], None);
    let post = Request {
        method: Method::Post,
        target: "/health?secret=1",
        headers: &[("Content-Type", "application/json")],
        body: Some(b"{\"state\":\"Ready\"}"),
    };
    assert_eq!(session.send(&post, &[]).unwrap().status, 201);
    let patch = Request { method: Method::Patch, ..post };
    assert_eq!(session.send(&patch, &[410]).unwrap().body, b"a", "the caller wanted to see it");
    let error = session.send(&Request { method: Method::Put, ..post }, &[]).unwrap_err();
    assert_eq!(error.kind, Kind::Remote(404), "what is sent must be taken");
    assert_eq!(error.to_string(), "PUT http://metadata.test/health: answered 404 (there is no such thing)");
    let heard = server.heard();
    assert!(heard[0].starts_with("POST /health?secret=1 HTTP/1.1\r\n"), "{heard:?}");
    assert!(heard[0].ends_with("Content-Length: 17\r\n\r\n{\"state\":\"Ready\"}"), "{heard:?}");
    assert!(heard[1].starts_with("PATCH ") && heard[2].starts_with("PUT "), "{heard:?}");
}

#[test]
fn the_first_address_that_answers_is_taken() {
    let server = Server::tcp(vec![answer(200, "", "a").into()]);
    let mut session = Session::new(dial(vec![deaf(), deaf(), server.endpoint.clone()]), PATIENT, &[], None);
    assert_eq!(get(&mut session).as_deref(), Some("a"));
    assert_eq!(session.counts(), Counts { requests: 1, connections: 1, retries: 0 });
    assert_eq!(server.heard().len(), 1);
}

#[test]
fn a_low_source_port_is_used_where_it_is_wanted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let dial = wisp::fetch::Connector { low_port: true, ..dial(vec![endpoint]) };
    let policy = Policy { total: Duration::from_millis(100), reply: Duration::from_millis(50), ..HASTY };
    let outcome = Session::new(dial, policy, &[], None).get("/user_data/cloud-init").unwrap_err();
    if outcome.kind == Kind::Os(13) {
        assert!(outcome.why.contains("root"), "only root may: {outcome}");
        return;
    }
    assert_eq!(outcome.kind, Kind::TimedOut);
    assert!(listener.accept().unwrap().1.port() < 1024);
}

#[test]
fn one_connection_carries_all_urls_of_a_server() {
    let server = Server::tcp(vec![[answer(200, "", "a"), answer(404, "", ""), answer(200, "", "b")].concat()]);
    let other = Server::tcp(vec![answer(301, "Location: /\r\n", "").into()]);
    let silent = |_: &str| ();
    let mut web = HttpClient::new(PATIENT, &silent);
    // Every machine's hosts file knows this name.
    let mut get = |server: &Server, target: &str| web.get(&format!("http://localhost:{}{target}", server.port()), 5);
    assert_eq!(get(&server, "/meta-data?x=y").unwrap().unwrap().body, b"a");
    assert_eq!(get(&server, "/vendor-data").unwrap(), None);
    assert_eq!(get(&server, "#fragment").unwrap().unwrap().body, b"b");
    let error = get(&other, "/moved").unwrap_err();
    assert_eq!(error.kind, Kind::Remote(301), "a redirect is an error: {error}");
    assert_eq!(error.to, format!("http://localhost:{}/moved", other.port()));
    let port = server.port();
    let heard = server.heard();
    assert_eq!(heard[0], format!("GET /meta-data?x=y HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
    assert!(heard[2].starts_with("GET / "), "{heard:?}");
    other.heard();
    assert_eq!(HttpClient::new(ONCE, &silent).get("ftp://localhost/", 5).unwrap_err().kind, Kind::Unsupported);
}
