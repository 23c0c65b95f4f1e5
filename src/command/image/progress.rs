//! How far writing is, for anyone who watches: one line of a terminal, a line now and then, or JSON.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use crate::image::{Phase, Progress};
use crate::sys::{clock, stdio};
use crate::units::ByteCount;

/// Four times a second a line is read as one that moves.
const TERMINAL: Duration = Duration::from_millis(250);
/// Often enough for a log, and rarely enough to read it.
const LOG: Duration = Duration::from_secs(10);
const JSON: Duration = Duration::from_secs(1);
/// Before that a rate says nothing: starting and flushing take most of the time.
const FIRST: Duration = Duration::from_secs(1);

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// One line, written again and again.
    Terminal,
    /// A line each time.
    Lines,
    /// JSON on standard output.
    Json,
    /// Not at all.
    Nothing,
}

/// What shows it.
pub(super) struct Display {
    show: Show,
    began: Duration,
    shown: Duration,
    /// What is being done, and since when.
    phase: Option<Phase>,
    phase_began: Duration,
    /// Letters of the terminal's line that is there.
    width: usize,
}

impl Display {
    pub fn new(show: Show) -> Self {
        let now = clock::now();
        Self { show, began: now, shown: now, phase: None, phase_began: now, width: 0 }
    }

    /// Since it began.
    pub fn took(&self) -> Duration {
        clock::now().saturating_sub(self.began)
    }

    /// Shows `progress` when it is time to.
    pub fn progress(&mut self, progress: &Progress) {
        let every = match self.show {
            Show::Terminal => TERMINAL,
            Show::Lines => LOG,
            Show::Json => JSON,
            Show::Nothing => return,
        };
        let now = clock::now();
        // The first phase begins with the command, and needs no line that says so.
        let begins = self.phase.is_some_and(|phase| phase != progress.phase);
        self.phase = Some(progress.phase);
        if begins {
            self.phase_began = now;
        }
        if !begins && now.saturating_sub(self.shown) < every {
            return;
        }
        self.shown = now;
        // The pace of one phase says nothing of the next one.
        let took = now.saturating_sub(self.phase_began);
        match self.show {
            Show::Json => stdio::write_all(stdio::output(), json(progress, self.took()).as_bytes()),
            Show::Terminal => {
                let text = line(progress, took);
                let letters = text.chars().count();
                let blanks = self.width.saturating_sub(letters);
                stdio::write_all(stdio::error(), format!("\r{text}{:blanks$}", "").as_bytes());
                self.width = letters;
            }
            _ => stdio::write_all(stdio::error(), format!("wisp: {}\n", line(progress, took)).as_bytes()),
        }
    }

    /// Leaves the terminal's line empty, for something else to be written there.
    pub fn clear(&mut self) {
        let width = core::mem::take(&mut self.width);
        if width > 0 {
            stdio::write_all(stdio::error(), format!("\r{:width$}\r", "").as_bytes());
        }
    }
}

/// `42%, 1.5 GiB of the disk, 312 MiB/s, 0:07 left`; `reading back 12%, …`.
fn line(progress: &Progress, took: Duration) -> String {
    let (doing, reached) = match progress.phase {
        Phase::ReadBack => ("reading back ", progress.read),
        Phase::Write | Phase::Compare => ("", progress.disk),
    };
    let disk = ByteCount(reached);
    let mut text = match share(progress) {
        Some(percent) => format!("{doing}{percent}%, {disk} of the disk"),
        None => format!("{} read, {disk} of the disk", ByteCount(progress.read)),
    };
    text.extend(rate(reached, took).map(|rate| format!(", {rate}")));
    if let Some(left) = left(progress, took) {
        let (minutes, seconds) = (left / 60, left.checked_rem(60).unwrap_or(0));
        text.push_str(&format!(", {minutes}:{seconds:02} left"));
    }
    text
}

fn json(progress: &Progress, took: Duration) -> String {
    let Progress { phase, read, of, disk, written } = *progress;
    let phase = phase.name();
    let of = of.map_or_else(|| "null".into(), |of| format!("{of}"));
    let seconds = seconds(took);
    format!(
        "{{\"event\":\"progress\",\"phase\":\"{phase}\",\"read\":{read},\"of\":{of},\"disk\":{disk},\"written\":{written},\"seconds\":{seconds}}}\n"
    )
}

/// With tenths.
pub(super) fn seconds(took: Duration) -> String {
    format!("{}.{}", took.as_secs(), took.subsec_millis() / 100)
}

/// `340 MiB/s`; none when it took too short a time.
pub(super) fn rate(bytes: u64, took: Duration) -> Option<String> {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let rate = bytes.saturating_mul(1000).checked_div(millis).filter(|_| took >= FIRST)?;
    let mib = rate >> 20;
    Some(if mib >= 10 { format!("{mib} MiB/s") } else { format!("{}/s", ByteCount(rate)) })
}

/// Percent of what is to be read.
fn share(progress: &Progress) -> Option<u64> {
    let of = progress.of.filter(|of| *of > 0)?;
    Some(progress.read.min(of).saturating_mul(100).checked_div(of).unwrap_or(100))
}

/// Seconds until all of it was read, at the pace it had so far.
fn left(progress: &Progress, took: Duration) -> Option<u64> {
    if took < FIRST {
        return None;
    }
    let rest = progress.of?.saturating_sub(progress.read);
    let millis = u64::try_from(took.as_millis()).ok()?;
    let left = u128::from(rest).saturating_mul(u128::from(millis)).checked_div(u128::from(progress.read))?;
    u64::try_from(left / 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Progress =
        Progress { phase: Phase::Write, read: 1 << 30, of: Some(2 << 30), disk: 3 << 30, written: 1 << 29 };

    #[test]
    fn a_line_says_how_much_how_fast_and_how_long() {
        assert_eq!(line(&HALF, Duration::from_secs(10)), "50%, 3 GiB of the disk, 307 MiB/s, 0:10 left");
        let unknown = Progress { of: None, ..HALF };
        assert_eq!(line(&unknown, Duration::from_secs(1000)), "1 GiB read, 3 GiB of the disk, 3.07 MiB/s");
        assert_eq!(
            line(&Progress::default(), Duration::ZERO),
            "0 B read, 0 B of the disk",
            "nothing is divided by nothing"
        );
        let early = line(&Progress { read: 96, of: Some(96), disk: 96, ..HALF }, Duration::from_millis(100));
        assert_eq!(early, "100%, 96 B of the disk", "no rate of a tenth of a second");
        let back = Progress { phase: Phase::ReadBack, read: 3 << 28, of: Some(3 << 30), ..HALF };
        let wanted = "reading back 25%, 768 MiB of the disk, 76 MiB/s, 0:30 left";
        assert_eq!(line(&back, Duration::from_secs(10)), wanted, "of the disk, since that began");
        let whole = Progress { read: 9, of: Some(9), ..HALF };
        assert_eq!(line(&whole, Duration::from_secs(61)), "100%, 3 GiB of the disk, 50 MiB/s, 0:00 left");
    }

    #[test]
    fn json_has_the_same_keys_each_time() {
        let told = json(&HALF, Duration::from_millis(1250));
        let wanted = r#"{"event":"progress","phase":"write","read":1073741824,"of":2147483648,"disk":3221225472,"written":536870912,"seconds":1.2}"#;
        assert_eq!(told.trim_end(), wanted);
        assert!(json(&Progress::default(), Duration::ZERO).contains(r#""of":null"#));
    }
}
