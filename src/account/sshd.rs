//! sshd_config(5): the files with the keys of a user, and the host keys.
//!
//! The first value of an option wins; the first value in a `Match` block that applies precedes it. Unreadable files are
//! skipped: sshd reports them itself.

use super::glob::is_match;
use super::table::{field, lines, number};
use super::{Account, DEFAULTS_LIMIT};
use crate::sys::dir::walk::Walk;
use crate::sys::file;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Directory of the configuration; relative paths start here.
pub(super) const FOLDER: &str = "/etc/ssh";

/// The vendor configuration of openSUSE, read if `/etc/ssh/sshd_config` does not exist.
const VENDOR: &str = "/usr/etc/ssh/sshd_config";

/// How many files are one within another; sshd's own limit.
const DEPTH_LIMIT: usize = 16;

/// Files that are read in all: with 16 levels, a pattern that fits its own file would take for ever.
const READ_LIMIT: usize = 256;

/// The first default of `AuthorizedKeysFile`. The second, `authorized_keys2`, is obsolete.
const USUAL: &str = ".ssh/authorized_keys";

/// The parsed configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Each `AuthorizedKeysFile`, in order.
    keys_files: Vec<KeysFile>,
    /// Each value of `HostKey`, in order; empty: those that sshd has built in.
    pub host_keys: Vec<String>,
    strict_modes: Option<bool>,
    /// Every other option outside of a `Match`, in order, with its words.
    others: Vec<(String, Vec<String>)>,
    files: usize,
}

/// One `AuthorizedKeysFile`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeysFile {
    /// The `Match` lines that must all apply.
    scope: Vec<String>,
    patterns: Vec<String>,
}

/// The files with the keys of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysFiles {
    /// The patterns, in order; empty if sshd reads no files.
    pub patterns: Vec<String>,
    /// A `Match` that depends on the connection and may choose other files.
    pub elsewhere: Option<String>,
}

/// Whether a `Match` applies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// It depends on the connection.
    Maybe,
    Yes,
}

impl Config {
    /// Reads `ROOT/etc/ssh/sshd_config` and what it includes.
    #[must_use]
    pub fn read(root: &str) -> Self {
        let mut config = Self::default();
        config.include(root, "sshd_config", DEPTH_LIMIT, &[]);
        if config.files == 0 {
            config.include(root, VENDOR, DEPTH_LIMIT, &[]);
        }
        config
    }

    /// The files that sshd reads for `account`, whose groups are in `group` (group(5)).
    #[must_use]
    pub fn keys_files(&self, account: &Account, group: &[u8]) -> KeysFiles {
        let usual = || Vec::from([String::from(USUAL)]);
        let mut elsewhere = None;
        let mut chosen = self.keys_files.iter().find(|file| file.scope.is_empty());
        for file in self.keys_files.iter().filter(|file| !file.scope.is_empty()) {
            let fit = file.scope.iter().map(|line| fits(line, account, group)).min();
            match fit.unwrap_or(Fit::No) {
                Fit::Yes => {
                    chosen = Some(file);
                    break;
                }
                Fit::Maybe if elsewhere.is_none() => elsewhere = Some(file),
                Fit::Maybe | Fit::No => {}
            }
        }
        let mut patterns = chosen.map_or_else(usual, |file| file.patterns.clone());
        patterns.retain(|pattern| !pattern.eq_ignore_ascii_case("none"));
        let is_other = |file: &&KeysFile| file.patterns != patterns;
        let elsewhere = elsewhere.filter(is_other).map(|file| file.scope.join(" "));
        KeysFiles { patterns, elsewhere }
    }

    /// All patterns, of all users.
    pub fn all_patterns(&self) -> impl Iterator<Item = &str> {
        let said = self.keys_files.iter().flat_map(|file| &file.patterns).map(|pattern| &**pattern);
        said.chain(core::iter::once(USUAL))
    }

    /// Whether sshd checks owner and mode of the files and their directories.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict_modes.unwrap_or(true)
    }

    /// Every word of the options of this name that stand outside of a `Match`: those of lists add up.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.others.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        named.flat_map(|(_, words)| words.iter().map(String::as_str))
    }

    /// The value of an option that has one: the first counts.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?.1.first().map(String::as_str)
    }

    /// Whether an option that is yes or no is on; without it, `usual`.
    pub(super) fn is_on(&self, name: &str, usual: bool) -> bool {
        self.first(name).map_or(usual, |value| value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("true"))
    }

    /// Reads the files that match `pattern`, in the order of their names.
    fn include(&mut self, root: &str, pattern: &str, depth: usize, scope: &[String]) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let start = if pattern.starts_with('/') { ["", ""] } else { [FOLDER, "/"] };
        let mut paths = Vec::from([String::new()]);
        for part in [&*start.concat(), pattern].concat().split('/').filter(|part| !part.is_empty()) {
            let has_wildcard = part.contains(['*', '?', '[']);
            let names = |above: &String| if has_wildcard { list(root, above, part) } else { Vec::from([part.into()]) };
            let below = |above: &String| names(above).into_iter().map(|name| [above, "/", &*name].concat()).collect();
            paths = paths.iter().flat_map::<Vec<String>, _>(below).take(READ_LIMIT).collect();
        }
        for path in paths {
            let Some(content) = content(root, &path) else { continue };
            if self.files >= READ_LIMIT {
                return;
            }
            self.files = self.files.saturating_add(1);
            self.parse(root, &String::from_utf8_lossy(&content), depth, scope);
        }
    }

    /// Parses one file, included inside the `Match` blocks `outer`.
    fn parse(&mut self, root: &str, text: &str, depth: usize, outer: &[String]) {
        let mut scope = outer.to_vec();
        for line in text.lines() {
            let (name, rest) = option(line);
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("Match") {
                scope.truncate(outer.len());
                scope.push(rest.into());
            } else if is("Include") {
                words(rest).iter().for_each(|pattern| self.include(root, pattern, depth, &scope));
            } else if is("HostKey") && scope.is_empty() {
                self.host_keys.extend(words(rest).into_iter().next());
            } else if is("StrictModes") && scope.is_empty() && self.strict_modes.is_none() {
                self.strict_modes =
                    words(rest).first().map(|word| !["no", "false"].iter().any(|no| word.eq_ignore_ascii_case(no)));
            } else if is("AuthorizedKeysFile") {
                self.keys_files.push(KeysFile { scope: scope.clone(), patterns: words(rest) });
            } else if scope.is_empty() && !name.is_empty() && !name.starts_with('#') {
                self.others.push((name.into(), words(rest)));
            }
        }
    }
}

/// The names in a directory that match a pattern (glob(7)): a wildcard does not match a leading dot.
fn list(root: &str, above: &str, pattern: &str) -> Vec<String> {
    let walk = Walk::to_folder(root, above).ok().filter(|walk| walk.rest.is_empty());
    let folder = walk.as_ref().and_then(Walk::last).map(|step| step.folder.path("."));
    let names = folder.and_then(|path| file::list(&path).ok()).unwrap_or_default();
    let is_hidden = |name: &str| name.starts_with('.') && !pattern.starts_with('.');
    names.into_iter().filter(|name| !is_hidden(name) && is_match(name, pattern)).collect()
}

/// The content of the file at `path`, if it can be read.
fn content(root: &str, path: &str) -> Option<Vec<u8>> {
    let walk = Walk::to_file(root, path).ok()?;
    let [name] = &*walk.rest else { return None };
    let (content, _) = walk.last()?.folder.read(name, DEFAULTS_LIMIT).ok()??;
    Some(content)
}

/// The name of the option in a line, and what is behind it.
fn option(line: &str) -> (&str, &str) {
    let is_end = |letter: char| letter.is_ascii_whitespace() || matches!(letter, '=' | '"');
    let line = line.trim();
    let (name, rest) = line.split_at(line.find(is_end).unwrap_or(line.len()));
    let rest = rest.trim_start();
    (name, rest.strip_prefix('=').unwrap_or(rest))
}

/// The words of a value up to a comment, as `argv_split` of OpenSSH reads them. Unbalanced quotes give no words: sshd does
/// not start with them.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = value.chars().peekable();
    while let Some(first) = rest.next_if(|letter| *letter != '#') {
        if first.is_ascii_whitespace() {
            continue;
        }
        let (mut word, mut quote, mut next) = (String::new(), None, Some(first));
        while let Some(letter) = next {
            match (letter, quote) {
                ('\\', _) => {
                    let is_escaped = |next: &char| matches!(next, '\'' | '"' | '\\') || quote.is_none() && *next == ' ';
                    word.push(rest.next_if(is_escaped).unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(letter),
                (_, Some(end)) if letter == end => quote = None,
                _ => word.push(letter),
            }
            next = rest.next();
        }
        if quote.is_some() {
            return Vec::new();
        }
        words.push(word);
    }
    words
}

/// Whether a `Match` applies to all connections of `account`.
fn fits(line: &str, account: &Account, group: &[u8]) -> Fit {
    let words = words(line);
    let mut words = words.iter().flat_map(|word| {
        // `User=ann` is one word with newer versions.
        let (name, value) = word.split_once('=').map_or((&**word, None), |(name, value)| (name, Some(value)));
        core::iter::once(name).chain(value)
    });
    let mut fit = Fit::Yes;
    while let Some(name) = words.next() {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("all") {
            continue;
        }
        if is("invalid-user") {
            return Fit::No;
        }
        let Some(value) = words.next() else { return Fit::No };
        let one = if is("User") {
            judge(is_listed(&account.name, value) == Some(true))
        } else if is("Group") {
            judge(is_member(account, group, value))
        } else {
            Fit::Maybe
        };
        fit = fit.min(one);
    }
    fit
}

const fn judge(is_match: bool) -> Fit {
    if is_match { Fit::Yes } else { Fit::No }
}

/// Whether `list` matches `name`: `Some(false)` by a pattern with `!`, `None` if no pattern matches.
fn is_listed(name: &str, list: &str) -> Option<bool> {
    let mut found = None;
    for pattern in list.split(',') {
        let (pattern, is_negated) = pattern.strip_prefix('!').map_or((pattern, false), |pattern| (pattern, true));
        if is_match(name, pattern) {
            if is_negated {
                return Some(false);
            }
            found = Some(true);
        }
    }
    found
}

/// Whether `list` matches a group of `account`, and excludes no group.
fn is_member(account: &Account, group: &[u8], list: &str) -> bool {
    let is_in = |line: &&[u8]| {
        let members = field(line, 3);
        number(line, 2) == Some(account.owner.gid)
            || members.split(|byte| *byte == b',').any(|member| member == account.name.as_bytes())
    };
    let mut is_found = false;
    for line in lines(group).filter(is_in) {
        match core::str::from_utf8(field(line, 0)).ok().and_then(|name| is_listed(name, list)) {
            Some(false) => return false,
            Some(true) => is_found = true,
            None => {}
        }
    }
    is_found
}

/// The absolute path of a pattern for `account`; `None` if it is not valid, or in the home of root (`~`) for all users.
pub(super) fn expand(pattern: &str, account: &Account) -> Option<String> {
    if pattern.starts_with('~') {
        return None;
    }
    let mut path = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            path.push(letter);
            continue;
        }
        match letters.next()? {
            '%' => path.push('%'),
            'h' => path.push_str(&account.home),
            'u' => path.push_str(&account.name),
            'U' => path.push_str(&format!("{}", account.owner.uid)),
            _ => return None,
        }
    }
    if path.is_empty() || path.ends_with('/') || path.split('/').any(|part| part == "..") {
        return None;
    }
    Some(if path.starts_with('/') { path } else { [&*account.home, "/", &*path].concat() })
}

/// Whether a pattern gives each account another path.
pub(super) fn names_account(pattern: &str) -> bool {
    // `%%` is no token, whatever is behind it.
    let tokens = pattern.replace("%%", "");
    !pattern.starts_with('/') || ["%h", "%u", "%U"].iter().any(|token| tokens.contains(token))
}

#[cfg(test)]
mod tests;
