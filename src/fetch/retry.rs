//! What a status means, and when to ask again. Pure: no clock, no socket.
//!
//! The table is the union of what the clouds do; a cloud that means something else by a status says so in its policy.
#![forbid(unsafe_code)]

use core::time::Duration;

use super::Policy;
use crate::error::Kind;

/// What to do with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// It is what was asked for, or says that there is none: the caller knows which.
    Final,
    /// The token is not, or no longer, good.
    Renew,
    /// Not now.
    Again,
    /// Never.
    Stop,
}

/// Judges a status; `accept` are those that the caller wants to see besides success and absence, `again` those that in
/// this cloud mean "not yet".
pub(super) fn judge(status: u16, accept: &[u16], again: &[u16]) -> RetryDecision {
    match status {
        _ if accept.contains(&status) => RetryDecision::Final,
        _ if again.contains(&status) => RetryDecision::Again,
        // A part of it, which was not asked for.
        206 => RetryDecision::Stop,
        200..=299 | 404 | 410 => RetryDecision::Final,
        401 => RetryDecision::Renew,
        408 | 429 | 500 | 502 | 503 | 504 => RetryDecision::Again,
        _ => RetryDecision::Stop,
    }
}

/// Whether this status says that there is no such thing.
pub(super) const fn is_absence(status: u16) -> bool {
    matches!(status, 404 | 410)
}

/// What a status that is an error says, for the operator. The server's own words are not repeated.
pub(super) const fn words(status: u16) -> &'static str {
    match status {
        206 => "(only a part)",
        300..=399 => "(redirects are not followed)",
        400 => "(it does not understand the request)",
        401 => "(it wants other credentials)",
        403 => "(it is forbidden, or the service is disabled)",
        404 | 410 => "(there is no such thing)",
        405 => "(it is not to be asked so)",
        408 | 429 | 503 => "(it wants to be asked later)",
        500..=599 => "(it has a fault)",
        _ => "(it does not want to)",
    }
}

/// How long the server wants to be left alone: `Retry-After` in seconds. The form with a date is not honoured: a
/// machine that is just starting may not know what time it is.
pub(super) fn retry_after(value: Option<&str>) -> Option<Duration> {
    value?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether the same request may succeed a moment later, while network and service come up: what [`Kind::may_retry`] says,
/// except that a garbled reply may be a whole one the next time, and that a status is judged by [`judge`] and a missing
/// name by the caller.
pub(super) const fn is_transient(kind: Kind) -> bool {
    match kind {
        Kind::Corrupt => true,
        Kind::Remote(_) | Kind::Absent => false,
        other => other.may_retry(),
    }
}

/// Whether the kernel itself said no: EADDRNOTAVAIL, ENETUNREACH.
pub(super) const fn is_unsent(kind: Kind) -> bool {
    matches!(kind, Kind::Os(99 | 101))
}

/// Pauses between tries: each half as long again as the one before, none longer than the longest, and each up to a
/// quarter shorter or longer, so that machines which started together do not ask together for ever.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(super) const fn new(policy: &Policy) -> Self {
        Self { next: policy.first_pause, longest: policy.longest_pause }
    }

    /// The next one; any number will do as `random`.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = pause.saturating_add(pause.checked_div(2).unwrap_or_default());
        let percent = u32::try_from(random % 51).unwrap_or(0).saturating_add(75);
        pause.saturating_mul(percent).checked_div(100).unwrap_or(pause)
    }
}

/// Whether the bytes of a reply with this `Content-Encoding` are taken as they come. Only identity was asked for; servers
/// that say otherwise nearly always describe the file (Apache's `AddEncoding`, objects uploaded with this header), and curl
/// and wget store such a file as it is. Whatever reads it knows these formats by their first bytes; deflate and br have
/// none to know them by.
pub(super) fn is_taken_as_stored(coding: &str) -> bool {
    const FORMATS: [&str; 5] = ["identity", "gzip", "zstd", "xz", "bzip2"];
    let coding = coding.trim();
    let name = coding
        .get(..2)
        .filter(|start| start.eq_ignore_ascii_case("x-"))
        .map_or(coding, |_| coding.get(2..).unwrap_or_default());
    coding.is_empty() || FORMATS.iter().any(|format| name.eq_ignore_ascii_case(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        for (status, verdict) in [
            (200, RetryDecision::Final),
            (201, RetryDecision::Final),
            (204, RetryDecision::Final),
            (206, RetryDecision::Stop),
            (301, RetryDecision::Stop),
            (302, RetryDecision::Stop),
            (400, RetryDecision::Stop),
            (401, RetryDecision::Renew),
            (403, RetryDecision::Stop),
            (404, RetryDecision::Final),
            (405, RetryDecision::Stop),
            (408, RetryDecision::Again),
            (410, RetryDecision::Final),
            (418, RetryDecision::Stop),
            (429, RetryDecision::Again),
            (500, RetryDecision::Again),
            (501, RetryDecision::Stop),
            (502, RetryDecision::Again),
            (503, RetryDecision::Again),
            (504, RetryDecision::Again),
            (505, RetryDecision::Stop),
        ] {
            assert_eq!(judge(status, &[], &[]), verdict, "{status}");
        }
    }

    #[test]
    fn a_cloud_may_mean_something_else_and_a_caller_want_to_see_it() {
        assert_eq!(judge(404, &[], &[404, 410]), RetryDecision::Again);
        assert_eq!(judge(410, &[410], &[404, 410]), RetryDecision::Final);
        assert_eq!(judge(400, &[400], &[]), RetryDecision::Final);
    }

    #[test]
    fn what_is_wrong_for_good_is_not_tried_again() {
        for errno in [1, 13, 22, 97] {
            assert!(!is_transient(Kind::Os(errno)));
        }
        for kind in [Kind::Os(111), Kind::Os(104), Kind::Os(19), Kind::TimedOut, Kind::Corrupt] {
            assert!(is_transient(kind), "{kind:?}");
        }
        for kind in [Kind::Usage, Kind::Refused, Kind::Unsupported, Kind::Absent, Kind::Remote(503)] {
            assert!(!is_transient(kind), "{kind:?}");
        }
    }

    #[test]
    fn a_server_is_left_alone_for_the_seconds_it_says() {
        assert_eq!(retry_after(Some(" 3 ")), Some(Duration::from_secs(3)));
        for other in [None, Some(""), Some("-1"), Some("1.5"), Some("Wed, 21 Oct 2015 07:28:00 GMT")] {
            assert_eq!(retry_after(other), None);
        }
    }

    #[test]
    fn pauses_grow_by_half_up_to_the_longest() {
        let mut pauses = Pauses::new(&Policy::METADATA);
        // 25 is the middle of the scatter: no change.
        let first: Vec<u128> = (0..4).map(|_| pauses.next(25).as_micros()).collect();
        assert_eq!(first, [50_000, 75_000, 112_500, 168_750]);
        let last = (0..20).map(|_| pauses.next(25)).last();
        assert_eq!(last, Some(Policy::METADATA.longest_pause));
        let (short, long) = (pauses.next(0), pauses.next(50));
        assert_eq!((short.as_millis(), long.as_millis()), (3750, 6250));
    }
}
