//! The facts of this boot, for programs: one file of JSON a phase in `/run/wisp`, written when the phase begins and when it
//! ends, and the name of the instance as text.
//!
//! `PHASE.json`, a stable format: `phase`; `state`, one of `running`, `done`, `failed`, `complete` (nothing was to be
//! done); `pid`; `started` and `finished` in seconds since the machine started, `finished` 0 until it has; `instance`,
//! `cloud` (null where there is none); `evidence`, the marks by which the cloud was detected; `actions`, each with
//! `name`, `state` (`done`, `failed`, `skipped`, `unknown`), `milliseconds`, and `error` (null if there is none);
//! `degraded`, what the machine lacks, each a sentence. No secret is in them, and everyone may read them. What cannot
//! be written here is logged, and keeps nothing else from being done.

use super::context::Context;
use super::instance::FACT;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::settings::Phase;
use crate::sys::{clock, file, fork, tree};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use miniserde::Serialize;

/// Where they are.
pub const FOLDER: &str = "/run/wisp";

/// There when `early` has waited for an answer in vain.
const UNANSWERED: &str = "unanswered";

/// How a phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseState {
    /// It runs.
    Running,
    /// All of it worked.
    Done,
    /// Something did not.
    Failed,
    /// There was nothing to do: the bootstrap of this instance is complete.
    Complete,
}

impl PhaseState {
    const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Complete => "complete",
        }
    }
}

/// What a phase has done so far.
#[derive(Debug)]
pub struct PhaseReport {
    begin: Duration,
    actions: Vec<ActionJson>,
}

#[derive(Serialize, Debug)]
struct ActionJson {
    name: String,
    state: &'static str,
    milliseconds: u64,
    error: Option<String>,
}

#[derive(Serialize)]
struct PhaseJson<'a> {
    phase: &'a str,
    state: &'a str,
    pid: i32,
    started: u64,
    finished: u64,
    instance: Option<&'a str>,
    cloud: Option<&'a str>,
    evidence: Vec<String>,
    actions: &'a [ActionJson],
    degraded: &'a [String],
}

impl PhaseReport {
    /// A phase begins.
    #[must_use]
    pub fn begin(context: &Context<'_>) -> Self {
        let facts = Self { begin: clock::now(), actions: Vec::new() };
        facts.write(context, PhaseState::Running);
        facts
    }

    /// An action has ended in `state` after `spent`.
    pub fn add(&mut self, name: &str, state: &'static str, spent: Duration, error: Option<&Error>) {
        let milliseconds = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        self.actions.push(ActionJson { name: name.into(), state, milliseconds, error: error.map(ToString::to_string) });
    }

    /// The phase ends.
    pub fn end(&self, context: &Context<'_>, outcome: PhaseState) {
        self.write(context, outcome);
        leave_unanswered(context);
    }

    fn write(&self, context: &Context<'_>, outcome: PhaseState) {
        let verdict = context.access.map(|access| &access.verdict);
        let is_over = outcome != PhaseState::Running;
        let facts = PhaseJson {
            phase: context.phase.name(),
            state: outcome.name(),
            pid: fork::own_number(),
            started: self.begin.as_secs(),
            finished: if is_over { clock::now().as_secs() } else { 0 },
            instance: context.journal.instance.as_deref(),
            cloud: verdict.map(|verdict| verdict.cloud.name),
            evidence: verdict.map_or_else(Vec::new, |verdict| verdict.signs.iter().map(ToString::to_string).collect()),
            actions: &self.actions,
            degraded: &context.degraded,
        };
        facts.write(context.root(), context.log);
    }
}

impl PhaseJson<'_> {
    fn write(&self, root: &str, log: &Log) {
        let json = miniserde::json::to_string(self);
        write(root, &format!("{}.json", self.phase), &format!("{json}\n"), log);
    }
}

fn write(root: &str, name: &str, text: &str, log: &Log) {
    if let Err(error) = file::write_for_this_boot(&format!("{root}{FOLDER}/{name}"), text.as_bytes(), 0o644) {
        log.warning(&format!("{error}"));
    }
}

/// A phase had nothing to do.
pub fn write_complete(context: &Context<'_>) {
    PhaseReport { begin: clock::now(), actions: Vec::new() }.end(context, PhaseState::Complete);
}

/// A phase could not begin, because of `error`.
pub fn write_failure(root: &str, phase: Phase, error: &Error, log: &Log) {
    let now = clock::now();
    let mut facts = PhaseReport { begin: now, actions: Vec::new() };
    facts.add(phase.name(), PhaseState::Failed.name(), Duration::ZERO, Some(error));
    let json = PhaseJson {
        phase: phase.name(),
        state: PhaseState::Failed.name(),
        pid: fork::own_number(),
        started: now.as_secs(),
        finished: now.as_secs(),
        instance: None,
        cloud: None,
        evidence: Vec::new(),
        actions: &facts.actions,
        degraded: &[],
    };
    json.write(root, log);
}

/// Leaves the name of the instance for the phases behind this one.
pub fn write_instance(context: &Context<'_>) {
    if let Some(instance) = context.journal.instance.as_deref() {
        write(context.root(), FACT, instance, context.log);
    }
}

/// Leaves word for the phases behind `early`: who logs in waits for them, and has waited once.
fn leave_unanswered(context: &Context<'_>) {
    if context.phase != Phase::Early {
        return;
    }
    if context.is_unanswered {
        write(context.root(), UNANSWERED, "", context.log);
    } else if let Err(error) = tree::remove_file(&format!("{}{FOLDER}/{UNANSWERED}", context.root())) {
        context.warn(&format!("{error}"));
    }
}

/// Whether `early` has waited for an answer in vain in this boot.
#[must_use]
pub fn is_unanswered(root: &str) -> bool {
    file::exists(&format!("{root}{FOLDER}/{UNANSWERED}"))
}

/// Nothing is known of this boot any more.
///
/// # Errors
/// `Os`.
pub fn forget(root: &str) -> Result<()> {
    for phase in Phase::ALL {
        tree::remove_file(&format!("{root}{FOLDER}/{}.json", phase.name()))?;
    }
    [FACT, UNANSWERED].iter().try_for_each(|name| tree::remove_file(&format!("{root}{FOLDER}/{name}")).map(drop))
}
