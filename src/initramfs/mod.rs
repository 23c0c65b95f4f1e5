//! PID 1 before `switch_root`, and the builder of the initramfs it lives in.
//!
//! PID 1 itself only mounts, waits and executes; drivers, finding the root and growing it, which may crash or hang, run
//! in a child with a deadline. If the child dies after it found the root, the root is mounted all the same; if it dies
//! before, a second one tries without growing. PID 1 never exits, and its own waits have an end unless the user asked
//! for none (`rootwait`). Mounting the root is a call without a deadline: it replays a journal, which takes its time,
//! and while the disk does not answer at all the boot stands still, as it would without wisp.
//!
//! Two ways: wisp mounts the root and switches to it, or (`wisp.init=PATH`, or a distribution's own init beside wisp)
//! it grows and then becomes that init, with everything as the kernel left it. A third: another initramfs mounts the
//! root and calls wisp by a hook ([`hooks`]).

#![forbid(unsafe_code)]

#[cfg(feature = "full")]
pub mod build;
mod controllers;
mod device_wait;
mod failure;
mod find_root;
pub mod hooks;
mod image;
mod members;
#[cfg(feature = "full")]
pub mod mkinitfs;
mod modules;
mod mounts;
mod resume;
mod switch_root;

use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::settings::{Boot, Wait};
use crate::sys::fork::{self, Child, ChildEvent};
use crate::sys::{clock, console, device_node, file, kmsg, mount, power, tree, uname};
use crate::text::cmdline::{self, Cmdline};
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use find_root::{OnFound, Task};
use mount::Flags;

/// Where the root is mounted before it becomes the root; dracut's name, which programs know.
const NEW_ROOT: &str = "/sysroot";

/// The init that mkinitfs puts into an initramfs next to wisp; where it is, wisp grows and then becomes it.
const STOCK_INIT: &str = "/usr/share/mkinitfs/initramfs-init";

/// An init that comes after wisp waits for the root itself, and may have to assemble it first: wisp does not hold it up.
const STOCK_WAIT: Duration = Duration::from_secs(10);

/// `/usr` is mostly on the disk of the root, which is there; a fstab that is wrong must not stop the boot for long.
const USR_WAIT: Duration = Duration::from_secs(10);

/// How much of the kernel's log is shown on the console.
const CONSOLE_LEVEL: &str = "/proc/sys/kernel/printk";

/// Beyond the wait for the root, loading drivers may take this long: a hundred modules under emulation take a tenth.
const DRIVER_TIME: Duration = Duration::from_secs(60);

/// Beyond the budget for growing: mounting with a long journal to replay, and flushing on a slow disk.
const GROW_SLACK: Duration = Duration::from_secs(30);

/// Already mounted there, or mounted elsewhere in a way that differs.
const EBUSY: i32 = 16;

/// What PID 1 mounts: type, where, flags, options.
const MOUNTS: [(&str, &str, Flags, &str); 4] = [
    ("devtmpfs", "/dev", Flags::NOSUID, "mode=0755"),
    ("proc", "/proc", Flags::NOSUID.union(Flags::NODEV).union(Flags::NOEXEC), ""),
    ("sysfs", "/sys", Flags::NOSUID.union(Flags::NODEV).union(Flags::NOEXEC), ""),
    ("tmpfs", "/run", Flags::NOSUID.union(Flags::NODEV), "mode=0755"),
];

/// The root, as the child found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// What it holds, as `mount` takes it; empty when nothing was detected.
    kind: String,
    /// Its node.
    node: String,
    /// Mount options that it needs besides the user's; mostly empty.
    options: String,
}

/// Brings the machine from the kernel's hands to the real init. `arguments` are those the kernel gave. Comes back only
/// when that is impossible and the user's policy is to stop, with the error to print.
#[must_use]
pub fn run(arguments: &[Vec<u8>]) -> Error {
    let failures = mount_all();
    let log = Log::kernel();
    let mut limit = kmsg::Limit::lift();
    notify(failures, &log);
    let text = file::read("/proc/cmdline", cmdline::LENGTH_LIMIT).unwrap_or_default();
    let line = Cmdline::parse(&String::from_utf8_lossy(&text));
    let settings = Boot::from_cmdline(&line);
    power::on_panic(failure::end_of(settings.on_fail));
    let mut stock = find_stock(&settings, &log);
    if stock.is_none() {
        tell_settings(&settings, &log);
    }
    write_image(&line, &settings, &log);
    loop {
        if let Some(stock) = stock.take() {
            settings.complaints_of_growing().for_each(|complaint| log.warning(complaint));
            match settings.leaves_root_alone() {
                Some(why) => log.info(&format!("nothing is grown before {stock}: {why}")),
                // What the stock init does with a root that wisp did not find is its own affair.
                None => _ = prepare_root(&line, &settings, true, &log),
            }
            limit.restore();
            unmount_all();
            log.info(&switch_root::farewell(&stock));
            let error = fork::become_program(&stock, switch_root::with_name(&stock, arguments));
            notify(mount_all(), &log);
            limit = kmsg::Limit::lift();
            log.error(&format!("{error}, continuing without it"));
            tell_settings(&settings, &log);
        }
        let mounted = prepare_root(&line, &settings, false, &log)
            .and_then(|root| mounts::mount_root(&settings, &root, NEW_ROOT, &log));
        let error = match mounted {
            Ok(()) => {
                mount_usr(&line, &settings, &log);
                if settings.alpine.single {
                    failure::shell_on_request(&log);
                }
                switch_root::switch(&settings, NEW_ROOT, arguments, &log, &limit)
            }
            Err(error) => error,
        };
        failure::handle(&error, &settings, &log);
    }
}

/// Writes the image that the user names, if he names one, before anything looks for a root.
fn write_image(line: &Cmdline, settings: &Boot, log: &Log) {
    let place = image::Place { line, wait: settings.wait, own_root: None };
    while let Some(image) = image::requested(line)
        && let Err(error) = image::run(image, place, log)
    {
        failure::handle(&error, settings, log);
    }
}

/// What of the user's words cannot be meant, or not for wisp. Before another init only those for growing are wisp's.
fn tell_settings(settings: &Boot, log: &Log) {
    for complaint in &settings.complaints {
        log.warning(complaint);
    }
    let beyond = &settings.alpine.beyond;
    if !beyond.is_empty() {
        log.warning(&format!(
            "only other programs could do what these ask for, taken as not there: {}",
            beyond.join(", ")
        ));
    }
    if settings.alpine.debug
        && let Err(error) = device_node::set_attribute(CONSOLE_LEVEL, "7\n")
    {
        log.warning(&format!("{error}, continuing without it"));
    }
}

/// The `/usr` of the root's fstab, which its init may need as much as the root itself.
fn mount_usr(line: &Cmdline, settings: &Boot, log: &Log) {
    let Some(usr) = mounts::usr(settings, NEW_ROOT, log) else { return };
    let mounted = find_by_child(line, &usr, Wait::AtMost(USR_WAIT), false, &[OnFound::Nothing], log)
        .map_err(|error| error.to("/usr"))
        .and_then(|found| switch_root::mount_root(&usr, &found, &format!("{NEW_ROOT}/usr"), log));
    if let Err(error) = mounted {
        log.error(&format!("{error}; the boot goes on without /usr"));
    }
}

/// The init of the initramfs that comes after wisp, if there is one.
fn find_stock(settings: &Boot, log: &Log) -> Option<String> {
    if let Some(named) = &settings.stock_init {
        if tree::is_there(named) {
            return Some(named.clone());
        }
        log.error(&format!("wisp.init={named}: the initramfs has no such program, continuing without it"));
    }
    tree::is_there(STOCK_INIT).then(|| STOCK_INIT.into())
}

/// What could not be mounted.
fn notify(failures: Vec<Error>, log: &Log) {
    for failure in failures {
        log.error(&format!("{failure}, continuing without it"));
    }
}

/// Has a child find and grow the root; without growing a second time if the first child died too early.
fn prepare_root(line: &Cmdline, settings: &Boot, stock: bool, log: &Log) -> Result<Root> {
    // A second try would be for what the stock init does itself.
    let (wait, deeds) = match stock {
        true => (Wait::AtMost(STOCK_WAIT), &[OnFound::WakeAndGrow] as &[_]),
        false => (settings.wait, &[OnFound::WakeAndGrow, OnFound::Wake] as &[_]),
    };
    find_by_child(line, settings, wait, stock, deeds, log)
}

/// Has a child find the device that `settings` name as the root, and do the first of `deeds`; if it dies too early,
/// another one the next.
fn find_by_child(
    line: &Cmdline,
    settings: &Boot,
    wait: Wait,
    stock: bool,
    deeds: &[OnFound],
    log: &Log,
) -> Result<Root> {
    let kernel = uname::release();
    let mut error = Error::absent("find", "its child process told nothing").to("the root");
    for (tries, deed) in deeds.iter().enumerate() {
        let task = Task { line, settings, kernel: &kernel, point: NEW_ROOT, wait, stock, deed: *deed };
        let mut child = fork::spawn(|teller| find_root::run(&task, log, teller))?;
        match attend(&mut child, wait, settings.budget, log) {
            Outcome::Found(root) => return Ok(root),
            Outcome::Failed(failure) => return Err(failure),
            Outcome::Died(failure) => {
                let next = if tries < deeds.len().saturating_sub(1) {
                    "trying again without growing"
                } else {
                    "the boot goes on"
                };
                log.error(&format!("{failure}; {next}"));
                error = failure;
            }
        }
    }
    Err(error)
}

/// How a child ended.
enum Outcome {
    /// It found the root; growing it went as its own lines say.
    Found(Root),
    /// It ended in order, without a root.
    Failed(Error),
    /// It crashed or hung before it knew the root.
    Died(Error),
}

/// Listens to the child until it is done or its time is up.
fn attend(child: &mut Child, wait: Wait, budget: Duration, log: &Log) -> Outcome {
    let mut root = None;
    let mut deadline = match wait {
        Wait::AtMost(span) => Deadline::after(clock::now(), span.saturating_add(DRIVER_TIME)),
        Wait::Forever => Deadline::NEVER,
    };
    let ending = loop {
        match child.listen(deadline) {
            ChildEvent::Line(line) => {
                root = Root::parse(&line).or(root);
                deadline = Deadline::after(clock::now(), budget.saturating_add(GROW_SLACK));
            }
            ChildEvent::Ended(Ok(0)) => break None,
            ChildEvent::Ended(Ok(_)) if root.is_none() => {
                return Outcome::Failed(Error::absent("find", "see the line above").to("the root"));
            }
            news => break Some(bad_end(child, &news, "prepare")),
        }
    };
    let failure = ending.map(|error| error.to("the root in a child process"));
    match (root, failure) {
        (Some(root), Some(failure)) => {
            log.error(&format!("{failure}; the boot goes on"));
            Outcome::Found(root)
        }
        (Some(root), None) => Outcome::Found(root),
        (None, Some(failure)) => Outcome::Died(failure),
        (None, None) => Outcome::Died(Error::absent("find", "the child told nothing").to("the root")),
    }
}

/// Why a child that was `doing` something did not end as it should have, of which `news` is the last; ends it if it still
/// runs.
fn bad_end(child: &mut Child, news: &ChildEvent, doing: &'static str) -> Error {
    match news {
        ChildEvent::Ended(Ok(code)) => Error::new(Kind::Ended, doing, format!("it ended with exit code {code}")),
        ChildEvent::Ended(Err(signal)) => Error::new(Kind::Ended, doing, format!("signal {signal} ended it")),
        ChildEvent::Line(_) | ChildEvent::Silence => {
            child.kill();
            Error::new(Kind::TimedOut, doing, "its time is up")
        }
    }
}

impl Root {
    /// What the child tells about the root: `root NODE TYPE OPTIONS`, the type empty when nothing was detected.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("root ")?.splitn(3, ' ').map(String::from);
        Some(Self { node: words.next()?, kind: words.next()?, options: words.next()? })
    }

    /// The line that [`Root::parse`] reads.
    fn line(&self) -> String {
        format!("root {} {} {}", self.node, self.kind, self.options)
    }

    /// The mount options of the user and those that the root needs.
    fn all_options(&self, user: &str) -> String {
        match self.options.as_str() {
            "" => user.into(),
            own if user.is_empty() => own.into(),
            own => format!("{user},{own}"),
        }
    }
}

/// Mounts what wisp needs; returns what did not work.
fn mount_all() -> Vec<Error> {
    let mut failures = Vec::new();
    // A directory that cannot be made shows as a mount that does not work.
    let _ = tree::make_directory(NEW_ROOT, 0o755);
    for (kind, point, flags, options) in MOUNTS {
        let _ = tree::make_directory(point, 0o755);
        match mount::mount(kind, point, kind, flags, options) {
            // The kernel mounts devtmpfs itself where it was built so.
            Err(error) if error.kind != Kind::Os(EBUSY) => failures.push(error.to(point)),
            _ => {}
        }
    }
    // Where the initramfs has no /dev/console the kernel started wisp without descriptors.
    console::adopt_if_closed("/dev/console");
    failures
}

/// Leaves the initramfs as the kernel made it, for an init that expects that.
fn unmount_all() {
    for (_, point, ..) in MOUNTS.iter().rev() {
        // One that resists is hidden by what the stock init mounts there.
        let _ = mount::unmount(point, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_the_child_are_parsed() {
        for (kind, options) in [("ext4", ""), ("", ""), ("ext4", "journal_path=/dev/vdb")] {
            let root = Root { kind: kind.into(), node: "/dev/vda2".into(), options: options.into() };
            assert_eq!(Root::parse(&root.line()), Some(root));
        }
        assert_eq!(Root::parse("anything else"), None);
        let root = |options: &str| Root { kind: "".into(), node: "".into(), options: options.into() };
        assert_eq!(root("a=1").all_options("noatime"), "noatime,a=1");
        assert_eq!((root("a=1").all_options(""), root("").all_options("x")), ("a=1".into(), "x".into()));
    }
}
