//! Tells the cloud that this machine is ready, or why it is not.
//!
//! Anyone who waits for it (Azure, for some twenty minutes, and then throws the machine away) is told before anything
//! slow begins. It is tried for a minute and no longer, since no one can log in meanwhile: the next boot tries again.

use super::service::{Http, Way};
use super::{Access, service};
use crate::error::{Error, Kind, Result};
use crate::fetch::{Endpoint, Policy, Session};
use crate::http::{Method, Request};
use crate::provider::ready::{self, GoalState};
use crate::provider::{Cloud, Ready};
use crate::sys::clock;
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// How patient it is: all together a minute, because the two requests that may follow the last moment of `total` take
/// `later` each at most.
const POLICY: Policy = Policy { total: Duration::from_secs(40), later: Duration::from_secs(10), ..Policy::METADATA };

/// How often the incarnation may move on between reading it and reporting. It does so when someone changes the machine
/// meanwhile, which no one does twice in a second.
const MOVES: usize = 5;

/// The port of the wire server.
const PORT: u16 = 80;

impl Access<'_> {
    /// Reports that the machine is ready, or what `failure` says, where the cloud wants to hear it; whether it did.
    /// `notify` is called for second tries.
    ///
    /// # Errors
    /// As [`report`]; those of finding the service.
    pub fn report(&self, failure: Option<&str>, notify: &dyn Fn(&str)) -> Result<bool> {
        let cloud = self.verdict.cloud;
        let endpoints = match cloud.ready {
            Ready::Unasked => return Ok(false),
            Ready::WireServer => {
                let address = self.network.borrow().wire_server.unwrap_or(ready::WIRE);
                Vec::from([Endpoint::Tcp(SocketAddr::new(address.into(), PORT))])
            }
            // A machine whose host has no agent in it has no one to tell.
            Ready::Patch(..) => match service::endpoints(cloud, &[]) {
                Err(error) if error.kind == Kind::Absent => return Ok(false),
                found => found?,
            },
        };
        let total = self.machine.settings.deadline.map_or(POLICY.total, |own| own.min(POLICY.total));
        let interface = self.network.borrow().through.clone();
        report(
            cloud,
            Way { endpoints, interface, token_optional: false, policy: Policy { total, ..POLICY } },
            failure,
            notify,
        )
    }
}

/// The same over `way`, which leads to the service or server that `cloud` reports go to. Where only success can be told,
/// a failure is not.
///
/// # Errors
/// As [`Session::send`], of the last form that was tried; `TimedOut` when the cloud changes its mind faster than it can
/// be told.
pub fn report(cloud: &'static Cloud, way: Way, failure: Option<&str>, notify: &dyn Fn(&str)) -> Result<bool> {
    match (cloud.ready, &cloud.service) {
        (Ready::WireServer, _) => wire(way, failure, notify).map(|()| true),
        (Ready::Patch(target, body), Some(service)) if failure.is_none() => {
            let headers = &[("Content-Type", ready::JSON)];
            let request = Request { method: Method::Patch, target, headers, body: Some(body.as_bytes()) };
            match Http::new(service, way, "", notify).send(&request) {
                // An older one, which has no ear for it.
                Err(error) if matches!(error.kind, Kind::Remote(404 | 405 | 501)) => Ok(false),
                told => told.map(|()| true),
            }
        }
        _ => Ok(false),
    }
}

/// Azure's two forms, the second where the wire server has no word of success for the first.
fn wire(way: Way, failure: Option<&str>, notify: &dyn Fn(&str)) -> Result<()> {
    let policy = way.policy;
    let end = Deadline::after(clock::now(), policy.total);
    let address = way.endpoints.first().map_or_else(String::new, |endpoint| format!("{endpoint}"));
    let host = address.strip_suffix(":80").unwrap_or(&address);
    let mut session = Session::new(way.dial(host, false), policy, &[], None).telling(notify);
    let body = ready::health(failure);
    let request = Request {
        method: Method::Post,
        target: ready::HEALTH,
        headers: ready::HEALTH_HEADERS,
        body: Some(body.as_bytes()),
    };
    match session.send(&request, &[]) {
        Err(error) if matches!(error.kind, Kind::Remote(_)) => {
            notify(&format!("{error}; reporting in the older form"));
            in_xml(&mut session, end, failure)
        }
        told => told.map(|_| ()),
    }
}

/// The older form, which must name the incarnation that this machine is in at this moment.
fn in_xml(session: &mut Session<'_>, end: Deadline, failure: Option<&str>) -> Result<()> {
    const TO: &str = "the wire server";
    for _ in 0..MOVES {
        let question = Request { headers: ready::GOAL_STATE_HEADERS, ..Request::get(ready::GOAL_STATE) };
        let answer = session.send(&question, &[])?.body;
        let body = GoalState::parse(&answer).map_err(|error| error.to(TO))?.health(failure);
        let request = Request {
            method: Method::Post,
            target: ready::GOAL_HEALTH,
            headers: ready::GOAL_HEALTH_HEADERS,
            body: Some(body.as_bytes()),
        };
        match session.send(&request, &[]) {
            Err(error) if error.kind == Kind::Remote(410) => {}
            told => return told.map(|_| ()),
        }
        if end.has_passed(clock::now()) {
            break;
        }
    }
    Err(Error::new(Kind::TimedOut, "report to", "the incarnation of this machine moves on all the time").to(TO))
}
