//! What growing did, for people (one line each) and for programs (JSON, a stable format).
//!
//! JSON: sizes in bytes, times in microseconds. `state` of a half is one of `full` (it had its size), `grown`, `partly`
//! (the budget ran out), `planned` (dry run), `left` (not wisp's to grow), `refused`, `failed`; `why` explains the last
//! three and `error` says of what kind it is (`crate::error::Kind::name`). `status` of the whole is the most serious of
//! its halves. A half that does not exist is `null`. Where nothing could be looked at, `status` is `refused` or `failed`, sizes are 0, and
//! `device` is what the user named: anyone who asks for JSON gets one line of it, whatever happens, unless the command
//! line itself cannot be understood.

#![forbid(unsafe_code)]

use crate::error::{Error, Kind};
use crate::units::ByteCount;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use miniserde::Serialize;

/// How a half ended; later ones are more serious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepState {
    /// It had its size already.
    Full,
    /// A layer between that wisp does not grow.
    Left,
    /// A dry run: it would change.
    Planned,
    /// It changed as planned.
    Grown,
    /// It grew until the budget ran out.
    Partly,
    /// Nothing was touched, for a reason.
    Refused,
    /// Something was tried and did not work.
    Failed,
}

impl StepState {
    /// The word in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Left => "left",
            Self::Planned => "planned",
            Self::Grown => "grown",
            Self::Partly => "partly",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One half: the partition in its table, or the filesystem in its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// How it ended.
    pub state: StepState,
    /// The size before.
    pub before: ByteCount,
    /// The size now (of a dry run: then).
    pub after: ByteCount,
    /// The reason, where one is needed.
    pub why: Option<Error>,
    /// The reason in words that are no error ("the LVM physical volume on it was not grown").
    pub remark: Option<String>,
}

impl StepReport {
    /// A half in `state` whose size is and stays `size`.
    #[must_use]
    pub const fn still(state: StepState, size: ByteCount) -> Self {
        Self { state, before: size, after: size, why: None, remark: None }
    }

    /// A half that was not changed because of `error`.
    #[must_use]
    pub const fn stopped(state: StepState, size: ByteCount, error: Error) -> Self {
        Self { state, before: size, after: size, why: Some(error), remark: None }
    }
}

/// Something done, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// "write the primary GPT (1536 bytes)".
    pub what: String,
    /// How long.
    pub took: Duration,
    /// Whether it worked.
    pub worked: bool,
}

impl Timed {
    fn line(&self) -> String {
        let failed = if self.worked { "" } else { "failed after " };
        format!("{}: {failed}{}", self.what, milliseconds(self.took))
    }
}

/// The whole account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The node that was to grow; what the user named where no node was found for it.
    pub device: String,
    /// What it holds: `ext4`.
    pub kind: &'static str,
    /// The partition; `None` for a filesystem on a whole disk.
    pub partition: Option<StepReport>,
    /// The filesystem.
    pub filesystem: StepReport,
    /// What was done, in order.
    pub steps: Vec<Timed>,
    /// What else an operator should know.
    pub notes: Vec<String>,
}

#[derive(Serialize)]
struct StepReportJson {
    state: &'static str,
    before: u64,
    after: u64,
    error: Option<&'static str>,
    why: Option<String>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    what: &'a str,
    microseconds: u64,
    worked: bool,
}

#[derive(Serialize)]
struct ReportJson<'a> {
    status: &'static str,
    device: &'a str,
    kind: &'static str,
    partition: Option<StepReportJson>,
    filesystem: StepReportJson,
    steps: Vec<StepJson<'a>>,
    notes: &'a Vec<String>,
}

impl StepReport {
    fn json(&self) -> StepReportJson {
        let why = self.why.as_ref().map(ToString::to_string).or_else(|| self.remark.clone());
        let error = self.why.as_ref().map(|error| error.kind.name());
        StepReportJson { state: self.state.name(), before: self.before.0, after: self.after.0, error, why }
    }
}

impl Report {
    /// The account of a subject that could not even be looked at, be it that wisp does not want to or cannot.
    #[must_use]
    pub fn stopped(device: String, error: Error) -> Self {
        let state =
            if matches!(error.kind, Kind::Os(_) | Kind::TimedOut) { StepState::Failed } else { StepState::Refused };
        let filesystem = StepReport::stopped(state, ByteCount(0), error);
        Self { device, kind: "unknown", partition: None, filesystem, steps: Vec::new(), notes: Vec::new() }
    }

    /// The most serious of both halves.
    #[must_use]
    pub fn state(&self) -> StepState {
        self.partition.as_ref().map_or(StepState::Full, |half| half.state).max(self.filesystem.state)
    }

    /// The first reason why something failed or was refused, the partition's before the filesystem's.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        let halves = self.partition.iter().chain([&self.filesystem]);
        halves.filter(|half| half.state >= StepState::Refused).find_map(|half| half.why.as_ref())
    }

    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        miniserde::json::to_string(&ReportJson {
            status: self.state().name(),
            device: &self.device,
            kind: self.kind,
            partition: self.partition.as_ref().map(StepReport::json),
            filesystem: self.filesystem.json(),
            steps: self
                .steps
                .iter()
                .map(|step| StepJson { what: &step.what, microseconds: microseconds(step.took), worked: step.worked })
                .collect(),
            notes: &self.notes,
        })
    }

    /// The same in sentences, one a line; errors are left to [`Report::error`]'s reader.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.steps.iter().map(Timed::line).collect();
        if let Some(half) = &self.partition {
            lines.extend(sentence(&format!("partition {}", self.device), half));
        }
        if self.filesystem.state == StepState::Left {
            lines.extend(self.left_line());
        } else {
            lines.extend(sentence(&format!("{} on {}", self.kind, self.device), &self.filesystem));
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }

    /// "/dev/vda3 grown to 60 GiB; the LVM physical volume on it was not grown".
    fn left_line(&self) -> Option<String> {
        let remark = self.filesystem.remark.as_ref()?;
        let size = self.partition.as_ref().unwrap_or(&self.filesystem).after;
        let verb = match self.partition.as_ref().map(|half| half.state) {
            Some(StepState::Grown) => "grown to",
            Some(StepState::Planned) => "would grow to",
            _ => "stays at",
        };
        Some(format!("{} {verb} {size}; {remark}", self.device))
    }
}

/// What became of `thing`; nothing for what was refused or failed, which is told as an error.
fn sentence(thing: &str, half: &StepReport) -> Option<String> {
    let StepReport { before, after, .. } = half;
    match half.state {
        StepState::Full => Some(format!("{thing} has its full size, {after}")),
        StepState::Planned if before == after => Some(format!("{thing} stays at {after}, its table would be mended")),
        StepState::Grown if before == after => Some(format!("{thing} stays at {after}, its table was mended")),
        StepState::Planned => Some(format!("{thing} would grow from {before} to {after}")),
        StepState::Grown => Some(format!("{thing} grown from {before} to {after}")),
        StepState::Partly => {
            Some(format!("{thing} grown from {before} to {after} within the time budget; the rest is left for later"))
        }
        StepState::Left | StepState::Refused | StepState::Failed => None,
    }
}

fn microseconds(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// "12.345 ms".
fn milliseconds(span: Duration) -> String {
    let micros = microseconds(span);
    format!("{}.{:03} ms", micros / 1000, micros.checked_rem(1000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        let grown = |before, after| StepReport {
            before: ByteCount(before),
            after: ByteCount(after),
            ..StepReport::still(StepState::Grown, ByteCount(0))
        };
        Report {
            device: "/dev/vda2".into(),
            kind: "ext4",
            partition: Some(grown(2 << 30, 10 << 30)),
            filesystem: grown(2 << 30, 10 << 30),
            steps: Vec::from([Timed {
                what: "write the primary GPT".into(),
                took: Duration::from_micros(1500),
                worked: true,
            }]),
            notes: Vec::from(["the backup was moved".into()]),
        }
    }

    #[test]
    fn the_account_reads_well() {
        assert_eq!(
            sample().lines(),
            [
                "write the primary GPT: 1.500 ms",
                "partition /dev/vda2 grown from 2 GiB to 10 GiB",
                "ext4 on /dev/vda2 grown from 2 GiB to 10 GiB",
                "the backup was moved",
            ]
        );
    }

    #[test]
    fn a_layer_is_named() {
        let mut report = sample();
        report.filesystem = StepReport::still(StepState::Left, ByteCount(0));
        report.filesystem.remark = Some("the LVM physical volume on it was not grown".into());
        assert_eq!(report.lines()[2], "/dev/vda2 grown to 10 GiB; the LVM physical volume on it was not grown");
        assert_eq!(report.state(), StepState::Grown);
        assert_eq!(report.error(), None);
    }

    #[test]
    fn the_most_serious_step_is_the_status_and_its_reason_is_reported() {
        let mut report = sample();
        report.filesystem =
            StepReport::stopped(StepState::Failed, ByteCount(5), Error::os(28, "grow the filesystem at").to("/"));
        assert_eq!(report.state(), StepState::Failed);
        assert_eq!(report.error().unwrap().to_string(), "grow the filesystem at /: no space left on device (ENOSPC)");
        let json = report.json();
        assert!(
            json.starts_with(r#"{"status":"failed","device":"/dev/vda2","kind":"ext4","partition":{"state":"grown""#),
            "{json}"
        );
        assert!(json.contains(r#""why":"grow the filesystem at /: no space left on device (ENOSPC)""#), "{json}");
        assert!(
            json.contains(r#""steps":[{"what":"write the primary GPT","microseconds":1500,"worked":true}]"#),
            "{json}"
        );
    }

    fn half(state: StepState, before: u64, after: u64) -> StepReport {
        StepReport { after: ByteCount(after), ..StepReport::still(state, ByteCount(before)) }
    }

    fn whole_disk(filesystem: StepReport) -> Report {
        Report { partition: None, filesystem, steps: Vec::new(), notes: Vec::new(), ..sample() }
    }

    const STATES: [StepState; 7] = [
        StepState::Full,
        StepState::Left,
        StepState::Planned,
        StepState::Grown,
        StepState::Partly,
        StepState::Refused,
        StepState::Failed,
    ];

    #[test]
    fn every_state_has_its_sentence() {
        let sentences = [
            Some("ext4 on /dev/vda2 has its full size, 1 GiB"),
            None,
            Some("ext4 on /dev/vda2 would grow from 1 GiB to 3 GiB"),
            Some("ext4 on /dev/vda2 grown from 1 GiB to 3 GiB"),
            Some("ext4 on /dev/vda2 grown from 1 GiB to 3 GiB within the time budget; the rest is left for later"),
            None,
            None,
        ];
        for (state, wanted) in STATES.into_iter().zip(sentences) {
            let after = if state == StepState::Full { 1 } else { 3 };
            let lines = whole_disk(half(state, 1 << 30, after << 30)).lines();
            assert_eq!(lines, Vec::from_iter(wanted), "{state:?}");
        }
    }

    #[test]
    fn a_table_that_is_repaired_without_growing_has_its_own_state() {
        let mut report = sample();
        for (state, wanted) in [
            (StepState::Planned, "partition /dev/vda2 stays at 2 GiB, its table would be mended"),
            (StepState::Grown, "partition /dev/vda2 stays at 2 GiB, its table was mended"),
        ] {
            report.partition = Some(half(state, 2 << 30, 2 << 30));
            assert_eq!(report.lines()[1], wanted);
        }
    }

    #[test]
    fn the_line_of_a_layer_says_what_becomes_of_the_partition() {
        let remark = Some("the LUKS volume on it was not grown".into());
        let mut report = sample();
        report.filesystem = StepReport { remark, ..half(StepState::Left, 7, 7) };
        for (partition, wanted) in [
            (
                Some(half(StepState::Planned, 1 << 30, 3 << 30)),
                "/dev/vda2 would grow to 3 GiB; the LUKS volume on it was not grown",
            ),
            (
                Some(half(StepState::Full, 1 << 30, 1 << 30)),
                "/dev/vda2 stays at 1 GiB; the LUKS volume on it was not grown",
            ),
            (None, "/dev/vda2 stays at 7 B; the LUKS volume on it was not grown"),
        ] {
            report.partition = partition;
            assert!(report.lines().iter().any(|line| line == wanted), "{:?}", report.lines());
        }
        assert!(report.json().contains(r#""why":"the LUKS volume on it was not grown""#));
    }

    #[test]
    fn the_status_is_the_most_serious_half_whichever_it_is() {
        for (index, one) in STATES.into_iter().enumerate() {
            for (other_index, other) in STATES.into_iter().enumerate() {
                let mut report = sample();
                report.partition = Some(half(one, 1, 1));
                report.filesystem = half(other, 1, 1);
                let wanted = STATES[index.max(other_index)];
                assert_eq!(report.state(), wanted);
                assert!(report.json().starts_with(&format!(r#"{{"status":"{}","#, wanted.name())));
            }
        }
        assert_eq!(whole_disk(half(StepState::Full, 1, 1)).state(), StepState::Full);
    }

    #[test]
    fn the_reason_of_the_partition_comes_first() {
        let mut report = sample();
        report.partition = Some(StepReport::stopped(StepState::Refused, ByteCount(1), Error::refused("one", "why")));
        report.filesystem = StepReport::stopped(StepState::Failed, ByteCount(1), Error::refused("two", "why"));
        assert_eq!(report.error().unwrap().doing, "one");
        report.partition = Some(half(StepState::Grown, 1, 2));
        assert_eq!(report.error().unwrap().doing, "two");
    }

    #[test]
    fn the_json_of_a_refusal_has_every_member() {
        let report = Report::stopped("/srv".into(), Error::absent("find the device mounted at", "nothing").to("/srv"));
        assert_eq!(
            report.json(),
            concat!(
                r#"{"status":"refused","device":"/srv","kind":"unknown","partition":null,"#,
                r#""filesystem":{"state":"refused","before":0,"after":0,"error":"absent","#,
                r#""why":"find the device mounted at /srv: nothing"},"steps":[],"notes":[]}"#,
            )
        );
        assert_eq!((report.lines(), report.state()), (Vec::new(), StepState::Refused));
    }

    #[test]
    fn times_are_reported_in_milliseconds() {
        for (micros, wanted) in [(0, "0.000 ms"), (7, "0.007 ms"), (12_345, "12.345 ms"), (60_000_000, "60000.000 ms")]
        {
            assert_eq!(milliseconds(Duration::from_micros(micros)), wanted);
        }
        assert_eq!(microseconds(Duration::MAX), u64::MAX);
    }
}
