//! The facts of this boot, for programs: one file of JSON a phase in `/run/wisp`, written when the phase begins and when it
//! ends, and the name of the instance as text.
//!
//! `PHASE.json`, a stable format: `phase`; `state`, one of `running`, `done`, `failed`, `complete` (nothing was to be done);
//! `pid`; `started` and `finished` in seconds since the machine started, `finished` 0 until it has; `instance`, `cloud`
//! (null where there is none); `evidence`, the marks by which the cloud was recognised; `actions`, each with `name`,
//! `state` (`done`, `failed`, `skipped`, `unknown`), `milliseconds`, and `error` (null if there is none). No secret is in
//! them, and everybody may read them.

use super::context::Context;
use super::instance::FACT;
use crate::error::{Error, Result};
use crate::sys::{clock, file, process};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use miniserde::Serialize;

/// Where they are.
pub const FOLDER: &str = "/run/wisp";

/// How a phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It runs.
    Running,
    /// All of it worked.
    Done,
    /// Something did not.
    Failed,
    /// There was nothing to do: the bootstrap of this instance is complete.
    Complete,
}

impl Outcome {
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
pub struct Facts {
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
}

impl Facts {
    /// A phase begins.
    ///
    /// # Errors
    /// `Os`.
    pub fn begin(context: &Context<'_>) -> Result<Self> {
        let facts = Self { begin: clock::now(), actions: Vec::new() };
        facts.write(context, Outcome::Running)?;
        Ok(facts)
    }

    /// An action has ended in `state` after `spent`.
    pub fn add(&mut self, name: &str, state: &'static str, spent: Duration, error: Option<&Error>) {
        let milliseconds = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        self.actions.push(ActionJson { name: name.into(), state, milliseconds, error: error.map(ToString::to_string) });
    }

    /// The phase ends.
    ///
    /// # Errors
    /// `Os`.
    pub fn end(&self, context: &Context<'_>, outcome: Outcome) -> Result<()> {
        self.write(context, outcome)
    }

    fn write(&self, context: &Context<'_>, outcome: Outcome) -> Result<()> {
        let verdict = context.access.map(|access| &access.verdict);
        let is_over = outcome != Outcome::Running;
        let json = miniserde::json::to_string(&PhaseJson {
            phase: context.phase.name(),
            state: outcome.name(),
            pid: process::own_number(),
            started: self.begin.as_secs(),
            finished: if is_over { clock::now().as_secs() } else { 0 },
            instance: context.journal.instance.as_deref(),
            cloud: verdict.map(|verdict| verdict.cloud.name),
            evidence: verdict.map_or_else(Vec::new, |verdict| verdict.signs.iter().map(ToString::to_string).collect()),
            actions: &self.actions,
        });
        let path = format!("{}{FOLDER}/{}.json", context.root(), context.phase.name());
        file::write_atomically(&path, format!("{json}\n").as_bytes(), 0o644)
    }
}

/// A phase had nothing to do.
///
/// # Errors
/// `Os`.
pub fn write_complete(context: &Context<'_>) -> Result<()> {
    Facts { begin: clock::now(), actions: Vec::new() }.write(context, Outcome::Complete)
}

/// Leaves the name of the instance for the phases behind this one.
///
/// # Errors
/// `Os`.
pub fn write_instance(context: &Context<'_>) -> Result<()> {
    let Some(instance) = context.journal.instance.as_deref() else { return Ok(()) };
    file::write_atomically(&format!("{}{FOLDER}/{FACT}", context.root()), instance.as_bytes(), 0o644)
}
