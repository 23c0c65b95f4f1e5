//! Any bytes as the reply of a server: taken apart or refused, the same in any pieces, never more than the limit; and as
//! a request and a URL: emitted as one of each or refused.
//!
//! The first byte of the input sets the limit and the size of the pieces; the rest is the reply, or the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wisp::error::Result;
use wisp::fetch::Url;
use wisp::http::{Parser, Reply, Request};

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let limit = 1 << (flags >> 3);
    let whole = parse(bytes, bytes.len().max(1), limit, false);
    let step = usize::from(flags & 7) + 1;
    assert_eq!(whole, parse(bytes, step, limit, false), "pieces make no difference");
    assert_eq!(whole, parse(bytes, step, limit, true), "nor does it where the bytes of the body are put");
    if let Ok((reply, ..)) = whole {
        assert!(reply.body.len() as u64 <= limit, "the limit holds");
        assert!((200..600).contains(&reply.status));
        let _ = reply.headers.find("retry-after");
    }
    let text = String::from_utf8_lossy(bytes);
    let header = [("X-Header", text.as_ref())];
    if let Ok(request) = (Request { headers: &header, ..Request::get("/") }).emit("a", &[]) {
        assert_eq!(request.split(|byte| *byte == b'\n').count(), 5, "a header is one line");
    }
    if let Ok(request) = Request::get(&text).emit("a", &[]) {
        assert_eq!(request.split(|byte| *byte == b'\n').count(), 4, "a target is one word of one line");
    }
    if let Ok(url) = Url::parse(&text) {
        assert_eq!(Url::parse(&format!("{url}")).expect("what is printed is a URL").host, url.host);
        Request::get(&url.target).emit(&url.host, &[]).expect("its target and its host can be sent");
    }
});

/// The reply, whether its connection can stay, and how many bytes are left behind it. `direct` has the parser told of
/// the body's bytes instead of fed with them.
fn parse(bytes: &[u8], step: usize, limit: u64, direct: bool) -> Result<(Reply, bool, usize)> {
    let (mut parser, mut body, mut rest) = (Parser::new(limit), Vec::new(), bytes);
    while !rest.is_empty() && !parser.is_done() {
        let run = usize::try_from(parser.run()).unwrap_or(usize::MAX).min(step).min(rest.len());
        if direct && run > 0 {
            body.extend_from_slice(&rest[..run]);
            parser.pass(run as u64);
            rest = &rest[run..];
            continue;
        }
        let used = parser.feed(&rest[..step.min(rest.len())], &mut |piece: &[u8]| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        assert!(used > 0, "it always takes something");
        rest = &rest[used..];
    }
    if !parser.is_done() {
        parser.end()?;
    }
    let stays = parser.keep_alive();
    Ok((parser.into_reply(body), stays, rest.len()))
}
