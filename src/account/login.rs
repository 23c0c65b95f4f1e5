//! What keeps a user who has keys from logging in over SSH, besides the keys: sshd refuses an account that is locked or
//! expired, whose shell is not there, or that its configuration leaves out.
//!
//! Two of these are repaired: a lock without a password behind it, which protects nothing, and a shell that the
//! user-data named and that is not there. A password that is locked (`!HASH`, passwd -l) stays so: to unlock it would
//! let someone in by it. The rest is reported.

use super::glob::is_match;
use super::sshd::Config;
use super::table::{self, field, lines};
use super::{Account, TABLE_LIMIT, lock, read};
use crate::error::Result;
use crate::sys::clock;
use crate::sys::dir::{Dir, FileType};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Passwords that lock an account and hide no other: of useradd and adduser, of Red Hat's, and of passwd -l where there was
/// none.
const LOCKS: [&[u8]; 3] = [b"!", b"!!", b"!*"];

/// No password, and no lock (shadow(5)).
const NO_PASSWORD: &str = "*";

/// Every system has it.
const SHELL: &str = "/bin/sh";

/// Shells that only say that they are none.
const NO_SHELLS: [&str; 3] = ["nologin", "false", "true"];

/// Where fields are in passwd(5) and shadow(5).
const PASSWORD: usize = 1;
const SHELL_FIELD: usize = 6;
const CHANGED: usize = 2;
const MAXIMUM: usize = 4;
const EXPIRES: usize = 7;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Takes the lock from an account that has no password anyhow, so that sshd without PAM lets its keys in; whether there was
/// one.
///
/// # Errors
/// `Os`; `TimedOut` when another program keeps the files locked.
pub fn unlock(root: &str, name: &str) -> Result<bool> {
    for table in ["shadow", "passwd"] {
        if set_field(root, table, name, PASSWORD, NO_PASSWORD, |old| LOCKS.contains(&old))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives an account whose shell is `wanted`, which is not there, `/bin/sh`; whether that was so.
///
/// # Errors
/// As [`unlock`].
pub fn replace_missing_shell(root: &str, name: &str, wanted: &str) -> Result<bool> {
    if is_program(root, wanted)? || !is_program(root, SHELL)? {
        return Ok(false);
    }
    set_field(root, "passwd", name, SHELL_FIELD, SHELL, |old| old == wanted.as_bytes())
}

/// Sets a field of the line of `name`, if it is one that `is_meant`; whether it was.
fn set_field(
    root: &str,
    name: &str,
    entry: &str,
    place: usize,
    value: &str,
    is_meant: impl Fn(&[u8]) -> bool,
) -> Result<bool> {
    let is_so = |text: &[u8]| table::find(text, entry).is_some_and(|line| is_meant(field(line, place)));
    if !is_so(&read(root, name, TABLE_LIMIT)?) {
        return Ok(false);
    }
    let Some(etc) = Dir::open(root, "/etc")? else { return Ok(false) };
    let _guard = lock::take(&etc)?;
    let Some((mut text, facts)) = etc.read(name, TABLE_LIMIT)?.filter(|(text, _)| is_so(text)) else {
        return Ok(false);
    };
    table::set(&mut text, entry, place, value);
    etc.write(name, &text, facts.mode, facts.owner)?;
    Ok(true)
}

/// Whether sshd takes what is at `path` for a shell.
fn is_program(root: &str, path: &str) -> Result<bool> {
    Ok(Dir::find(root, path)?.is_some_and(|found| found.file_type == FileType::File && found.mode & 0o111 != 0))
}

/// Why sshd will not let `account` in although it has keys, each reason as what is said behind its name; none if it will, as
/// far as is known. `now` is in seconds since 1970.
///
/// # Errors
/// `Os`.
pub fn obstacles(root: &str, account: &Account, now: Duration) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    let config = Config::read(root);
    let shadow = read(root, "shadow", TABLE_LIMIT)?;
    let passwd = read(root, "passwd", TABLE_LIMIT)?;
    let line = |text| table::find(text, &account.name).unwrap_or_default();
    let (secret, known) = (line(&shadow), line(&passwd));
    let is_locked = [secret, known].iter().any(|line| field(line, PASSWORD).starts_with(b"!"));
    if is_locked && !config.is_on("UsePAM", false) {
        reasons.push("is locked (passwd -l), and sshd without PAM refuses locked accounts".into());
    }
    let day = (now >= clock::EARLIEST).then(|| now.as_secs().checked_div(DAY)).flatten();
    reasons.extend(expiry(secret, day, config.is_on("UsePAM", false)).map(String::from));
    let shell = core::str::from_utf8(field(known, SHELL_FIELD)).unwrap_or_default().trim_end();
    let shell = if shell.is_empty() { SHELL } else { shell };
    if !is_program(root, shell)? {
        reasons.push(format!("has the shell {shell}, which is not there or not executable"));
    } else if NO_SHELLS.contains(&shell.rsplit('/').next().unwrap_or_default()) {
        reasons.push(format!("has the shell {shell}, which ends each session at once"));
    }
    let is_root = account.owner.uid == 0;
    if !is_root && Dir::find(root, "/etc/nologin")?.is_some() {
        reasons.push("is kept out by /etc/nologin, as all users but root are".into());
    }
    if is_root && matches!(config.first("PermitRootLogin"), Some("no" | "forced-commands-only")) {
        reasons.push("is kept out by PermitRootLogin in sshd_config".into());
    }
    if !config.is_on("PubkeyAuthentication", true) {
        reasons.push("is kept out by PubkeyAuthentication in sshd_config".into());
    }
    let group = read(root, "group", TABLE_LIMIT)?;
    reasons.extend(
        list_against(&config, &account.name, &groups(&group, account))
            .map(|option| format!("is kept out by {option} in sshd_config")),
    );
    Ok(reasons)
}

/// What the days in a line of shadow say. Without PAM sshd looks only at the last day of the account.
fn expiry(line: &[u8], day: Option<u64>, has_pam: bool) -> Option<&'static str> {
    let days = |place| core::str::from_utf8(field(line, place)).ok().and_then(|days| days.parse::<u64>().ok());
    let is_past = |last: u64| day.is_some_and(|day| day > last);
    if days(EXPIRES).is_some_and(is_past) {
        return Some("has expired (chage -E)");
    }
    let changed = days(CHANGED).filter(|_| has_pam)?;
    if changed == 0 {
        return Some("must change its password before anything else, and has none");
    }
    let last = days(MAXIMUM).and_then(|maximum| changed.checked_add(maximum))?;
    is_past(last).then_some("must change its password, which is too old, before anything else")
}

/// The names of the groups that `account` is in.
fn groups<'a>(group: &'a [u8], account: &Account) -> Vec<&'a str> {
    let is_in = |line: &&[u8]| {
        table::number(line, 2) == Some(account.owner.gid)
            || field(line, 3).split(|byte| *byte == b',').any(|member| member.trim_ascii() == account.name.as_bytes())
    };
    lines(group).filter(is_in).filter_map(|line| core::str::from_utf8(field(line, 0)).ok()).collect()
}

/// The list that keeps out a user with these groups, wherever he comes from.
fn list_against(config: &Config, user: &str, groups: &[&str]) -> Option<&'static str> {
    // `USER@HOST` may keep someone out, and may let someone in.
    let is_user = |pattern: &str, whole: bool| match pattern.split_once('@') {
        Some((user_pattern, _)) => !whole && is_match(user, user_pattern),
        None => is_match(user, pattern),
    };
    let is_group = |pattern: &str| groups.iter().any(|group| is_match(group, pattern));
    let is_missing = |name: &'static str, mut fits: &mut dyn FnMut(&str) -> bool| {
        config.all(name).next().is_some() && !config.all(name).any(&mut fits)
    };
    if config.all("DenyUsers").any(|pattern| is_user(pattern, true)) {
        return Some("DenyUsers");
    }
    if is_missing("AllowUsers", &mut |pattern| is_user(pattern, false)) {
        return Some("AllowUsers");
    }
    if config.all("DenyGroups").any(is_group) {
        return Some("DenyGroups");
    }
    is_missing("AllowGroups", &mut |pattern| is_group(pattern)).then_some("AllowGroups")
}

#[cfg(test)]
mod tests;
