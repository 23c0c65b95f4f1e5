//! How far the first boot is, from the facts of this boot and the record of the instance. Never stuck at `running`: a
//! phase whose process is gone has ended, whatever its file says.

use super::completion;
use super::phase_report::FOLDER;
use crate::error::{Kind, Result};
use crate::metadata::Machine;
use crate::service;
use crate::settings::Phase;
use crate::sys::file;
use crate::text::document::Document;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use miniserde::Serialize;

/// Thirty actions of a hundred bytes, with an error each.
const LIMIT: usize = 64 << 10;

/// What the kernel lets a process be called, and the two names that wisp is started by.
const NAMES: [&[u8]; 2] = [b"wisp\n", b"tiny-cloud\n"];

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The owner has switched it off.
    Disabled,
    /// No phase has begun in this boot.
    NotStarted,
    /// A phase runs, or the last one has yet to begin.
    Running,
    /// Nothing is to be done any more.
    Done,
    /// A phase was cut off, or something is left that the next boot tries again.
    Error,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::NotStarted => "not started",
            Self::Running => "running",
            Self::Done => "done",
            Self::Error => "error",
        }
    }
}

/// How far the bootstrap is.
#[derive(Debug)]
pub struct Status {
    /// In one word.
    pub state: State,
    phases: Vec<Document>,
    errors: Vec<String>,
    warnings: Vec<String>,
    /// Whether the init system starts the phases; `None` where there is none that wisp knows.
    is_enabled: Option<bool>,
}

#[derive(Serialize)]
struct StatusJson<'a> {
    status: &'a str,
    degraded: bool,
    instance: Option<&'a str>,
    cloud: Option<&'a str>,
    errors: &'a [String],
    warnings: &'a [String],
    enabled: Option<bool>,
}

impl Status {
    /// Reads it, of the system below `root`.
    ///
    /// # Errors
    /// `Os`; `Corrupt` for facts that are no JSON.
    pub fn read(root: &str) -> Result<Self> {
        let mut phases = Vec::new();
        for phase in Phase::ALL {
            let path = format!("{root}{FOLDER}/{}.json", phase.name());
            match file::read(&path, LIMIT) {
                Ok(bytes) => phases.push(Document::parse_json(&bytes).map_err(|error| error.to(path))?),
                Err(error) if matches!(error.kind, Kind::Os(2 | 20)) => {}
                Err(error) => return Err(error),
            }
        }
        let (errors, warnings) = (errors(&phases), warnings(&phases));
        let is_enabled = service::is_enabled(root).ok();
        let mut status = Self { state: State::NotStarted, phases, errors, warnings, is_enabled };
        status.state = status.judge(root);
        Ok(status)
    }

    fn judge(&self, root: &str) -> State {
        if super::is_disabled(root) {
            return State::Disabled;
        }
        let Some(last) = self.phases.last() else { return State::NotStarted };
        let text = |name: &str| last.at(&[name]).and_then(Document::text);
        match text("state") {
            Some("running") if text("pid").is_none_or(|pid| !is_alive(root, pid)) => State::Error,
            Some("running") => State::Running,
            _ if text("phase") != Some(Phase::Final.name()) => State::Running,
            _ if completion::is_complete(&Machine::look(root).settings.var) => State::Done,
            _ => State::Error,
        }
    }

    /// Whether something failed, or the machine lacks something, although nothing is left to be done.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        !self.errors.is_empty() || !self.warnings.is_empty()
    }

    /// Whether the init system starts the phases; `None` where there is none that wisp knows.
    #[must_use]
    pub const fn is_enabled(&self) -> Option<bool> {
        self.is_enabled
    }

    fn fact(&self, name: &str) -> Option<&str> {
        self.phases.iter().rev().find_map(|phase| phase.at(&[name]).and_then(Document::text))
    }

    /// For people: a line, and one for each error and each warning.
    #[must_use]
    pub fn text(&self) -> String {
        let next = match (self.state, self.is_enabled) {
            (State::NotStarted, Some(true)) => " (enabled, runs at next boot)",
            (State::NotStarted, _) => " (not enabled)",
            (State::Done, _) if self.is_degraded() => " (degraded)",
            _ => "",
        };
        let mut text = format!("status: {}{next}\n", self.state.name());
        if let Some(instance) = self.fact("instance") {
            text.push_str(&format!("instance: {instance}\n"));
        }
        self.errors.iter().for_each(|error| text.push_str(&format!("error: {error}\n")));
        self.warnings.iter().for_each(|warning| text.push_str(&format!("warning: {warning}\n")));
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        let json = miniserde::json::to_string(&StatusJson {
            status: self.state.name(),
            degraded: self.is_degraded(),
            instance: self.fact("instance"),
            cloud: self.fact("cloud"),
            errors: &self.errors,
            warnings: &self.warnings,
            enabled: self.is_enabled,
        });
        format!("{json}\n")
    }
}

/// Whether the process is one of wisp's; another may have its number by now.
fn is_alive(root: &str, pid: &str) -> bool {
    file::read(&format!("{root}/proc/{pid}/comm"), LIMIT).is_ok_and(|name| NAMES.contains(&&*name))
}

/// What failed, each with its action. A later phase tries again what an earlier one could not do: its outcome counts.
fn errors(phases: &[Document]) -> Vec<String> {
    let mut all: Vec<(&str, Option<&str>)> = Vec::new();
    for action in phases.iter().filter_map(|phase| phase.at(&["actions"])).flat_map(Document::list) {
        let text = |name: &str| action.at(&[name]).and_then(Document::text);
        let name = text("name").unwrap_or_default();
        all.retain(|(known, _)| *known != name);
        all.push((name, text("error")));
    }
    all.into_iter().filter_map(|(name, error)| Some(format!("{name}: {}", error?))).collect()
}

/// What the machine lacks, each once.
fn warnings(phases: &[Document]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for warning in phases.iter().filter_map(|phase| phase.at(&["degraded"])).flat_map(Document::list) {
        if let Some(warning) = warning.text().filter(|warning| !all.iter().any(|known| known == warning)) {
            all.push(warning.into());
        }
    }
    all
}
