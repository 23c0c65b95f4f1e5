//! The name of the machine: in the kernel, in `/etc/hosts` and in `/etc/hostname`. Three steps, none of which depends on
//! another.
//!
//! The two files are changed as bytes and as they are found ([`crate::sys::amend`]).

use super::context::Context;
use crate::error::{Kind, Result};
use crate::provider::Reader;
use crate::service::Init;
use crate::sys::amend::amend;
use crate::sys::{tree, uname};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A name and a label of it (RFC 1123, 2.1), and the kernel's own limit for a host name (`__NEW_UTS_LEN`).
const NAME_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;

/// `HOST_NAME_MAX`, at which systemd cuts a name.
const SYSTEMD_LIMIT: usize = 64;

/// A table of some thousand hosts is the largest that anybody keeps in a file.
const HOSTS_LIMIT: usize = 1 << 20;

/// Where Debian and Tiny Cloud put the name of a machine that has no address of its own.
const OWN_ADDRESS: &str = "127.0.1.1";

const HOSTNAME: &str = "/etc/hostname";
const HOSTS: &str = "/etc/hosts";

/// `EPERM`: a container without CAP_SYS_ADMIN, a file that is immutable. The next boot would not change it.
const NOT_PERMITTED: Kind = Kind::Os(1);

pub(super) fn set_hostname(context: &mut Context<'_>) -> Result<()> {
    let given = context.ask(Reader::hostname)?.unwrap_or_default();
    let given = given.trim_ascii();
    if given.is_empty() {
        context.say("the cloud gives no name");
        return Ok(());
    }
    let root = context.root();
    let usable = core::str::from_utf8(given).ok().map(|name| name.trim_end_matches('.')).filter(|name| is_name(name));
    let name = usable.map(name_of_address).map(|name| match Init::find(root) {
        Ok(Init::Systemd) => systemd_name(&name),
        _ => without_hyphens(&name),
    });
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        // It stays what it is whatever is tried, and must not keep the machine from being set up.
        let shown: String = String::from_utf8_lossy(given).chars().take(LABEL_LIMIT).collect();
        context.warn(&format!("the name that the cloud gives is not a host name, and is left out: {shown}"));
        return Ok(());
    };
    if usable.is_some_and(|given| given != name) {
        context.say(&format!("the cloud gives the name {}, which becomes {name}", usable.unwrap_or_default()));
    }
    let host = name.split_once('.').map_or(&*name, |(host, _)| host);
    let before = names_before(context);
    let named = if context.is_live() { uname::set_host_name(host) } else { Ok(()) };
    let made = tree::make_directories(&format!("{root}/etc"), 0o755);
    let listed = amend(root, HOSTS, HOSTS_LIMIT, 0o644, &mut |old| hosts(old, &name, host, &before));
    let written = amend(root, HOSTNAME, HOSTS_LIMIT, 0o644, &mut |_| format!("{host}\n").into_bytes());
    let mut outcome = made;
    for step in [named, listed.map(drop), written.map(drop)] {
        outcome = outcome.and(settle(context, step));
    }
    if outcome.is_ok() {
        context.say(&format!("this machine is {name}"));
    }
    outcome
}

/// What is left of a failure of one step: each is reported, and what no later boot can do better is no error.
fn settle(context: &mut Context<'_>, step: Result<()>) -> Result<()> {
    match step {
        Err(error) if error.kind == NOT_PERMITTED => {
            context.degrade(&format!("{error}"));
            Ok(())
        }
        Err(error) => {
            context.warn(&format!("{error}"));
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

/// The names that this machine had before: in its file and in the kernel.
fn names_before(context: &Context<'_>) -> Vec<String> {
    let mut names = Vec::new();
    // Nothing is changed here; what cannot be read is reported when it is written.
    let _ = amend(context.root(), HOSTNAME, HOSTS_LIMIT, 0o644, &mut |old| {
        names.extend(core::str::from_utf8(old.trim_ascii()).ok().map(String::from));
        old.into()
    });
    if context.is_live() {
        names.push(uname::host_name());
    }
    names.retain(|name| is_name(name) && !name.eq_ignore_ascii_case("localhost"));
    names
}

/// Whether it can stand in a file of names and be looked up.
fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        (1..=LABEL_LIMIT).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(is_inner)
    };
    name.len() <= NAME_LIMIT && name.split('.').all(is_label)
}

/// An IPv4 address, which some clouds give for a name, has no first label that means anything.
fn name_of_address(name: &str) -> String {
    match name.parse::<core::net::Ipv4Addr>() {
        Ok(_) => format!("ip-{}", name.replace('.', "-")),
        Err(_) => name.into(),
    }
}

/// The name without the hyphens at the end of its labels, where RFC 952 has none; empty if nothing is left of a label.
fn without_hyphens(name: &str) -> String {
    let labels: Vec<&str> = name.split('.').map(|label| label.trim_end_matches('-')).collect();
    if labels.contains(&"") { String::new() } else { labels.join(".") }
}

/// What systemd makes of a name when it reads `/etc/hostname` (`hostname_cleanup` of `src/basic/hostname-util.c`): letters,
/// digits and hyphens stay, a hyphen not at the start and a dot only behind a letter or digit. Each boot after the first has
/// this name, so the first one has it too.
fn systemd_name(name: &str) -> String {
    let mut clean = String::new();
    for letter in name.chars() {
        let last = clean.chars().last();
        let fits = match letter {
            '.' => !matches!(last, None | Some('.' | '-')),
            '-' => !matches!(last, None | Some('.')),
            other => other.is_ascii_alphanumeric(),
        };
        if fits && clean.len() < SYSTEMD_LIMIT {
            clean.push(letter);
        }
    }
    clean.truncate(clean.trim_end_matches(['-', '.']).len());
    clean
}

/// The table with this machine's own names, `name` and `host`, at 127.0.1.1: in the line that has them or the names in
/// `before`, else behind that of `localhost`, else last. Other names of that address stay.
fn hosts(old: &[u8], name: &str, host: &str, before: &[String]) -> Vec<u8> {
    let own = if name == host { String::from(host) } else { format!("{name} {host}") };
    let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let is_of = |line: &[u8], address: &str| words(line).next() == Some(address.as_bytes());
    let is_own =
        |line: &[u8]| is_of(line, OWN_ADDRESS) && words(line).any(|word| is_known(word, line, (name, host), before));
    let anchor = lines.iter().position(|line| is_own(line));
    let below = || lines.iter().position(|line| is_of(line, "127.0.0.1"));
    let place = anchor.or_else(below);
    let mut text = Vec::with_capacity(old.len().saturating_add(own.len()));
    for (index, line) in lines.iter().enumerate() {
        let others: Vec<&[u8]> =
            words(line).skip(1).filter(|word| !is_known(word, line, (name, host), before)).collect();
        let new = match (is_own(line), anchor == Some(index)) {
            (false, _) => (*line).into(),
            (true, true) => entry(&own, &others, line),
            (true, false) if others.is_empty() => Vec::new(),
            (true, false) => entry("", &others, line),
        };
        text.extend_from_slice(&new);
        if !new.is_empty() && !new.ends_with(b"\n") {
            text.push(b'\n');
        }
        if anchor.is_none() && place == Some(index) {
            text.extend_from_slice(&entry(&own, &[], b""));
        }
    }
    if place.is_none() {
        text.extend_from_slice(&entry(&own, &[], b""));
    }
    text
}

/// A line of the table for 127.0.1.1 with the names in `own` and `others`, and the comment of `line`.
fn entry(own: &str, others: &[&[u8]], line: &[u8]) -> Vec<u8> {
    let names = Some(own.as_bytes()).filter(|own| !own.is_empty()).into_iter().chain(others.iter().copied());
    let mut text = format!("{OWN_ADDRESS}\t").into_bytes();
    text.extend_from_slice(&names.collect::<Vec<_>>().join(&b' '));
    if let Some(at) = line.iter().position(|byte| *byte == b'#') {
        text.push(b' ');
        text.extend_from_slice(line.get(at..).unwrap_or_default().trim_ascii_end());
    }
    text.push(b'\n');
    text
}

/// The words of a line of the table, in front of its comment.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = line.iter().position(|byte| *byte == b'#').unwrap_or(line.len());
    let line = line.get(..end).unwrap_or_default();
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Whether `word` of `line` names this machine: now, or before. A longer name that begins with an old one does so where that
/// one is beside it, as in `127.0.1.1 old.example.org old`.
fn is_known(word: &[u8], line: &[u8], (name, host): (&str, &str), before: &[String]) -> bool {
    let is = |word: &[u8], known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    let is_long = |old: &str| {
        let start = word.get(..old.len()).is_some_and(|start| is(start, old));
        start && word.get(old.len()) == Some(&b'.') && words(line).any(|other| is(other, old))
    };
    is(word, name) || is(word, host) || before.iter().any(|old| is(word, old) || is_long(old))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_line_is_replaced_and_other_names_stay() {
        let set = |old: &[u8]| hosts(old, "w.d", "w", &["old".into()]);
        for (old, wanted) in [
            (&b""[..], &b"127.0.1.1\tw.d w\n"[..]),
            (b"127.0.0.1 localhost\n::1 localhost\n", b"127.0.0.1 localhost\n127.0.1.1\tw.d w\n::1 localhost\n"),
            (b"127.0.0.1 localhost", b"127.0.0.1 localhost\n127.0.1.1\tw.d w\n"),
            (b"127.0.1.1 old\n# note\n10.0.0.1 a", b"127.0.1.1\tw.d w\n# note\n10.0.0.1 a\n"),
            (b"127.0.1.1 old.example.org OLD\n", b"127.0.1.1\tw.d w\n"),
            (b"127.0.1.10 near\n", b"127.0.1.10 near\n127.0.1.1\tw.d w\n"),
            (
                b"127.0.0.1 localhost\n127.0.1.1 old myapp.local myapp # mine\n127.0.1.1 mail.local\n",
                b"127.0.0.1 localhost\n127.0.1.1\tw.d w myapp.local myapp # mine\n127.0.1.1 mail.local\n",
            ),
            (
                b"127.0.1.1 mail\n127.0.0.1 localhost\n127.0.1.1 old.local\n",
                b"127.0.1.1 mail\n127.0.0.1 localhost\n127.0.1.1\tw.d w\n127.0.1.1 old.local\n",
            ),
            (b"127.0.1.1 old a\n127.0.1.1 old\n127.0.1.1 b w\n", b"127.0.1.1\tw.d w a\n127.0.1.1\tb\n"),
            (b"# M\xfcller\n127.0.1.1\told\n\xff\n", b"# M\xfcller\n127.0.1.1\tw.d w\n\xff\n"),
            (b"10.0.0.5 old\n#127.0.1.1 old\n", b"10.0.0.5 old\n#127.0.1.1 old\n127.0.1.1\tw.d w\n"),
        ] {
            let new = set(old);
            let shown = String::from_utf8_lossy(&new).into_owned();
            assert_eq!(new, wanted, "{:?} became {shown:?}", String::from_utf8_lossy(old));
            assert_eq!(set(&new), wanted, "a second time changes nothing: {shown:?}");
        }
        assert_eq!(hosts(b"", "web", "web", &[]), b"127.0.1.1\tweb\n");
        assert_eq!(hosts(b"127.0.1.1\tw.d w\n", "v", "v", &["w".into()]), b"127.0.1.1\tv\n");
    }

    #[test]
    fn names_are_those_that_can_be_looked_up() {
        for name in ["web", "web-1.example.org", "a_b", "1.2.3.4", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".a", "a..b", "-a", "a b", "a\nb", "ä", "$(x)", &"a".repeat(64), &"a.".repeat(130)] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(name_of_address("10.0.0.7"), "ip-10-0-0-7");
        assert_eq!(name_of_address("10.0.0.x"), "10.0.0.x");
    }

    #[test]
    fn a_name_is_the_one_that_every_later_boot_has() {
        // The right column is what read_etc_hostname() of systemd 252 returned.
        for (name, wanted) in [
            ("web", "web"),
            ("web_1", "web1"),
            ("web-", "web"),
            ("my_web.server-1", "myweb.server-1"),
            ("WEB_01", "WEB01"),
            ("a-.b", "a-b"),
            ("a.-b", "a.b"),
            ("_", ""),
            ("a.", "a"),
        ] {
            assert_eq!(systemd_name(name), wanted, "{name}");
            assert_eq!(systemd_name(wanted), wanted, "a second time changes nothing");
        }
        assert_eq!(systemd_name(&"a".repeat(80)).len(), SYSTEMD_LIMIT);
        for (name, wanted) in
            [("web-", "web"), ("web--.a-", "web.a"), ("web_1", "web_1"), ("a.b-c", "a.b-c"), ("a.-", "")]
        {
            assert_eq!(without_hyphens(name), wanted, "{name}");
        }
    }
}
