//! First boot: four phases, one table of actions, and a record of what was done for this instance.
//!
//! A phase is a list of names ([`crate::plan::phases`]); what each does stands in one table ([`actions::ACTIONS`]). An
//! action that fails is told and keeps no other from running; the phase fails at its end. What was done for this
//! instance is not done again, neither by another run nor after a power cut ([`journal`]). When everything was done the
//! phases have nothing to do until the disk wakes up in another instance ([`instance`]).
//!
//! | file, in `/var/lib/cloud` | what it is |
//! |---|---|
//! | `.bootstrap-complete` | there when everything was done, as Tiny Cloud has it; names the instance |
//! | `journal` | what was done for this instance |
//! | `user-data` | what the user sent, unpacked; for root only |
//!
//! `/run/wisp` has the facts of this boot ([`facts`]).
#![forbid(unsafe_code)]

mod account;
pub mod actions;
mod config;
pub mod context;
mod end;
mod expand;
pub mod facts;
mod hostname;
mod hotplugs;
pub mod instance;
pub mod journal;
mod network;
mod program;
mod report;
mod script;
pub mod seed;
mod sshd;
pub mod status;

use crate::error::{Error, Kind, Result};
use crate::log::{Level, Log};
use crate::metadata::{Access, Machine};
use crate::plan::phases;
use crate::settings::Phase;
use crate::sys::record::Lock;
use crate::sys::{clock, tree};
use crate::units::Deadline;
use actions::{Action, Again};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use context::Context;
use core::time::Duration;
use facts::{Facts, Outcome};
use instance::Standing;
use journal::{Journal, State};

/// Files by which the owner of a machine switches everything off; the second is Tiny Cloud's.
pub const SWITCHES: [&str; 2] = ["/etc/wisp.disabled", "/etc/tiny-cloud.disabled"];

/// How long another phase that still runs is waited for. Each of them has its own deadline but for the user's scripts,
/// which take as long as they take: beside one of these nothing is to be run.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// The lock sends no event when it becomes free.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Whether the bootstrap was completed, for whichever instance, where `folder` has the agent's state.
#[must_use]
pub fn is_complete(folder: &str) -> bool {
    end::is_complete(folder)
}

/// The owner's word: nothing is to be done any more for this instance.
///
/// # Errors
/// `Os`: also when there is no such folder.
pub fn complete(folder: &str) -> Result<()> {
    end::complete(folder, Journal::read(folder)?.instance.as_deref())
}

/// The owner's word: everything is to be done again. What the machine is known by stays what it is, unless it wakes up
/// in another instance.
///
/// # Errors
/// `Os`; `Corrupt` for a record that is none.
pub fn incomplete(folder: &str) -> Result<()> {
    let mut journal = Journal::read(folder)?;
    end::forget(folder)?;
    let has_keys = journal.state(account::HOST_KEYS) == Some(State::Done);
    match journal.instance.clone() {
        Some(instance) if has_keys => journal.begin(&journal.machine.clone(), Some(&instance), &[account::HOST_KEYS]),
        _ => Ok(()),
    }
}

/// Runs `phase` on the machine below `root`, and returns whether all of it worked.
///
/// # Errors
/// What keeps the phase from beginning: a record that cannot be read or written, another phase that runs.
pub fn run(phase: Phase, root: &str) -> Result<bool> {
    let log = Log::phase(phase.name(), root.is_empty());
    if SWITCHES.iter().any(|path| tree::is_there(&format!("{root}{path}"))) {
        log.info("wisp is disabled");
        return Ok(true);
    }
    let machine = Machine::look(root);
    let complaints = &machine.settings.complaints;
    complaints.iter().for_each(|complaint| log.warning(complaint));
    let (access, lost) = match machine.access() {
        Ok(access) => (Some(access), None),
        Err(error) if error.kind == Kind::Absent => (None, None),
        Err(error) => (None, Some(error)),
    };
    for folder in [&machine.settings.var, &machine.settings.logs, &format!("{root}{}", facts::FOLDER)] {
        tree::make_directories(folder, 0o755)?;
    }
    let _lock = lock(root)?;
    bootstrap(phase, &machine, (access.as_ref(), lost), &log)
}

/// Waits until no other phase runs.
fn lock(root: &str) -> Result<Lock> {
    let path = format!("{root}{}/lock", facts::FOLDER);
    let deadline = Deadline::after(clock::now(), LOCK_WAIT);
    loop {
        if let Some(lock) = Lock::take(&path)? {
            return Ok(lock);
        }
        if deadline.has_passed(clock::now()) {
            return Err(Error::refused("begin the phase", "another one still runs"));
        }
        clock::pause(LOCK_PAUSE);
    }
}

fn bootstrap<'a>(
    phase: Phase,
    machine: &'a Machine,
    (access, lost): (Option<&'a Access<'a>>, Option<Error>),
    log: &'a Log,
) -> Result<bool> {
    let tell = |line: &str| log.info(&format!("      {line}"));
    let journal = Journal::read(&machine.settings.var)?;
    let userdata = seed::read(&machine.settings.var)?;
    let mut context = Context::new(phase, machine, access, (log, &tell), userdata, journal);
    context.lost = lost;
    let is_complete = end::is_complete(&machine.settings.var);
    let (standing, doubt) = instance::judge(&mut context, is_complete);
    let is_new = matches!(standing, Standing::New(_));
    if is_complete && !is_new {
        if let Some(error) = doubt.filter(|_| phase > Phase::Boot) {
            log.warning(&format!("{error}: taken for the instance it was"));
        }
        adopt(&mut context, &standing)?;
        log.info(&format!("{}: the bootstrap is complete", phase.name()));
        facts::write_complete(&context)?;
        return Ok(true);
    }
    if let (Standing::New(name), Some(before)) = (&standing, &context.journal.instance) {
        log.line(Level::Notice, &format!("this disk was in {before} and is now in {name}: a first boot"));
    }
    adopt(&mut context, &standing)?;
    // As Tiny Cloud does, so that the lines of a phase stand apart on a console.
    log.info("");
    let mut run = Run { facts: Facts::begin(&context)?, context };
    // What the phases in front of this one did, they did for another instance.
    let first = if is_new { Phase::Boot } else { phase };
    for phase in Phase::ALL.into_iter().filter(|each| (first..=phase).contains(each)) {
        run.list(phase);
    }
    run.end()
}

/// Brings the record in line with what the disk is to this boot.
fn adopt(context: &mut Context<'_>, standing: &Standing) -> Result<()> {
    let machine = instance::machine(context);
    match standing {
        Standing::Same => {}
        Standing::Pending => context.journal.begin(&machine, None, &[])?,
        Standing::Bound(name) if context.journal.is_begun() => context.journal.bind(name)?,
        // It was completed without a record: then nothing of it is to be done again.
        Standing::Bound(name) => context.journal.begin(&machine, Some(name), &[account::HOST_KEYS])?,
        Standing::New(name) => {
            end::forget(&context.settings().var)?;
            context.userdata = seed::read(&context.settings().var)?;
            context.journal.begin(&machine, Some(name), &[])?;
        }
    }
    facts::write_instance(context)
}

/// A phase that runs.
struct Run<'a> {
    context: Context<'a>,
    facts: Facts,
}

impl Run<'_> {
    /// Runs the actions of `phase`.
    fn list(&mut self, phase: Phase) {
        let mut done: Vec<String> = Vec::new();
        // What the user sent arrives in the middle of it, and changes the lists behind it.
        loop {
            let names = names(phase, &self.context);
            let Some(name) = names.into_iter().find(|name| !done.contains(name)) else { return };
            self.action(&name);
            done.push(name);
        }
    }

    fn action(&mut self, name: &str) {
        let skips = name != phases::COMPLETE && self.context.settings().skip.iter().any(|skipped| skipped == name);
        let Some(action) = actions::find(name) else {
            self.mark(Level::Error, "++", name, "unknown");
            self.facts.add(name, "unknown", Duration::ZERO, None);
            return;
        };
        if skips || action.asks && !self.context.has_cloud() {
            self.mark(Level::Notice, "--", name, "skipped");
            self.facts.add(name, "skipped", Duration::ZERO, None);
            return;
        }
        match (self.context.journal.state(name), action.again) {
            (Some(State::Done), Again::UntilDone | Again::Never) | (Some(State::Failed), Again::Never) => {
                self.mark(Level::Info, "--", name, "done before");
            }
            (Some(State::Started), Again::Never) => self.cut_off(action),
            _ => self.perform(action),
        }
    }

    fn perform(&mut self, action: &'static Action) {
        self.mark(Level::Info, "++", action.name, "starting");
        let begin = clock::now();
        let outcome = self.note(action, State::Started).and_then(|()| (action.run)(&mut self.context));
        let spent = clock::now().saturating_sub(begin);
        let state = if outcome.is_ok() { State::Done } else { State::Failed };
        if let Err(error) = self.note(action, state) {
            self.context.warn(&format!("{error}"));
        }
        self.conclude(action, outcome.err(), spent);
    }

    /// The user's own work began in a boot that was cut off. It may have had any effect, or none.
    fn cut_off(&mut self, action: &'static Action) {
        let why = "it was cut off in an earlier boot and is not run a second time; to run it again: wisp bootstrap incomplete";
        let noted = self.note(action, State::Failed);
        self.conclude(
            action,
            Some(noted.err().unwrap_or_else(|| Error::refused("run", why).to(action.name))),
            Duration::ZERO,
        );
    }

    fn conclude(&mut self, action: &'static Action, failure: Option<Error>, spent: Duration) {
        let state = if failure.is_none() { State::Done } else { State::Failed };
        if let Some(error) = &failure {
            self.context.log.error(&format!("      {error}"));
        }
        self.mark(if failure.is_none() { Level::Info } else { Level::Error }, "++", action.name, state.name());
        self.facts.add(action.name, state.name(), spent, failure.as_ref());
        self.context.failures.extend(failure.map(|error| (action.name, error)));
    }

    fn note(&mut self, action: &Action, state: State) -> Result<()> {
        if action.again == Again::EachBoot {
            return Ok(());
        }
        self.context.journal.note(action.name, state)?;
        // How it ended is what keeps the user's own work from being taken for cut off.
        if action.again == Again::Never { self.context.journal.flush() } else { Ok(()) }
    }

    /// The lines of Tiny Cloud.
    fn mark(&self, level: Level, sign: &str, name: &str, word: &str) {
        self.context.log.line(level, &format!("   {sign} {name}: {word}"));
    }

    fn end(mut self) -> Result<bool> {
        self.context.release();
        self.context.journal.flush()?;
        let worked = self.context.failures.is_empty();
        self.facts.end(&self.context, if worked { Outcome::Done } else { Outcome::Failed })?;
        Ok(worked)
    }
}

/// The actions of `phase` as things are.
fn names(phase: Phase, context: &Context<'_>) -> Vec<String> {
    let cloud = context.access.map_or("", |access| access.verdict.cloud.name);
    phases::actions(phase, context.settings(), cloud, context.userdata.form)
}
