//! wisp in an initramfs of another's, whose hooks call it: dracut's, initramfs-tools'.
//!
//! It is called when the root is mounted, and grows it there: where the root is, whether a suspended system had to come
//! back first, which checks it passed, all that is decided by then. It may also be called while the root is still awaited,
//! for the one case in which it could never come: power went while wisp wrote the table of its disk.
//!
//! Before that it may be called to write an image over the disk it is about to boot from.
//!
//! What may crash or hang runs in a child with a deadline, as when wisp is the first process. Whatever comes of it is told
//! and the boot goes on; nothing here is an error of the caller's.

#![forbid(unsafe_code)]

use super::find_root::{self, SYSFS};
use super::{GROW_SLACK, bad_end, failure, image, resume};
use crate::error::{Kind, Result};
use crate::grow::report::Report;
use crate::grow::{self, Private, Request};
use crate::log::Log;
use crate::probe::grow_facts::Subject;
use crate::probe::search;
use crate::settings::{Boot, Mode, OnFail};
use crate::sys::fork::{self, ChildEvent};
use crate::sys::{clock, file, kmsg, tree};
use crate::text::cmdline::{self, Cmdline};
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// What cloud-initramfs-growroot honours below the root it grows: the owner does not want it, or it was done before.
const MARKERS: [&str; 3] = [grow::DISABLED, "/etc/growroot-grown", "/var/lib/cloud/instance/root-grown"];

/// When the initramfs called for the first time while the root was missing, in seconds since the kernel started.
const AWAITED: &str = "/run/wisp/root-awaited";
/// A number and a newline.
const AWAITED_LIMIT: usize = 32;

/// Grows the root that is mounted at `point`; where none is yet, completes a table that a power cut has torn.
pub fn run(point: &str) {
    let log = Log::kernel();
    let limit = kmsg::Limit::lift();
    let settings = Boot::from_cmdline(&command_line());
    if let Err(error) = attend(point, &settings, &log) {
        log.error(&format!("{error}; the boot goes on"));
    }
    limit.restore();
}

/// Writes the image that the user names, if he names one. Comes back when the boot is to go on: also where it was not
/// written, as a system that was not overwritten yet still boots, unless the user wants something else (`wisp.onfail=`).
pub fn write_root() {
    let line = command_line();
    let Some(image) = image::requested(&line) else { return };
    let log = Log::kernel();
    let limit = kmsg::Limit::lift();
    let settings = Boot::from_cmdline(&line);
    let place = image::Place { line: &line, wait: settings.wait, own_root: settings.root.as_ref() };
    if let Err(error) = image::run(image, place, &log) {
        match settings.on_fail {
            OnFail::Shell => {}
            _ if !line.has("wisp.onfail") => {}
            _ => failure::handle(&error, &settings, &log),
        }
        log.error(&format!("{error}; the boot goes on"));
    }
    limit.restore();
}

/// What the kernel was told, and before it, so that it wins, what dracut has built into the image (dracut.cmdline(7)).
fn command_line() -> Cmdline {
    const BUILT_IN: &str = "/etc/cmdline.d";
    let names = file::list(BUILT_IN).unwrap_or_default().into_iter().filter(|name| name.ends_with(".conf"));
    let files = names.map(|name| format!("{BUILT_IN}/{name}"));
    let mut line = Cmdline::default();
    for path in files.chain(["/etc/cmdline".into(), "/proc/cmdline".into()]) {
        let text = file::read(&path, cmdline::LENGTH_LIMIT).unwrap_or_default();
        line.add(&String::from_utf8_lossy(&text));
    }
    line
}

/// Has a child do it, and waits for the child until its time is up.
fn attend(point: &str, settings: &Boot, log: &Log) -> Result<()> {
    let mut child = fork::spawn(|_| {
        visit(point, settings, log);
        0
    })?;
    let deadline = Deadline::after(clock::now(), settings.budget.saturating_add(GROW_SLACK));
    let error = loop {
        match child.listen(deadline) {
            ChildEvent::Line(_) => {}
            ChildEvent::Ended(Ok(0)) => return Ok(()),
            news => break bad_end(&mut child, &news, "grow in a child process"),
        }
    };
    Err(error.to(point))
}

/// What the child does.
fn visit(point: &str, settings: &Boot, log: &Log) {
    match Subject::mounted_at(SYSFS, point) {
        Ok(subject) => find_root::account(&grow_at(subject, settings, log), log),
        Err(error) if error.kind == Kind::Absent => restore_table(settings, log),
        Err(error) => find_root::account(&Report::stopped(point.into(), error), log),
    }
}

fn grow_at(subject: Subject, settings: &Boot, log: &Log) -> Report {
    settings.complaints_of_growing().for_each(|complaint| log.warning(complaint));
    if settings.mode == Mode::Off {
        return Report::stopped(subject.block.node(), find_root::switched_off(&subject.block));
    }
    let request = Request {
        sysfs: SYSFS,
        subject,
        mode: settings.mode,
        dry_run: false,
        budget: Some(settings.budget),
        // The root is mounted, so no mount of wisp's own is needed.
        private: Private { point: "", options: "" },
        markers: &MARKERS,
    };
    grow::run(&request, &mut |line| log.info(line))
}

/// As often as the initramfs calls while it waits, but told only once: the report of what could not be done stands.
fn restore_table(settings: &Boot, log: &Log) {
    let mode = settings.mode;
    let Some(root) = settings.root.as_ref().filter(|_| mode != Mode::Off && has_waited(clock::now())) else { return };
    if resume::comes_first(&settings.resume) {
        return;
    }
    let Some(disk) = search::find_broken_disk(SYSFS, root) else { return };
    match grow::restore_table(&disk, mode) {
        Ok(()) => log.warning(&format!("the partition table of {} was restored from its backup", disk.node())),
        Err(error) => {
            let report = Report::stopped(disk.node(), error);
            if file::read(find_root::REPORT, find_root::REPORT_LIMIT).unwrap_or_default() != report.json().as_bytes() {
                find_root::account(&report, log);
            }
        }
    }
}

/// Whether the initramfs has called for long enough, and the root is still not there; the first call starts the clock.
fn has_waited(now: Duration) -> bool {
    let text = file::read(AWAITED, AWAITED_LIMIT).unwrap_or_default();
    let since = core::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    if let Some(since) = since {
        return now.saturating_sub(since) >= find_root::TABLE_WAIT;
    }
    let kept = tree::make_directory("/run/wisp", 0o755)
        .and_then(|()| file::write_for_this_boot(AWAITED, format!("{}\n", now.as_secs()).as_bytes(), 0o644));
    // Where the time cannot be kept, the root is not waited for: without its table it never comes.
    kept.is_err()
}
