//! What sshd is told (sshd_config(5)): where it looks for the keys of a user, and what it shows as its own.
//!
//! Of each option the first value counts; what stands under `Match` is for some users only and is passed over, as is
//! what cannot be read: sshd says that itself. Of patterns those with one `*` in the last name are understood.

use super::{Account, DEFAULTS_LIMIT};
use crate::error::{Error, Result};
use crate::sys::file;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Where sshd is told everything, and what relative paths start from.
pub(super) const FOLDER: &str = "/etc/ssh";

/// How many files are one within another; sshd's own limit.
const DEPTH_LIMIT: usize = 16;

/// Files that are read in all: with 16 levels, a pattern that fits its own file would take for ever.
const READ_LIMIT: usize = 256;

/// What sshd is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The value of `AuthorizedKeysFile`, its first word.
    keys_file: Option<String>,
    /// Each value of `HostKey`, in order; empty: those that sshd has built in.
    pub host_keys: Vec<String>,
    files: usize,
}

impl Config {
    /// Reads `ROOT/etc/ssh/sshd_config` and what it includes.
    #[must_use]
    pub fn read(root: &str) -> Self {
        let mut config = Self::default();
        config.include(root, "sshd_config", DEPTH_LIMIT);
        config
    }

    /// Where the keys of `account` are; below its home unless it begins with `/`.
    ///
    /// # Errors
    /// `Refused` when sshd takes no keys from files, or the path leads upwards.
    pub fn keys_path(&self, account: &Account) -> Result<String> {
        const DOING: &str = "find the file for the keys of";
        let pattern = self.keys_file.as_deref().unwrap_or(".ssh/authorized_keys");
        if pattern.eq_ignore_ascii_case("none") {
            return Err(Error::refused(DOING, "sshd is told to have none").to(&*account.name));
        }
        let path = expand(pattern, account);
        let below = path.strip_prefix(account.home.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        let path = below.unwrap_or(&path);
        if path.split('/').any(|part| part == "..") || path.is_empty() || path.ends_with('/') {
            return Err(Error::refused(DOING, "sshd is told a path that is none").to(&*account.name));
        }
        Ok(path.into())
    }

    /// Reads the files that `pattern` fits, in the order of their names.
    fn include(&mut self, root: &str, pattern: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let start = if pattern.starts_with('/') { [root, "", ""] } else { [root, FOLDER, "/"] };
        let whole = [start.concat().as_str(), pattern].concat();
        let Some((folder, pattern)) = whole.rsplit_once('/') else { return };
        for name in file::list(folder).unwrap_or_default().iter().filter(|name| fits(name, pattern)) {
            if self.files >= READ_LIMIT {
                return;
            }
            self.files = self.files.saturating_add(1);
            if let Ok(content) = file::read(&[folder, "/", name].concat(), DEFAULTS_LIMIT) {
                self.parse(root, &String::from_utf8_lossy(&content), depth);
            }
        }
    }

    fn parse(&mut self, root: &str, text: &str, depth: usize) {
        for line in text.lines() {
            let (name, rest) = option(line);
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("Match") {
                return;
            } else if is("Include") {
                words(rest).for_each(|pattern| self.include(root, pattern, depth));
            } else if is("HostKey") {
                self.host_keys.extend(words(rest).next().map(String::from));
            } else if is("AuthorizedKeysFile") && self.keys_file.is_none() {
                self.keys_file = words(rest).next().map(String::from);
            }
        }
    }
}

/// The name of the option in a line, and what is behind it.
fn option(line: &str) -> (&str, &str) {
    let is_end = |letter: char| letter.is_ascii_whitespace() || letter == '=';
    let line = line.trim();
    let (name, rest) = line.split_at(line.find(is_end).unwrap_or(line.len()));
    (name, rest.trim_start_matches(is_end))
}

/// The words of a value, without the quotes around one, up to a comment.
fn words(mut rest: &str) -> impl Iterator<Item = &str> {
    core::iter::from_fn(move || {
        rest = rest.trim_start();
        let quoted = rest.strip_prefix('"').and_then(|inner| inner.split_once('"'));
        let (word, left) =
            quoted.unwrap_or_else(|| rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())));
        rest = left;
        (!word.is_empty() && !word.starts_with('#')).then_some(word)
    })
}

/// Whether `pattern` stands for `name`, with one `*` as a shell has it: it stands for no dot in front.
fn fits(name: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return name == pattern };
    let rest = name.strip_prefix(before).filter(|_| !before.is_empty() || !name.starts_with('.'));
    rest.is_some_and(|rest| rest.ends_with(after))
}

/// A path with what its tokens stand for.
fn expand(pattern: &str, account: &Account) -> String {
    let uid = format!("{}", account.owner.uid);
    let tokens = [("%%", "\0"), ("%h", &account.home), ("%u", &account.name), ("%U", &uid), ("\0", "%")];
    tokens.iter().fold(String::from(pattern), |path, (token, value)| path.replace(token, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::sys::folder::Owner;

    fn ann() -> Account {
        Account { name: "ann".into(), owner: Owner { uid: 1000, gid: 1000 }, home: "/home/ann".into() }
    }

    fn read(files: &[(&str, &str)]) -> Config {
        let root =
            std::env::temp_dir().join(format!("wisp-sshd-{}-{:?}", std::process::id(), std::thread::current().id()));
        let _ = std::fs::remove_dir_all(&root);
        for (name, text) in files {
            let path = root.join("etc/ssh").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let config = Config::read(root.to_str().unwrap());
        let _ = std::fs::remove_dir_all(&root);
        config
    }

    fn keys_path(value: &str) -> Result<String> {
        read(&[("sshd_config", &format!("AuthorizedKeysFile {value}\n"))]).keys_path(&ann())
    }

    #[test]
    fn keys_are_where_sshd_looks_first() {
        assert_eq!(read(&[]).keys_path(&ann()).unwrap(), ".ssh/authorized_keys");
        for (value, path) in [
            (".ssh/authorized_keys .ssh/authorized_keys2", ".ssh/authorized_keys"),
            ("%h/.ssh/mine", ".ssh/mine"),
            ("/home/%u/.keys", ".keys"),
            ("/etc/ssh/keys/%u", "/etc/ssh/keys/ann"),
            ("\"/etc/my keys/%U-%%\" x", "/etc/my keys/1000-%"),
            ("/home/annabel/keys", "/home/annabel/keys"),
            ("none/x", "none/x"),
        ] {
            assert_eq!(keys_path(value).unwrap(), path, "{value}");
        }
        for value in ["none", "NONE", "../%u", "/etc/../x", "%h/", "a/../../b"] {
            assert_eq!(keys_path(value).unwrap_err().kind, Kind::Refused, "{value}");
        }
    }

    #[test]
    fn the_first_value_counts_and_that_of_a_match_does_not() {
        let main = "# AuthorizedKeysFile no\n\nInclude /etc/ssh/sshd_config.d/*.conf\nauthorizedkeysfile=main\n\
                    HostKey /etc/ssh/ssh_host_rsa_key # old\nMatch User bob\nAuthorizedKeysFile bobs\nHostKey no\n";
        let config = read(&[("sshd_config", main)]);
        assert_eq!(
            (config.keys_file.as_deref(), &*config.host_keys.concat()),
            (Some("main"), "/etc/ssh/ssh_host_rsa_key")
        );
        let config = read(&[
            ("sshd_config", main),
            ("sshd_config.d/20-b.conf", "AuthorizedKeysFile second\nHostKey b\n"),
            ("sshd_config.d/10-a.conf", "Match all\nAuthorizedKeysFile never\n"),
            ("sshd_config.d/10-b.conf", "\tAuthorizedKeysFile\tfirst\r\nHostKey a\n"),
            ("sshd_config.d/.hidden.conf", "AuthorizedKeysFile hidden\n"),
            ("sshd_config.d/00-a.conf~", "AuthorizedKeysFile backup\n"),
        ]);
        assert_eq!(config.keys_file.as_deref(), Some("first"));
        assert_eq!(config.host_keys, ["a", "b", "/etc/ssh/ssh_host_rsa_key"]);
    }

    #[test]
    fn files_that_include_themselves_end() {
        let config = read(&[("sshd_config", "Include sshd_config\nInclude *\nHostKey a\n"), ("x", "Include *\n")]);
        assert!(config.files <= READ_LIMIT && config.host_keys.len() <= READ_LIMIT);
    }

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (name, pattern) in [("a.conf", "*.conf"), ("a.conf", "a*f"), ("abcabd", "*abd"), ("a", "a"), (".a", ".*")] {
            assert!(fits(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in [("a.conf~", "*.conf"), (".a", "*"), ("ab", "a"), ("a", "a*a"), ("abcab", "*abd")] {
            assert!(!fits(name, pattern), "{name} {pattern}");
        }
    }
}
