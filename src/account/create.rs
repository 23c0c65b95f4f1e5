//! Makes an account, as `useradd` does.
//!
//! The new contents of all files are made first, then written: group, gshadow, shadow, the home, and passwd last.
//! Anyone who is not in passwd does not exist, so a power cut at any point leaves a login that works or none, and what
//! it left is taken up by the next run: the group of its name, and with it the number.

use super::table::{add_member, find, has_number, lines, number, put};
use super::{Account, DEFAULTS_LIMIT, TABLE_LIMIT, check_name, home, lock, parse, read};
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::dir::{Dir, FileStatus, FileType, Owner};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const DOING: &str = "create the account";

/// How many numbers are looked through for a free one: all those that 16 bits have.
const NUMBERS_LIMIT: usize = 1 << 16;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// An account that shall be there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Who it is, in words.
    pub gecos: &'a str,
    /// What it is greeted by; empty: `/bin/sh`.
    pub shell: &'a str,
    /// Its home; empty: `/home/NAME`.
    pub home: &'a str,
    /// Its own group; empty: one of its name.
    pub group: &'a str,
    /// Other groups that it shall be in; made if they are not there.
    pub groups: &'a [&'a str],
    /// Whether its number is one of those for services.
    pub is_system: bool,
    /// Whether no home is made.
    pub is_homeless: bool,
}

/// The files that know accounts, in the order in which they are written.
const TABLES: [&str; 4] = [GROUP, "gshadow", "shadow", PASSWD];
const GROUP: &str = "group";
const PASSWD: &str = "passwd";

/// One of them.
struct Table {
    name: &'static str,
    text: Vec<u8>,
    facts: FileStatus,
    is_changed: bool,
}

/// Those that are there.
struct Tables(Vec<Table>);

impl Tables {
    fn read(etc: &Dir) -> Result<Self> {
        let mut tables = Vec::new();
        for name in TABLES {
            if let Some((text, facts)) = etc.read(name, TABLE_LIMIT)? {
                tables.push(Table { name, text, facts, is_changed: false });
            }
        }
        if !tables.iter().any(|table| table.name == GROUP) {
            // Every account is in one: a root without that file gets it.
            let facts =
                FileStatus { file_type: FileType::File, mode: 0o644, owner: Owner::ROOT, changed: 0, number: 0 };
            tables.insert(0, Table { name: GROUP, text: Vec::new(), facts, is_changed: false });
        }
        Ok(Self(tables))
    }

    /// What is in the file `name`; nothing if it is not there.
    fn text(&self, name: &str) -> &[u8] {
        self.0.iter().find(|table| table.name == name).map_or(&[], |table| &table.text)
    }

    /// Sets the line of `entry` in the file `name`; whether there is such a file.
    fn put(&mut self, name: &str, entry: &str, rest: &[&str]) -> bool {
        let Some(table) = self.0.iter_mut().find(|table| table.name == name) else { return false };
        put(&mut table.text, entry, &[entry, ":", &rest.concat()].concat());
        table.is_changed = true;
        true
    }
}

/// Makes an account that no one can log in to with a password: without a key, no one can at all. One that is there
/// already is returned as it is.
///
/// # Errors
/// `Usage` for a name or a word that cannot stand in the files; `Absent` without `ROOT/etc/passwd`; `Refused` when no
/// number is free; `TimedOut` when another program keeps the files locked; `Os`.
pub fn create(root: &str, wanted: &Wanted<'_>) -> Result<Account> {
    check(wanted)?;
    let absent = || Error::absent(DOING, "there is no passwd").to(wanted.name);
    let etc = Dir::open(root, "/etc")?.ok_or_else(absent)?;
    let _guard = lock::take(&etc)?;
    let mut tables = Tables::read(&etc)?;
    if let Some(account) = parse(tables.text(PASSWD), wanted.name)? {
        return Ok(account);
    }
    let defaults = read(root, "login.defs", DEFAULTS_LIMIT)?;
    let account =
        add(&mut tables, wanted, &defaults, clock::wall().as_secs()).map_err(|error| error.to(wanted.name))?;
    if !tables.0.iter().any(|table| table.name == PASSWD) {
        return Err(absent());
    }
    for table in tables.0.iter().filter(|table| table.is_changed) {
        if table.name == PASSWD && !wanted.is_homeless {
            home::make(root, &account, home_mode(&defaults))?;
        }
        etc.write(table.name, &table.text, table.facts.mode, table.facts.owner)?;
    }
    Ok(account)
}

/// Refuses what cannot stand between colons.
fn check(wanted: &Wanted<'_>) -> Result<()> {
    let names = wanted.groups.iter().chain([&wanted.group].into_iter().filter(|name| !name.is_empty()));
    names.chain([&wanted.name]).try_for_each(|name| check_name(name))?;
    let is_sound = |word: &&str| !word.contains(|letter: char| letter == ':' || letter.is_control());
    let is_path = |path: &&str| path.is_empty() || path.starts_with('/') && path.split('/').all(|part| part != "..");
    let (words, paths) = ([wanted.gecos, wanted.shell, wanted.home], [wanted.shell, wanted.home]);
    if words.iter().all(is_sound) && paths.iter().all(is_path) {
        return Ok(());
    }
    Err(Error::usage(DOING, "a word of it cannot stand in passwd").to(wanted.name))
}

/// Adds the account to the files. Pure; `now` is in seconds since 1970.
fn add(tables: &mut Tables, wanted: &Wanted<'_>, defaults: &[u8], now: u64) -> Result<Account> {
    let own_group = if wanted.group.is_empty() { wanted.name } else { wanted.group };
    let gid = add_group(tables, own_group, wanted.is_system, defaults)?;
    for group in wanted.groups {
        add_group(tables, group, true, defaults)?;
        for table in tables.0.iter_mut().filter(|table| matches!(table.name, GROUP | "gshadow")) {
            table.is_changed |= add_member(&mut table.text, group, wanted.name);
        }
    }
    let range = Range::of(defaults, "UID", wanted.is_system);
    let is_own = range.has(gid) && !has_number(tables.text(PASSWD), 2, gid);
    let uid = if is_own { gid } else { range.free(&[tables.text(PASSWD)])? };
    // Day 0 would mean that the password must be changed now.
    let day = now.checked_div(DAY).filter(|_| now >= clock::EARLIEST.as_secs());
    let day = day.map_or_else(String::new, |day| format!("{day}"));
    // sshd takes an account with `!` for locked, even for keys, where it has no PAM; no password is `*` when hashed.
    let has_shadow = tables.put("shadow", wanted.name, &["*:", &day, ":0:99999:7:::"]);
    let password = if has_shadow { "x" } else { "*" };
    let home = if wanted.home.is_empty() { ["/home/", wanted.name].concat() } else { wanted.home.into() };
    let shell = if wanted.shell.is_empty() { "/bin/sh" } else { wanted.shell };
    let numbers = format!(":{uid}:{gid}:");
    tables.put(PASSWD, wanted.name, &[password, &numbers, wanted.gecos, ":", &home, ":", shell]);
    Ok(Account { name: wanted.name.into(), owner: Owner { uid, gid }, home })
}

/// The number of the group called `name`, which is made if it is not there.
fn add_group(tables: &mut Tables, name: &str, is_system: bool, defaults: &[u8]) -> Result<u32> {
    let gid = match find(tables.text(GROUP), name) {
        Some(line) => {
            number(line, 2).ok_or_else(|| Error::corrupt("understand the group", "its line is broken").to(name))?
        }
        None => {
            // One that is free for a user too, who then has the same.
            let used = [tables.text(GROUP), tables.text(PASSWD)];
            let gid = Range::of(defaults, "GID", is_system).free(&used)?;
            tables.put(GROUP, name, &["x:", &format!("{gid}"), ":"]);
            gid
        }
    };
    if find(tables.text("gshadow"), name).is_none() {
        tables.put("gshadow", name, &["!::"]);
    }
    Ok(gid)
}

/// Numbers that may be given.
struct Range {
    first: u32,
    last: u32,
}

impl Range {
    /// What login.defs says, else what shadow has built in; `kind` is `UID` or `GID`.
    fn of(defaults: &[u8], kind: &str, is_system: bool) -> Self {
        let (prefix, first, last) = if is_system { ("SYS_", 101, 999) } else { ("", 1000, 60_000) };
        let said = |end: &str| setting(defaults, &[prefix, kind, end].concat()).and_then(|value| value.parse().ok());
        Self { first: said("_MIN").unwrap_or(first), last: said("_MAX").unwrap_or(last) }
    }

    fn has(&self, number: u32) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// The first number that no line of these tables has; in passwd and in group it stands at the same place.
    fn free(&self, used: &[&[u8]]) -> Result<u32> {
        let mut taken = vec![false; NUMBERS_LIMIT];
        for number in used.iter().flat_map(|table| lines(table)).filter_map(|line| number(line, 2)) {
            let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            if let Some(mark) = at.and_then(|at| taken.get_mut(at)) {
                *mark = true;
            }
        }
        let free = taken.iter().position(|taken| !taken).and_then(|at| self.first.checked_add(u32::try_from(at).ok()?));
        free.filter(|number| *number <= self.last).ok_or_else(|| Error::refused(DOING, "no number is free"))
    }
}

/// What login.defs says of `name` (login.defs(5)).
fn setting<'a>(defaults: &'a [u8], name: &str) -> Option<&'a str> {
    lines(defaults).filter_map(|line| core::str::from_utf8(line).ok()).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|word| *word == name).and_then(|_| words.next())
    })
}

/// The permission bits of a new home, as `useradd` chooses them.
pub(super) fn home_mode(defaults: &[u8]) -> u32 {
    let octal = |name| setting(defaults, name).and_then(|value| u32::from_str_radix(value, 8).ok());
    let mode = octal("HOME_MODE").or_else(|| octal("UMASK").map(|mask| 0o777 & !mask));
    mode.map_or(0o755, |mode| mode & 0o777)
}

#[cfg(test)]
mod tests;
