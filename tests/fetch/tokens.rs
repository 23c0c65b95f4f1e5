//! Tokens: asked for once, sent along, renewed once, and never said aloud.

use super::server::{Server, Step, answer};
use super::{HASTY, PATIENT, get};
use std::cell::RefCell;
use wisp::error::Kind;
use wisp::fetch::{Counts, Policy, Session, Token};

const TOKEN: Token<'_> = Token { target: "/latest/api/token", ask: ("X-Ttl", "300"), send: "X-Token", optional: false };

#[test]
fn a_token_is_asked_for_once_and_sent_along() {
    let script = [answer(200, "", "t0ken=="), answer(200, "", "a"), answer(404, "", ""), answer(200, "", "b")].concat();
    let server = Server::tcp(vec![script]);
    let mut session = Session::new(server.dial(), PATIENT, &[("A", "b")], Some(TOKEN));
    assert_eq!(get(&mut session).as_deref(), Some("a"));
    assert_eq!(get(&mut session), None);
    assert_eq!(get(&mut session).as_deref(), Some("b"));
    assert_eq!(session.counts(), Counts { requests: 4, connections: 1, retries: 0 });
    assert!(!format!("{session:?}").contains("t0ken"));
    let heard = server.heard();
    let put =
        "PUT /latest/api/token HTTP/1.1\r\nHost: metadata.test\r\nA: b\r\nX-Ttl: 300\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(heard[0], put);
    assert_eq!(heard[1], "GET /x HTTP/1.1\r\nHost: metadata.test\r\nA: b\r\nX-Token: t0ken==\r\n\r\n");
    assert!(heard[2..].iter().all(|request| *request == heard[1]));
}

#[test]
fn a_token_that_is_no_longer_good_is_renewed_once() {
    let script = [
        answer(200, "", "old"),
        answer(200, "", "a"),
        answer(401, "", ""),
        answer(200, "", "new"),
        answer(200, "", "b"),
        answer(401, "", ""),
        answer(200, "", "newer"),
        answer(401, "", ""),
    ];
    let server = Server::tcp(vec![script.concat()]);
    let mut session = Session::new(server.dial(), PATIENT, &[], Some(TOKEN));
    assert_eq!(get(&mut session).as_deref(), Some("a"));
    assert_eq!(get(&mut session).as_deref(), Some("b"));
    assert_eq!(session.get("/x").unwrap_err().kind, Kind::Remote(401), "a second refusal is final");
    let heard = server.heard();
    assert!(heard[3].starts_with("PUT ") && !heard[3].contains("old"), "{heard:?}");
    assert!(heard[4].contains("X-Token: new\r\n"), "{heard:?}");
}

#[test]
fn a_service_that_is_switched_off_says_so_at_once() {
    let server = Server::tcp(vec![answer(403, "", "").into()]);
    let error = Session::new(server.dial(), PATIENT, &[], Some(TOKEN)).get("/x").unwrap_err();
    assert_eq!(error.kind, Kind::Remote(403));
    let text = "PUT http://metadata.test/latest/api/token: answered 403 (it is forbidden, or the service is disabled)";
    assert_eq!(error.to_string(), text);
    assert_eq!(server.heard().len(), 1);
}

#[test]
fn what_is_no_token_is_not_used() {
    let long = "x".repeat(4097);
    for (status, body, kind) in [
        (200, "", Kind::Corrupt),
        (200, "a b", Kind::Corrupt),
        (200, "a\nX-Other: b", Kind::Corrupt),
        (200, "a\n", Kind::Corrupt),
        (200, "\u{e4}", Kind::Corrupt),
        (200, long.as_str(), Kind::Corrupt),
        (201, "token", Kind::Remote(201)),
        (204, "", Kind::Remote(204)),
        (302, "", Kind::Remote(302)),
        (400, "", Kind::Remote(400)),
        (401, "", Kind::Remote(401)),
        (404, "", Kind::Remote(404)),
        (405, "", Kind::Remote(405)),
    ] {
        let server = Server::tcp(vec![answer(status, "", body).into()]);
        let error = Session::new(server.dial(), PATIENT, &[], Some(TOKEN)).get("/x").unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(server.heard().len(), 1, "and nothing else is asked");
    }
}

#[test]
fn a_token_is_waited_for_like_anything_else() {
    let lines = RefCell::new(Vec::new());
    let notify = |line: &str| lines.borrow_mut().push(line.to_owned());
    let script = [answer(503, "", ""), answer(503, "", ""), answer(200, "", "t"), answer(200, "", "a")].concat();
    let server = Server::tcp(vec![script]);
    let mut session = Session::new(server.dial(), PATIENT, &[], Some(TOKEN)).telling(&notify);
    assert_eq!(get(&mut session).as_deref(), Some("a"));
    assert_eq!(session.counts().retries, 2);
    assert_eq!(server.heard().len(), 4);
    assert_eq!(lines.into_inner().len(), 2);
}

#[test]
fn tokens_that_are_lost_on_their_way_point_at_the_hop_limit() {
    let server = Server::tcp(vec![vec![Step::Hear, Step::Hold]; 3]);
    let policy = Policy { total: PATIENT.total, connect: PATIENT.connect, ..HASTY };
    let mut session = Session::new(server.dial(), policy, &[], Some(TOKEN));
    let error = session.get("/x").unwrap_err();
    assert_eq!(error.kind, Kind::TimedOut);
    assert!(error.why.contains("hop limit"), "{error}");
    assert_eq!(session.counts().requests, 3, "and that is not waited for until the end");
    drop(session);
    assert_eq!(server.heard().len(), 3);
}

#[test]
fn a_service_without_tokens_is_asked_without_one_where_that_is_allowed() {
    for status in [404, 405, 501] {
        let steps = || [answer(status, "", ""), answer(200, "", "old"), answer(200, "", "b")].concat();
        let server = Server::tcp(vec![steps()]);
        let optional = Token { optional: true, ..TOKEN };
        let mut session = Session::new(server.dial(), PATIENT, &[], Some(optional));
        assert_eq!(get(&mut session).as_deref(), Some("old"), "{status}");
        assert_eq!(get(&mut session).as_deref(), Some("b"), "{status}");
        drop(session);
        assert!(server.heard()[1..].iter().all(|heard| heard.starts_with("GET ") && !heard.contains("X-Token")));

        let server = Server::tcp(vec![answer(status, "", "").into()]);
        let error = Session::new(server.dial(), PATIENT, &[], Some(TOKEN)).get("/x").unwrap_err();
        assert_eq!(error.kind, Kind::Remote(status), "elsewhere a token is insisted on");
        server.heard();
    }
}
