//! Which instance this is, and whether the disk has been in another one before.
//!
//! What the cloud calls the instance counts, and where it calls it nothing, what the firmware says. A service that does
//! not answer says nothing, and that is never a new instance: no one loses host keys by an outage. Nor by a firmware
//! that begins to spell its UUID in the other byte order, as it does when a virtual machine is made newer.

use super::context::Context;
use super::phase_report;
use crate::error::{Error, Kind, Result};
use crate::provider::{Field, Reader, nocloud, same_uuid};
use crate::settings::Phase;
use crate::sys::file;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// The fact that `early` leaves for the phases behind it in the same boot.
pub const FACT: &str = "instance";

/// The name of an instance that has none, in a machine whose firmware says nothing: of a copy of the disk it is the same.
pub const NOBODY: &str = "machine/";

/// A cloud's name for an instance is a line of some dozen letters.
const FACT_LIMIT: usize = 4096;

/// How long a cloud is asked whether this is still the instance that the firmware says it is. A network that comes up with
/// the system is there after five seconds, and this is what every boot of an outage costs.
const DOUBT: Duration = Duration::from_secs(10);

/// The same behind `early`, when that has asked in vain: anyone who is there by now answers in milliseconds.
const AGAIN: Duration = Duration::from_secs(1);

/// What a disk is to this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceMatch {
    /// It was in this instance before, or cannot be shown to have been in another.
    Same,
    /// It is in the instance that it was in, says who names it, and in another machine, says the firmware.
    Moved,
    /// It has been in no instance yet, and this one is not known either.
    Pending,
    /// A first boot: this instance is another one, or the first.
    New(String),
    /// The first boot has begun, and only now is known which instance it is.
    Bound(String),
}

/// What the disk is to this boot, as far as it can be known in this phase. The error says what kept the instance from
/// being known; it is for the operator and stops nothing.
pub fn judge(context: &mut Context<'_>, is_complete: bool) -> (InstanceMatch, Option<Error>) {
    let is_begun = context.journal.is_begun();
    let bound = context.journal.instance.clone();
    let has_moved = is_begun && has_moved(&context.journal.machine, &machine(context));
    // Nothing is left to be done, and the firmware knows no other machine: an outage need not keep the boot.
    let is_settled = is_complete && is_begun && !has_moved && !machine(context).is_empty();
    if let Some(access) = context.access.filter(|_| is_settled) {
        let is_unanswered = context.phase > Phase::Early && phase_report::is_unanswered(context.root());
        access.limit(if is_unanswered { AGAIN } else { DOUBT });
    }
    let told = match name(context) {
        Ok(told) => told,
        Err(error) if is_begun || is_complete => return (InstanceMatch::Same, Some(error)),
        Err(error) => return (InstanceMatch::Pending, Some(error)),
    };
    let standing = match told {
        // It is not known any more, as its source is gone, a seed on a disc for one; and the machine is still the same one.
        None if bound.is_some() && !has_moved => InstanceMatch::Same,
        Some(told) if bound.as_deref().is_some_and(|bound| is_same(bound, &told)) => {
            if has_moved {
                InstanceMatch::Moved
            } else {
                InstanceMatch::Same
            }
        }
        told => {
            let name = told.unwrap_or_else(|| format!("{NOBODY}{}", machine(context)));
            match bound {
                None if is_begun && !has_moved => InstanceMatch::Bound(name),
                // Tiny Cloud, or the owner by hand, has completed it, and nothing says for which instance.
                None if is_complete && !is_begun => InstanceMatch::Bound(name),
                _ => InstanceMatch::New(name),
            }
        }
    };
    (standing, None)
}

/// Whether the firmware says that this is another machine. One that says nothing means no move.
fn has_moved(before: &str, now: &str) -> bool {
    !before.is_empty() && !now.is_empty() && before != now && !same_uuid(before, now)
}

/// Whether two names are of one instance: where it is a UUID, that has several spellings.
fn is_same(one: &str, other: &str) -> bool {
    let (a, b) = (one.split_once('/'), other.split_once('/'));
    one == other || a.zip(b).is_some_and(|((cloud, id), (other, known))| cloud == other && same_uuid(id, known))
}

/// What the firmware says of this machine; empty where it says nothing, or only to root. A serial number counts where
/// there is no UUID, since some hypervisors show that of their own machine, and never where it is the place of a seed: that
/// is the user's to change, and may hold a password.
#[must_use]
pub fn machine(context: &Context<'_>) -> String {
    let evidence = &context.machine.evidence;
    let serial = || evidence.dmi(Field::ProductSerial).filter(|serial| !serial.contains("ds="));
    evidence.dmi(Field::ProductUuid).or_else(serial).unwrap_or_default().into()
}

/// The name of this instance, `CLOUD/ID`; `None` where the cloud has none for it, or there is no cloud.
fn name(context: &mut Context<'_>) -> Result<Option<String>> {
    let Some(access) = context.access else { return context.lost.clone().map_or(Ok(None), Err) };
    let cloud = access.verdict.cloud;
    if let Some(known) = access.stated_id() {
        return Ok(Some(format!("{}/{known}", cloud.name)));
    }
    if context.phase > Phase::Early
        && let Some(fact) = fact(context, cloud.name)
    {
        return Ok(Some(fact));
    }
    if context.phase == Phase::Boot && access.is_remote() {
        return Err(Error::absent("learn the instance", "there is no network yet"));
    }
    let id = match context.ask(Reader::instance_id) {
        // A service that answers this with something else is not well, or another machine answers: nothing else that it
        // says is believed in this phase.
        Err(error) if error.kind == Kind::Corrupt && access.is_far() => {
            context.hush(error.clone());
            return Err(error);
        }
        answer => answer?,
    };
    // What a seed without an identity is called says nothing.
    Ok(id.filter(|id| id != nocloud::NAME).map(|id| format!("{}/{id}", cloud.name)))
}

/// What was learned in this boot, if it is of the same cloud: a seed may have appeared since.
fn fact(context: &Context<'_>, cloud: &str) -> Option<String> {
    let fact = file::read(&format!("{}{}/{FACT}", context.root(), phase_report::FOLDER), FACT_LIMIT).ok()?;
    let fact = String::from_utf8(fact).ok()?;
    fact.strip_prefix(cloud)?.starts_with('/').then_some(fact)
}
