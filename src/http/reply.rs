//! A reply, from bytes that come in any pieces (RFC 9112, sections 2, 4, 5, 6 and 9.3).
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::body::{Body, DOING, Sink};
use super::{FIELDS_LIMIT, HEAD_LIMIT, INTERIM_LIMIT};
use crate::error::{Error, Result};

/// The header of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// One line each, `name:value`: the parser lets no line feed through.
    lines: String,
}

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// Its header.
    pub headers: Headers,
    /// Its body, without the framing.
    pub body: Vec<u8>,
}

/// Takes a reply apart while it comes in.
#[derive(Debug)]
pub struct Parser {
    /// Bytes of the body that the caller will have.
    limit: u64,
    /// The head as far as it has come.
    head: Vec<u8>,
    /// Bytes of heads before this one.
    before: usize,
    interim: u32,
    status: u16,
    headers: Headers,
    stays: bool,
    /// Set once the head is complete.
    body: Option<Body>,
}

impl Headers {
    /// The value of the first field of this name, in whatever case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields of this name.
    pub fn all<'h, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h str> + use<'h, 'n> {
        let fields = self.lines.lines().filter_map(|line| line.split_once(':'));
        fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether a comma-separated field of this name lists `word`, in whatever case.
    #[must_use]
    pub fn lists(&self, name: &str, word: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
    }
}

impl Parser {
    /// For one reply with at most `limit` bytes of body.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            head: Vec::new(),
            before: 0,
            interim: 0,
            status: 0,
            headers: Headers::default(),
            stays: false,
            body: None,
        }
    }

    /// Takes bytes from the front of `bytes` and hands those of the body to `sink`. Returns how many belonged to the
    /// reply, at least one of them unless it is done. It stops once at the end of the head, so that the caller can look
    /// at [`Parser::status`] before a body comes; call it again with the rest.
    ///
    /// # Errors
    /// `Corrupt` when this is no HTTP reply or contradicts itself, `Unsupported` for a transfer coding other than
    /// chunked, `Refused` when a limit is passed; those of `sink`. The parser is of no use afterwards.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<usize> {
        match &mut self.body {
            Some(body) => body.feed(bytes, sink),
            None => self.feed_head(bytes),
        }
    }

    /// The connection was closed: the end of a reply that has no other.
    ///
    /// # Errors
    /// `Corrupt` when that was in its middle.
    pub fn end(&mut self) -> Result<()> {
        match &mut self.body {
            Some(body) => body.end(),
            None if self.head.is_empty() => Err(Error::corrupt(DOING, "the connection ended without a reply")),
            None => Err(Error::corrupt(DOING, "the connection ended in the middle of the head")),
        }
    }

    /// The status, once the head is complete.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.body.as_ref().map(|_| self.status)
    }

    /// Its header, once the head is complete.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How many bytes the body will have, as long as none has come, if the head says so.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.body.as_ref().and_then(Body::size)
    }

    /// How many of the next bytes are the body's own, whatever they are. Who puts them where they are wanted need not
    /// feed them, and tells [`Parser::pass`].
    #[must_use]
    pub fn run(&self) -> u64 {
        self.body.as_ref().map_or(0, Body::run)
    }

    /// So many bytes of the run have come.
    pub fn pass(&mut self, count: u64) {
        if let Some(body) = &mut self.body {
            body.pass(count);
        }
    }

    /// Whether the reply is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_done)
    }

    /// Whether the connection can be used for another request when the reply is complete.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.is_done() && self.stays
    }

    /// The reply, with the body that the caller collected.
    #[must_use]
    pub fn into_reply(self, body: Vec<u8>) -> Reply {
        Reply { status: self.status, headers: self.headers, body }
    }

    fn feed_head(&mut self, bytes: &[u8]) -> Result<usize> {
        const START: &[u8] = b"HTTP/1.";
        for (index, &byte) in bytes.iter().enumerate() {
            self.head.push(byte);
            if self.before.saturating_add(self.head.len()) > HEAD_LIMIT {
                return Err(Error::refused(DOING, format!("its head is larger than {HEAD_LIMIT} bytes")));
            }
            // At once, so that a server which speaks something else and then waits is not waited for.
            if self.head.len() <= START.len() && !START.starts_with(&self.head) {
                return Err(Error::corrupt(DOING, "it is no HTTP/1 reply"));
            }
            if self.head.ends_with(b"\n\r\n") || self.head.ends_with(b"\n\n") {
                let head = core::mem::take(&mut self.head);
                self.before = self.before.saturating_add(head.len());
                self.read_head(&head)?;
                return Ok(index.saturating_add(1));
            }
        }
        Ok(bytes.len())
    }

    fn read_head(&mut self, head: &[u8]) -> Result<()> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_LIMIT];
        let mut response = httparse::Response::new(&mut fields);
        let is_whole = match response.parse(head) {
            Ok(status) => status.is_complete(),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Error::refused(DOING, format!("it has more than {FIELDS_LIMIT} header fields")));
            }
            Err(_) => false,
        };
        let (Some(version), Some(status), true) = (response.version, response.code, is_whole) else {
            return Err(Error::corrupt(DOING, "its head is malformed"));
        };
        match status {
            // Switching protocols, which no one asked for.
            101 => return Err(Error::corrupt(DOING, "it switches to another protocol")),
            100..=199 => {
                self.interim = self.interim.saturating_add(1);
                if self.interim > INTERIM_LIMIT {
                    return Err(Error::refused(DOING, "interim replies do not end"));
                }
                return Ok(());
            }
            200..=599 => {}
            _ => return Err(Error::corrupt(DOING, "its status is none")),
        }
        for field in response.headers.iter() {
            for part in [field.name, ":", &String::from_utf8_lossy(field.value), "\n"] {
                self.headers.lines.push_str(part);
            }
        }
        self.status = status;
        let body = self.frame(version)?;
        self.stays = !body.is_open()
            && !self.headers.lists("connection", "close")
            && (version == 1 || self.headers.lists("connection", "keep-alive"));
        self.body = Some(body);
        Ok(())
    }

    /// How the end of the body is told. A reply that tells it twice is refused: two parties that read such a reply
    /// differently is how one message is smuggled inside another (RFC 9112, 11.2).
    fn frame(&self, version: u8) -> Result<Body> {
        let mut codings = self.headers.all("transfer-encoding");
        let mut lengths = self.headers.all("content-length");
        let (coding, length) = (codings.next(), lengths.next());
        if lengths.next().is_some() || coding.is_some() && length.is_some() {
            return Err(Error::corrupt(DOING, "it tells its length twice"));
        }
        if coding.is_some() && (version == 0 || codings.next().is_some()) {
            return Err(Error::corrupt(DOING, "its transfer coding cannot be meant"));
        }
        if matches!(self.status, 204 | 304) {
            return Body::sized(0, self.limit);
        }
        match (coding, length) {
            (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Ok(Body::chunked(self.limit)),
            (Some(_), _) => Err(Error::unsupported(DOING, "its transfer coding is not chunked")),
            (None, Some(length)) => {
                let digits = length.bytes().all(|byte| byte.is_ascii_digit());
                let length = length.parse().ok().filter(|_| digits);
                let length = length.ok_or_else(|| Error::corrupt(DOING, "its length is no number"))?;
                Body::sized(length, self.limit)
            }
            (None, None) => Ok(Body::open(self.limit)),
        }
    }
}

#[cfg(test)]
mod tests;
