//! A network card has come or gone.

use super::{INTERFACES, TEXT_LIMIT, assemble, find_ifup};
use crate::error::{Error, Result};
use crate::sys::amend::amend;
use crate::sys::append_log::Lock;
use crate::sys::exec::Program;
use crate::sys::{clock, file, fork, stdio, tree};
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Two cards that come together are seen to one after the other: mdev runs us once for each, at the same time.
const LOCK_FOLDER: &str = "/run/wisp";
const LOCK: &str = "/run/wisp/hotplug.lock";

/// How long the other one may take: longer than a DHCP client that finds no server and gives up.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// The lock sends no event when it becomes free.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What OpenRC has while the network is meant to be up; before that, its service takes up all cards at once.
const STARTED: &str = "/run/openrc/started/networking";

/// Where ifupdown writes down what is up, a line `NAME=NAME` each.
const STATE: &str = "/run/ifstate";

/// The DHCP client of busybox, as the kernel calls its process.
const CLIENT: &[u8] = b"udhcpc\n";

/// A number of a process is a line.
const NUMBER_LIMIT: usize = 32;

/// `IFNAMSIZ` of linux/if.h without its NUL.
const NAME_LIMIT: usize = 15;

/// Does what mdev calls for when the card `name` comes (`add`) or goes (`remove`), below `root`; with a root, no program is
/// run and no process ended. `notify` is called for files that cannot be read.
///
/// # Errors
/// `Usage` for a name or an action that is none; `TimedOut` when another run does not end; those of [`assemble`]; `Ended`
/// when the interface could not be taken up.
pub fn changed(root: &str, name: &str, action: &str, notify: &dyn Fn(&str)) -> Result<()> {
    const DOING: &str = "see to the network card";
    let is_name = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'.' | b'-');
    if name.len() > NAME_LIMIT
        || !name.starts_with(|first: char| first.is_ascii_alphabetic())
        || !name.bytes().all(is_name)
    {
        return Err(Error::usage(DOING, "MDEV does not name one"));
    }
    if !matches!(action, "add" | "remove") {
        return Err(Error::usage(DOING, "ACTION is neither add nor remove").to(name));
    }
    tree::make_directories(&format!("{root}{LOCK_FOLDER}"), 0o755)?;
    let _lock = Lock::wait(&format!("{root}{LOCK}"), Deadline::after(clock::now(), LOCK_WAIT), LOCK_PAUSE)?;
    assemble(root, notify)?;
    if !file::exists(&format!("{root}{STARTED}")) {
        return Ok(());
    }
    if action == "remove" {
        return forget(root, name);
    }
    match find_ifup(root).filter(|_| root.is_empty()) {
        Some(ifup) => take_up(ifup, name),
        None => Ok(()),
    }
}

/// The distribution's own program takes the interface up.
fn take_up(ifup: &str, name: &str) -> Result<()> {
    // mdev runs us without one, and other users must not write what the program creates.
    fork::set_usual_umask();
    let program = Program { path: ifup, arguments: &[name], environment: &[] };
    let ended = program.run(stdio::error(), &mut || {})?;
    ended.success("take up the interface").map_err(|error| error.to(format!("{name} of {INTERFACES}")))
}

/// What was kept about an interface whose card is gone.
fn forget(root: &str, name: &str) -> Result<()> {
    let path = format!("{root}/run/udhcpc.{name}.pid");
    let number = file::read(&path, NUMBER_LIMIT).ok().and_then(|text| String::from_utf8(text).ok());
    if let Some(number) = number.and_then(|text| text.trim().parse::<u32>().ok()).filter(|_| root.is_empty()) {
        // The number may have become another process's.
        if file::read(&format!("/proc/{number}/comm"), NUMBER_LIMIT).is_ok_and(|own| own == CLIENT) {
            fork::terminate(number);
        }
    }
    let state = format!("{root}{STATE}");
    if tree::is_there(&state) {
        amend(root, STATE, TEXT_LIMIT, 0o644, &mut |old| without(old, name))?;
    }
    tree::remove_file(&format!("{state}.{name}.lock")).map(|_| ())
}

/// The lines but those for the interface `name`.
fn without(state: &[u8], name: &str) -> Vec<u8> {
    let is_other = |line: &&[u8]| line.strip_prefix(name.as_bytes()).is_none_or(|rest| !rest.starts_with(b"="));
    state.split_inclusive(|byte| *byte == b'\n').filter(is_other).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_the_lines_of_the_interface_go() {
        let state = b"lo=lo 1\neth1=eth1 1\n\xff\neth10=eth10\neth1=eth1";
        assert_eq!(without(state, "eth1"), b"lo=lo 1\n\xff\neth10=eth10\n");
        assert_eq!(without(state, "eth"), state);
    }

    #[test]
    fn what_is_no_card_is_refused() {
        for (name, action) in
            [("", "add"), ("-a", "add"), ("../x", "add"), ("a b", "add"), ("eth0123456789abc", "add"), ("eth0", "")]
        {
            assert_eq!(
                changed("/nonexistent", name, action, &|_| ()).unwrap_err().kind,
                Kind::Usage,
                "{name} {action}"
            );
        }
    }
}
