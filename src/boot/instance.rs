//! Which instance this is, and whether the disk has been in another one before.
//!
//! What the cloud calls the instance counts, and where it calls it nothing, what the firmware says. A service that
//! does not answer says nothing, and that is never a new instance: nobody loses host keys by an outage.

use super::context::Context;
use crate::error::{Error, Result};
use crate::provider::{Field, Reader, nocloud};
use crate::settings::Phase;
use crate::sys::file;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// The fact that `early` leaves for the phases behind it in the same boot.
pub const FACT: &str = "instance";

/// A cloud's name for an instance is a line of some dozen letters.
const FACT_LIMIT: usize = 4096;

/// How long a cloud is asked whether this is still the instance that the firmware says it is. A network that comes up with
/// the system is there after five seconds, and this is what every boot of an outage costs.
const DOUBT: Duration = Duration::from_secs(10);

/// What a disk is to this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was in this instance before, or cannot be shown to have been in another.
    Same,
    /// It has been in no instance yet, and this one is not known either.
    Pending,
    /// A first boot: this instance is another one, or the first.
    New(String),
    /// The first boot has begun, and only now is known which instance it is.
    Bound(String),
}

/// What the disk is to this boot, as far as it can be known in this phase. The error says what kept the instance from
/// being known; it is for the operator and stops nothing.
pub fn judge(context: &mut Context<'_>, is_complete: bool) -> (Standing, Option<Error>) {
    let is_begun = context.journal.is_begun();
    let bound = context.journal.instance.clone();
    let has_moved = is_begun && has_moved(&context.journal.machine, &machine(context));
    // Nothing is left to be done, and the firmware knows no other machine: an outage need not keep the boot.
    let is_settled = is_complete && is_begun && !has_moved && !machine(context).is_empty();
    if let Some(access) = context.access.filter(|_| is_settled) {
        access.limit(DOUBT);
    }
    let told = match name(context) {
        Ok(told) => told,
        Err(error) if is_begun || is_complete => return (Standing::Same, Some(error)),
        Err(error) => return (Standing::Pending, Some(error)),
    };
    let standing = match told {
        // Nobody tells it, or what told it is gone, a seed on a disc for one; and the machine is still the same one.
        None if bound.is_some() && !has_moved => Standing::Same,
        told if told.is_some() && told == bound => Standing::Same,
        told => {
            let name = told.unwrap_or_else(|| format!("machine/{}", machine(context)));
            match bound {
                None if is_begun && !has_moved => Standing::Bound(name),
                // Tiny Cloud, or the owner by hand, has completed it, and nothing says for which instance.
                None if is_complete && !is_begun => Standing::Bound(name),
                _ => Standing::New(name),
            }
        }
    };
    (standing, None)
}

/// Whether the firmware says that this is another machine. One that says nothing moves nobody.
fn has_moved(before: &str, now: &str) -> bool {
    !before.is_empty() && !now.is_empty() && before != now
}

/// What the firmware says of this machine; empty where it says nothing, or only to root.
#[must_use]
pub fn machine(context: &Context<'_>) -> String {
    let mut text = String::new();
    for (field, value) in &context.machine.evidence.firmware {
        if matches!(field, Field::ProductUuid | Field::ProductSerial) {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(value);
        }
    }
    text
}

/// The name of this instance, `CLOUD/ID`; `None` where the cloud has none for it, or there is no cloud.
fn name(context: &mut Context<'_>) -> Result<Option<String>> {
    let Some(access) = context.access else { return context.lost.clone().map_or(Ok(None), Err) };
    let cloud = access.verdict.cloud;
    if let Some(known) = access.stated_id() {
        return Ok(Some(format!("{}/{known}", cloud.name)));
    }
    if context.phase > Phase::Early
        && let Ok(fact) = file::read(&format!("{}/run/wisp/{FACT}", context.root()), FACT_LIMIT)
    {
        let fact = String::from_utf8(fact).map_err(|_| Error::corrupt("learn the instance from", "it is no UTF-8"))?;
        return Ok(Some(fact));
    }
    if context.phase == Phase::Boot && access.is_remote() {
        return Err(Error::absent("learn the instance", "there is no network yet"));
    }
    let id = context.ask(|reader: &mut Reader<'_>| reader.line(&cloud.id))?;
    // What a seed without an identity is called says nothing.
    Ok(id.filter(|id| id != nocloud::NAME).map(|id| format!("{}/{id}", cloud.name)))
}
