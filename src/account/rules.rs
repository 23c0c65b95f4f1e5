//! Who may become root without a password: a group, by a line for sudo (sudoers(5)) and one for doas (doas.conf(5)).
//!
//! A line is only ever added, at the end, where it wins over those before. sudo and doas want files that are root's and
//! that nobody else can write.

use super::{TABLE_LIMIT, read, table};
use crate::error::Result;
use crate::sys::folder::{Folder, Owner};

/// Bytes of a file of rules.
const RULES_LIMIT: usize = 1 << 20;

/// Groups whose members administer, by the preference of Alpine and the BSDs, then Debian.
const ADMINS: [&str; 2] = ["wheel", "sudo"];

/// The group of those who administer the system below `root`: the one that it has, else `wheel`, which is to be made.
///
/// # Errors
/// `Os`.
pub fn admin_group(root: &str) -> Result<&'static str> {
    let group = read(root, "group", TABLE_LIMIT)?;
    Ok(ADMINS.into_iter().find(|name| table::find(&group, name).is_some()).unwrap_or("wheel"))
}

/// Lets members of `group` become root without a password, by sudo and doas, as far as they are there.
///
/// # Errors
/// `Os`; `Refused` when a file of rules is no regular file.
pub fn permit(root: &str, group: &str) -> Result<()> {
    if let Some(folder) = Folder::open(root, "/etc/sudoers.d")? {
        add(&folder, group, &["%", group, " ALL=(ALL) NOPASSWD: ALL\n"].concat(), 0o440)?;
    }
    let rule = ["permit nopass :", group, "\n"].concat();
    if let Some(folder) = Folder::open(root, "/etc/doas.d")? {
        return add(&folder, &[group, ".conf"].concat(), &rule, 0o400);
    }
    match Folder::open(root, "/etc")? {
        Some(etc) if etc.look("doas.conf")?.is_some() => add(&etc, "doas.conf", &rule, 0o400),
        _ => Ok(()),
    }
}

/// Adds a line to the file `name`, which is made if it is not there.
fn add(folder: &Folder, name: &str, line: &str, mode: u32) -> Result<()> {
    let found = folder.read(name, RULES_LIMIT)?;
    let (content, mode, owner) = match &found {
        Some((content, facts)) => (&**content, facts.mode, facts.owner),
        None => (&[][..], mode, Owner::ROOT),
    };
    if table::lines(content).any(|old| old == line.trim_end().as_bytes()) {
        return Ok(());
    }
    let newline: &[u8] = if content.is_empty() || content.ends_with(b"\n") { b"" } else { b"\n" };
    folder.write(name, &[content, newline, line.as_bytes()].concat(), mode, owner)
}
