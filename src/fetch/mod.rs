//! Requests to a server: connections, deadlines, second tries, tokens.
//!
//! A [`Session`] is one token and one connection for everything that is asked of one service. It tells absence from
//! failure: what the service does not have is `None`, and what it could not say is an error, after as many tries as the
//! [`Policy`] has time for. A [`Download`] is one large thing, taken as it comes and gone on with where it broke off, and a
//! [`RangeReader`] the same at any offset. None of them uses a proxy or keeps a cookie; only a download follows a redirect, only
//! it and [`HttpClient`] look up names, since their URLs name servers; and what is said to the operator holds neither a query
//! string nor a header nor a body.
#![forbid(unsafe_code)]

mod body_stream;
mod client;
mod connection;
mod connector;
mod download;
mod range_reader;
mod redirect;
pub mod resolve;
mod retry;
mod session;
mod stall_timer;
#[cfg(feature = "full")]
mod tls;
#[cfg(feature = "full")]
mod tls_config;
mod url;
mod validators;

pub use client::HttpClient;
pub use connector::{Connector, Endpoint, SYSTEMD_IMDS_MARK};
pub use download::Download;
pub use range_reader::RangeReader;
pub use session::{Counts, Session};
pub use url::Url;

use core::time::Duration;

/// Bytes of a metadata reply; systemd's client allows the same.
pub const METADATA_LIMIT: u64 = 4 << 20;

/// Bytes of user-data as a service sends it. The most generous cloud allows 256 KiB; seeds are whatever a web server has.
pub const USER_DATA_LIMIT: u64 = 16 << 20;

/// How patient a session is.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// For a connection to be made.
    pub connect: Duration,
    /// For the head of a reply to come, and then for each next piece of its body.
    pub reply: Duration,
    /// For the service to say something final for the first time, counted from the first request: a network that is
    /// still coming up, and a service that does not know this machine yet, have so long.
    pub total: Duration,
    /// For each request after that.
    pub later: Duration,
    /// Before the second try; each further one waits half as long again.
    pub first_pause: Duration,
    /// The longest of these pauses.
    pub longest_pause: Duration,
    /// Statuses that in this cloud mean "not yet", besides 408, 429, 500, 502, 503 and 504.
    pub again: &'static [u16],
}

impl Policy {
    /// What fits metadata services: they are one hop away and answer in milliseconds, or not at all.
    pub const METADATA: Self = Self {
        // A lost SYN is repeated by the kernel after one second; a new try does the same and may find another route.
        connect: Duration::from_secs(1),
        // The slowest honest replies known, lists of tags on large machines, take two.
        reply: Duration::from_secs(5),
        // Between what cloud-init gives Hetzner and EC2 (240); long enough for a port that has spanning tree.
        total: Duration::from_secs(120),
        // A service that has answered once and then is silent so long is down.
        later: Duration::from_secs(20),
        first_pause: Duration::from_millis(50),
        longest_pause: Duration::from_secs(5),
        again: &[],
    };

    /// What fits downloads that take minutes or hours, from anywhere, and that no person waits for. `later` is how long no
    /// byte may come; it begins again with each one.
    pub const IMAGE: Self = Self {
        // Four SYNs of the kernel: no one is waiting at a prompt.
        connect: Duration::from_secs(10),
        // Stores that bring a file back from slow disks, and switches that learn a new way.
        reply: Duration::from_secs(30),
        // A server or router that is started again.
        total: Duration::from_secs(300),
        later: Duration::from_secs(300),
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(10),
        again: &[],
    };

    /// The same for a command that a person or a script waits for: a server that cannot be reached is reported at once, and
    /// a download that has begun is as patient as any.
    pub const COMMAND: Self = Self { connect: Duration::from_secs(5), total: Duration::from_secs(10), ..Self::IMAGE };

    /// This policy with `timeout`, where there is one, for the first reply and for any silence after it.
    #[must_use]
    pub fn within(self, timeout: Option<Duration>) -> Self {
        match timeout {
            Some(limit) => Self { total: limit, later: limit, connect: self.connect.min(limit), ..self },
            None => self,
        }
    }
}

/// A token that is asked for once and sent along with every request.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// Where it is asked for, by PUT: `/latest/api/token`.
    pub target: &'a str,
    /// The header of that request: how long it is to be good.
    pub ask: (&'a str, &'a str),
    /// Whether a service that has no tokens is asked without one.
    pub optional: bool,
    /// The name of the header by which it is sent.
    pub send: &'a str,
}
