//! What tells whether two replies are parts of one and the same thing (RFC 9110, sections 8.8, 13.1.5 and 14). Pure.
//!
//! Nothing is put together from replies of which this is in doubt: an image that is half old and half new may boot.
#![forbid(unsafe_code)]

use alloc::string::String;

use crate::error::{Error, Kind, Result};
use crate::http::Headers;

/// What is said when it is not the same any more.
const CHANGED: &str = "it changed on the server while it was fetched";

/// What the first reply says of the thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    /// Its bytes.
    pub(super) size: Option<u64>,
    etag: Option<String>,
    modified: Option<String>,
    /// Whether it says that parts can be had.
    pub(super) takes_ranges: bool,
}

/// A part of a thing, as `Content-Range` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl Validators {
    /// What a whole reply with this header, and `size` bytes of body, says.
    pub(super) fn of(headers: &Headers, size: Option<u64>) -> Self {
        let find = |name| headers.find(name).map(|value| String::from(value.trim()));
        let takes_ranges = headers.lists("accept-ranges", "bytes");
        Self { size, etag: find("etag"), modified: find("last-modified"), takes_ranges }
    }

    /// What goes into `If-Range`: an ETag that stands for every byte (a weak one does not), or a date.
    pub(super) fn condition(&self) -> Option<&str> {
        self.strong().or(self.modified.as_deref())
    }

    fn strong(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| tag.starts_with('"'))
    }

    /// Whether parts of it can be told from parts of anything else.
    pub(super) fn is_telling(&self) -> bool {
        self.size.is_some() || self.condition().is_some()
    }

    /// Judges the reply to a request for everything from `at` on, with `body` bytes if that is said. Returns how many
    /// bytes of it come before `at`, and learns a size that was not known.
    ///
    /// # Errors
    /// `Refused` when it is something else or cannot be gone on with, `Unsupported` for a whole reply where
    /// `parts_only`; `RangeReader` for other statuses.
    pub(super) fn judge(
        &mut self,
        (status, headers): (u16, &Headers),
        body: Option<u64>,
        at: u64,
        parts_only: bool,
    ) -> Result<u64> {
        let refused = |why| Err(Error::refused("", why));
        let other = Self::of(headers, None);
        let differs = |own: &Option<String>, new: &Option<String>| own.is_some() && new.is_some() && own != new;
        let is_other = differs(&self.etag, &other.etag) || differs(&self.modified, &other.modified);
        match status {
            416 => refused(CHANGED),
            200 | 206 if is_other => refused(CHANGED),
            206 => {
                let part = headers.find("content-range").and_then(Part::parse);
                let Some(part) = part.filter(|part| part.first == at) else {
                    return refused("the server sends another part than it was asked for");
                };
                let length = part.last.saturating_sub(part.first).saturating_add(1);
                if body.is_some_and(|body| body != length) {
                    return refused("the server sends a part of another length than it says");
                }
                match (self.size, part.total) {
                    (Some(own), total) if total != Some(own) => return refused(CHANGED),
                    (None, total) => self.size = total,
                    _ => {}
                }
                Ok(0)
            }
            200 if body.is_some() && self.size.is_some() && body != self.size => refused(CHANGED),
            200 if at == 0 => Ok(0),
            200 if parts_only => Err(Error::unsupported(
                "",
                "the server does not do ranges, without which such an image cannot be read in place: store it raw or \
                    compressed as a whole, or download it first",
            )),
            200 if self.strong().is_some() && self.etag == other.etag => Ok(at),
            200 => {
                refused("it cannot be gone on with: the server does not do ranges, or it has another file there now")
            }
            _ => Err(Error::new(Kind::Remote(status), "", super::retry::words(status))),
        }
    }
}

impl Part {
    /// `bytes 5-9/10`, with `*` for a total that is not known.
    fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| digits)
        };
        let part = Self { first: number(first)?, last: number(last)?, total: number(total) };
        let is_sound = unit.eq_ignore_ascii_case("bytes")
            && part.first <= part.last
            && (total == "*" || part.total.is_some_and(|total| part.last < total));
        is_sound.then_some(part)
    }
}
