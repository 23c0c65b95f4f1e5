//! Lets one user become root without a password, by sudo (sudoers(5)) and doas (doas.conf(5)).
//!
//! The rule names the user and never a group: anyone else who is in a group of administrators has what the image gives
//! him. It is in a file of its own, `sudoers.d/90-wisp-USER`; of several rules that match, the last one counts, so the
//! file is named `zz-wisp-USER` where rules of the image would come behind it. sudo and doas want files that are root's
//! and that only root can write.

use super::{TABLE_LIMIT, read, table};
use crate::error::{Error, Kind, Result};
use crate::sys::dir::{Dir, Owner};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a file of rules.
const RULES_LIMIT: usize = 1 << 20;

/// Groups whose members administer, by the preference of Alpine and the BSDs, then Debian.
const ADMINS: [&str; 2] = ["wheel", "sudo"];

/// What the names of our files begin with: behind the numbers that packages use, and behind all words.
const PREFIXES: [&str; 2] = ["90-wisp-", "zz-wisp-"];

/// Words of doas.conf that are no name of a user unless they are quoted.
const DOAS_WORDS: [&str; 10] =
    ["permit", "deny", "as", "cmd", "args", "nopass", "nolog", "persist", "keepenv", "setenv"];

/// The group of those who administer the system below `root`: the one that it has, else `wheel`, which is to be made.
///
/// # Errors
/// `Os`.
pub fn admin_group(root: &str) -> Result<&'static str> {
    let group = read(root, "group", TABLE_LIMIT)?;
    Ok(ADMINS.into_iter().find(|name| table::find(&group, name).is_some()).unwrap_or("wheel"))
}

/// Lets `user` become root without a password, by sudo and doas, as far as they are there. Returns what is in the way of
/// that, and what gives others the same: none of it keeps an account from being made.
#[must_use]
pub fn permit(root: &str, user: &str) -> Vec<Error> {
    let mut warnings = Vec::new();
    let mut note = |outcome: Result<()>| warnings.extend(outcome.err());
    note(permit_sudo(root, user));
    note(permit_doas(root, user));
    ADMINS.into_iter().for_each(|group| note(find_group_rule(root, group)));
    warnings
}

fn permit_sudo(root: &str, user: &str) -> Result<()> {
    let Some(folder) = Dir::open(root, "/etc/sudoers.d")? else { return Ok(()) };
    // sudo passes over names with a dot and those that end with `~`; no user's name has a `+`.
    let is_read = |name: &str| !name.contains('.') && !name.ends_with('~');
    let name = file_name(&folder, &user.replace('.', "+"), "", is_read)?;
    write(&folder, &name, &format!("{} ALL=(ALL) NOPASSWD:ALL\n", sudo_name(user)), 0o440)?;
    match read(root, "sudoers", RULES_LIMIT)? {
        sudoers if sudoers.is_empty() => Ok(()),
        sudoers => check_sudoers(&String::from_utf8_lossy(&sudoers)),
    }
}

fn permit_doas(root: &str, user: &str) -> Result<()> {
    let quote = if DOAS_WORDS.contains(&user) { "\"" } else { "" };
    let rule = format!("permit nopass {quote}{user}{quote} as root\n");
    if let Some(folder) = Dir::open(root, "/etc/doas.d")? {
        let name = file_name(&folder, user, ".conf", |name| name.ends_with(".conf"))?;
        return write(&folder, &name, &rule, 0o400);
    }
    match Dir::open(root, "/etc")? {
        Some(etc) if etc.look("doas.conf")?.is_some() => append(&etc, "doas.conf", &rule, 0o400),
        _ => Ok(()),
    }
}

/// A user as sudoers names him: words with capitals are aliases there, `ALL` and `Defaults` among them.
fn sudo_name(user: &str) -> String {
    let quote = if user.bytes().any(|letter| letter.is_ascii_uppercase()) { "\"" } else { "" };
    [quote, user, quote].concat()
}

/// The name of our file in `folder`, so that its rule is behind all others that `is_read`.
fn file_name(folder: &Dir, user: &str, end: &str, is_read: impl Fn(&str) -> bool) -> Result<String> {
    let is_ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let names = folder.list()?;
    let last = names.iter().rfind(|name| is_read(name) && !is_ours(name) && has_rules(folder, name));
    let mut own = PREFIXES.iter().map(|prefix| [prefix, user, end].concat());
    let name = own.find(|name| last.is_none_or(|last| last < name));
    let why = "its rules are read after any that could be added";
    name.ok_or_else(|| {
        let last = last.map(String::as_str).unwrap_or_default();
        Error::refused("add a rule behind", why).to(folder.path(last))
    })
}

/// Whether there may be a rule in the file `name`. One that cannot be read, a link for one, may hold any.
fn has_rules(folder: &Dir, name: &str) -> bool {
    match folder.read(name, RULES_LIMIT) {
        Ok(Some((content, _))) => String::from_utf8_lossy(&content).lines().any(is_rule),
        Ok(None) => false,
        Err(error) => error.kind != Kind::Os(ENOTDIR) && error.kind != Kind::Os(EISDIR),
    }
}

const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;

/// Whether a line is neither a comment nor one of sudo's that only sets options or names.
fn is_rule(line: &str) -> bool {
    let line = line.trim();
    let is_setting = ["Defaults", "User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias"];
    !line.is_empty() && !line.starts_with('#') && !is_setting.iter().any(|word| line.starts_with(word))
}

/// Whether `sudoers` reads the files of its folder, and has no rules behind them.
fn check_sudoers(sudoers: &str) -> Result<()> {
    const DOING: &str = "let sudo know the rule by";
    let is_include = |line: &str| {
        let path = line.trim().strip_prefix(['#', '@']).and_then(|rest| rest.strip_prefix("includedir"));
        path.is_some_and(|path| path.trim().trim_matches('"').trim_end_matches('/').ends_with("sudoers.d"))
    };
    let mut lines = sudoers.lines();
    let failed = |why| Err(Error::refused(DOING, why).to("/etc/sudoers"));
    if !lines.any(is_include) {
        return failed("it does not include /etc/sudoers.d");
    }
    if lines.any(is_rule) { failed("rules behind its @includedir take precedence") } else { Ok(()) }
}

/// Whether an earlier version has given every member of `group` what one user was to get. It is not taken away: someone
/// may have nothing else.
fn find_group_rule(root: &str, group: &str) -> Result<()> {
    let files = [
        ("/etc/sudoers.d", String::from(group), format!("%{group} ALL=(ALL) NOPASSWD: ALL\n")),
        ("/etc/doas.d", format!("{group}.conf"), format!("permit nopass :{group}\n")),
    ];
    for (path, name, rule) in &files {
        let Some(folder) = Dir::open(root, path)? else { continue };
        if folder.read(name, RULES_LIMIT).is_ok_and(|found| found.is_some_and(|(text, _)| text == rule.as_bytes())) {
            let why = "it makes every member of the group root without a password, as earlier versions did; remove it \
                       unless that is wanted";
            return Err(Error::refused("keep to one user besides", why).to(folder.path(name)));
        }
    }
    Ok(())
}

/// Makes the file `name` this rule, unless it is.
fn write(folder: &Dir, name: &str, rule: &str, mode: u32) -> Result<()> {
    match folder.read(name, RULES_LIMIT)? {
        Some((content, _)) if content == rule.as_bytes() => Ok(()),
        _ => folder.write(name, rule.as_bytes(), mode, Owner::ROOT),
    }
}

/// Adds a line to the file `name`.
fn append(folder: &Dir, name: &str, line: &str, mode: u32) -> Result<()> {
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
