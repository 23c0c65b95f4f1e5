//! Lines for the operator.
//!
//! Before there is a syslog they go to the kernel's log (`/dev/kmsg`), which is shown on every console and is what
//! `dmesg` and the journal keep; where that cannot be opened, and for commands, to standard error.

#![forbid(unsafe_code)]

use crate::sys::{kmsg, stdio};
use alloc::format;
use alloc::vec::Vec;

/// How much the operator should care; the numbers are syslog's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something did not work. Shown on the console even with `quiet`.
    Error = 3,
    /// Something is odd, and wisp goes on.
    Warning = 4,
    /// What was done.
    Info = 6,
}

/// Where lines go.
#[derive(Debug)]
pub struct Log {
    kernel: Option<kmsg::Writer>,
}

impl Log {
    /// To the kernel's log, else to standard error.
    #[must_use]
    pub fn kernel() -> Self {
        Self { kernel: kmsg::Writer::open() }
    }

    /// To standard error.
    #[must_use]
    pub const fn stderr() -> Self {
        Self { kernel: None }
    }

    /// Writes one line. That it cannot be written is nothing anybody could be told.
    pub fn line(&self, level: Level, text: &str) {
        // Labels and names from disks end up in lines: they must not steer a terminal or begin a record of their own.
        let text = text.replace(char::is_control, "?");
        match &self.kernel {
            Some(kernel) => kernel.write(format!("<{}>wisp: {text}", level as u8).as_bytes()),
            None => stdio::write_all(stdio::error(), &Vec::from(format!("wisp: {text}\n"))),
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
