//! The child of PID 1 that does everything that might crash or hang: drivers, finding the root, growing it.
//!
//! It tells its parent one line, once the root is known ([`super::Root`]). Whatever happens to it afterwards, the
//! parent can mount.

#![forbid(unsafe_code)]

use super::device_wait::{LOOK_AGAIN, Watch};
use super::modules::{Lists, Loader};
use super::{Root, controllers, members, resume};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::filesystem::{Kind, Superblock, requests};
use crate::grow::report::{Report, StepState};
use crate::grow::{self, Private, Request};
use crate::log::Log;
use crate::probe::block::{Block, Sysfs};
use crate::probe::grow_facts::{self, Subject};
use crate::probe::search::{self, Found};
use crate::settings::{Boot, Mode, Resume, Wait};
use crate::sys::fork::ProgressPipe;
use crate::sys::{clock, file, tree};
use crate::text::cmdline::Cmdline;
use crate::text::device_spec::DeviceSpec;
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Where the running system finds what growing did.
pub const REPORT: &str = "/run/wisp/grow.json";

/// It has some hundred bytes.
pub const REPORT_LIMIT: usize = 64 << 10;

/// After this long without the root the console is told what is being waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A device with a suspended system comes at most this long after the root: it is mostly on the same disk, and a `resume=`
/// that is left over from another one should not hold up each boot.
const RESUME_WAIT: Duration = Duration::from_secs(5);

/// A table that keeps the root from being seen is completed only after this long: disks come within some seconds, and one
/// that comes may have the root, whole.
pub const TABLE_WAIT: Duration = Duration::from_secs(5);

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
    /// Whether another init comes after wisp.
    pub stock: bool,
    /// What is to be done when the root is found.
    pub deed: OnFound,
}

/// What is done with a device that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFound {
    /// A suspended system is woken, or else the root grows.
    WakeAndGrow,
    /// A suspended system is woken: what a second try does after a crash.
    Wake,
    /// Nothing, as for a filesystem that is not the root.
    Nothing,
}

impl OnFound {
    /// What the device is, for messages.
    const fn subject(self) -> &'static str {
        match self {
            Self::WakeAndGrow | Self::Wake => "the root",
            Self::Nothing => "/usr",
        }
    }
}

/// Where udev keeps what it knows, while it runs.
const UDEV: &str = "/run/udev";

/// Where the kernel shows its devices.
pub const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

/// Does it all; the child's exit code is 0 when the root was found.
pub fn run(task: &Task<'_>, log: &Log, teller: &ProgressPipe) -> u8 {
    match prepare(task, log, teller) {
        Ok(()) => 0,
        Err(error) => {
            log.error(&format!("{error}"));
            error.kind.exit_code()
        }
    }
}

fn prepare(task: &Task<'_>, log: &Log, teller: &ProgressPipe) -> Result<()> {
    let Some(wanted) = &task.settings.root else {
        return Err(Error::new(ErrorKind::Usage, "find", "the kernel command line has no root= that wisp understands")
            .to("the root"));
    };
    let lists = Lists::read(task.kernel);
    let in_turn = is_order_free(wanted, &task.settings.resume, &task.settings.mount_options);
    let drivers = Loader::new(&lists, task.line, in_turn);
    let mut watch = Watch::begin(drivers, task.wait)?;
    let alpine = &task.settings.alpine;
    for name in alpine.modules.iter().map(String::as_str).chain(alpine.overlay.as_ref().map(|_| "overlay")) {
        watch.drivers.load(name);
    }
    let mut found = watch.find(task, wanted, log)?;
    let node = found.block.node();
    // A superblock that cannot be parsed is reported where it is needed: growing, or the mount.
    let content = grow_facts::superblock(&node, found.block.size).ok().flatten();
    let kind = content.as_ref().map(|content| content.kind);
    for name in task.settings.filesystems.iter().map(String::as_str).chain(kind.and_then(Kind::module)) {
        watch.drivers.load(name);
    }
    for name in content.iter().flat_map(|content| requests(content, &task.settings.mount_options)) {
        watch.drivers.load(&name);
    }
    let extra = watch.gather(task, &node, content.as_ref(), log);
    if content.as_ref().is_some_and(Superblock::is_spread) {
        found.twins.clear();
    }
    tell_failures(&mut watch.drivers, log);
    let woken = task.deed != OnFound::Nothing && !task.stock && watch.wake(&task.settings.resume, log);
    let root = Root { kind: kind.map_or("", Kind::mount_type).into(), node, options: extra };
    teller.notify(&root.line());
    let what = task.deed.subject().trim_start_matches("the ");
    log.info(&format!(
        "{what} {wanted} is {} ({}), {} modules loaded",
        root.node,
        found.block.size,
        watch.drivers.count()
    ));
    if task.deed == OnFound::WakeAndGrow {
        grow_root(task, &found, &root.all_options(&task.settings.mount_options), woken, log);
    }
    Ok(())
}

/// Whether drivers may come one after the other, as the root is found by the first ones or by all. `/dev/sda` is another
/// disk when the drivers come in another order, and a suspended system may lie on any.
fn is_order_free(root: &DeviceSpec, resume: &Resume, options: &str) -> bool {
    let counted = |name: &DeviceSpec| match name {
        DeviceSpec::Path(path) => path.starts_with("/dev/sd"),
        DeviceSpec::Number(..) => true,
        _ => false,
    };
    !counted(root) && *resume == Resume::Nowhere && !members::in_options(options).iter().any(counted)
}

/// Grows, or says why not.
fn grow_root(task: &Task<'_>, found: &Found, options: &str, woken: bool, log: &Log) {
    let node = found.block.node();
    let report = match refusal(task, found, woken) {
        Some(error) => Report::stopped(node.clone(), error),
        None => match Subject::device(SYSFS, found.block.number) {
            Ok(subject) => {
                let request = Request {
                    sysfs: SYSFS,
                    subject,
                    mode: task.settings.mode,
                    dry_run: false,
                    budget: Some(task.settings.budget),
                    private: Private { point: task.point, options },
                    markers: &[grow::DISABLED],
                };
                grow::run(&request, &mut |line| log.info(line))
            }
            Err(error) => Report::stopped(node.clone(), error),
        },
    };
    account(&report, log);
}

/// Puts the report on the console and where the running system finds it.
pub fn account(report: &Report, log: &Log) {
    for line in report.lines() {
        log.info(&line);
    }
    if let Some(error) = report.error() {
        let switched_off = report.state() == StepState::Refused && error.kind == ErrorKind::Refused;
        let text = format!("{error}; the boot goes on");
        if switched_off { log.warning(&text) } else { log.error(&text) }
    }
    let kept = tree::make_directory("/run/wisp", 0o755)
        .and_then(|()| file::write_for_this_boot(REPORT, report.json().as_bytes(), 0o644));
    if let Err(error) = kept {
        log.warning(&format!("{error}, continuing without it"));
    }
}

/// Reasons not to look at growing at all.
fn refusal(task: &Task<'_>, found: &Found, woken: bool) -> Option<Error> {
    if task.settings.mode == Mode::Off {
        return Some(switched_off(&found.block));
    }
    let resume = &task.settings.resume;
    let why = match &*found.twins {
        _ if task.settings.alpine.overlay.is_some() => "with overlaytmpfs the root stays as it is".into(),
        // In a file nothing can be seen from here; the kernel has looked, and found nothing that it could wake.
        [] if woken && matches!(resume, Resume::File(..)) => return None,
        [] => format!("{}; with noresume it would grow", resume::suspended(resume)?),
        twins => format!("other devices answer to the same name: {}", twins.join(", ")),
    };
    Some(Error::refused("grow", why).to(found.block.node()))
}

/// The user does not want `block` to be touched.
pub fn switched_off(block: &Block) -> Error {
    Error::refused("grow", "it is switched off (wisp.grow=off)").to(block.node())
}

impl Watch<'_> {
    /// The root, as soon as it is there.
    fn find(&mut self, task: &Task<'_>, wanted: &DeviceSpec, log: &Log) -> Result<Found> {
        let (mut told, mut tried) = (false, Vec::new());
        loop {
            // Each time, as announcements get lost when many come at once.
            self.drivers.load_for_all(SYSFS.root);
            // The bus that a driver brought has announced its devices by now.
            self.hear(Duration::ZERO);
            let found = search::find_filesystem(SYSFS, wanted);
            let unmountable = found.as_ref().and_then(|found| search::unmountable(wanted, &found.block));
            match found {
                Some(found) if unmountable.is_none() => return Ok(found),
                None => refuse_udev_link(wanted)?,
                Some(_) => {}
            }
            if self.drivers.release() {
                continue;
            }
            let now = clock::now();
            let resume = &task.settings.resume;
            let is_late = self.deadline.has_passed(now);
            // The root may be whole and on a disk that is still to come, and so may be a suspended system, which knows the
            // disks as they are.
            let is_time = is_late || now.saturating_sub(self.begun) >= TABLE_WAIT;
            if is_time && !resume::comes_first(resume) && restore_table(task.settings.mode, wanted, &mut tried, log) {
                continue;
            }
            if is_late {
                tell_failures(&mut self.drivers, log);
                let error = not_found(task.deed.subject(), wanted, log);
                return Err(match unmountable {
                    Some(why) => Error::new(error.kind, error.doing, why).to(&*error.to),
                    None => error,
                });
            }
            if !told && now.saturating_sub(self.begun) > PATIENCE {
                told = true;
                if task.stock
                    && let Some(layer) = search::layer(SYSFS)
                {
                    return Err(Error::unsupported(
                        "find the root",
                        format!("it may be in {layer}, which is opened later"),
                    )
                    .to(format!("{wanted}")));
                }
                log.info(&format!("waiting for {} {wanted}", task.deed.subject()));
            }
            self.hear(LOOK_AGAIN);
        }
    }

    /// [`resume::wake`], when its device is there; other drivers than the root's may take a moment longer.
    fn wake(&mut self, resume: &Resume, log: &Log) -> bool {
        let (Resume::Device(name) | Resume::File(name, _)) = resume else { return false };
        let deadline = self.deadline.sooner(Deadline::after(clock::now(), RESUME_WAIT));
        while search::find(SYSFS, name).is_none() && !deadline.has_passed(clock::now()) {
            self.drivers.load_for_all(SYSFS.root);
            self.hear(LOOK_AGAIN);
        }
        resume::wake(resume, log)
    }
}

/// Refuses a name that only udev makes where no udev runs, which waiting would not change.
///
/// # Errors
/// `Absent`.
pub fn refuse_udev_link(name: &DeviceSpec) -> Result<()> {
    if !name.needs_udev() || tree::is_there(UDEV) {
        return Ok(());
    }
    let why = "only udev makes this link, and there is no udev in this initramfs; use UUID=, LABEL=, PARTUUID=, serial= or wwn=";
    Err(Error::absent("find", why).to(format!("{name}")))
}

/// Tells what is there instead; a line each, since the kernel cuts long ones.
pub fn not_found(subject: &str, wanted: &DeviceSpec, log: &Log) -> Error {
    let there = search::inventory(SYSFS);
    for device in &there {
        log.error(&format!("there is {device}"));
    }
    for sentence in controllers::without_driver(SYSFS.root) {
        log.error(&format!("{sentence}: this initramfs has no module for it, or loading it failed"));
    }
    let why = if there.is_empty() { "it did not appear; there is no block device at all" } else { "it did not appear" };
    Error::new(ErrorKind::TimedOut, "find", why).to(format!("{subject} {wanted}"))
}

/// Modules that would not load are told once, in case the root stays away because of them.
fn tell_failures(drivers: &mut Loader<'_>, log: &Log) {
    for failure in drivers.take_failures() {
        log.warning(&format!("{failure}, continuing without it"));
    }
}

/// Brings back the partitions of the disk that holds `root`, which the kernel cannot see because power went while its table
/// was being written; whether it did. Each disk is tried once, and no other disk is touched.
fn restore_table(mode: Mode, root: &DeviceSpec, tried: &mut Vec<String>, log: &Log) -> bool {
    if mode == Mode::Off {
        return false;
    }
    let Some(disk) = search::find_broken_disk(SYSFS, root).filter(|disk| !tried.contains(&disk.name)) else {
        return false;
    };
    tried.push(disk.name.clone());
    match grow::restore_table(&disk, mode) {
        Ok(()) => log.warning(&format!("the partition table of {} was restored from its backup", disk.node())),
        Err(error) => log.error(&format!("{error}; the boot goes on")),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_come_in_turn_where_their_order_does_not_matter() {
        for (root, free) in [
            ("LABEL=root", true),
            ("PARTUUID=1234-01", true),
            ("/dev/vda1", true),
            ("/dev/nvme0n1p1", true),
            ("/dev/sda1", false),
            ("8:1", false),
        ] {
            let root = DeviceSpec::parse(root).unwrap();
            assert_eq!(is_order_free(&root, &Resume::Nowhere, "noatime"), free, "{root}");
            assert!(!is_order_free(&root, &Resume::Nowhere, "logdev=/dev/sda"), "{root}");
            assert!(!is_order_free(&root, &Resume::Device(root.clone()), ""));
        }
    }
}
