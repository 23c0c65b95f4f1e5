//! Whether any account has a key at the end of the last phase, which tries again what earlier ones could not do.

use super::context::Context;
use super::names;
use crate::settings::Phase;
use crate::sys::dir::{Dir, FileType};
use crate::sys::file;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The action whose absence from the list says that keys are another's business.
const KEYS_ACTION: &str = "set_ssh_keys";

/// A passwd of a hundred thousand accounts has 6 MiB.
const PASSWD_LIMIT: usize = 16 << 20;

/// Homes that are looked at: more than a new machine has accounts.
const HOMES_LIMIT: usize = 1000;

/// A configuration of sshd that says where keys are has a few lines.
const CONFIG_LIMIT: usize = 256 << 10;

/// A file of ten thousand keys.
const KEYS_LIMIT: usize = 4 << 20;

/// Where sshd looks for keys below a home, unless it is configured otherwise.
const FILES: [&str; 2] = ["authorized_keys", "authorized_keys2"];

/// Reports a machine on which no account has a key. Where sshd is configured to find keys elsewhere, nothing is said.
pub(super) fn check(context: &mut Context<'_>) {
    let is_meant = names(Phase::Main, context).iter().any(|name| name == KEYS_ACTION)
        && !context.settings().skip.iter().any(|name| name == KEYS_ACTION);
    if is_meant && !is_elsewhere(context.root()) && !has_keys(context.root()) {
        context.degrade("no SSH key was installed, so no user can log in with a key");
    }
}

/// Whether the configuration of sshd names another place for keys.
fn is_elsewhere(root: &str) -> bool {
    let folder = format!("{root}/etc/ssh/sshd_config.d");
    let names = file::list(&folder).unwrap_or_default();
    let mut paths: Vec<String> = names.iter().map(|name| format!("{folder}/{name}")).collect();
    paths.push(format!("{root}/etc/ssh/sshd_config"));
    let texts =
        paths.iter().filter(|path| file::is_regular(path)).filter_map(|path| file::read(path, CONFIG_LIMIT).ok());
    texts.into_iter().any(|text| String::from_utf8_lossy(&text).lines().any(names_another_place))
}

/// Whether a line of sshd_config(5) names another place for keys than [`FILES`] below a home.
fn names_another_place(line: &str) -> bool {
    let mut words = line.split([' ', '\t', '=', '"']).filter(|word| !word.is_empty());
    let keyword = words.next().unwrap_or_default().to_ascii_lowercase();
    let is_usual = |word: &str| {
        let below = word.strip_prefix("%h/").unwrap_or(word);
        below.strip_prefix(".ssh/").is_some_and(|name| FILES.contains(&name))
    };
    match &*keyword {
        "authorizedkeysfile" => !words.all(is_usual),
        "authorizedkeyscommand" | "trustedusercakeys" => words.next() != Some("none"),
        _ => false,
    }
}

/// Whether some account of `root` has a file of keys that is not empty.
fn has_keys(root: &str) -> bool {
    let passwd = file::read(&format!("{root}/etc/passwd"), PASSWD_LIMIT).unwrap_or_default();
    let mut homes: Vec<&str> = Vec::new();
    for line in passwd.split(|byte| *byte == b'\n') {
        let home = core::str::from_utf8(line).ok().and_then(|line| line.split(':').nth(5)).unwrap_or_default();
        if home.starts_with('/') && !homes.contains(&home) && homes.len() < HOMES_LIMIT {
            homes.push(home);
        }
    }
    homes.into_iter().any(|home| has_keys_below(root, home).unwrap_or(false))
}

/// Whether a file below `home` has a line that is not blank and no comment. No symbolic link is followed.
fn has_keys_below(root: &str, home: &str) -> Option<bool> {
    let folder = Dir::open(root, home).ok()??.enter(".ssh").ok()??;
    let has_key = |name: &&str| {
        let is_file = folder.look(name).ok().flatten().is_some_and(|facts| facts.file_type == FileType::File);
        let text = if is_file { folder.read(name, KEYS_LIMIT).ok().flatten() } else { None };
        let is_key = |line: &[u8]| !line.trim_ascii().is_empty() && !line.trim_ascii_start().starts_with(b"#");
        text.is_some_and(|(text, _)| text.split(|byte| *byte == b'\n').any(is_key))
    };
    Some(FILES.iter().any(has_key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_place_for_keys_is_seen() {
        for line in [
            "AuthorizedKeysFile /etc/ssh/keys/%u",
            "authorizedkeysfile .ssh/authorized_keys /etc/keys",
            "AuthorizedKeysCommand /usr/bin/keys",
            "\tTrustedUserCAKeys=\"/etc/ssh/ca\"",
        ] {
            assert!(names_another_place(line), "{line}");
        }
        for line in [
            "AuthorizedKeysFile\t.ssh/authorized_keys",
            "AuthorizedKeysFile %h/.ssh/authorized_keys .ssh/authorized_keys2",
            "#AuthorizedKeysFile /etc/x",
            "AuthorizedKeysCommand none",
            "Port 22",
            "",
        ] {
            assert!(!names_another_place(line), "{line}");
        }
    }
}
