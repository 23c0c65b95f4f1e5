//! A request as bytes (RFC 9112, sections 3, 5 and 6).
//!
//! Whatever goes into a line is checked here, whatever its source: nothing that a configuration, a kernel command line
//! or another reply says can begin a header or a request of its own.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, Result};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The thing itself.
    Get,
    /// Make it be this.
    Put,
    /// Take this.
    Post,
    /// Change this of it.
    Patch,
}

impl Method {
    /// As it stands in the request, and in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Patch => "PATCH",
        }
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// Path and query, as they go on the wire: `/latest/meta-data/mac`.
    pub target: &'a str,
    /// Name and value. `Host`, and what says where the body ends, are put in by [`Request::emit`].
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent along.
    pub body: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Asks for `target`, without headers.
    #[must_use]
    pub const fn get(target: &'a str) -> Self {
        Self { method: Method::Get, target, headers: &[], body: None }
    }

    /// The bytes of the request to `host` (with `:port` unless it is the scheme's own), `more` being headers besides
    /// those of the request.
    ///
    /// # Errors
    /// `Usage`: the target is not a path of visible ASCII; a header has a name that is no token, a value with control
    /// characters, or one of the names that are put in here.
    pub fn emit(&self, host: &str, more: &[(&str, &str)]) -> Result<Vec<u8>> {
        let wrong = |why| Err(Error::usage(self.method.name(), why).to(path_of(self.target)));
        if !self.target.starts_with('/') || !is_visible(self.target) {
            return wrong("a path begins with / and has neither blanks nor control characters");
        }
        if host.is_empty() || !is_visible(host) {
            return wrong("a host has neither blanks nor control characters");
        }
        let mut out = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method.name(), self.target);
        for (name, value) in more.iter().chain(self.headers) {
            let ours = OURS.iter().any(|own| own.eq_ignore_ascii_case(name));
            if ours || !is_token(name) || !is_value(value) {
                return wrong("a header is none, or one that wisp itself sends");
            }
            for part in [name, ": ", value, "\r\n"] {
                out.push_str(part);
            }
        }
        if self.body.is_some() || self.method != Method::Get {
            out.push_str(&format!("Content-Length: {}\r\n", self.body.map_or(0, <[u8]>::len)));
        }
        out.push_str("\r\n");
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(self.body.unwrap_or_default());
        Ok(bytes)
    }
}

/// `target` without its query, which may hold what no log should.
#[must_use]
pub fn path_of(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    path.replace(|letter: char| !letter.is_ascii_graphic(), "?")
}

/// Headers that say where a message goes and where it ends.
const OURS: [&str; 4] = ["Host", "Content-Length", "Transfer-Encoding", "Connection"];

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}

/// RFC 9110, 5.5, without the bytes above ASCII.
fn is_value(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use alloc::string::ToString;

    fn emit(request: &Request<'_>) -> Result<String> {
        request.emit("169.254.169.254", &[("Metadata", "true")]).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_looks_so() {
        let request = Request { headers: &[("X-Token", "a b")], ..Request::get("/a?b=c") };
        assert_eq!(
            emit(&request).unwrap(),
            "GET /a?b=c HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\nX-Token: a b\r\n\r\n"
        );
    }

    #[test]
    fn what_is_no_get_says_how_long_its_body_is() {
        for (method, body) in [(Method::Put, None), (Method::Post, Some("ready")), (Method::Patch, Some(""))] {
            let body = body.map(str::as_bytes);
            let text = emit(&Request { method, body, ..Request::get("/") }).unwrap();
            let length = body.unwrap_or_default().len();
            assert!(text.starts_with(&format!("{} / HTTP/1.1\r\n", method.name())), "{text}");
            assert!(text.contains(&format!("Content-Length: {length}\r\n\r\n")), "{text}");
            assert!(text.as_bytes().ends_with(body.unwrap_or(b"\r\n\r\n")));
        }
    }

    #[test]
    fn nothing_can_begin_a_line_of_its_own() {
        for target in ["", "a", "/a b", "/a\r\nX: y", "/\n", "/\u{e4}", "/\0", "http://a/"] {
            let error = emit(&Request::get(target)).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{target:?}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        for header in [
            ("", "a"),
            ("a b", "c"),
            ("a:", "c"),
            ("a\r\nb", "c"),
            ("a", "b\r\nc: d"),
            ("a", "b\n"),
            ("a", " b"),
            ("a", "b "),
            ("a", "\0"),
            ("a", "\u{e4}"),
            ("host", "a"),
            ("content-length", "1"),
            ("Transfer-encoding", "chunked"),
            ("Connection", "close"),
        ] {
            assert_eq!(emit(&Request { headers: &[header], ..Request::get("/") }).unwrap_err().kind, Kind::Usage);
        }
        for host in ["", "a b", "a\r\nb"] {
            assert_eq!(Request::get("/").emit(host, &[]).unwrap_err().kind, Kind::Usage);
        }
    }

    #[test]
    fn a_query_is_never_logged() {
        assert_eq!(path_of("/a/b?token=c"), "/a/b");
        assert_eq!(path_of("/a\r\nb#c"), "/a??b");
        assert!(!emit(&Request::get("/a b?secret")).unwrap_err().to_string().contains("secret"));
    }
}
