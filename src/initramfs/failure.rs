//! When the root cannot be brought up: say so, then do what `wisp.onfail=` asks for.

#![forbid(unsafe_code)]

use crate::error::Error;
use crate::log::Log;
use crate::settings::{FAIL_PAUSE, OnFail};
use crate::sys::power::{self, End};
use crate::sys::process::{self, News};
use crate::sys::{clock, tree};
use crate::units::Deadline;
use alloc::format;
use core::time::Duration;

/// The shell of an initramfs that has one.
const SHELL: &str = "/bin/sh";

/// How often a machine that cannot even halt looks whether it can by now.
const IDLE: Duration = Duration::from_secs(3600);

/// Tells the error and carries out the policy. Comes back only when the user left the shell: then all is tried again.
pub fn handle(error: &Error, policy: OnFail, log: &Log) {
    log.error(&format!("{error}"));
    match policy {
        OnFail::Shell if tree::is_there(SHELL) => {
            log.error("starting a shell; leaving it tries again");
            return shell(log);
        }
        OnFail::Shell => log.error("there is no shell in this initramfs; the machine halts (wisp.onfail=shell)"),
        OnFail::Halt => log.error("the machine halts (wisp.onfail=halt)"),
        OnFail::PowerOff => log.error("the machine is switched off (wisp.onfail=poweroff)"),
        OnFail::Reboot => {
            log.error(&format!("the machine starts again in {} s (wisp.onfail=reboot)", FAIL_PAUSE.as_secs()));
            clock::pause(FAIL_PAUSE);
        }
    }
    let end = match policy {
        OnFail::Reboot => End::Reboot,
        OnFail::PowerOff => End::PowerOff,
        OnFail::Shell | OnFail::Halt => End::Halt,
    };
    if let Err(error) = power::end(end) {
        log.error(&format!("{error}"));
    }
    // PID 1 must not end: the kernel would panic, and the message above would scroll away.
    loop {
        clock::pause(IDLE);
    }
}

/// Runs a shell on the console until it ends.
fn shell(log: &Log) {
    let child = process::spawn(|_| {
        let error = process::become_program(SHELL, [SHELL.as_bytes()]);
        log.error(&format!("{error}"));
        error.kind.exit_code()
    });
    match child {
        Ok(mut child) => while matches!(child.listen(Deadline::NEVER), News::Line(_)) {},
        Err(error) => log.error(&format!("{error}")),
    }
}
