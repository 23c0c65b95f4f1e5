//! `interfaces` put together from the files in the folder beside it: those of the cards that are there, and those of
//! everything else. A card without a file gets one from the template.
//!
//! Everything is read before the first write, so that a missing template leaves nothing half.

use super::{INTERFACES, TEXT_LIMIT};
use crate::error::{Error, Result};
use crate::sys::amend::amend;
use crate::sys::{file, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Where the files for [`INTERFACES`] are.
pub const FOLDER: &str = "/etc/network/interfaces.d";

/// The template, and what stands for the name in it.
const TEMPLATE: &str = "DEFAULT";
const NAME: &str = "%%";

/// The names of interfaces that have files here: a file whose card is not there is left out.
const LOOPBACK: &str = "lo";
const CARD: &str = "eth";

const NOTE: &str = "\
# NOTE: put together by `wisp hotplug` from the files in /etc/network/interfaces.d
#       whenever a network card comes or goes: change those, not this one.

";

/// Puts the file below `root` together; returns whether it is another one than before, which is then `interfaces.bak`. A
/// file in the folder that cannot be read, or for which there is no room, is left out, and `notify` is called for it.
///
/// # Errors
/// `Os`, `Refused` for what cannot be read of all: the folder, the template if a card needs it, and the old file.
pub fn assemble(root: &str, notify: &dyn Fn(&str)) -> Result<bool> {
    let folder = format!("{root}{FOLDER}");
    let present = file::list(&folder)?;
    let cards = file::list(&format!("{root}/sys/class/net")).unwrap_or_default();
    let mut made = Vec::new();
    let mut text = Vec::from(NOTE);
    let add = |text: &mut Vec<u8>, name: &str| {
        let path = format!("{folder}/{name}");
        let added =
            file::read(&path, TEXT_LIMIT).and_then(|piece| append(text, &piece).map_err(|error| error.to(path)));
        added.unwrap_or_else(|error| notify(&format!("{error}; the file is left out of {INTERFACES}")));
    };
    for name in cards.into_iter().filter(|name| is_interface(name)) {
        if present.contains(&name) {
            add(&mut text, &name);
            continue;
        }
        let path = format!("{folder}/{TEMPLATE}");
        let piece = replaced(&file::read(&path, TEXT_LIMIT)?, NAME.as_bytes(), name.as_bytes());
        append(&mut text, &piece).map_err(|error| error.to(path))?;
        made.push((name, piece));
    }
    let is_other = |name: &&String| *name != TEMPLATE && !is_interface(name) && !name.starts_with('.');
    present.iter().filter(is_other).for_each(|name| add(&mut text, name));
    for (name, piece) in made {
        file::write_atomically(&format!("{folder}/{name}"), &piece, 0o644)?;
    }
    put(root, &text)
}

/// Makes `text` what is at [`INTERFACES`], and keeps what was there beside it.
fn put(root: &str, text: &[u8]) -> Result<bool> {
    let path = format!("{root}{INTERFACES}");
    if tree::is_there(&path) {
        let old = file::read(&path, TEXT_LIMIT)?;
        if old == text {
            return Ok(false);
        }
        file::write_atomically(&format!("{path}.bak"), &old, 0o644)?;
    }
    amend(root, INTERFACES, TEXT_LIMIT, 0o644, &mut |_| text.into())
}

/// Adds `piece` and an empty line.
fn append(text: &mut Vec<u8>, piece: &[u8]) -> Result<()> {
    let end: &[u8] = if piece.is_empty() || piece.ends_with(b"\n") { b"\n" } else { b"\n\n" };
    if text.len().saturating_add(piece.len()).saturating_add(end.len()) > TEXT_LIMIT {
        let why = format!("all files together are larger than {TEXT_LIMIT} bytes");
        return Err(Error::refused("add", why));
    }
    text.extend([piece, end].concat());
    Ok(())
}

/// `text` with `new` for each `old`.
fn replaced(mut text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        match text.strip_prefix(old) {
            Some(behind) => {
                result.extend(new);
                text = behind;
            }
            None => {
                result.push(*first);
                text = rest;
            }
        }
    }
    result
}

fn is_interface(name: &str) -> bool {
    name == LOOPBACK || name.starts_with(CARD)
}
