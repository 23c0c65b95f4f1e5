//! First boot: four phases, one table of actions, and a record of what was done for this instance.
//!
//! A phase is a list of names ([`crate::plan::first_boot`]); what each does stands in one table ([`actions::ACTIONS`]). An
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
//! `/run/wisp` has the facts of this boot ([`phase_report`]).
#![forbid(unsafe_code)]

mod access;
mod account;
pub mod actions;
mod cloud_ready;
mod completion;
mod config;
pub mod context;
pub mod dry_run;
mod grow_root;
mod hostname;
mod hotplug_rules;
pub mod instance;
pub mod journal;
mod login;
mod network;
pub mod phase_report;
mod sshd;
pub mod status;
mod user_command;
mod user_script;
pub mod userdata_store;

use crate::error::{Error, Kind, Result};
use crate::log::{Level, Log};
use crate::metadata::{Access, Machine};
use crate::plan::first_boot;
use crate::settings::Phase;
use crate::sys::append_log::Lock;
use crate::sys::{clock, tree};
use crate::units::Deadline;
use crate::userdata::Userdata;
use actions::{Action, Frequency};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use context::Context;
use core::time::Duration;
use instance::InstanceMatch;
use journal::{ActionState, Journal};
use phase_report::{PhaseReport, PhaseState};

/// Files by which the owner of a machine switches everything off; the second is Tiny Cloud's.
pub const SWITCHES: [&str; 2] = ["/etc/wisp.disabled", "/etc/tiny-cloud.disabled"];

/// How long another phase that still runs is waited for. An init system runs them one after the other; what someone
/// runs by hand beside them ends when its wait for metadata does, usually two minutes, but for the user's scripts,
/// which take as long as they take: beside one of these nothing is to be run.
const LOCK_WAIT: Duration = Duration::from_secs(180);
/// The lock sends no event when it becomes free.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How long metadata is waited for where patience helps no one: in front of the network, when a seed on a disk names
/// another one out there; behind `early`, when that has waited in vain and people wait to log in, or all there is to
/// learn is which instance this is. Anyone who is there answers in milliseconds.
const SHORT_WAIT: Duration = Duration::from_secs(5);

/// Whether the owner has switched it off.
#[must_use]
pub fn is_disabled(root: &str) -> bool {
    SWITCHES.iter().any(|path| tree::is_there(&format!("{root}{path}")))
}

/// Whether the bootstrap was completed, for whichever instance, where `folder` has the agent's state.
#[must_use]
pub fn is_complete(folder: &str) -> bool {
    completion::is_complete(folder)
}

/// The owner's word: nothing is to be done any more for this instance.
///
/// # Errors
/// `Os`.
pub fn complete(folder: &str) -> Result<()> {
    tree::make_directories(folder, 0o755)?;
    completion::complete(folder, readable(folder)?.instance.as_deref())
}

/// The journal in `folder`; an invalid one is as good as none.
fn readable(folder: &str) -> Result<Journal> {
    match Journal::read(folder) {
        Err(error) if error.kind == Kind::Corrupt => Ok(Journal::nowhere(folder)),
        journal => journal,
    }
}

/// The owner's word: everything is to be done again. What the machine is known by stays what it is, unless it wakes up
/// in another instance.
///
/// # Errors
/// `Os`.
pub fn incomplete(root: &str, folder: &str) -> Result<()> {
    let mut journal = readable(folder)?;
    let has_keys = journal.state(account::HOST_KEYS) == Some(ActionState::Done);
    // A disk that nothing tells from its copies may be one.
    match journal.instance.clone().filter(|instance| has_keys && instance != instance::NOBODY) {
        Some(instance) => journal.begin(&journal.machine.clone(), Some(&instance), &[account::HOST_KEYS])?,
        None => journal.end()?,
    }
    completion::forget(folder)?;
    // What this boot has done is no longer how far the bootstrap is.
    phase_report::forget(root)
}

/// Runs `phase` on the machine below `root`, and returns whether all of it worked.
///
/// # Errors
/// What keeps the phase from beginning: a record that cannot be read, another phase that runs.
pub fn run(phase: Phase, root: &str) -> Result<bool> {
    let log = Log::phase(phase.name(), root.is_empty());
    if is_disabled(root) {
        log.info("wisp is disabled");
        return Ok(true);
    }
    let mut machine = Machine::look(root);
    let complaints = &machine.settings.complaints;
    complaints.iter().for_each(|complaint| log.warning(complaint));
    for folder in [&machine.settings.var, &machine.settings.logs, &format!("{root}{}", phase_report::FOLDER)] {
        // What is written there says better why it cannot be.
        let _ = tree::make_directories(folder, 0o755);
    }
    let _lock = lock(root, &log)?;
    let is_hasty = match phase {
        Phase::Boot => machine.access().is_ok_and(|access| !access.is_remote()),
        Phase::Early => false,
        Phase::Main => phase_report::is_unanswered(root),
        Phase::Final => phase_report::is_unanswered(root) && completion::is_complete(&machine.settings.var),
    };
    if is_hasty {
        let own = machine.settings.deadline.unwrap_or(SHORT_WAIT);
        machine.settings.deadline = Some(own.min(SHORT_WAIT));
    }
    let outcome = bootstrap(phase, &machine, &log);
    if let Err(error) = &outcome {
        phase_report::write_failure(root, phase, error, &log);
    }
    outcome
}

/// Waits until no other phase runs. Where no lock can be made it goes without: that the phases come one after the other is
/// the init system's business first.
fn lock(root: &str, log: &Log) -> Result<Option<Lock>> {
    let path = format!("{root}{}/lock", phase_report::FOLDER);
    let lock = match Lock::take(&path) {
        Ok(None) => {
            log.line(Level::Notice, "another phase still runs: waiting for its end");
            return Lock::wait(&path, Deadline::after(clock::now(), LOCK_WAIT), LOCK_PAUSE).map(Some);
        }
        lock => lock,
    };
    lock.or_else(|error| {
        log.warning(&format!("{error}"));
        Ok(None)
    })
}

fn bootstrap(phase: Phase, machine: &Machine, log: &Log) -> Result<bool> {
    let (access, lost) = match machine.access() {
        Ok(access) => (Some(access), None),
        Err(error) if error.kind == Kind::Absent => (None, None),
        Err(error) => (None, Some(error)),
    };
    // Second tries, and what is read around: the phase continues past them.
    let notify = |line: &str| log.warning(&format!("      {line}"));
    let journal = Journal::read(&machine.settings.var)?;
    let mut context = Context::new(phase, machine, access.as_ref(), (log, &notify), Userdata::parse(None), journal);
    context.lost = lost;
    if !context.is_live() && context.access.is_some_and(Access::is_far) {
        // It would speak of the machine that this runs on, its keys and all.
        let why = "its service speaks of the machine that this runs on, not of the files below --root";
        context.hush(Error::refused("ask the cloud", why));
    }
    if !context.has_cloud() {
        context.missing = Some(format!("no cloud was found: {}", machine.unknown().why));
    }
    let has_lost_seed = context.has_lost_seed();
    let is_complete = completion::is_complete(&machine.settings.var);
    let (standing, doubt) = instance::judge(&mut context, is_complete);
    context.debug();
    let is_new = matches!(standing, InstanceMatch::New(_));
    let is_over = is_complete && !is_new;
    if let (InstanceMatch::New(name), Some(before)) = (&standing, &context.journal.instance) {
        log.line(Level::Notice, &format!("this disk was in {before} and is now in {name}: a first boot"));
    }
    // None of these keeps the rest from being done: what can be done twice is worth more than its record.
    let forgotten = if is_new { completion::forget(&machine.settings.var) } else { Ok(()) };
    let unread = match forgotten.and_then(|()| userdata_store::read(&machine.settings.var)) {
        Ok(userdata) => {
            context.userdata = userdata;
            None
        }
        Err(error) => Some(error),
    };
    let unrecorded = adopt(&mut context, &standing).err();
    if doubt.is_none() {
        phase_report::write_instance(&context);
    }
    if is_over {
        if let Some(error) = doubt.filter(|_| phase > Phase::Boot) {
            log.warning(&format!("{error}: taken for the instance it was"));
        }
        unread.iter().chain(&unrecorded).for_each(|error| log.warning(&format!("{error}")));
        log.info(&format!("{}: the bootstrap is complete", phase.name()));
        phase_report::write_complete(&context);
        return Ok(true);
    }
    // As Tiny Cloud does, so that the lines of a phase stand apart on a console.
    log.info("");
    let mut run = Run { facts: PhaseReport::begin(&context), context, warned: String::new() };
    for (name, error) in [("user-data", unread), ("journal", unrecorded)] {
        if error.is_some() {
            run.conclude(name, error, Duration::ZERO);
        }
    }
    if let Some(reason) = run.context.missing.clone().filter(|_| has_lost_seed || phase == Phase::Main) {
        run.context.degrade(&reason);
    }
    // What the phases in front of this one did, they did for another instance.
    let first = if is_new { Phase::Boot } else { completion::first_list(&run.context, phase) };
    for phase in Phase::ALL.into_iter().filter(|each| (first..=phase).contains(each)) {
        run.list(phase);
        if phase == Phase::Final {
            access::check(&mut run.context);
        }
    }
    Ok(run.end())
}

/// Brings the record in line with what the disk is to this boot.
fn adopt(context: &mut Context<'_>, standing: &InstanceMatch) -> Result<()> {
    let machine = instance::machine(context);
    match standing {
        InstanceMatch::Same => Ok(()),
        InstanceMatch::Moved => {
            let name = context.journal.instance.as_deref().unwrap_or_default();
            context.log.warning(&format!("{name} as before, and the firmware is another one's: taken for the same"));
            context.journal.set_machine(&machine)
        }
        InstanceMatch::Pending => context.journal.begin(&machine, None, &[]),
        InstanceMatch::Bound(name) if context.journal.is_begun() => context.journal.bind(name),
        // It was completed without a record: then nothing of it is to be done again.
        InstanceMatch::Bound(name) => context.journal.begin(&machine, Some(name), &[account::HOST_KEYS]),
        InstanceMatch::New(name) => context.journal.begin(&machine, Some(name), &[]),
    }
}

/// A phase that runs.
struct Run<'a> {
    context: Context<'a>,
    facts: PhaseReport,
    /// The last warning, which is not said again for the next action: a record that cannot be written fails for each.
    warned: String,
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
        let skips = name != first_boot::COMPLETE && self.context.settings().skip.iter().any(|skipped| skipped == name);
        let Some(action) = actions::find(name) else {
            self.mark(Level::Error, "++", name, "unknown");
            self.facts.add(name, "unknown", Duration::ZERO, None);
            return;
        };
        if skips || action.asks && !self.context.has_cloud() {
            let reason =
                if skips { "SKIP_INIT_ACTIONS names it" } else { self.context.missing.as_deref().unwrap_or_default() };
            self.context.say(reason);
            self.mark(Level::Notice, "--", name, "skipped");
            self.facts.add(name, "skipped", Duration::ZERO, None);
            return;
        }
        match (self.context.journal.state(name), action.again) {
            (Some(ActionState::Done), Frequency::UntilDone | Frequency::Never) => {
                self.mark(Level::Info, "--", name, "done before")
            }
            (Some(ActionState::Failed), Frequency::Never) => self.mark(Level::Notice, "--", name, "failed before"),
            (Some(ActionState::Started), Frequency::Never) => self.cut_off(action),
            _ => self.perform(action),
        }
    }

    fn perform(&mut self, action: &'static Action) {
        self.mark(Level::Info, "++", action.name, "starting");
        let begin = clock::now();
        match self.note(action, ActionState::Started) {
            Err(error) if action.again == Frequency::Never => {
                return self.conclude(action.name, Some(error), Duration::ZERO);
            }
            // What can be done twice is worth more than its record: someone may log in then, or a full disk grow.
            noted => self.warn(noted),
        }
        let outcome = (action.run)(&mut self.context);
        let spent = clock::now().saturating_sub(begin);
        let noted = self.note(action, if outcome.is_ok() { ActionState::Done } else { ActionState::Failed });
        self.warn(noted);
        self.conclude(action.name, outcome.err(), spent);
    }

    fn warn(&mut self, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        let line = format!("{error}");
        if line != self.warned {
            self.context.warn(&line);
            self.warned = line;
        }
    }

    /// The user's own work began in a boot that was cut off. It may have had any effect, or none.
    fn cut_off(&mut self, action: &'static Action) {
        let why = "it was cut off in an earlier boot and is not run a second time; to run it again: wisp bootstrap incomplete";
        let noted = self.note(action, ActionState::Failed);
        self.conclude(
            action.name,
            Some(noted.err().unwrap_or_else(|| Error::refused("run", why).to(action.name))),
            Duration::ZERO,
        );
    }

    fn conclude(&mut self, name: &'static str, failure: Option<Error>, spent: Duration) {
        let state = if failure.is_none() { ActionState::Done } else { ActionState::Failed };
        if let Some(error) = &failure {
            self.context.log.error(&format!("      {error}"));
        }
        self.mark(if failure.is_none() { Level::Info } else { Level::Error }, "++", name, state.name());
        self.facts.add(name, state.name(), spent, failure.as_ref());
        self.context.failures.extend(failure.map(|error| (name, error)));
    }

    fn note(&mut self, action: &Action, state: ActionState) -> Result<()> {
        let was_done = self.context.journal.state(action.name) == Some(ActionState::Done);
        if action.again == Frequency::EachBoot || action.again == Frequency::UntilComplete && was_done {
            return Ok(());
        }
        self.context.journal.note(action.name, state)?;
        // How it ended is what keeps the user's own work from being taken for cut off.
        if action.again == Frequency::Never { self.context.journal.flush() } else { Ok(()) }
    }

    /// The lines of Tiny Cloud.
    fn mark(&self, level: Level, sign: &str, name: &str, word: &str) {
        self.context.log.line(level, &format!("   {sign} {name}: {word}"));
    }

    fn end(mut self) -> bool {
        self.context.release();
        let flushed = self.context.journal.flush();
        let worked = self.context.failures.is_empty() && flushed.is_ok();
        self.warn(flushed);
        self.facts.end(&self.context, if worked { PhaseState::Done } else { PhaseState::Failed });
        worked
    }
}

/// The actions of `phase` as things are.
fn names(phase: Phase, context: &Context<'_>) -> Vec<String> {
    let cloud = context.access.map_or("", |access| access.verdict.cloud.name);
    first_boot::actions(phase, context.settings(), cloud, context.userdata.kind)
}
