//! What an action is given: the machine, its settings, its metadata, and a way to say what it does.

use super::journal::Journal;
use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::metadata::{Access, Machine};
use crate::netif::Connection;
use crate::provider::{Reader, nocloud};
use crate::settings::{Agent, DEFAULT_USER, Phase};
use crate::userdata::Userdata;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What an action is given.
pub struct Context<'a> {
    /// The phase that runs.
    pub phase: Phase,
    /// The machine, as looked at once.
    pub machine: &'a Machine,
    /// The ways to its metadata; `None` where no cloud shows itself.
    pub access: Option<&'a Access<'a>>,
    /// Why the cloud cannot be told although the user says that there is one.
    pub lost: Option<Error>,
    /// Why there is no cloud to be asked, where that is so.
    pub missing: Option<String>,
    /// What hears of second tries.
    pub notify: &'a dyn Fn(&str),
    /// Where lines go.
    pub log: &'a Log,
    /// What the user sent, as it was saved when this phase began, or by this phase.
    pub userdata: Userdata,
    /// What was done for this instance.
    pub journal: Journal,
    /// What went wrong in this phase so far, each with its action.
    pub failures: Vec<(&'static str, Error)>,
    /// What the machine lacks although nothing failed that another boot would try again; each a sentence without secrets.
    pub degraded: Vec<String>,
    /// The network that was made for this phase alone.
    pub held: Option<Connection>,
    opened: Option<Result<Reader<'a>>>,
    /// A service that did not answer is not waited for again by the next action.
    silent: Option<Error>,
    /// Whether an answer was waited for in vain.
    pub is_unanswered: bool,
}

impl<'a> Context<'a> {
    /// What an action of `phase` is given.
    #[must_use]
    pub const fn new(
        phase: Phase,
        machine: &'a Machine,
        access: Option<&'a Access<'a>>,
        (log, notify): (&'a Log, &'a dyn Fn(&str)),
        userdata: Userdata,
        journal: Journal,
    ) -> Self {
        Self {
            phase,
            machine,
            access,
            lost: None,
            missing: None,
            notify,
            log,
            userdata,
            journal,
            failures: Vec::new(),
            degraded: Vec::new(),
            held: None,
            opened: None,
            silent: None,
            is_unanswered: false,
        }
    }

    /// In front of every path; empty on a real system.
    #[must_use]
    pub fn root(&self) -> &'a str {
        &self.machine.root
    }

    /// What the machine is told.
    #[must_use]
    pub const fn settings(&self) -> &'a Agent {
        &self.machine.settings
    }

    /// Whether this is the running system and not a tree of files: names may be set, programs started.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.machine.root.is_empty()
    }

    /// No one is asked from here on, because of `error`.
    pub fn hush(&mut self, error: Error) {
        self.silent = Some(error);
    }

    /// Whether there is a cloud to be asked.
    #[must_use]
    pub const fn has_cloud(&self) -> bool {
        self.access.is_some() || self.lost.is_some()
    }

    /// One line of what an action does.
    pub fn say(&self, line: &str) {
        self.log.info(&format!("      {line}"));
    }

    /// One line of what is odd.
    pub fn warn(&self, line: &str) {
        self.log.warning(&format!("      {line}"));
    }

    /// One line of what the machine lacks, which `wisp status` shows too.
    pub fn degrade(&mut self, reason: &str) {
        self.warn(reason);
        if !self.degraded.iter().any(|known| known == reason) {
            self.degraded.push(reason.into());
        }
    }

    /// Whether the cloud is NoCloud without a seed; then nothing is asked from here on, as where no cloud shows itself. A seed
    /// that comes later is another instance by its own identity.
    pub fn has_lost_seed(&mut self) -> bool {
        let is_seed = |access: &&Access<'_>| access.verdict.cloud.name == nocloud::NAME && access.is_local();
        if self.access.filter(is_seed).is_none() {
            return false;
        }
        match self.ask(|_| Ok(())) {
            Err(error) if error.kind == Kind::Absent => {
                self.missing = Some(format!("no seed was found: {}", error.why));
                self.access = None;
                true
            }
            _ => false,
        }
    }

    /// What the phase decides by, for who looks for a fault.
    pub fn debug(&self) {
        let line = match self.access.map(|access| &access.verdict) {
            Some(verdict) => {
                let signs: Vec<String> = verdict.signs.iter().map(|sign| format!("{sign}")).collect();
                format!("the cloud is {}: {}", verdict.cloud.name, signs.join("; "))
            }
            None => self.missing.clone().unwrap_or_else(|| "the cloud is not known".into()),
        };
        self.log.debug(&format!("      {line}; the record has {:?}", self.journal.instance));
    }

    /// What `look` reads of the metadata. Anyone who does not answer before the deadline of the first question is not
    /// asked the next one.
    ///
    /// # Errors
    /// `Absent` where no cloud shows itself; those of opening and reading.
    pub fn ask<T>(&mut self, look: impl FnOnce(&mut Reader<'a>) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.silent {
            return Err(error.clone());
        }
        let access = self.access.ok_or_else(|| self.lost.clone().unwrap_or_else(|| self.machine.unknown()))?;
        let notify = self.notify;
        let reader = self.opened.get_or_insert_with(|| access.open(notify)).as_mut().map_err(|error| error.clone());
        let answer = reader.and_then(look);
        if let Err(error) = &answer {
            self.is_unanswered |= error.kind.may_retry() && error.kind != Kind::Absent;
            if error.kind == Kind::TimedOut || matches!(error.kind, Kind::Os(_)) && !access.is_local() {
                self.silent = Some(error.clone());
            }
        }
        answer
    }

    /// Undoes what was made for this phase alone, so that the system configures a network no one has touched. What
    /// cannot be undone is told, and stops nothing.
    pub fn release(&mut self) {
        if let Some(Err(error)) = self.held.take().map(Connection::release) {
            self.warn(&format!("{error}"));
        }
    }

    /// The name of the account that is made and given the keys: as the user-data says, else the configuration, else the
    /// cloud, else `alpine`.
    ///
    /// # Errors
    /// Where the cloud may say it, what keeps it from saying: an account by another name would keep its owner out.
    pub fn user(&mut self) -> Result<String> {
        let said = self.userdata.user().or(self.settings().user.as_deref()).map(String::from);
        let may_say = self.access.is_some_and(|access| !access.verdict.cloud.admin.0.is_empty());
        let told = if said.is_none() && may_say { self.ask(Reader::admin)? } else { None };
        let name = said.or(told).unwrap_or_else(|| DEFAULT_USER.into());
        self.userdata.set_default_user(&name);
        Ok(name)
    }
}
