//! Tells the cloud how far the machine is.
//!
//! What is told is what the owner cares for: whether the machine can be logged in to. A failure that was told keeps its
//! action open, so that a later boot that works says so.

use super::context::Context;
use super::journal::State;
use crate::error::{Error, Result};
use alloc::format;

/// Without these nobody can log in.
const ACCESS: [&str; 2] = ["create_default_user", "set_ssh_keys"];

/// What reads the disc before it goes: without them the next boot needs it again.
const READERS: [&str; 3] = ["save_userdata", "create_default_user", "set_ssh_keys"];

/// Ejects the disc that a new machine finds in its drive.
pub(super) fn eject_media(context: &mut Context<'_>) -> Result<()> {
    // In a tree of files, the drives are another machine's.
    let Some(access) = context.access.filter(|_| context.is_live()) else { return Ok(()) };
    let is_open = |name: &&&str| matches!(context.journal.state(name), Some(State::Started | State::Failed));
    if let Some(reader) = READERS.iter().find(is_open) {
        return Err(Error::refused("eject the provisioning disc", format!("{reader} failed and will read it again")));
    }
    if access.eject()? {
        context.say("the provisioning disc is ejected");
    }
    Ok(())
}

/// Reports the machine as ready, or as failed where nobody could log in.
pub(super) fn report_ready(context: &mut Context<'_>) -> Result<()> {
    let Some(access) = context.access.filter(|_| context.is_live()) else { return Ok(()) };
    let failed = context.failures.iter().find(|(action, _)| ACCESS.contains(action));
    let failure = failed.map(|(action, error)| format!("{action}: {error}"));
    let told = access.report(failure.as_deref(), context.tell)?;
    let title = access.verdict.cloud.title;
    match failure {
        Some(reason) if told => {
            Err(Error::refused("report this machine as ready", format!("reported as failed: {reason}")))
        }
        Some(reason) => Err(Error::refused("report this machine as ready", reason)),
        None => {
            if told {
                context.say(&format!("{title} was told that this machine is ready"));
            }
            Ok(())
        }
    }
}
