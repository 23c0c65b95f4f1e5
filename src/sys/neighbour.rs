//! Other processes, by their numbers (proc(5)).

#![forbid(unsafe_code)]

use super::{clock, file};
use core::time::Duration;

/// Bytes of `/proc/PID/stat`: 52 numbers and a name.
const STAT_LIMIT: usize = 4096;

/// Where the time of the start is in what follows the name, counted from 0.
const START: usize = 19;

/// Ticks in a second in what the kernel tells programs (`USER_HZ`), the same for every CPU that wisp is for.
const TICKS: u64 = 100;

/// The number of this process.
#[must_use]
pub fn own_number() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// How long the process of this number has been running; `None` if there is none, or /proc is not mounted.
#[must_use]
pub fn age(number: u32) -> Option<Duration> {
    let stat = file::read(&alloc::format!("/proc/{number}/stat"), STAT_LIMIT).ok()?;
    // The name may hold anything, parentheses too.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = core::str::from_utf8(stat.get(end..)?).ok()?;
    let ticks: u64 = rest.split(' ').skip(1).nth(START)?.parse().ok()?;
    let start = Duration::from_millis(ticks.saturating_mul(1000).checked_div(TICKS)?);
    Some(clock::since_boot().saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_as_old_as_it_is() {
        let own = age(own_number()).unwrap();
        assert!(own < age(1).unwrap() && own < Duration::from_secs(3600));
        assert_eq!(age(u32::MAX), None);
    }
}
