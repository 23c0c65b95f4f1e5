//! Everything that is asked of one service: tries, tokens, and what the operator hears of it.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::connection::{Broken, Connection};
use super::retry::{self, Pauses, RetryDecision};
use super::{Connector, METADATA_LIMIT, Policy, Token};
use crate::error::{Error, Kind, Result};
use crate::http::{Method, Reply, Request, path_of};
use crate::sys::{clock, random};
use crate::units::Deadline;

/// Bytes of a token. Those of AWS have 56; systemd allows the same.
const TOKEN_LIMIT: usize = 4096;

/// Tries for a token over connections that work and stay silent: what lets only the replies with tokens die on their
/// way does not go away by waiting.
const SILENT_TOKENS: u32 = 3;

/// Where the kernel knows no way, no packet was sent and no server is spared by a longer pause; what waits for it is a
/// boot.
const ROUTE_PAUSE: Duration = Duration::from_millis(100);

/// A service that wants to be asked again in 0 seconds is given this long: it may want that a thousand times.
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// How long before the deadline the last try begins where the service wants to be left alone beyond it: the slowest
/// honest replies known take this long.
const LAST_TRY: Duration = Duration::from_secs(2);

/// What a session has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests sent, those for tokens among them.
    pub requests: u32,
    /// Connections made.
    pub connections: u32,
    /// Tries after a first one.
    pub retries: u32,
}

/// One token, one connection, and all requests to one service. Nothing is sent before the first of them.
pub struct Session<'a> {
    dial: Connector,
    label: String,
    policy: Policy,
    headers: &'a [(&'a str, &'a str)],
    token: Option<Token<'a>>,
    /// The token itself, while it is good.
    secret: Option<String>,
    silent_tokens: u32,
    wire: Option<Connection>,
    /// When to give up reaching the service; set by the first request.
    end: Option<Deadline>,
    reached: bool,
    /// Why the service was given up before it was reached: nothing is sent to it after that.
    given_up: Option<Error>,
    counts: Counts,
    notify: Option<&'a dyn Fn(&str)>,
    /// What every reply of the real service carries.
    echo: Option<(&'a str, &'a str)>,
}

/// Why one try failed.
struct Fault {
    error: Error,
    again: bool,
    /// How long the service wants to be left alone.
    wait: Option<Duration>,
    /// The connection was made, and then nothing came.
    silent: bool,
}

impl fmt::Debug for Session<'_> {
    /// Without the token.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session").field("label", &self.label).field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl<'a> Session<'a> {
    /// A session that has sent nothing yet. `headers` go along with every request.
    #[must_use]
    pub fn new(dial: Connector, policy: Policy, headers: &'a [(&'a str, &'a str)], token: Option<Token<'a>>) -> Self {
        Self {
            label: dial.label(),
            dial,
            policy,
            headers,
            token,
            secret: None,
            silent_tokens: 0,
            wire: None,
            end: None,
            reached: false,
            given_up: None,
            counts: Counts::default(),
            notify: None,
            echo: None,
        }
    }

    /// Has `notify` called with a line for the operator when a request does not succeed at once: the first time, when the
    /// reason changes, and when it did succeed at last.
    #[must_use]
    pub fn telling(mut self, notify: &'a dyn Fn(&str)) -> Self {
        self.notify = Some(notify);
        self
    }

    /// Refuses anyone who answers without this header, which the real service sends with each final reply.
    #[must_use]
    pub fn expecting(mut self, echo: Option<(&'a str, &'a str)>) -> Self {
        self.echo = echo;
        self
    }

    /// What is at `target`, or `None` if nothing is. An empty body is a value.
    ///
    /// # Errors
    /// `RangeReader` with the status of a refusal; `Os`, `TimedOut`, `Corrupt` when the policy's time was up, with the last
    /// reason; `Refused` for a body larger than [`METADATA_LIMIT`]; `Usage` for a target that is none.
    pub fn get(&mut self, target: &str) -> Result<Option<Reply>> {
        self.get_within(target, METADATA_LIMIT)
    }

    /// The same with at most `limit` bytes of body.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub fn get_within(&mut self, target: &str, limit: u64) -> Result<Option<Reply>> {
        let reply = self.ask(&Request::get(target), limit, &[])?;
        Ok((reply.status != 204 && !retry::is_absence(reply.status)).then_some(reply))
    }

    /// The reply to any request: one that succeeds, or one with a status that `accept` names. A request is repeated
    /// when a try fails, so it must be one that may arrive twice.
    ///
    /// # Errors
    /// As [`Session::get`]; `RangeReader` for what is not there, too.
    pub fn send(&mut self, request: &Request<'_>, accept: &[u16]) -> Result<Reply> {
        let reply = self.ask(request, METADATA_LIMIT, accept)?;
        if retry::is_absence(reply.status) && !accept.contains(&reply.status) {
            return Err(self.answered(request, reply.status));
        }
        Ok(reply)
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Tries until there is a final answer, or no time left.
    fn ask(&mut self, request: &Request<'_>, limit: u64, accept: &[u16]) -> Result<Reply> {
        if let Some(error) = &self.given_up {
            return Err(error.clone());
        }
        let started = clock::now();
        let end = self.deadline(started);
        let mut pauses = Pauses::new(&self.policy);
        let (mut tries, mut told, mut is_last) = (0u32, None, false);
        loop {
            tries = tries.saturating_add(1);
            let fault = match self.attempt(request, limit, accept, end) {
                Ok(reply) => {
                    self.reached = true;
                    if told.is_some() {
                        let spent = millis(clock::now().saturating_sub(started));
                        let place = self.place(request.target);
                        self.note(&format!(
                            "{} {place}: answered at try {tries}, after {spent} ms",
                            request.method.name()
                        ));
                    }
                    return Ok(reply);
                }
                Err(fault) => fault,
            };
            if !fault.again {
                return Err(fault.error);
            }
            let now = clock::now();
            let own = pauses.next(random::number());
            let own = if retry::is_unsent(fault.error.kind) { own.min(ROUTE_PAUSE) } else { own };
            let mut pause = fault.wait.map_or(own, |wait| wait.max(LEAST_WAIT));
            if let Some(left) = end.remaining(now).filter(|left| *left <= pause) {
                let early = LAST_TRY.min(left.checked_div(2).unwrap_or_default());
                pause = left.saturating_sub(early);
                if is_last || fault.wait.is_none() || pause < LEAST_WAIT {
                    let error = self.gave_up(fault, tries, now.saturating_sub(started));
                    // A service that could not be reached is not asked by the next request again.
                    self.given_up = (!self.reached).then(|| error.clone());
                    return Err(error);
                }
                is_last = true;
            }
            if told != Some(fault.error.kind) {
                told = Some(fault.error.kind);
                self.note(&format!("{}; trying again", fault.error));
            }
            clock::pause(pause);
            self.counts.retries = self.counts.retries.saturating_add(1);
        }
    }

    /// Until when a request that begins now may take.
    fn deadline(&mut self, now: Duration) -> Deadline {
        if self.reached {
            return Deadline::after(now, self.policy.later);
        }
        let total = self.policy.total;
        *self.end.get_or_insert_with(|| Deadline::after(now, total))
    }

    /// One try, with a token if there is one to have; with another token if it was not good.
    fn attempt(
        &mut self,
        request: &Request<'_>,
        limit: u64,
        accept: &[u16],
        end: Deadline,
    ) -> core::result::Result<Reply, Fault> {
        let mut may_renew = self.token.is_some();
        loop {
            if let (Some(token), None) = (self.token, &self.secret) {
                self.renew(token, end)?;
            }
            let reply = self.exchange(request, limit, end)?;
            // A service that has answered knows this machine: from then on "not yet" means "not".
            let again = if self.reached { &[] } else { self.policy.again };
            match retry::judge(reply.status, accept, again) {
                RetryDecision::Final => return self.vouched(request, reply),
                RetryDecision::Renew if may_renew => {
                    may_renew = false;
                    self.secret = None;
                }
                RetryDecision::Again => return Err(self.later(request, &reply)),
                RetryDecision::Renew | RetryDecision::Stop => {
                    return Err(Fault::last(self.answered(request, reply.status)));
                }
            }
        }
    }

    /// The reply, if it is of the real service.
    fn vouched(&self, request: &Request<'_>, reply: Reply) -> core::result::Result<Reply, Fault> {
        match self.echo {
            Some((name, value)) if reply.headers.find(name) != Some(value) => {
                let why = "the reply lacks the header that the real service sends: another machine answers";
                Err(Fault::last(self.named(request, &Error::refused("", why))))
            }
            _ => Ok(reply),
        }
    }

    /// Asks for a token.
    fn renew(&mut self, token: Token<'_>, end: Deadline) -> core::result::Result<(), Fault> {
        let request = Request { method: Method::Put, target: token.target, headers: &[token.ask], body: None };
        let reply = match self.exchange(&request, METADATA_LIMIT, end) {
            Ok(reply) => reply,
            // A deadline that ends the wait says nothing about the token.
            Err(fault) if fault.silent && !end.has_passed(clock::now()) => {
                self.silent_tokens = self.silent_tokens.saturating_add(1);
                let why = "the service takes the request for a token and no token arrives: \
                    its hop limit may be too small for a container or bridge";
                let error = self.named(&request, &Error::new(Kind::TimedOut, "", why));
                return Err(Fault { error, again: self.silent_tokens < SILENT_TOKENS, ..fault });
            }
            Err(fault) => return Err(fault),
        };
        if retry::judge(reply.status, &[], self.policy.again) == RetryDecision::Again {
            return Err(self.later(&request, &reply));
        }
        // It does not know the request: an older service, which is asked without a token.
        if token.optional && matches!(reply.status, 404 | 405 | 501) {
            self.token = None;
            return Ok(());
        }
        if reply.status != 200 {
            return Err(Fault::last(self.answered(&request, reply.status)));
        }
        let is_sound = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let secret = String::from_utf8(reply.body).ok().filter(|text| text.len() <= TOKEN_LIMIT).filter(is_sound);
        if secret.is_none() {
            let error = Error::corrupt("", "what came is no token");
            return Err(Fault::last(self.named(&request, &error)));
        }
        self.secret = secret;
        Ok(())
    }

    /// One request and its reply. A connection that was kept, and that the service has closed meanwhile, is replaced.
    fn exchange(&mut self, request: &Request<'_>, limit: u64, end: Deadline) -> core::result::Result<Reply, Fault> {
        let bytes = self.emit(request).map_err(Fault::last)?;
        if let Some(kept) = self.wire.take().filter(Connection::is_idle) {
            match self.converse(kept, &bytes, limit, end) {
                Err(broken) if broken.unheard && broken.error.kind != Kind::TimedOut => {}
                outcome => return outcome.map_err(|broken| self.fault(request, &broken)),
            }
        }
        let fresh = Connection::connect(&self.dial, &self.policy, end);
        let fresh = fresh.map_err(|error| self.fault(request, &Broken { error, unheard: false }))?;
        self.counts.connections = self.counts.connections.saturating_add(1);
        self.converse(fresh, &bytes, limit, end).map_err(|broken| self.fault(request, &broken))
    }

    fn converse(
        &mut self,
        wire: Connection,
        bytes: &[u8],
        limit: u64,
        end: Deadline,
    ) -> core::result::Result<Reply, Broken> {
        self.counts.requests = self.counts.requests.saturating_add(1);
        let (reply, wire) = wire.converse(bytes, limit, (self.policy.reply, end))?;
        self.wire = wire;
        Ok(reply)
    }

    /// The bytes of `request`, with the headers of the session and the token.
    fn emit(&self, request: &Request<'_>) -> Result<Vec<u8>> {
        let mut headers = Vec::from(self.headers);
        if let (Some(token), Some(secret)) = (self.token, &self.secret) {
            headers.push((token.send, secret));
        }
        request.emit(&self.dial.host, &headers).map_err(|error| self.named(request, &error))
    }

    fn fault(&self, request: &Request<'_>, broken: &Broken) -> Fault {
        let again = retry::is_transient(broken.error.kind);
        let silent = broken.unheard && broken.error.kind == Kind::TimedOut;
        Fault { error: self.named(request, &broken.error), again, wait: None, silent }
    }

    /// The service wants to be asked later.
    fn later(&self, request: &Request<'_>, reply: &Reply) -> Fault {
        let wait = retry::retry_after(reply.headers.find("retry-after"));
        Fault { error: self.answered(request, reply.status), again: true, wait, silent: false }
    }

    fn answered(&self, request: &Request<'_>, status: u16) -> Error {
        self.named(request, &Error::new(Kind::Remote(status), "", retry::words(status)))
    }

    /// The reason of `error`, as one of this request. The query stays out of it.
    fn named(&self, request: &Request<'_>, error: &Error) -> Error {
        Error::new(error.kind, request.method.name(), error.why.clone()).to(self.place(request.target))
    }

    fn gave_up(&self, fault: Fault, tries: u32, spent: Duration) -> Error {
        let Fault { error, wait, .. } = fault;
        let separator = if error.why.is_empty() { "" } else { "; " };
        let wait = wait.map_or_else(String::new, |wait| format!(" as it wants {} s more", wait.as_secs()));
        let spent = spent.as_secs();
        let why = format!("{}{separator}given up at try {tries}, after {spent} s{wait}", error.why);
        Error::new(error.kind, error.doing, why).to(error.to.as_str())
    }

    fn place(&self, target: &str) -> String {
        format!("{}{}", self.label, path_of(target))
    }

    fn note(&self, line: &str) {
        if let Some(notify) = self.notify {
            notify(line);
        }
    }
}

/// In 64 bits: those of the library come in 128, and printing these costs a kilobyte.
fn millis(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1000).saturating_add(u64::from(span.subsec_millis()))
}

impl Fault {
    /// One that will stay.
    const fn last(error: Error) -> Self {
        Self { error, again: false, wait: None, silent: false }
    }
}
