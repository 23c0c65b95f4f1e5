//! Replies in every piece they can come in, and every lie about their length.

use super::*;
use crate::error::Kind;

/// What `bytes`, fed in pieces of `step`, are: the reply, whether the connection can stay, and how many bytes were left;
/// the connection is closed behind them if it comes to that.
fn parse(bytes: &[u8], step: usize, limit: u64) -> Result<(Reply, bool, usize)> {
    parse_by(bytes, step, limit, false)
}

/// The same; `direct` has the parser told of the body's bytes instead of fed with them.
fn parse_by(bytes: &[u8], step: usize, limit: u64, direct: bool) -> Result<(Reply, bool, usize)> {
    let (mut parser, mut body, mut at) = (Parser::new(limit), Vec::new(), 0);
    while at < bytes.len() && !parser.is_done() {
        let end = bytes.len().min(at + step);
        let run = (end - at).min(parser.run() as usize);
        if direct && run > 0 {
            body.extend_from_slice(&bytes[at..at + run]);
            parser.pass(run as u64);
            at += run;
            continue;
        }
        let used = parser.feed(&bytes[at..end], &mut |piece: &[u8]| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        assert!(used > 0 && used <= end - at, "it takes something, and no more than there is");
        at += used;
    }
    if !parser.is_done() {
        parser.end()?;
    }
    let stays = parser.keep_alive();
    Ok((parser.into_reply(body), stays, bytes.len() - at))
}

/// The same in one piece and byte by byte, and with its body put elsewhere.
#[track_caller]
fn both(bytes: &[u8]) -> Result<(u16, String, bool)> {
    let whole = parse(bytes, usize::MAX >> 1, 1000);
    assert_eq!(whole, parse(bytes, 1, 1000), "pieces make no difference");
    assert_eq!(whole, parse_by(bytes, 3, 1000, true), "nor does it where the body is put");
    whole.map(|(reply, stays, _)| (reply.status, String::from_utf8(reply.body).unwrap(), stays))
}

#[track_caller]
fn refuses(kind: Kind, bytes: &[u8]) {
    assert_eq!(both(bytes).unwrap_err().kind, kind, "{}", String::from_utf8_lossy(bytes));
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn bodies_end_as_their_head_says() {
    let ok = |body: &str, stays| Ok((200, body.to_owned(), stays));
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", ok("abc", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ok("", true)),
        ("HTTP/1.1 200\r\ncontent-length:3\r\n\r\nabc", ok("abc", true)),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", ok("abc", true)),
        ("HTTP/1.1 200 OK\r\n\r\nabc", ok("abc", false)),
        ("HTTP/1.0 200 OK\r\n\r\n", ok("", false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", ok("abc", false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\nabc", ok("abc", true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: x, Close\r\n\r\nabc", ok("abc", false)),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", ok("abc", false)),
        ("HTTP/1.1 204 None\r\n\r\n", Ok((204, String::new(), true))),
        ("HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", Ok((304, String::new(), true))),
        (
            "HTTP/1.1 100 Go on\r\nX: y\r\n\r\nHTTP/1.1 103 Soon\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            ok("a", true),
        ),
    ] {
        assert_eq!(both(text.as_bytes()), expected, "{text}");
    }
    for (chunks, body) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("1\r\na\r\n00002\r\nbc\r\n0\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\na;x=\"y\"\r\n0123456789\r\n0;z\r\nTrailer: a\r\nOther: b\r\n\r\n", "01234567890123456789"),
        ("3 \r\nabc\r\n0\t\r\n\r\n", "abc"),
    ] {
        assert_eq!(both([CHUNKED, chunks].concat().as_bytes()), ok(body, true), "{chunks}");
    }
}

#[test]
fn lies_about_the_length_are_refused() {
    for fields in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 3\r\n",
        "Content-Length: 4\r\n",
    ] {
        refuses(Kind::Corrupt, format!("HTTP/1.1 200 OK\r\n{fields}\r\nabc").as_bytes());
    }
    refuses(Kind::Corrupt, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    refuses(Kind::Corrupt, b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n");
    for coding in ["gzip", "gzip, chunked", "identity", "chunked, chunked", "chunked;a=b", ""] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        refuses(Kind::Unsupported, text.as_bytes());
    }
}

#[test]
fn chunks_that_lie_are_refused() {
    for chunks in [
        "",
        "\r\n",
        "x\r\n",
        "-1\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        ";x\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\r\nabc",
        "3;x\nabc\r\n0\r\n\r\n",
        "3\r\nabc",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\r\n",
        "3\r\nabc\r\n0\r\n",
        "0\r\n\rx",
        "0\r\n\n",
        "0\r\nTrailer: a\n",
        "00000000000000001\r\na\r\n0\r\n\r\n",
    ] {
        refuses(Kind::Corrupt, [CHUNKED, chunks].concat().as_bytes());
    }
    refuses(Kind::Refused, [CHUNKED, "FFFFFFFFFFFFFFFF\r\n"].concat().as_bytes());
    let endless = [CHUNKED, "1;", &"x".repeat(HEAD_LIMIT + 1)].concat();
    refuses(Kind::Refused, endless.as_bytes());
    let endless = [CHUNKED, "0\r\n", &"A: b\r\n".repeat(HEAD_LIMIT / 4)].concat();
    refuses(Kind::Refused, endless.as_bytes());
}

#[test]
fn what_is_no_reply_is_refused_before_it_ends() {
    for text in [
        "SSH-2.0-x",
        "\r\n",
        "HTTP/2",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
        "HTTP/1.1 600 Odd\r\n\r\n",
        "HTTP/1.1 101 Other\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\nA: b\r\n",
    ] {
        refuses(Kind::Corrupt, text.as_bytes());
    }
    let mut parser = Parser::new(0);
    assert!(parser.feed(b"220 mail", &mut |_| Ok(())).is_err(), "it does not wait for a line to end");
}

#[test]
fn limits_hold() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    both(head(&"A: b\r\n".repeat(FIELDS_LIMIT - 1)).as_bytes()).unwrap();
    refuses(Kind::Refused, head(&"A: b\r\n".repeat(FIELDS_LIMIT)).as_bytes());
    both(head(&format!("A: {}\r\n", "b".repeat(HEAD_LIMIT - 100))).as_bytes()).unwrap();
    refuses(Kind::Refused, head(&format!("A: {}\r\n", "b".repeat(HEAD_LIMIT))).as_bytes());
    let interim = "HTTP/1.1 100 Go on\r\n\r\n".repeat(INTERIM_LIMIT as usize);
    both([&interim, &head("")[..]].concat().as_bytes()).unwrap();
    refuses(Kind::Refused, [&interim, &interim[..]].concat().as_bytes());

    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
    ] {
        for step in [1, 1000] {
            assert_eq!(parse(reply.as_bytes(), step, 5).unwrap().0.body, b"abcde");
            assert_eq!(parse(reply.as_bytes(), step, 4).unwrap_err().kind, Kind::Refused, "{reply}");
        }
    }
}

#[test]
fn what_follows_a_reply_is_not_part_of_it() {
    for reply in ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", &[CHUNKED, "1\r\na\r\n0\r\n\r\n"].concat()] {
        let (reply, _, left) = parse([reply, "HTTP/1.1 "].concat().as_bytes(), 1000, 10).unwrap();
        assert_eq!((reply.body.as_slice(), left), (&b"a"[..], 9));
    }
}

#[test]
fn headers_are_found_in_any_case() {
    let text = b"HTTP/1.1 200 OK\r\nRetry-After: 3\r\nX-A:  b  \r\nx-a: c\xe4\r\nContent-Length: 0\r\n\r\n";
    let reply = parse(text, 1, 0).unwrap().0;
    assert_eq!(reply.headers.find("retry-AFTER"), Some("3"));
    assert_eq!(reply.headers.all("X-a").collect::<Vec<_>>(), ["b", "c\u{fffd}"]);
    assert_eq!(reply.headers.find("retry"), None);
}

#[test]
fn the_head_is_seen_before_the_body_is_handed_out() {
    let text = b"HTTP/1.1 404 None\r\nContent-Length: 3\r\n\r\nabc";
    let mut parser = Parser::new(10);
    let head = parser.feed(text, &mut |_| panic!("no body yet")).unwrap();
    assert_eq!((parser.status(), parser.is_done()), (Some(404), false));
    let refusal = Error::refused("store", "no");
    assert_eq!(parser.feed(&text[head..], &mut |_| Err(refusal.clone())), Err(refusal), "a sink can say no");
}

/// Any damage ends in a reply or an error, and never in more bytes than the limit.
#[test]
fn damage_of_every_bit_and_length_is_survived() {
    for sample in [
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nhello, world".to_vec(),
        [CHUNKED, "5;a=b\r\nhello\r\n7\r\n, world\r\n0\r\nA: b\r\n\r\n"].concat().into_bytes(),
    ] {
        for length in 0..sample.len() {
            assert!(parse(&sample[..length], 3, 12).is_err(), "cut at {length}");
        }
        for bit in 0..sample.len() * 8 {
            let mut damaged = sample.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let whole = parse(&damaged, 1000, 100);
            assert_eq!(whole, parse(&damaged, 1, 100), "bit {bit}");
            assert!(whole.map_or(0, |(reply, ..)| reply.body.len()) <= 100);
        }
    }
}
