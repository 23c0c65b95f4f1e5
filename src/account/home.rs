//! The home of an account, made from `ROOT/etc/skel`.
//!
//! While it is filled only root can enter it; it gets its owner last. One that a power cut left
//! like that is filled on.

use super::create::home_mode;
use super::{Account, DEFAULTS_LIMIT, read};
use crate::error::{Error, Result};
use crate::sys::dir::walk::Walk;
use crate::sys::dir::{Dir, FileType, Owner, UNFINISHED};

/// How deep a skeleton is; Debian's has one level, desktops have four.
const DEPTH_LIMIT: usize = 16;

/// Bytes of one file of a skeleton.
const FILE_LIMIT: usize = 16 << 20;

/// Makes the home of an account that has none.
///
/// # Errors
/// `Os`; `Refused` for a skeleton that is too large.
pub fn make_home(root: &str, account: &Account) -> Result<()> {
    make(root, account, home_mode(&read(root, "login.defs", DEFAULTS_LIMIT)?))
}

/// The same with this mode.
pub(super) fn make(root: &str, account: &Account, mode: u32) -> Result<()> {
    let Some((above, name)) = account.home.trim_end_matches('/').rsplit_once('/') else { return Ok(()) };
    let parent = folder(root, above)?;
    let home = match parent.look(name)? {
        None => parent.make(name, UNFINISHED, Owner::ROOT)?,
        Some(found) if found.is_unfinished() => {
            let gone = || Error::absent("fill the home", "it is gone").to(&*account.home);
            parent.enter(name)?.ok_or_else(gone)?
        }
        Some(_) => return Ok(()),
    };
    if let Some(skeleton) = Dir::open(root, "/etc/skel")? {
        copy(&skeleton, &home, account.owner, DEPTH_LIMIT)?;
    }
    home.flush()?;
    home.set(if account.owner.uid == 0 { mode & 0o700 } else { mode }, account.owner)?;
    parent.flush()
}

/// The directory at `path` below `root`, created with those above it where missing. Links are followed only in directories
/// that root alone can change ([`Walk`]).
pub(super) fn folder(root: &str, path: &str) -> Result<Dir> {
    let mut walk = Walk::to_folder(root, path)?;
    if walk.rest.iter().any(|name| name == "..") {
        return Err(Error::refused("make the folder", "\"..\" below a directory that does not exist").to(path));
    }
    let last = walk.steps.pop().map(|step| step.folder);
    let last = last.ok_or_else(|| Error::absent("open the folder", "there is no such folder").to(path))?;
    walk.rest.iter().try_fold(last, |above, name| above.make(name, 0o755, Owner::ROOT))
}

/// Copies what `to` has not yet, for `owner`; links as links.
fn copy(from: &Dir, to: &Dir, owner: Owner, depth: usize) -> Result<()> {
    const DOING: &str = "copy";
    let depth = depth.checked_sub(1).ok_or_else(|| Error::refused(DOING, "it is too deep").to(from.path("")))?;
    for name in from.list()? {
        let Some(facts) = from.look(&name)? else { continue };
        let is_there = to.look(&name)?.is_some();
        match facts.file_type {
            FileType::Dir => {
                let Some(inner) = from.enter(&name)? else { continue };
                let copied = to.make(&name, facts.mode, owner)?;
                copy(&inner, &copied, owner, depth)?;
            }
            FileType::File if !is_there => {
                let Some((content, _)) = from.read(&name, FILE_LIMIT)? else { continue };
                to.write(&name, &content, facts.mode & 0o777, owner)?;
            }
            FileType::Link if !is_there => to.make_link(&name, &from.link_target(&name)?, owner)?,
            _ => {}
        }
    }
    Ok(())
}
