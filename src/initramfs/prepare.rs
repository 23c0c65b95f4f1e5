//! The child of PID 1 that does everything that might crash or hang: drivers, finding the root, growing it.
//!
//! It tells its parent one line, once the root is known ([`super::Root`]). Whatever happens to it afterwards, the
//! parent can mount.

#![forbid(unsafe_code)]

use super::Root;
use super::modules::{Lists, Loader};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::filesystem::Kind;
use crate::grow::report::{Report, State};
use crate::grow::{self, Private, Request};
use crate::log::Log;
use crate::probe::block::Sysfs;
use crate::probe::growth::{self, Subject};
use crate::probe::search::{self, Found};
use crate::settings::{Boot, Mode, Wait};
use crate::sys::process::Teller;
use crate::sys::uevent::Listener;
use crate::sys::{clock, file, resize, tree};
use crate::text::cmdline::Cmdline;
use crate::text::device::Name;
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Where the running system finds what growing did.
pub const REPORT: &str = "/run/wisp/grow.json";

/// Without an event the devices are looked at this often all the same: a medium that becomes ready sends none.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// After this long without the root the console is told what is being waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the child needs to know.
#[derive(Debug)]
pub struct Task<'a> {
    /// The kernel command line, for the words that belong to modules.
    pub line: &'a Cmdline,
    /// The settings.
    pub settings: &'a Boot,
    /// The release of the running kernel.
    pub kernel: &'a str,
    /// Where the root may be mounted privately.
    pub point: &'a str,
    /// How long to wait for the root.
    pub wait: Wait,
    /// Whether another init comes after wisp, which can assemble what wisp cannot.
    pub stock: bool,
    /// Whether to grow: a second try after a crash does not.
    pub grow: bool,
}

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

/// Does it all; the child's exit code is 0 when the root was found.
pub fn run(task: &Task<'_>, log: &Log, teller: &Teller) -> u8 {
    match prepare(task, log, teller) {
        Ok(()) => 0,
        Err(error) => {
            log.error(&format!("{error}"));
            error.kind.exit_code()
        }
    }
}

fn prepare(task: &Task<'_>, log: &Log, teller: &Teller) -> Result<()> {
    let Some(wanted) = &task.settings.root else {
        return Err(Error::new(ErrorKind::Usage, "find", "the kernel command line has no root= that wisp understands")
            .to("the root"));
    };
    if let (Name::Path(path), true) = (wanted, task.stock)
        && path.starts_with("/dev/mapper/")
    {
        let why = "what comes after wisp assembles it; wisp grow in the running system grows what lies below";
        return Err(Error::new(ErrorKind::Unsupported, "find the root", why).to(&**path));
    }
    let lists = Lists::read(task.kernel);
    let mut drivers = Loader::new(&lists, task.line);
    let mut found = wait_for(task, &mut drivers, log, |sysfs| search::find(sysfs, wanted))?;
    let node = found.block.node();
    // A superblock that cannot be understood is told by whoever needs it: growing, or the mount.
    let content = growth::superblock(&node, found.block.size).ok().flatten();
    let kind = content.as_ref().map(|content| content.kind);
    for name in task.settings.filesystems.iter().map(String::as_str).chain(kind.and_then(Kind::module)) {
        drivers.load(name);
    }
    let spread = content.as_ref().filter(|content| content.is_spread());
    if let Some(content) = spread {
        for member in search::members(SYSFS, content) {
            if let Err(error) = resize::register_btrfs(&member.node()) {
                log.warning(&format!("{error}, continuing without it"));
            }
        }
        found.twins.clear();
    }
    tell_failures(&mut drivers, log);
    teller.tell(&Root::line(&node, kind.map_or("", Kind::mount_type)));
    log.info(&format!("root {wanted} is {node} ({}), {} modules loaded", found.block.size, drivers.count()));
    if task.grow {
        grow_root(task, &found, &mut drivers, log);
    }
    Ok(())
}

/// Grows, or says why not.
fn grow_root(task: &Task<'_>, found: &Found, drivers: &mut Loader<'_>, log: &Log) {
    let node = found.block.node();
    let report = match refusal(task, found) {
        Some(why) => Report::stopped(node.clone(), Error::refused("grow", why).to(&*node)),
        None => match Subject::device(SYSFS, found.block.number) {
            Ok(subject) => {
                let request = Request {
                    sysfs: SYSFS,
                    subject,
                    mode: task.settings.mode,
                    dry_run: false,
                    budget: Some(task.settings.budget),
                    private: Private { point: task.point, options: &task.settings.mount_options },
                };
                grow::run(&request, &mut |line| log.info(line))
            }
            Err(error) => Report::stopped(node.clone(), error),
        },
    };
    tell_failures(drivers, log);
    account(&report, log);
}

/// Puts the report on the console and where the running system finds it.
fn account(report: &Report, log: &Log) {
    for line in report.lines() {
        log.info(&line);
    }
    if let Some(error) = report.error() {
        let switched_off = report.state() == State::Refused && error.kind == ErrorKind::Refused;
        let text = format!("{error}; the boot goes on");
        if switched_off { log.warning(&text) } else { log.error(&text) }
    }
    let kept = tree::make_directory("/run/wisp", 0o755)
        .and_then(|()| file::write_atomically(REPORT, report.json().as_bytes(), 0o644));
    if let Err(error) = kept {
        log.warning(&format!("{error}, continuing without it"));
    }
}

/// Reasons not to look at growing at all.
fn refusal(task: &Task<'_>, found: &Found) -> Option<String> {
    if task.settings.mode == Mode::Off {
        return Some("it is switched off (wisp.grow=off)".into());
    }
    if !found.twins.is_empty() {
        return Some(format!("other devices answer to the same name: {}", found.twins.join(", ")));
    }
    let resume = search::find(SYSFS, task.settings.resume.as_ref()?)?.block;
    let content = growth::superblock(&resume.node(), resume.size).ok()??;
    (content.kind == Kind::Hibernation).then(|| format!("a suspended system lies in {}", resume.node()))
}

/// Loads drivers for what is there and what comes, until `look` finds what is wanted.
fn wait_for(
    task: &Task<'_>,
    drivers: &mut Loader<'_>,
    log: &Log,
    look: impl Fn(Sysfs<'_>) -> Option<Found>,
) -> Result<Found> {
    let begun = clock::now();
    let deadline = match task.wait {
        Wait::AtMost(span) => Deadline::after(begun, span),
        Wait::Forever => Deadline::NEVER,
    };
    // Before the first look: what comes between the look and the subscription would be missed.
    let events = Listener::open()?;
    drivers.load_for_all(SYSFS.root);
    let (mut told, mut tried) = (false, Vec::new());
    loop {
        if let Some(found) = look(SYSFS) {
            return Ok(found);
        }
        restore_tables(task.settings.mode, &mut tried, log);
        let now = clock::now();
        if deadline.has_passed(now) {
            tell_failures(drivers, log);
            return Err(not_found(task));
        }
        if !told && now.saturating_sub(begun) > PATIENCE {
            told = true;
            log.info(&format!("waiting for the root {}", wanted(task)));
        }
        hear(&events, drivers, deadline.sooner(Deadline::after(now, LOOK_AGAIN)));
    }
}

/// Takes in the next event and all that wait behind it.
fn hear(events: &Listener, drivers: &mut Loader<'_>, deadline: Deadline) {
    let mut until = deadline;
    while let Some(event) = events.next(until) {
        if event.value("ACTION") == Some("add")
            && let Some(alias) = event.value("MODALIAS")
        {
            drivers.load(alias);
        }
        until = Deadline::after(clock::now(), Duration::ZERO);
    }
}

fn wanted(task: &Task<'_>) -> String {
    task.settings.root.as_ref().map(|name| format!("{name}")).unwrap_or_default()
}

fn not_found(task: &Task<'_>) -> Error {
    let there = search::inventory(SYSFS);
    let there = if there.is_empty() { "no block device at all".into() } else { there.join("; ") };
    Error::new(ErrorKind::TimedOut, "find the root", format!("it did not appear; there is {there}")).to(wanted(task))
}

/// Modules that would not load are told once, in case the root stays away because of them.
fn tell_failures(drivers: &mut Loader<'_>, log: &Log) {
    for failure in drivers.take_failures() {
        log.warning(&format!("{failure}, continuing without it"));
    }
}

/// Brings back partitions that the kernel cannot see because power went while their table was being written. Each
/// disk is tried once.
fn restore_tables(mode: Mode, tried: &mut Vec<String>, log: &Log) {
    if mode == Mode::Off {
        return;
    }
    for disk in search::broken_disks(SYSFS) {
        if tried.contains(&disk.name) {
            continue;
        }
        tried.push(disk.name.clone());
        match grow::restore_table(&disk, mode) {
            Ok(()) => log.warning(&format!("the partition table of {} was restored from its backup", disk.node())),
            Err(error) => log.error(&format!("{error}; the boot goes on")),
        }
    }
}
