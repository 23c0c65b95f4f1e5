//! Lines for the operator.
//!
//! Before there is a syslog they go to the kernel's log (`/dev/kmsg`), which is shown on every console and is what
//! `dmesg` and the journal keep; where that cannot be opened, and for commands, to standard error. A phase of the first
//! boot writes as Tiny Cloud does: bare lines on standard error, and the same to syslog (facility `local7`) with its name
//! and process in front; before there is a syslog, to the kernel's log in its place.

#![forbid(unsafe_code)]

use crate::sys::{environment, fork, kmsg, stdio, syslog};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How much the operator should care; the numbers are syslog's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something did not work. Shown on the console even with `quiet`.
    Error = 3,
    /// Something is odd, and wisp goes on.
    Warning = 4,
    /// Something was not done, as it should be.
    Notice = 5,
    /// What was done.
    Info = 6,
    /// What helps to find a fault.
    Debug = 7,
}

/// The facility of Tiny Cloud's records, shifted as RFC 5424, 6.2.1 has it.
const LOCAL7: u8 = 23 << 3;

/// Where syslogd listens.
const SYSLOG: &str = "/dev/log";

/// Where lines go.
#[derive(Debug)]
pub struct Log {
    target: Target,
}

#[derive(Debug)]
enum Target {
    Kernel(kmsg::Writer),
    Stderr,
    /// Of a phase: what stands in front of each record, and who keeps it beside standard error.
    Phase(String, LogSink),
}

#[derive(Debug)]
enum LogSink {
    Syslog(syslog::Socket),
    Kernel(kmsg::Writer),
    /// Standard error is the journal, which would have every line twice.
    Journal,
    Nobody,
}

/// Whether standard error is the stream that `JOURNAL_STREAM` names, `DEVICE:INODE` (systemd.exec(5)): the variable is
/// inherited, also where standard error was redirected.
fn is_journal(stream: Option<String>, own: Option<(u64, u64)>) -> bool {
    let named = stream.as_deref().and_then(|stream| stream.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    named.is_some() && named == own
}

impl Log {
    /// To the kernel's log, else to standard error.
    #[must_use]
    pub fn kernel() -> Self {
        Self { target: kmsg::Writer::open().map_or(Target::Stderr, Target::Kernel) }
    }

    /// To standard error.
    #[must_use]
    pub const fn stderr() -> Self {
        Self { target: Target::Stderr }
    }

    /// As a phase of the first boot writes; of a tree that is not the running system (`is_live`) no one keeps records.
    #[must_use]
    pub fn phase(name: &str, is_live: bool) -> Self {
        let keeper = if !is_live {
            LogSink::Nobody
        } else if is_journal(environment::variable(c"JOURNAL_STREAM"), stdio::identity(stdio::error())) {
            LogSink::Journal
        } else if let Some(socket) = syslog::Socket::connect(SYSLOG) {
            LogSink::Syslog(socket)
        } else {
            kmsg::Writer::open().map_or(LogSink::Nobody, LogSink::Kernel)
        };
        Self { target: Target::Phase(format!("wisp/{name}[{}]: ", fork::own_number()), keeper) }
    }

    /// Writes one line. That it cannot be written is nothing anybody could be told.
    pub fn line(&self, level: Level, text: &str) {
        // Labels and names from disks end up in lines: they must not steer a terminal or begin a record of their own.
        let text = text.replace(char::is_control, "?");
        let number = level as u8;
        match &self.target {
            Target::Kernel(kernel) => kernel.write(format!("<{number}>wisp: {text}").as_bytes()),
            Target::Stderr => stdio::write_all(stdio::error(), &Vec::from(format!("wisp: {text}\n"))),
            Target::Phase(front, keeper) => {
                let mark = if matches!(keeper, LogSink::Journal) { format!("<{number}>") } else { String::new() };
                stdio::write_all(stdio::error(), format!("{mark}{text}\n").as_bytes());
                let text = text.trim_start();
                match keeper {
                    _ if text.is_empty() => {}
                    LogSink::Syslog(socket) => {
                        let _ = socket.send(format!("<{}>{front}{text}", LOCAL7 | number).as_bytes());
                    }
                    LogSink::Kernel(kernel) => kernel.write(format!("<{number}>{front}{text}").as_bytes()),
                    LogSink::Journal | LogSink::Nobody => {}
                }
            }
        }
    }

    /// How something ended that programs outside of the machine wait for: on every console even with `quiet`, and without
    /// wisp's own mark in front.
    pub fn verdict(&self, text: &str) {
        let text = text.replace(char::is_control, "?");
        match &self.target {
            Target::Kernel(kernel) => kernel.write(format!("<{}>WISP: {text}", Level::Error as u8).as_bytes()),
            _ => stdio::write_all(stdio::error(), format!("WISP: {text}\n").as_bytes()),
        }
    }

    /// What only someone wants to know who looks for a fault: written where the environment has `DEBUG`, as Tiny Cloud
    /// has it.
    pub fn debug(&self, text: &str) {
        if environment::variable(c"DEBUG").is_some() {
            self.line(Level::Debug, text);
        }
    }

    /// What was done.
    pub fn info(&self, text: &str) {
        self.line(Level::Info, text);
    }

    /// What is odd.
    pub fn warning(&self, text: &str) {
        self.line(Level::Warning, text);
    }

    /// What did not work.
    pub fn error(&self, text: &str) {
        self.line(Level::Error, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_is_the_journal_only_where_the_variable_names_it() {
        for (stream, own, wanted) in [
            (Some("8:35"), Some((8, 35)), true),
            (Some("8:35"), Some((8, 36)), false),
            (Some("9:35"), Some((8, 35)), false),
            (Some("8:35"), None, false),
            (Some("8"), Some((8, 35)), false),
            (Some("x:y"), None, false),
            (None, Some((8, 35)), false),
            (None, None, false),
        ] {
            assert_eq!(is_journal(stream.map(String::from), own), wanted, "{stream:?} {own:?}");
        }
    }
}
