//! Whether a download comes fast enough to be waited for.
#![forbid(unsafe_code)]

use crate::units::ByteCount;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// Bytes that must come while the policy's whole time passes so many times: who sends fewer keeps a machine from ever
/// booting, and the slowest link that anybody waits for brings them in a minute.
const LEAST: u64 = 64 << 10;
const TIMES: u32 = 4;

/// How long was waited for the last bytes, and how many came: fewer than [`LEAST`].
#[derive(Debug, Default)]
pub(super) struct StallTimer {
    waited: Duration,
    came: u64,
}

impl StallTimer {
    /// Counts `count` bytes for which `waited` was waited; how long their user takes for them is his business. The reason
    /// to give up, where there is one.
    pub(super) fn count(&mut self, count: usize, waited: Duration, total: Duration) -> Option<String> {
        self.waited = self.waited.saturating_add(waited);
        self.came = self.came.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if self.came >= LEAST {
            *self = Self::default();
        }
        let is_late = self.waited > total.saturating_mul(TIMES);
        is_late.then(|| format!("no more than {} came in {} s", ByteCount(self.came), self.waited.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_bytes_restart_the_timer() {
        let (mut pace, second) = (StallTimer::default(), Duration::from_secs(1));
        for _ in 0..100 {
            assert_eq!(pace.count(65_535, 4 * second, second), None);
            assert_eq!(pace.count(1, second, second), None);
        }
        assert_eq!(pace.count(65_535, 4 * second, second), None);
        assert!(pace.count(0, Duration::from_nanos(1), second).is_some_and(|why| why.contains("came in 4 s")));
    }
}
