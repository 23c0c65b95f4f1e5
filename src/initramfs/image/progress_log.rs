//! How far the writing is, in lines for the kernel's log.

#![forbid(unsafe_code)]

use crate::image::{Phase, Progress};
use crate::units::ByteCount;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// A line is due after so long,
const EVERY: Duration = Duration::from_secs(10);

/// or when so many hundredths more of the source were read.
const STEP: u64 = 10;

/// When the next line is due.
#[derive(Debug)]
pub struct Pace {
    begun: Duration,
    told: Duration,
    hundredths: u64,
    phase: Phase,
}

impl Pace {
    /// Begins at `now`.
    #[must_use]
    pub const fn begin(now: Duration) -> Self {
        Self { begun: now, told: now, hundredths: 0, phase: Phase::Write }
    }

    /// The line for `progress`, if one is due at `now`.
    pub fn line(&mut self, progress: &Progress, now: Duration) -> Option<String> {
        let hundredths = hundredths(progress).unwrap_or(0);
        let begins = progress.phase != core::mem::replace(&mut self.phase, progress.phase);
        let is_due = begins || now.saturating_sub(self.told) >= EVERY || hundredths / STEP > self.hundredths / STEP;
        if !is_due || now == self.told {
            return None;
        }
        self.told = now;
        self.hundredths = hundredths;
        let spent = u64::try_from(now.saturating_sub(self.begun).as_millis()).unwrap_or(u64::MAX);
        let rate = progress.disk.saturating_mul(1000).checked_div(spent).unwrap_or(0);
        if progress.phase == Phase::ReadBack {
            return Some(format!("image: reading back, {hundredths} % of the disk"));
        }
        let mut line = format!("image: {} of the disk, {}/s", ByteCount(progress.disk), ByteCount(rate));
        if let Some(of) = progress.of {
            let left = of.saturating_sub(progress.read).saturating_mul(spent / 1000).checked_div(progress.read);
            line = format!("{line}; {hundredths} % of the source, {} s left", left.unwrap_or(0));
        }
        Some(line)
    }
}

/// How much of the source was read, where its size is known.
fn hundredths(progress: &Progress) -> Option<u64> {
    progress.read.saturating_mul(100).checked_div(progress.of?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(read: u64, of: Option<u64>) -> Progress {
        Progress { phase: Phase::Write, read, of, disk: read * 4, written: read }
    }

    #[test]
    fn a_line_is_due_every_ten_seconds_and_every_tenth() {
        let mut pace = Pace::begin(Duration::ZERO);
        let mut line = |read: u64, of, second| pace.line(&at(read << 20, of), Duration::from_secs(second));
        assert_eq!(line(1, Some(100 << 20), 1), None);
        assert_eq!(
            line(10, Some(100 << 20), 2).as_deref(),
            Some("image: 40 MiB of the disk, 20 MiB/s; 10 % of the source, 18 s left")
        );
        assert_eq!(line(11, Some(100 << 20), 3), None);
        assert!(line(12, Some(100 << 20), 12).is_some_and(|line| line.contains("12 %")));
        assert_eq!(line(13, None, 21), None);
        assert_eq!(line(14, None, 22).as_deref(), Some("image: 56 MiB of the disk, 2.54 MiB/s"));
    }

    #[test]
    fn reading_back_has_its_own_percentage() {
        let mut pace = Pace::begin(Duration::ZERO);
        let mut line = |phase, read: u64, second| {
            pace.line(&Progress { phase, read, of: Some(100), disk: 100, written: 100 }, Duration::from_secs(second))
        };
        assert!(line(Phase::Write, 100, 1).is_some());
        assert_eq!(line(Phase::ReadBack, 2, 2).as_deref(), Some("image: reading back, 2 % of the disk"));
        assert_eq!(line(Phase::ReadBack, 9, 3), None);
        assert_eq!(line(Phase::ReadBack, 12, 4).as_deref(), Some("image: reading back, 12 % of the disk"));
    }

    #[test]
    fn nothing_read_of_nothing_has_a_line_too() {
        let mut pace = Pace::begin(Duration::ZERO);
        assert!(pace.line(&at(0, Some(0)), EVERY).is_some());
    }
}
