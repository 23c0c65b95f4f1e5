//! When the root cannot be brought up: say so, then do what `wisp.onfail=` asks for.

#![forbid(unsafe_code)]

use crate::error::Error;
use crate::log::Log;
use crate::settings::{Boot, OnFail};
use crate::sys::fork::{self, ChildEvent};
use crate::sys::power::{self, End};
use crate::sys::{clock, tree};
use crate::units::Deadline;
use alloc::format;
use core::time::Duration;

/// The shell of an initramfs that has one.
const SHELL: &str = "/bin/sh";

/// How often a machine that cannot even halt looks whether it can by now.
const IDLE: Duration = Duration::from_secs(3600);

/// Tells the error and carries out the policy. Comes back only when the user left the shell: then all is tried again.
pub fn handle(error: &Error, settings: &Boot, log: &Log) {
    let policy = settings.on_fail;
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
            let pause = settings.fail_pause;
            log.error(&format!("the machine starts again in {} s (panic= or wisp.onfail=reboot)", pause.as_secs()));
            clock::pause(pause);
        }
    }
    if let Err(error) = power::end(end_of(policy)) {
        log.error(&format!("{error}"));
    }
    // PID 1 must not end: the kernel would panic, and the message above would scroll away.
    loop {
        clock::pause(IDLE);
    }
}

/// The shell that the user asked for, if the initramfs has one; else his words are the real init's business.
pub fn shell_on_request(log: &Log) {
    if tree::is_there(SHELL) {
        log.info("starting a shell (single); leaving it goes on with the boot");
        shell(log);
    }
}

/// How the machine ends where no shell can be started.
pub const fn end_of(policy: OnFail) -> End {
    match policy {
        OnFail::Reboot => End::Reboot,
        OnFail::PowerOff => End::PowerOff,
        OnFail::Shell | OnFail::Halt => End::Halt,
    }
}

/// Runs a shell on the console until it ends.
fn shell(log: &Log) {
    let child = fork::spawn(|_| {
        let error = fork::become_program(SHELL, [SHELL.as_bytes()]);
        log.error(&format!("{error}"));
        error.kind.exit_code()
    });
    match child {
        Ok(mut child) => while matches!(child.listen(Deadline::NEVER), ChildEvent::Line(_)) {},
        Err(error) => log.error(&format!("{error}")),
    }
}
