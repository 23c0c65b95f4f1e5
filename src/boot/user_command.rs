//! Programs that the user asks for: what they say goes to the console and to a log that only root reads, since people print
//! passwords in their scripts.
//!
//! Below a root prefix nothing is started.

use super::context::Context;
use crate::error::{Error, Result};
use crate::sys::exec::{Ended, Program, Transcript};
use crate::sys::{stdio, tree};
use alloc::format;

const DOING: &str = "run";

/// The log, in the folder of the logs.
const LOG: &str = "user-data.log";

/// Whether what is said in the log before stays there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Stays,
    Goes,
}

/// Runs `program`, which lines call `what`: the user's own words can be secret.
///
/// # Errors
/// `Os` when it cannot be started, `Ended` when it failed.
pub(super) fn run(context: &Context<'_>, what: &str, program: &Program<'_>) -> Result<()> {
    if !context.is_live() {
        context.say(&format!("{what}: not run, since this is not the running system"));
        return Ok(());
    }
    context.say(what);
    let outcome = follow(context, Before::Stays, |start| start(program)).and_then(|ended| ended.success(DOING));
    outcome.map_err(|error| Error::new(error.kind, DOING, error.why.clone()).to(what))
}

/// What starts a program and waits for its end.
type Start<'a> = dyn Fn(&Program<'_>) -> Result<Ended> + 'a;

/// Lets `work` start programs, with what they say shown as it comes. A log that cannot be written keeps nothing from being
/// run.
pub(super) fn follow(
    context: &Context<'_>,
    before: Before,
    work: impl FnOnce(&Start<'_>) -> Result<Ended>,
) -> Result<Ended> {
    let folder = context.settings().logs.as_str();
    let path = format!("{folder}/{LOG}");
    let made = tree::make_directories(folder, 0o755);
    match made.and_then(|()| Transcript::open(&path, before == Before::Stays)) {
        Ok(transcript) => {
            let show = || transcript.show(stdio::output());
            let ended = work(&|program| program.run(transcript.descriptor(), &mut || show()));
            show();
            ended
        }
        Err(error) => {
            context.warn(&format!("{error}; what is said is on the console only"));
            work(&|program| program.run(stdio::output(), &mut || {}))
        }
    }
}
