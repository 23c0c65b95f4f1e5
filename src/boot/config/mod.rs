//! What an `#alpine-config` asks for (Tiny Cloud 3.0, `lib/tiny-cloud/user-data/alpine-config`).
//!
//! Of a list every entry is tried, whatever became of those before it; the action fails if one did, and the entry is named by
//! its index, never by its text. apk, rc-update and the others are the distribution's own and are run, on a running system
//! only. What is run is run at most once for an instance, `bootcmd` too, which Tiny Cloud repeats in each boot until the
//! bootstrap is complete.

mod commands;
mod files;
mod install;
mod packages;

pub(super) use commands::{userdata_bootcmd, userdata_runcmd};
pub(super) use files::userdata_write_files;
pub(super) use install::userdata_autoinstall;
pub(super) use packages::{
    userdata_apk_cache, userdata_apk_repositories, userdata_ntp, userdata_package_update, userdata_package_upgrade,
    userdata_packages,
};

use super::context::Context;
use crate::error::{Error, Result};
use crate::userdata::Config;
use alloc::format;

pub(super) fn userdata_user(context: &mut Context<'_>) -> Result<()> {
    let Some(config) = config(context)? else { return Ok(()) };
    match config.account("")? {
        Some(account) if account.name.is_empty() => context.say("the user-data describes the default user"),
        Some(account) => context.say(&format!("the user is {}", account.name)),
        None => {}
    }
    Ok(())
}

/// What the user-data says. One that cannot be understood is the failure of the first action that asks in a phase, and
/// nothing to the others.
fn config<'c>(context: &'c Context<'_>) -> Result<Option<&'c Config>> {
    match context.userdata.config() {
        Err(error) if context.failures.iter().any(|(_, before)| *before == error) => Ok(None),
        answer => answer,
    }
}

/// What became of several things that do not depend on each other.
struct Outcomes<'c, 'a> {
    context: &'c Context<'a>,
    first: Option<Error>,
}

impl<'c, 'a> Outcomes<'c, 'a> {
    const fn new(context: &'c Context<'a>) -> Self {
        Self { context, first: None }
    }

    /// Takes down what became of one. The first failure is told with that of the action, the others here.
    fn note(&mut self, outcome: Result<()>) {
        match (outcome, &self.first) {
            (Ok(()), _) => {}
            (Err(error), None) => self.first = Some(error),
            (Err(error), Some(_)) => self.context.log.error(&format!("      {error}")),
        }
    }

    /// The first failure, if there was any.
    fn end(self) -> Result<()> {
        self.first.map_or(Ok(()), Err)
    }
}
