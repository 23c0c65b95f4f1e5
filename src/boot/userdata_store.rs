//! What the user sent is fetched, unpacked and kept.

use super::context::Context;
use super::journal::ActionState;
use crate::error::{Kind, Result};
use crate::provider::Reader;
use crate::settings::Phase;
use crate::sys::{file, tree};
use crate::userdata::{self, Userdata};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

const NAME: &str = "user-data";

/// What the folder of the state is to others: they may look for the marker; what is secret has its own mode.
const FOLDER_MODE: u32 = 0o755;

/// User-data is secret: the words of the user, often with passwords in them.
const MODE: u32 = 0o600;

/// What was saved in `folder`.
///
/// # Errors
/// `Os`; `Refused` when it is larger than anything that is saved.
pub fn read(folder: &str) -> Result<Userdata> {
    match file::read(&format!("{folder}/{NAME}"), userdata::LIMIT) {
        Ok(bytes) => Ok(Userdata::parse(Some(bytes))),
        Err(error) if matches!(error.kind, Kind::Os(2 | 20)) => Ok(Userdata::parse(None)),
        Err(error) => Err(error),
    }
}

/// Saves user-data unpacked in `folder`. No user-data is an empty file. What cannot be unpacked is saved as it came, under a
/// name that nothing runs, for anyone who wants to know what it was.
///
/// # Errors
/// Those of [`userdata::decode`]; `Os`.
pub fn save(packed: Vec<u8>, folder: &str) -> Result<Userdata> {
    let (userdata, kept) = keep(packed, folder);
    kept.map(|()| userdata)
}

/// What the user sent, also where it could not be saved, and whether it was.
fn keep(packed: Vec<u8>, folder: &str) -> (Userdata, Result<()>) {
    let path = format!("{folder}/{NAME}");
    let made = tree::make_directories(folder, FOLDER_MODE);
    let unpacked = match userdata::decode(&packed) {
        Ok(Cow::Owned(unpacked)) => Some(unpacked),
        Ok(Cow::Borrowed(_)) => None,
        Err(error) => {
            let kept = made.and_then(|()| file::write_atomically(&format!("{path}.raw"), &packed, MODE));
            return (Userdata::parse(None), kept.and(Err(error)));
        }
    };
    let bytes = unpacked.unwrap_or(packed);
    let kept = made.and_then(|()| file::write_atomically(&path, &bytes, MODE));
    (Userdata::parse(Some(bytes)), kept)
}

pub(super) fn save_userdata(context: &mut Context<'_>) -> Result<()> {
    let packed = context.ask(Reader::userdata)?.unwrap_or_default();
    // Not while asking: a disk that is full is no service that is silent.
    let (userdata, kept) = keep(packed, &context.settings().var);
    // What it says of user and keys counts even where it cannot be kept. What runs once waits until it is.
    context.userdata = if kept.is_ok() || context.phase < Phase::Final { userdata } else { Userdata::parse(None) };
    if let Ok(Some(config)) = context.userdata.config() {
        for key in config.unknown() {
            context.warn(&format!("{key}: of an #alpine-config this is no key, and is left out"));
        }
    }
    kept
}

#[expect(clippy::unnecessary_wraps, reason = "it is an action, as the others are")]
pub(super) fn missing_userdata(context: &mut Context<'_>) -> Result<()> {
    // Without a record the file counts; that of another instance is removed at the beginning.
    let is_known = context.journal.state("save_userdata") == Some(ActionState::Done)
        || file::exists(&format!("{}/{NAME}", context.settings().var));
    context.say(if is_known { "there is no user-data" } else { "the user-data has not been saved" });
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "it is an action, as the others are")]
pub(super) fn unknown_userdata(context: &mut Context<'_>) -> Result<()> {
    let kind = context.userdata.kind();
    context.degrade(&format!("the user-data is {kind}, which wisp does not process; it is kept in the file user-data"));
    Ok(())
}
