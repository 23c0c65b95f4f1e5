//! The end of the bootstrap: the marker that says that everything was done.

use super::actions::{self, Again};
use super::context::Context;
use super::journal::State;
use super::names;
use crate::error::{Error, Result};
use crate::settings::Phase;
use crate::sys::{file, tree};
use alloc::format;
use alloc::string::String;

/// Tiny Cloud's name for it.
const MARKER: &str = ".bootstrap-complete";

/// What Tiny Cloud keeps beside it, which belongs to the instance that it was fetched in.
const BELONGINGS: [&str; 11] = [
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
    "journal",
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

/// Removes the marker and what was fetched and noted for the instance, the marker first.
///
/// # Errors
/// `Os`.
pub fn forget(folder: &str) -> Result<()> {
    tree::remove_file(&format!("{folder}/{MARKER}"))?;
    // The record goes last: until it has gone, the rest of it is forgotten again.
    BELONGINGS.iter().try_for_each(|name| tree::remove_file(&format!("{folder}/{name}")).map(drop))
}

/// Marks the bootstrap complete if every action of every phase has done what it is for. What never runs a second time
/// cannot keep it open.
pub(super) fn bootstrap_complete(context: &mut Context<'_>) -> Result<()> {
    if let Some(open) = open(context) {
        let why = "not everything was done, and the next boot tries again";
        return Err(Error::refused("complete the bootstrap before", why).to(open));
    }
    context.journal.flush()?;
    complete(&context.settings().var, context.journal.instance.as_deref())
}

/// An action that has yet to be done.
fn open(context: &Context<'_>) -> Option<String> {
    let lists = Phase::ALL.into_iter().flat_map(|phase| names(phase, context));
    lists.into_iter().find(|name| {
        let Some(action) = actions::find(name) else { return false };
        let is_wanted = !context.settings().skip.contains(name) && (context.has_cloud() || !action.asks);
        let is_done = context.journal.state(name) == Some(State::Done);
        is_wanted && action.again == Again::UntilDone && !is_done
    })
}
