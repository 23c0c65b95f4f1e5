//! Absolute URLs of things that a seed or a configuration names (RFC 3986, `http` and `https` only).
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use crate::error::{Error, Result};
use crate::http::path_of;

const DOING: &str = "parse the URL";

/// Bytes of a URL; servers commonly refuse longer ones.
const URL_LIMIT: usize = 8 << 10;

/// Bytes of a host name (RFC 1035, 2.3.4).
const NAME_LIMIT: usize = 253;

/// A URL taken apart. Prints without its query, which may hold what no log should.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is spoken.
    pub is_secure: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, as they go on the wire.
    pub target: String,
}

impl Url {
    /// Takes `text` apart. A fragment is dropped.
    ///
    /// # Errors
    /// `Unsupported` for another scheme; `Usage` for what is no URL, or has user and password in it: these would have
    /// to be sent to whatever answers.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why| Err(Error::usage(DOING, why));
        if text.len() > URL_LIMIT || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("it is too long, or has blanks or letters that must be %-encoded");
        }
        let Some((scheme, rest)) = text.split_once("://") else { return wrong("it does not begin with a scheme") };
        let is_secure = scheme.eq_ignore_ascii_case("https");
        if !is_secure && !scheme.eq_ignore_ascii_case("http") {
            return Err(Error::unsupported(DOING, "only http and https are spoken"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) =
            rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len())).unwrap_or((rest, ""));
        if authority.contains('@') {
            return wrong("a user or password in it is not sent");
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => (address, port),
            Some(_) => return wrong("what is in its brackets is no address"),
            None => {
                authority.split_at_checked(authority.find(':').unwrap_or(authority.len())).unwrap_or((authority, ""))
            }
        };
        let default = if is_secure { 443 } else { 80 };
        let Some(port) = port_of(port, default) else { return wrong("its port is none") };
        if host.parse::<IpAddr>().is_err() && !is_name(host) {
            return wrong("its host is none");
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { is_secure, host: String::from(host), port, target: format!("{slash}{path}") })
    }

    /// Where `reference`, which may be relative, leads from here (RFC 3986, 5.2.2).
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub(super) fn join(&self, reference: &str) -> Result<Self> {
        let scheme = if self.is_secure { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let here = format!("{scheme}://{}", self.authority());
        let has_scheme = reference.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':'));
        let mut url = match reference.as_bytes().first() {
            _ if has_scheme => Self::parse(reference),
            Some(b'/') if reference.starts_with("//") => Self::parse(&format!("{scheme}:{reference}")),
            Some(b'/') => Self::parse(&format!("{here}{reference}")),
            Some(b'?') => Self::parse(&format!("{here}{path}{reference}")),
            Some(b'#') | None => return Ok(self.clone()),
            Some(_) => Self::parse(&format!("{here}{folder}/{reference}")),
        }?;
        url.target = without_dot_segments(&url.target);
        Ok(url)
    }

    /// Host and port as they stand in a `Host` header.
    pub(super) fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        match (self.is_secure, self.port) {
            (true, 443) | (false, 80) => format!("{open}{}{close}", self.host),
            _ => format!("{open}{}{close}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority(), path_of(&self.target))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// `target` with `.` and `..` of its path resolved (RFC 3986, 5.2.4); its query is kept as it is. `%2e` is the same
/// character as `.` (6.2.2.2).
fn without_dot_segments(target: &str) -> String {
    let (path, query) = target.split_at_checked(target.find('?').unwrap_or(target.len())).unwrap_or((target, ""));
    let mut output = String::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        match dots.as_str() {
            "." => {}
            ".." => output.truncate(output.rfind('/').unwrap_or(0)),
            _ => {
                output.push('/');
                output.push_str(segment);
                continue;
            }
        }
        if is_last {
            output.push('/');
        }
    }
    output.push_str(query);
    output
}

fn port_of(text: &str, default: u16) -> Option<u16> {
    match text.strip_prefix(':') {
        None => text.is_empty().then_some(default),
        Some("") => Some(default),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0)
        }
        Some(_) => None,
    }
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (1..=63).contains(&label.len()) && letters && !label.starts_with('-') && !label.ends_with('-')
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    // A last label of digits only is an address, and then a wrong one: what `inet_aton` makes of 127.1 is not meant.
    let is_number = labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    labels.len() <= NAME_LIMIT && !is_number && labels.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use alloc::string::ToString;

    #[test]
    fn urls_come_apart() {
        for (text, is_secure, host, port, target, authority) in [
            ("http://a", false, "a", 80, "/", "a"),
            ("HTTPS://seed.example.org/b/c?d=e#f", true, "seed.example.org", 443, "/b/c?d=e", "seed.example.org"),
            ("http://10.0.2.2:8000/", false, "10.0.2.2", 8000, "/", "10.0.2.2:8000"),
            ("https://[fd00::1]/x", true, "fd00::1", 443, "/x", "[fd00::1]"),
            ("http://[::1]:443", false, "::1", 443, "/", "[::1]:443"),
            ("http://a:?q", false, "a", 80, "/?q", "a"),
            ("http://a_b-c.d./", false, "a_b-c.d.", 80, "/", "a_b-c.d."),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.is_secure, url.host.as_str(), url.port, url.target.as_str()),
                (is_secure, host, port, target)
            );
            assert_eq!(url.authority(), authority);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_repeated() {
        for text in [
            "",
            "/a",
            "http:/a",
            "http://",
            "http:///a",
            "http://user@a/",
            "http://user:secret@a/",
            "http://a b/",
            "http://a/\r\nX: y",
            "http://a/\u{e4}",
            "http://a:x/",
            "http://a:0/",
            "http://a:65536/",
            "http://a:+80/",
            "http://[a]/",
            "http://[fe80::1%25eth0]/",
            "http://[::1",
            "http://[::1]80/",
            "http://-a/",
            "http://a-/",
            "http://a..b/",
            "http://127.1/",
            "http://1.2.3.256/",
            "http://2130706433/",
            "http://a%2fb/",
            &format!("http://{}/", "a".repeat(64)),
            &format!("http://{}/", "a.".repeat(127) + "a"),
            &format!("http://a/{}", "a".repeat(URL_LIMIT)),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
        assert_eq!(Url::parse("ftp://a/").unwrap_err().kind, Kind::Unsupported);
    }

    #[test]
    fn references_lead_on_from_where_they_stand() {
        let from = Url::parse("https://a:8443/b/c?d/e").unwrap();
        for (reference, to) in [
            ("http://x/y", "http://x/y"),
            ("//x/y", "https://x/y"),
            ("/y?z", "https://a:8443/y?z"),
            ("y:z/../x", ""),
            ("./y:z", "https://a:8443/b/y:z"),
            ("../plain/x.raw?sig=/../a", "https://a:8443/plain/x.raw?sig=/../a"),
            ("%2e%2E/y", "https://a:8443/y"),
            ("HTTP://x/../y/./z", "http://x/y/z"),
            ("//x/a/../../..", "https://x/"),
            ("y", "https://a:8443/b/y"),
            ("?y", "https://a:8443/b/c?y"),
            ("#y", "https://a:8443/b/c?d/e"),
            ("", "https://a:8443/b/c?d/e"),
        ] {
            let joined = from.join(reference).ok();
            assert_eq!(joined, Url::parse(to).ok(), "{reference}");
        }
    }

    /// All examples of RFC 3986, 5.4, with base and results as they are there.
    #[test]
    fn references_are_resolved_as_the_specification_shows() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, to) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q#s"),
            ("g#s", "http://a/b/c/g#s"),
            ("g?y#s", "http://a/b/c/g?y#s"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y#s"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s/./x", "http://a/b/c/g#s/./x"),
            ("g#s/../x", "http://a/b/c/g#s/../x"),
        ] {
            assert_eq!(base.join(reference), Url::parse(to), "{reference}");
        }
        // Another scheme; and `http:g`, which a strict parser takes for a URL, without a host.
        for reference in ["g:h", "http:g"] {
            assert!(base.join(reference).is_err(), "{reference}");
        }
    }

    #[test]
    fn a_query_is_never_logged() {
        let url = Url::parse("https://a:8443/b?token=c").unwrap();
        assert_eq!((url.to_string(), format!("{url:?}")), ("https://a:8443/b".into(), "https://a:8443/b".into()));
    }
}
