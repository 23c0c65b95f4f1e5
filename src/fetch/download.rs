//! One large thing from a URL, as it comes: what breaks off is gone on with where it was.
//!
//! It must never put together what is not of one file ([`Validators`] judges that), never go from https to http, and never
//! hold more of the body than came with a piece of framing. A reply that ends with its connection (HTTP/1.0 without a
//! length) is taken as it is, and has no size: whether it was whole, its reader finds out, by digest or decoder.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use super::body_stream::BodyStream;
use super::connection::Connection;
use super::redirect::redirect;
use super::retry::{self, Pauses, RetryDecision};
use super::stall_timer::StallTimer;
use super::validators::Validators;
use super::{Policy, RangeReader, Url, client};
use crate::codec::Source;
use crate::error::{Error, Kind, Result};
use crate::http::{Method, Request};
use crate::sys::{clock, random};
use crate::units::{ByteCount, Deadline};

/// Redirects that follow each other; browsers allow twenty, and no one needs five.
const REDIRECTS_LIMIT: u32 = 10;

/// Bytes that are read away to get further: a new connection takes longer than these in most networks.
const NEAR: u64 = 256 << 10;

/// Tries, within half a minute or so, before a place that a redirect led to is held for gone: the next place may have
/// another copy, with which no one can go on.
const PLACE_TRIES: u32 = 10;

/// A file on a web server, read from its beginning to its end.
pub struct Download<'a> {
    /// What was asked for.
    origin: Url,
    /// Where it was found, and is asked for next.
    place: Url,
    policy: Policy,
    servers: &'a [IpAddr],
    notify: &'a dyn Fn(&str),
    flow: Option<BodyStream>,
    /// Known from the first reply on.
    identity: Option<Validators>,
    /// Offset of the next byte to be handed out,
    at: u64,
    /// and how many bytes come before it.
    skip: u64,
    /// Whether a whole reply is of no use.
    parts_only: bool,
    trouble: Option<Trouble>,
    pace: StallTimer,
}

/// What has been going on since it broke off, or since it was begun.
struct Trouble {
    /// When it broke off. Only a byte beyond the furthest place ends that: bytes that are read again to get back there
    /// are no progress, or a server without ranges that breaks off at the same byte is asked forever.
    since: Duration,
    tries: u32,
    pauses: Pauses,
    told: bool,
}

/// Why a try failed.
struct Fault {
    error: Error,
    again: bool,
    /// How long the server wants to be left alone.
    wait: Option<Duration>,
}

impl fmt::Debug for Download<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Download").field("place", &self.place).field("at", &self.at).finish_non_exhaustive()
    }
}

impl<'a> Download<'a> {
    /// Asks for what is at `url`, and reads the head of the reply. Names are looked up at `servers`, or at those of
    /// `/etc/resolv.conf` if there are none; `notify` is called with a line when it breaks off and one when it goes on.
    ///
    /// # Errors
    /// As [`Url::parse`]; `Unsupported` for https in a build without TLS and for a packed reply; `RangeReader` with the status
    /// of a refusal; `Refused` for redirects without end or to less safety; `Os`, `TimedOut`, `Corrupt`, `Absent` when the
    /// policy's time was up, with the last reason.
    pub fn open(url: &str, policy: Policy, servers: &'a [IpAddr], notify: &'a dyn Fn(&str)) -> Result<Self> {
        let origin = Url::parse(url)?;
        let place = origin.clone();
        let mut download = Self {
            origin,
            place,
            policy,
            servers,
            notify,
            flow: None,
            identity: None,
            at: 0,
            skip: 0,
            parts_only: false,
            trouble: None,
            pace: StallTimer::default(),
        };
        while download.flow.is_none() {
            if let Err(fault) = download.connect() {
                download.bear(fault)?;
            }
        }
        if let Some(trouble) = download.trouble.take() {
            download.tell_end("answers", &trouble);
        }
        Ok(download)
    }

    /// Its bytes, if the server says how many.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.identity.as_ref().and_then(|identity| identity.size)
    }

    /// Whether the server says that parts of it can be had.
    #[must_use]
    pub fn takes_ranges(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.takes_ranges)
    }

    /// The same, to be read at any offset; what comes next now is not fetched again.
    ///
    /// # Errors
    /// `Unsupported` when its size is not known. That a server has no ranges shows when one is needed.
    pub fn into_remote(self) -> Result<RangeReader<'a>> {
        RangeReader::new(self)
    }

    /// From now on goes to where it is told, so that whole replies are of no use.
    pub(super) fn seek_parts(&mut self) {
        self.parts_only = true;
    }

    /// Goes to `offset`, by reading on where that is near.
    pub(super) fn seek(&mut self, offset: u64) {
        match offset.checked_sub(self.at) {
            Some(gap) if gap.saturating_add(self.skip) <= NEAR => self.skip = self.skip.saturating_add(gap),
            _ => (self.flow, self.skip) = (None, 0),
        }
        self.at = offset;
    }

    /// What went wrong with it, under its name.
    pub(super) fn named(&self, error: &Error) -> Error {
        named(&self.place, error)
    }

    /// How many bytes came, 0 being none yet; `None` at the end.
    fn advance(&mut self, into: &mut [u8]) -> core::result::Result<Option<usize>, Fault> {
        let left = self.size().map_or(u64::MAX, |size| size.saturating_sub(self.at));
        let wanted = if self.skip > 0 { self.skip } else { left };
        let room = usize::try_from(wanted).unwrap_or(usize::MAX).min(into.len());
        let Some(flow) = &mut self.flow else {
            self.connect()?;
            return Ok(Some(0));
        };
        let place = into.get_mut(..room).unwrap_or_default();
        let outcome = flow.read(place, self.policy.reply);
        let count = match outcome {
            // No one has said how much it would be.
            Ok(0) if self.skip == 0 && self.identity.as_ref().is_some_and(|identity| identity.size.is_none()) => {
                return Ok(None);
            }
            Ok(0) => Err(Error::corrupt("", "it ended before its end")),
            other => other,
        };
        let count = count.map_err(|error| {
            self.flow = None;
            self.skip = 0;
            self.fault(&self.place, &error)
        })?;
        let moved = u64::try_from(count).unwrap_or(u64::MAX);
        if self.skip > 0 {
            self.skip = self.skip.saturating_sub(moved);
            return Ok(Some(0));
        }
        if let Some(trouble) = self.trouble.take() {
            self.tell_end(&format!("goes on at {}", ByteCount(self.at)), &trouble);
        }
        self.at = self.at.saturating_add(moved);
        Ok(Some(count))
    }

    /// Asks for everything from here on, following redirects.
    fn connect(&mut self) -> core::result::Result<(), Fault> {
        let mut url = self.place.clone();
        for _ in 0..=REDIRECTS_LIMIT {
            let outcome = self.ask(&url).and_then(|flow| self.heed(&url, flow));
            match outcome {
                Ok(None) => {
                    self.place = url;
                    return Ok(());
                }
                Ok(Some(next)) => url = next,
                Err(mut fault) => {
                    // Where it was found it may be for a while only: a signed URL expires, a mirror is switched off.
                    let is_gone = !fault.again && matches!(fault.error.kind, Kind::Remote(_));
                    let tries = self.trouble.as_ref().map_or(0, |trouble| trouble.tries);
                    if self.place != self.origin && (is_gone || fault.again && tries >= PLACE_TRIES) {
                        fault.again = true;
                        self.place = self.origin.clone();
                    }
                    return Err(fault);
                }
            }
        }
        let why = format!("more than {REDIRECTS_LIMIT} redirects follow each other");
        Err(Fault::last(named(&self.origin, &Error::refused("", why))))
    }

    /// One request, and the head of its reply.
    fn ask(&self, url: &Url) -> core::result::Result<BodyStream, Fault> {
        if url.is_secure && cfg!(not(feature = "full")) {
            let why = "this build of wisp has no TLS: give a URL with http:// and the SHA-256 of the image";
            return Err(Fault::last(named(url, &Error::unsupported("", why))));
        }
        let range = format!("bytes={}-", self.at);
        let condition = self.identity.as_ref().and_then(Validators::condition);
        let mut headers = Vec::from([("Accept-Encoding", "identity")]);
        if self.at > 0 {
            headers.push(("Range", &range));
            headers.extend(condition.map(|value| ("If-Range", value)));
        }
        let open = || {
            // A try has its time even if it is the last: else its error would say nothing but that.
            let end = Deadline::after(clock::now(), self.policy.connect.saturating_add(self.policy.reply));
            let dial = client::dial(url, self.servers, end)?;
            let bytes = Request::get(&url.target).emit(&dial.host, &headers)?;
            let wire = Connection::connect(&dial, &self.policy, end)?;
            BodyStream::open(wire, &bytes, self.policy.reply, end)
        };
        open().map_err(|error| self.fault(url, &error))
    }

    /// Takes the reply, or says where it leads.
    fn heed(&mut self, url: &Url, flow: BodyStream) -> core::result::Result<Option<Url>, Fault> {
        let (status, headers) = (flow.status(), flow.headers());
        let last = |error: &Error| Fault::last(named(url, error));
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            return redirect(url, headers.find("location")).map(Some).map_err(|error| last(&error));
        }
        if retry::judge(status, &[], self.policy.again) == RetryDecision::Again {
            let error = Error::new(Kind::Remote(status), "", retry::words(status));
            let wait = retry::retry_after(headers.find("retry-after"));
            return Err(Fault { error: named(url, &error), again: true, wait });
        }
        let coding = headers.find("content-encoding").filter(|coding| !retry::is_taken_as_stored(coding));
        if let (200 | 206, Some(coding)) = (status, coding) {
            let why = format!("the server sends it with Content-Encoding {}, which was not requested", coding.trim());
            return Err(last(&Error::unsupported("", why)));
        }
        let size = flow.size();
        self.skip = match (&mut self.identity, status) {
            (Some(identity), _) => {
                let judged = identity.judge((status, headers), size, self.at, self.parts_only);
                judged.map_err(|error| last(&error))?
            }
            (None, 200) => {
                self.identity = Some(Validators::of(headers, size));
                0
            }
            (None, _) => return Err(last(&Error::new(Kind::Remote(status), "", retry::words(status)))),
        };
        self.flow = Some(flow);
        Ok(None)
    }

    fn fault(&self, url: &Url, error: &Error) -> Fault {
        // A name that was there a moment ago is there again in a moment.
        let is_lost = error.kind == Kind::Absent && self.identity.is_some();
        Fault { error: named(url, error), again: is_lost || retry::is_transient(error.kind), wait: None }
    }

    /// Waits before the next try, if there is to be one.
    fn bear(&mut self, fault: Fault) -> Result<()> {
        let Fault { error, again, wait } = fault;
        if !again {
            return Err(error);
        }
        if self.at > 0 && self.identity.as_ref().is_some_and(|identity| !identity.is_telling()) {
            let why = "it broke off and cannot be gone on with: the server says neither its length nor its age";
            return Err(named(&self.place, &Error::refused("", why)));
        }
        let now = clock::now();
        let begun = || Trouble { since: now, tries: 0, pauses: Pauses::new(&self.policy), told: false };
        let mut trouble = self.trouble.take().unwrap_or_else(begun);
        trouble.tries = trouble.tries.saturating_add(1);
        let pause = trouble.pauses.next(random::number()).max(wait.unwrap_or_default());
        // Until the first reply it is the server that may be missing; after it, the network that may be interrupted.
        let limit = if self.identity.is_some() { self.policy.later } else { self.policy.total };
        let end = Deadline::after(trouble.since, limit);
        let after = if self.at > 0 { format!(" after {}", ByteCount(self.at)) } else { String::new() };
        if end.remaining(now).is_some_and(|left| left <= pause) {
            let (tries, spent) = (trouble.tries, now.saturating_sub(trouble.since).as_secs());
            let separator = if error.why.is_empty() { "" } else { "; " };
            let why = format!("{}{separator}given up{after}, at try {tries} in {spent} s", error.why);
            return Err(Error::new(error.kind, error.doing, why).to(error.to.as_str()));
        }
        if !core::mem::replace(&mut trouble.told, true) {
            (self.notify)(&format!("{error}{after}; trying again for up to {} s", limit.as_secs()));
        }
        self.trouble = Some(trouble);
        clock::pause(pause);
        Ok(())
    }

    /// Refuses to wait any longer for what comes too slowly; the last read was begun at `begun`.
    fn keep_pace(&mut self, begun: Duration, count: usize) -> Result<usize> {
        let waited = clock::now().saturating_sub(begun);
        match self.pace.count(count, waited, self.policy.later) {
            Some(why) => Err(named(&self.place, &Error::new(Kind::TimedOut, "", why))),
            None => Ok(count),
        }
    }

    fn tell_end(&self, how: &str, trouble: &Trouble) {
        let spent = clock::now().saturating_sub(trouble.since);
        let (seconds, tenths) = (spent.as_secs(), spent.subsec_millis() / 100);
        (self.notify)(&format!("GET {}: {how}, after {seconds}.{tenths} s", self.place));
    }
}

impl Source for Download<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let begun = clock::now();
        while self.size().is_none_or(|size| self.at < size) {
            match self.advance(into) {
                Ok(Some(0)) => {}
                Ok(None) => return Ok(0),
                Ok(Some(count)) => return self.keep_pace(begun, count),
                Err(fault) => self.bear(fault)?,
            }
        }
        Ok(0)
    }
}

impl Fault {
    /// One that will stay.
    const fn last(error: Error) -> Self {
        Self { error, again: false, wait: None }
    }
}

/// The reason of `error`, as one of a request for `url`.
fn named(url: &Url, error: &Error) -> Error {
    Error::new(error.kind, Method::Get.name(), error.why.clone()).to(format!("{url}"))
}
