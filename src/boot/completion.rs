//! The end of the bootstrap: the marker that says that everything was done.

use super::actions::{self, Action, Frequency};
use super::context::Context;
use super::journal::ActionState;
use super::names;
use crate::error::{Error, Result};
use crate::settings::Phase;
use crate::sys::{file, tree};
use alloc::format;
use alloc::string::String;

/// Tiny Cloud's name for it.
const MARKER: &str = ".bootstrap-complete";

/// What Tiny Cloud keeps beside it, which belongs to the instance that it was fetched in.
const BELONGINGS: [&str; 10] = [
    "user-data",
    "user-data.raw",
    "user-data.script",
    "user-data.command",
    "user-data.lf",
    "meta-data",
    "vendor-data",
    "network-config",
    ".autodetect",
    ".nocloud_loaded",
];

/// Whether the bootstrap was completed, for whichever instance.
#[must_use]
pub fn is_complete(folder: &str) -> bool {
    file::is_regular(&format!("{folder}/{MARKER}"))
}

/// Marks the bootstrap complete, for `instance` if that is known.
///
/// # Errors
/// `Os`.
pub fn complete(folder: &str, instance: Option<&str>) -> Result<()> {
    let text = instance.map(|instance| format!("{instance}\n")).unwrap_or_default();
    file::write_atomically(&format!("{folder}/{MARKER}"), text.as_bytes(), 0o644)
}

/// Removes the marker and what was fetched for the instance, the marker first. What was noted stays until another record
/// takes its place, or none: until then, all this is forgotten again.
///
/// # Errors
/// `Os`.
pub fn forget(folder: &str) -> Result<()> {
    tree::remove_file(&format!("{folder}/{MARKER}"))?;
    BELONGINGS.iter().try_for_each(|name| tree::remove_file(&format!("{folder}/{name}")).map(drop))
}

/// Marks the bootstrap complete if every action of every phase has done what it is for. What never runs a second time
/// cannot keep it open once it began.
pub(super) fn bootstrap_complete(context: &mut Context<'_>) -> Result<()> {
    if let Some(open) = Phase::ALL.into_iter().find_map(|phase| open(context, phase, |_| true)) {
        let why = "it has not been done, and the next boot tries again; `wisp bootstrap complete` ends that";
        return Err(Error::refused("complete the bootstrap without", why).to(open));
    }
    context.journal.flush()?;
    complete(&context.settings().var, context.journal.instance.as_deref())
}

/// Where `phase` begins: what the cloud was asked in vain by the phases in front of it is asked again, user-data before all
/// that it decides. Not what configures the network, since that is in use by then.
pub(super) fn first_list(context: &Context<'_>, phase: Phase) -> Phase {
    let is_open = |each: &Phase| open(context, *each, |action| action.asks).is_some();
    let before = |each: &Phase| *each > Phase::Boot && *each < phase;
    Phase::ALL.into_iter().filter(before).find(is_open).unwrap_or(phase)
}

/// An action of `phase` that has yet to be done, and that `is_meant`.
fn open(context: &Context<'_>, phase: Phase, is_meant: fn(&Action) -> bool) -> Option<String> {
    names(phase, context).into_iter().find(|name| {
        let Some(action) = actions::find(name) else { return false };
        let is_wanted = !context.settings().skip.contains(name) && (context.has_cloud() || !action.asks);
        let state = context.journal.state(name);
        let is_over = match action.again {
            Frequency::UntilDone | Frequency::UntilComplete => state == Some(ActionState::Done),
            Frequency::Never => state.is_some(),
            Frequency::EachBoot => true,
        };
        is_wanted && is_meant(action) && !is_over
    })
}
