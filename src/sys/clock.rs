//! What time it is. Every other module is told by its caller, so tests can tell it anything.

use core::time::Duration;
use rustix::thread::{ClockId, Timespec, clock_nanosleep_relative};

/// Time since the kernel started, sleep not counted (`CLOCK_MONOTONIC`).
#[must_use]
pub fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Time since the kernel started, sleep counted (`CLOCK_BOOTTIME`).
#[must_use]
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// 2026-01-01, before which wisp was not there: a clock of the day that says less is not set.
pub const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// The time of day as this machine knows it: since 1970, which is also what a machine without a clock thinks it is.
#[must_use]
pub fn wall() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Waits for `span`; a signal may end the wait early. Only for things that send no event when they are done.
pub fn pause(span: Duration) {
    let request = timespec(span);
    // Waking early only means looking again early.
    let _ = clock_nanosleep_relative(ClockId::Monotonic, &request);
}

/// `span` as the kernel wants it.
pub(super) fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(span.subsec_nanos()) }
}
