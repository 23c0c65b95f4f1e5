//! One connection of the server: requests read from it, replies written to it, rightly or as the fault wants it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::fault::{How, Nth};
use super::recorded::{Reply, Request};

/// A request's head beyond this ends the connection: no client of a metadata service needs it.
const HEAD_LIMIT: usize = 64 * 1024;
/// Where something has no end, this is the end: a client that read so much has failed its test already.
const ENDLESS: usize = 64 * 1024 * 1024;
/// What is repeated is written in blocks of about this size.
const BLOCK: usize = 64 * 1024;
/// The pause before each byte of a slow reply: shorter than any sensible limit for a single read, so that only a limit
/// on the whole reply helps.
const PAUSE: Duration = Duration::from_millis(50);

/// A stream of either kind.
#[derive(Debug)]
pub enum Stream {
    /// A port.
    Tcp(TcpStream),
    /// A socket in the file system.
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(limit),
            Self::Unix(stream) => stream.set_read_timeout(limit),
        }
    }

    fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }
}

/// A stream, what was read ahead of it, and how it goes wrong.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Stream,
    ahead: Vec<u8>,
    how: How,
}

impl Connection {
    pub fn new(stream: Stream, how: How) -> Self {
        // Without it, small writes wait for each other and every test for them.
        drop(stream.set_nodelay());
        Self { stream, ahead: Vec::new(), how }
    }

    /// The next request; `None` when the client has gone or does not speak HTTP.
    ///
    /// For a reset the last byte of the head stays unread: a kernel that closes a stream with unread bytes resets it.
    pub fn read_request(&mut self, low_port: bool) -> io::Result<Option<Request>> {
        let ending: &[u8] = if self.how == How::Reset { b"\r\n\r" } else { b"\r\n\r\n" };
        let ends = |bytes: &[u8]| bytes.windows(ending.len()).position(|window| window == ending);
        let head = loop {
            // A client of HTTP/1.0 by hand may send bare line feeds.
            let bare = self.ahead.windows(2).position(|window| window == b"\n\n");
            match (ends(&self.ahead), bare) {
                (Some(at), _) => break self.ahead.drain(..at + ending.len()).collect::<Vec<u8>>(),
                (None, Some(at)) => break self.ahead.drain(..at + 2).collect(),
                _ if self.ahead.len() > HEAD_LIMIT => return Ok(None),
                _ => {}
            }
            if self.read_some()? == 0 {
                return Ok(None);
            }
        };
        let Some(mut request) = parse_head(&head) else { return Ok(None) };
        request.low_port = low_port;
        let length = request.header("Content-Length").and_then(|value| value.parse().ok()).unwrap_or(0);
        while self.ahead.len() < length {
            if self.read_some()? == 0 {
                return Ok(None);
            }
        }
        request.body = self.ahead.drain(..length).collect();
        Ok(Some(request))
    }

    fn read_some(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let room = if self.how == How::Reset { 1 } else { buffer.len() };
        let count = self.stream.read(&mut buffer[..room])?;
        self.ahead.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Sends a reply; whether another request may follow.
    pub fn send(&mut self, reply: &Reply, goes_on: bool, nth: Nth) -> io::Result<bool> {
        let length = format!("Content-Length: {}", reply.body.len());
        let other = |offset: i64| format!("Content-Length: {}", reply.body.len() as i64 + offset);
        let right = message(reply, &length, &reply.body);
        match self.how {
            How::Refuse | How::HangUp => return Ok(false),
            How::Silence => return self.wait_for_end(),
            How::Reset | How::Half => {
                self.stream.write_all(&right[..right.len() / 2])?;
                return Ok(false);
            }
            How::Slow => return self.send_slowly(&right),
            How::Garbage => self.stream.write_all(&garbage())?,
            How::EndlessHead => {
                return self.send_endlessly(b"HTTP/1.1 200 OK\r\n", b"X-Filler: filler filler filler\r\n");
            }
            How::EndlessBody => {
                let mut first = message(reply, "Connection: close", &[]);
                first.extend_from_slice(&reply.body);
                return self.send_endlessly(&first, &[b'a'; 4096]);
            }
            How::HugeLength => {
                self.stream.write_all(&message(reply, "Content-Length: 18446744073709551617", &reply.body))?
            }
            How::LengthTooLarge => {
                self.stream.write_all(&message(reply, &other(1), &reply.body))?;
                return Ok(false);
            }
            How::LengthTooSmall if !reply.body.is_empty() => {
                self.stream.write_all(&message(reply, &other(-1), &reply.body))?;
            }
            How::ChunkCut => {
                let body = [format!("{:x}\r\n", reply.body.len() + 1).as_bytes(), &reply.body].concat();
                self.stream.write_all(&message(reply, CHUNKED, &body))?;
                return Ok(false);
            }
            How::ChunkSize => {
                let body = [b"fffffffffffffffff\r\n", reply.body.as_slice(), b"\r\n0\r\n\r\n"].concat();
                self.stream.write_all(&message(reply, CHUNKED, &body))?;
            }
            How::ChunkEndless => {
                let chunk = [b"1000\r\n", [b'a'; 4096].as_slice(), b"\r\n"].concat();
                return self.send_endlessly(&message(reply, CHUNKED, &[]), &chunk);
            }
            How::Chunked => self.stream.write_all(&message(reply, CHUNKED, &chunks(&reply.body)))?,
            How::UntilClose => {
                self.stream.write_all(&message(reply, "Connection: close", &reply.body))?;
                return Ok(false);
            }
            How::CloseSaid => {
                self.stream.write_all(&message(reply, &format!("{length}\r\nConnection: close"), &reply.body))?;
                return Ok(false);
            }
            How::CloseUnsaid => {
                self.stream.write_all(&right)?;
                return Ok(false);
            }
            How::Pieces if nth.read == 1 => {
                for byte in right {
                    self.stream.write_all(&[byte])?;
                }
            }
            _ => self.stream.write_all(&right)?,
        }
        Ok(goes_on)
    }

    /// Lets the client see the end before a reset can overtake what was sent: reads what is left, if it is left at all.
    pub fn end(mut self) {
        if self.how == How::Reset {
            return;
        }
        if let Stream::Tcp(stream) = &self.stream {
            drop(stream.shutdown(std::net::Shutdown::Write));
        }
        drop(self.stream.set_read_timeout(Some(PAUSE)));
        let mut rest = [0; 4096];
        while matches!(self.stream.read(&mut rest), Ok(1..)) {}
    }

    /// Says nothing until the client has gone.
    fn wait_for_end(&mut self) -> io::Result<bool> {
        while self.read_some()? > 0 {}
        Ok(false)
    }

    /// One byte after another. Waiting for the client to go is the pause, so that no one waits for a client that has.
    fn send_slowly(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(PAUSE))?;
        for byte in bytes {
            match self.read_some() {
                Ok(0) => return Ok(false),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => self.stream.write_all(&[*byte])?,
            }
        }
        self.stream.set_read_timeout(None)?;
        Ok(true)
    }

    fn send_endlessly(&mut self, first: &[u8], again: &[u8]) -> io::Result<bool> {
        self.stream.write_all(first)?;
        let block = again.repeat(BLOCK / again.len());
        for _ in 0..ENDLESS / block.len() {
            self.stream.write_all(&block)?;
        }
        Ok(false)
    }
}

const CHUNKED: &str = "Transfer-Encoding: chunked";

/// Request line and headers; `None` for what is no request.
fn parse_head(head: &[u8]) -> Option<Request> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let headers = lines.map_while(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut out = Request { method: method.to_owned(), target: target.to_owned(), headers, ..Request::default() };
    let said = out.header("Connection").map(str::to_ascii_lowercase);
    out.keeps_alive = match said.as_deref() {
        Some("close") => false,
        Some("keep-alive") => true,
        _ => version == "HTTP/1.1",
    };
    Some(out)
}

/// A whole reply; `framing` is the header that says how its body ends. A status that has no body gets none.
fn message(reply: &Reply, framing: &str, body: &[u8]) -> Vec<u8> {
    let has_body = reply.status != 204;
    let mut out = format!("HTTP/1.1 {} {}\r\n", reply.status, phrase(reply.status));
    for (name, value) in &reply.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if has_body {
        out.push_str(&format!("{framing}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(if has_body { body } else { &[] });
    out
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        410 => "Gone",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        // A phrase may be empty; its blank may not.
        _ => "",
    }
}

/// The body in chunks of 1 and then up to 512 bytes, with what a client may meet but hardly ever does.
fn chunks(body: &[u8]) -> Vec<u8> {
    let (first, rest) = body.split_at(body.len().min(1));
    let mut out = Vec::new();
    for chunk in [first].into_iter().chain(rest.chunks(512)).filter(|chunk| !chunk.is_empty()) {
        out.extend_from_slice(format!("{:X};name=\"value\"\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"000\r\nX-Trailer: value\r\n\r\n");
    out
}

/// 4 KiB that look like nothing: the low bytes of a linear congruential sequence.
fn garbage() -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((state >> 24) as u8)
    };
    std::iter::from_fn(next).take(4096).collect()
}
