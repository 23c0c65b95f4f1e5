//! Tells the cloud how far the machine is.
//!
//! What is told is what the owner cares for: whether the machine can be logged in to. A failure that was told keeps its
//! action open, so that a later boot that works says so.

use super::context::Context;
use super::journal::ActionState;
use crate::error::{Error, Result};
use alloc::format;
use alloc::string::String;

/// Without these no one can log in.
const ACCESS: [&str; 2] = ["create_default_user", "set_ssh_keys"];

/// What reads the disc before it goes: without them the next boot needs it again.
const READERS: [&str; 3] = ["save_userdata", "create_default_user", "set_ssh_keys"];

/// Ejects the disc that a new machine finds in its drive.
pub(super) fn eject_media(context: &mut Context<'_>) -> Result<()> {
    // In a tree of files, the drives are another machine's.
    let Some(access) = context.access.filter(|_| context.is_live()) else { return Ok(()) };
    let is_open =
        |name: &&&str| matches!(context.journal.state(name), Some(ActionState::Started | ActionState::Failed));
    if let Some(reader) = READERS.iter().find(is_open) {
        return Err(Error::refused("eject the provisioning disc", format!("{reader} failed and will read it again")));
    }
    if access.eject()? {
        context.say("the provisioning disc is ejected");
    }
    Ok(())
}

/// Reports the machine as ready, or as failed where no one could log in.
pub(super) fn report_ready(context: &mut Context<'_>) -> Result<()> {
    let Some(access) = context.access.filter(|_| context.is_live()) else { return Ok(()) };
    let failure = failure(&context.failures);
    let told = access.report(failure.as_deref(), context.notify)?;
    if let Some(reason) = failure {
        return Err(not_ready(&reason, told));
    }
    if told {
        context.say(&format!("{} was told that this machine is ready", access.verdict.cloud.title));
    }
    Ok(())
}

/// Why no one can log in, if it is so.
fn failure(failures: &[(&'static str, Error)]) -> Option<String> {
    let failed = failures.iter().find(|(action, _)| ACCESS.contains(action));
    failed.map(|(action, error)| format!("{action}: {error}"))
}

/// What keeps the action open when `reason` was `told`, or no one is there to be told of it.
fn not_ready(reason: &str, told: bool) -> Error {
    let why = if told { format!("reported as failed: {reason}") } else { reason.into() };
    Error::refused("report this machine as ready", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::string::ToString;

    #[test]
    fn what_keeps_everybody_out_is_a_failure_and_nothing_else_is() {
        let error = || Error::absent("read the keys at", "nothing is there").to("/x");
        assert_eq!(failure(&[]), None);
        assert_eq!(failure(&[("set_hostname", error()), ("userdata_packages", error())]), None);
        let reason = failure(&[("set_hostname", error()), ("set_ssh_keys", error())]).unwrap();
        assert_eq!(reason, "set_ssh_keys: read the keys at /x: nothing is there");
        let wanted =
            "report this machine as ready: reported as failed: set_ssh_keys: read the keys at /x: nothing is there";
        let ends =
            [not_ready(&reason, true), not_ready(&reason, false)].map(|error| error.to_string().trim().to_owned());
        assert_eq!(ends, [wanted.to_owned(), wanted.replace("reported as failed: ", "")]);
    }
}
