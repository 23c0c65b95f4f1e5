//! The name of the machine: in the kernel, in `/etc/hostname` and in `/etc/hosts`.

use super::context::Context;
use crate::error::Result;
use crate::provider::Reader;
use crate::sys::{file, kernel, tree};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A name and a label of it (RFC 1123, 2.1), and the kernel's own limit for a host name (`__NEW_UTS_LEN`).
const NAME_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;

/// A table of some thousand hosts is the largest that anybody keeps in a file.
const HOSTS_LIMIT: usize = 1 << 20;

/// Where Debian and Tiny Cloud put the name of a machine that has no address of its own.
const OWN_ADDRESS: &str = "127.0.1.1";

pub(super) fn set_hostname(context: &mut Context<'_>) -> Result<()> {
    let told = context.ask(Reader::hostname)?.unwrap_or_default();
    let told = told.trim_ascii();
    if told.is_empty() {
        context.say("the cloud tells no name");
        return Ok(());
    }
    let Some(name) =
        core::str::from_utf8(told).ok().map(|name| name.trim_end_matches('.')).filter(|name| is_name(name))
    else {
        // It stays what it is whatever is tried, and must not keep the machine from being set up.
        let shown: String = String::from_utf8_lossy(told).chars().take(LABEL_LIMIT).collect();
        context.warn(&format!("the name that the cloud tells is none (RFC 1123), and is left out: {shown}"));
        return Ok(());
    };
    let name = name_of_address(name);
    let host = name.split_once('.').map_or(&*name, |(host, _)| host);
    let root = context.root();
    if context.is_live() {
        // Whatever becomes of the files.
        kernel::set_host_name(host)?;
    }
    tree::make_directories(&format!("{root}/etc"), 0o755)?;
    file::amend(&format!("{root}/etc/hostname"), HOSTS_LIMIT, 0o644, &mut |_| format!("{host}\n"))?;
    file::amend(&format!("{root}/etc/hosts"), HOSTS_LIMIT, 0o644, &mut |old| hosts(old, &name, host))?;
    context.say(&format!("this machine is {name}"));
    Ok(())
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

/// The table with the one line for this machine's own name: where it was, else behind that of `localhost`, else last.
fn hosts(old: &str, name: &str, host: &str) -> String {
    let own = if name == host { format!("{OWN_ADDRESS}\t{host}\n") } else { format!("{OWN_ADDRESS}\t{name} {host}\n") };
    let has = |line: &str, address: &str| line.split_whitespace().next() == Some(address);
    let lines: Vec<&str> = old.split_inclusive('\n').collect();
    let anchor = lines
        .iter()
        .position(|line| has(line, OWN_ADDRESS))
        .or_else(|| lines.iter().position(|line| has(line, "127.0.0.1")));
    let mut text = String::with_capacity(old.len().saturating_add(own.len()));
    let mut push = |line: &str| {
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push('\n');
        }
    };
    for (index, line) in lines.iter().enumerate() {
        if !has(line, OWN_ADDRESS) {
            push(line);
        }
        if anchor == Some(index) {
            push(&own);
        }
    }
    if anchor.is_none() {
        push(&own);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_line_stands_once_wherever_it_was() {
        for (old, wanted) in [
            ("", "127.0.1.1\tw.d w\n"),
            ("127.0.0.1 localhost\n::1 localhost\n", "127.0.0.1 localhost\n127.0.1.1\tw.d w\n::1 localhost\n"),
            ("127.0.0.1 localhost", "127.0.0.1 localhost\n127.0.1.1\tw.d w\n"),
            ("127.0.1.1 old\n# note\n127.0.1.1\tolder\n10.0.0.1 a", "127.0.1.1\tw.d w\n# note\n10.0.0.1 a\n"),
            ("127.0.1.10 near\n", "127.0.1.10 near\n127.0.1.1\tw.d w\n"),
        ] {
            let new = hosts(old, "w.d", "w");
            assert_eq!(new, wanted, "{old:?}");
            assert_eq!(hosts(&new, "w.d", "w"), wanted, "a second time changes nothing");
        }
        assert_eq!(hosts("", "web", "web"), "127.0.1.1\tweb\n");
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
}
