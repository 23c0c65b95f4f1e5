//! `interfaces` put together from the files in the folder beside it: those of the cards that are there, and those of
//! everything else. A card without a file gets one from the template.
//!
//! Everything is read before the first write, so that a missing template leaves nothing half.

use super::{INTERFACES, TEXT_LIMIT};
use crate::error::{Error, Result};
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

/// Puts the file below `root` together; returns whether it is another one than before, which is then `interfaces.bak`.
///
/// # Errors
/// `Os`, `Refused` for what cannot be read, the folder and the template first of all; `Corrupt` for what is no UTF-8.
pub fn assemble(root: &str) -> Result<bool> {
    let folder = format!("{root}{FOLDER}");
    let present = file::list(&folder)?;
    let cards = file::list(&format!("{root}/sys/class/net")).unwrap_or_default();
    let mut made = Vec::new();
    let mut text = String::from(NOTE);
    for name in cards.into_iter().filter(|name| is_interface(name)) {
        if !present.contains(&name) {
            let template = read(&format!("{folder}/{TEMPLATE}"))?;
            add(&mut text, &template.replace(NAME, &name))?;
            made.push((name.clone(), template.replace(NAME, &name)));
            continue;
        }
        add(&mut text, &read(&format!("{folder}/{name}"))?)?;
    }
    let is_other = |name: &&String| *name != TEMPLATE && !is_interface(name) && !name.starts_with('.');
    for name in present.iter().filter(is_other) {
        add(&mut text, &read(&format!("{folder}/{name}"))?)?;
    }
    for (name, text) in made {
        file::write_atomically(&format!("{folder}/{name}"), text.as_bytes(), 0o644)?;
    }
    put(&format!("{root}{INTERFACES}"), &text)
}

/// Makes `text` what is at `path`, and keeps what was there beside it.
fn put(path: &str, text: &str) -> Result<bool> {
    if tree::is_there(path) {
        let old = file::read(path, TEXT_LIMIT)?;
        if old == text.as_bytes() {
            return Ok(false);
        }
        file::write_atomically(&format!("{path}.bak"), &old, 0o644)?;
    }
    file::amend(path, TEXT_LIMIT, 0o644, &mut |_| text.into())
}

fn add(text: &mut String, piece: &str) -> Result<()> {
    text.push_str(piece);
    text.push_str(if piece.is_empty() || piece.ends_with('\n') { "\n" } else { "\n\n" });
    if text.len() > TEXT_LIMIT {
        let why = format!("together they are larger than {TEXT_LIMIT} bytes");
        return Err(Error::refused("put together the files in", why).to(FOLDER));
    }
    Ok(())
}

fn read(path: &str) -> Result<String> {
    String::from_utf8(file::read(path, TEXT_LIMIT)?).map_err(|_| Error::corrupt("read", "it is no UTF-8").to(path))
}

fn is_interface(name: &str) -> bool {
    name == LOOPBACK || name.starts_with(CARD)
}
