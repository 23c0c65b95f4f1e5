//! Carries out a growing plan and accounts for it; decides nothing.
//!
//! Where power may go: after each table write the disk has been flushed, and `table` ordered the writes so that any
//! prefix of them is a table that boots or that the next run finishes. The kernel is told after the table is on the
//! medium, the filesystem is asked after the kernel knows. What the filesystem does is journaled by itself.
//!
//! The disk is locked through a descriptor that only reads (udev respects the lock and stays away while it is held);
//! the table is written through a second one, so that when it is closed the lock is still there.

#![forbid(unsafe_code)]

mod account;
mod mount_point;
pub mod online;
pub mod report;

use crate::disk::{self, WriteAt};
use crate::error::{Error, Kind, Result};
use crate::filesystem::{self, Policy, Superblock};
use crate::plan::grow::{self as plan, Goal, Plan, Step};
use crate::probe::block::{Block, PartitionInfo, Sysfs};
use crate::probe::grow_facts::{self, Subject};
use crate::settings::Mode;
use crate::sys::block::{Access, Device};
use crate::sys::{clock, device_node, tree};
use crate::table::{self, Geometry, Rule, Write};
use crate::units::{ByteCount, Deadline};
use account::{account, stopped};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use mount_point::MountPoint;
pub use mount_point::PrivatePoint;
use report::{Report, StepReport, StepState, Timed};

/// Any other holder of the lock (udev looking at the disk, systemd-repart) is done within moments.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// The lock sends no event when it becomes free.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// `EBUSY` from `BLKPG` means that someone has the partition half open; five times a tenth of a second outlast it.
const KERNEL_TRIES: u32 = 5;
const KERNEL_PAUSE: Duration = Duration::from_millis(100);
const EBUSY: i32 = 16;

/// The file in a root that switches growing off, as cloud-initramfs-growroot and cloud-init know it.
pub const DISABLED: &str = "/etc/growroot-disabled";

/// How the steps begin that change the disk.
const WRITE: &str = "write ";

/// What to grow and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where sysfs is.
    pub sysfs: Sysfs<'a>,
    /// What.
    pub subject: Subject,
    /// Whether damage may be repaired.
    pub mode: Mode,
    /// Only look, and tell what would be done.
    pub dry_run: bool,
    /// How long growing the filesystem may take; `None`: as long as it takes.
    pub budget: Option<Duration>,
    /// How to mount the filesystem for the time of growing when it is not mounted.
    pub private: Private<'a>,
    /// Files of the filesystem any of which says that its owner wants it left alone.
    pub markers: &'a [&'a str],
}

impl Request<'_> {
    /// Why the filesystem mounted at `point` is to be left alone: one of the markers is there, or that cannot be found out.
    /// A link counts by its name, as its end may lie where this mount has nothing.
    fn veto_at(&self, point: &str, device: &str) -> Option<Error> {
        self.markers.iter().find_map(|marker| match tree::is_named_in(point, marker) {
            Ok(false) => None,
            Ok(true) => Some(Error::refused("grow", format!("it is switched off by {marker}")).to(device)),
            Err(error) => Some(error),
        })
    }
}

/// A mount that only this process sees.
#[derive(Clone, Copy, Debug)]
pub struct Private<'a> {
    /// An existing directory.
    pub point: &'a str,
    /// The filesystem's own options, as in `rootflags=`.
    pub options: &'a str,
}

/// Grows, if there is anything to grow. Every trouble ends up in the report; `notify` is called for steps that take long.
pub fn run(request: &Request<'_>, notify: &mut dyn FnMut(&str)) -> Report {
    let device = request.subject.block.node();
    let Survey { disk, facts, plan } = match look(request) {
        Ok(look) => look,
        Err(error) => return Report::stopped(device, error),
    };
    if plan.is_empty() {
        return account(&facts, &plan);
    }
    if let Some(error) = request.subject.mount.as_ref().and_then(|mount| request.veto_at(&mount.point, &facts.device)) {
        return stopped(&facts, &plan, &error);
    }
    if request.dry_run {
        return account(&facts, &plan);
    }
    Execution { request, disk, facts, steps: Vec::new(), notes: Vec::new() }.run(&plan, notify)
}

/// Makes the primary GPT of a disk without visible partitions what its backup says, and has the kernel look again.
///
/// # Errors
/// `Refused` when the damage is not the trace of an interrupted update and `mode` is not [`Mode::Repair`]; `Os`.
pub fn restore_table(disk: &Block, mode: Mode) -> Result<()> {
    let device = disk.open(Access::Read)?;
    lock(&device, Deadline::after(clock::now(), LOCK_WAIT))?;
    let sector = device.sector_size()?;
    let geometry = Geometry { sector, sectors: sector.sectors_in(device.size()?) };
    let rule = Rule { repair: mode == Mode::Repair, ..Rule::default() };
    let table = table::read(&device, geometry)?;
    let writes = table.map(|table| table.restore(&device, rule)).transpose().map_err(|e| e.to(device.path()))?;
    for write in writes.unwrap_or_default() {
        let writer = device.reopen(Access::WriteDirect)?;
        disk::write_verified(&writer as &dyn WriteAt, write.at, &write.bytes)?;
    }
    device.reread_partitions()
}

/// What is known before anything is changed. The lock is held as long as this lives.
struct Survey {
    disk: Option<Device>,
    facts: plan::Facts,
    plan: Plan,
}

fn look(request: &Request<'_>) -> Result<Survey> {
    let open = |slice: &PartitionInfo| request.sysfs.named(&slice.disk)?.open(Access::Read);
    let disk = request.subject.block.slice.as_ref().map(open).transpose()?;
    if let (Some(disk), false) = (&disk, request.dry_run) {
        lock(disk, Deadline::after(clock::now(), LOCK_WAIT))?;
    }
    let facts = request.subject.facts(request.sysfs, disk.as_ref(), request.private.options)?;
    let plan = plan::plan(&facts, disk.as_ref().map(|disk| disk as _), request.mode);
    Ok(Survey { disk, facts, plan })
}

/// Takes the lock on the whole disk, once its holder releases it.
fn lock(disk: &Device, deadline: Deadline) -> Result<()> {
    while !disk.try_lock()? {
        if deadline.has_passed(clock::now()) {
            let why = "another program keeps it locked";
            return Err(Error::new(Kind::TimedOut, "lock", why).to(disk.path()));
        }
        clock::pause(LOCK_PAUSE);
    }
    Ok(())
}

/// A plan being carried out.
struct Execution<'a> {
    request: &'a Request<'a>,
    disk: Option<Device>,
    facts: plan::Facts,
    steps: Vec<Timed>,
    notes: Vec<String>,
}

impl Execution<'_> {
    fn run(mut self, plan: &Plan, notify: &mut dyn FnMut(&str)) -> Report {
        let mut place = self.place();
        if let Some(error) = self.objection(&place, plan) {
            if let Ok(place) = &place {
                self.leave(place);
            }
            return Report { steps: self.steps, ..stopped(&self.facts, plan, &error) };
        }
        let mut report = account(&self.facts, plan);
        if let (plan::Decision::Change { before, after, steps }, Some(half)) = (&plan.partition, &mut report.partition)
        {
            *half = match steps.iter().try_for_each(|step| self.partition_step(step)) {
                Ok(()) => StepReport { after: *after, ..StepReport::still(StepState::Grown, *before) },
                Err(error) => StepReport::stopped(StepState::Failed, *before, error),
            };
            if half.state == StepState::Failed {
                self.notes.push(self.what_was_written().into());
            }
        }
        let room = report.partition.as_ref().map_or(self.facts.size, |half| half.after);
        // A filesystem larger than its partition (a table lost after an earlier growth) mounts only now.
        if place.is_err() {
            place = self.place();
            if let Some(error) = place.as_ref().ok().and_then(|place| self.objection_at(place)) {
                if let (plan::Decision::Change { before, .. }, Ok(place)) = (&plan.filesystem, &place) {
                    report.filesystem = StepReport::stopped(StepState::Refused, *before, error);
                    self.leave(place);
                }
                report.steps = self.steps;
                report.notes.extend(self.notes);
                return report;
            }
        }
        if let plan::Decision::Change { before, .. } = plan.filesystem {
            let grown = place.clone().and_then(|place| self.grow_filesystem(&place, room, notify));
            report.filesystem = grown.unwrap_or_else(|error| StepReport::stopped(StepState::Failed, before, error));
        }
        if let Ok(place) = &place {
            self.leave(place);
        }
        report.steps = self.steps;
        report.notes.extend(self.notes);
        report
    }

    /// Why nothing may be written, now that the filesystem is mounted or could not be.
    ///
    /// Where it could not, neither the owner's word against growing nor the state of its journal is known, so nothing is
    /// touched; except when the filesystem is larger than its partition, which a table that was lost after an earlier
    /// growth explains: it can be mounted only when the partition has its size again. What holds no filesystem itself
    /// (LUKS, LVM) has no file to look for.
    fn objection(&self, place: &Result<MountPoint>, plan: &Plan) -> Option<Error> {
        let content = self.facts.content.as_ref();
        let is_cut_off = content.and_then(|content| content.extent).is_some_and(|it| it.bytes() > self.facts.size);
        match place {
            Ok(place) => self.objection_at(place),
            Err(_) if matches!(plan.filesystem, plan::Decision::Left(_)) || is_cut_off => None,
            Err(error) => Some(error.clone()),
        }
    }

    /// Why nothing may be written to what is mounted at `place`.
    fn objection_at(&self, place: &MountPoint) -> Option<Error> {
        if let Some(error) = self.request.veto_at(&place.point, &self.facts.device) {
            return Some(error);
        }
        let dirty =
            self.request.subject.mount.is_none() && self.facts.content.as_ref().is_some_and(Superblock::needs_recovery);
        dirty.then(|| Error::refused("grow", plan::UNREPLAYED).to(&*self.facts.device))
    }

    /// For an operator whose partition did not grow.
    fn what_was_written(&self) -> &'static str {
        match self.steps.iter().any(|step| step.worked && step.what.starts_with(WRITE)) {
            true => "the table on the disk was changed before that; the next run or boot goes on from there",
            false => "the table on the disk is the old one",
        }
    }

    /// The mount through which the filesystem is reached: where it is mounted, or a private one.
    fn place(&mut self) -> Result<MountPoint> {
        if let Some(mounted) = &self.request.subject.mount {
            return Ok(MountPoint::of(mounted));
        }
        let kind = self.facts.content.as_ref().map(|content| content.kind);
        let Some(kind) = kind.filter(|kind| kind.policy() == Policy::Grow) else {
            return Err(Error::refused("mount", "it holds no filesystem itself").to(&*self.facts.device));
        };
        if self.facts.content.as_ref().is_some_and(Superblock::needs_recovery) {
            self.mount_privately(kind, "mount it to replay its journal")?.leave()?;
            self.facts.content = grow_facts::superblock(&self.facts.device, self.facts.size)?;
        }
        self.mount_privately(kind, "mount it privately")
    }

    /// Also has the kernel replay the journal. With a dirty one that takes a mount of its own: ext4 counts its groups
    /// before the replay, and if power went while it grew, it has more of them behind it; growing it on that same mount
    /// stops the kernel with a BUG (seen with 6.1, `fs/ext4/resize.c`, `setup_new_flex_group_blocks`).
    fn mount_privately(&mut self, kind: filesystem::Kind, what: &str) -> Result<MountPoint> {
        let Private { point, options } = self.request.private;
        let device = &self.facts.device;
        timed(&mut self.steps, what, || MountPoint::mount(device, point, kind.mount_type(), options))
    }

    fn partition_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Erase(write) => self.write_disk("erase ", write),
            Step::WriteTable(write) => self.write_disk(WRITE, write),
            Step::TellKernel { number, start, length } => self.tell_kernel(*number, *start, *length),
            Step::GrowFilesystem(_) => Ok(()),
        }
    }

    fn write_disk(&mut self, verb: &str, write: &Write) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let what = format!("{verb}{} ({} bytes at {}) and flush", write.what, write.bytes.len(), write.at.0);
        timed(&mut self.steps, &what, || {
            let writer = disk.reopen(Access::WriteDirect)?;
            disk::write_verified(&writer as &dyn WriteAt, write.at, &write.bytes)
        })
    }

    fn tell_kernel(&mut self, number: u32, start: ByteCount, length: ByteCount) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let (sysfs, name) = (self.request.sysfs, &self.request.subject.block.name);
        timed(&mut self.steps, "tell the kernel", || {
            for _ in 1..KERNEL_TRIES {
                match disk.resize_partition(number, start, length) {
                    Err(error) if error.kind == Kind::Os(EBUSY) => clock::pause(KERNEL_PAUSE),
                    other => return other,
                }
            }
            disk.resize_partition(number, start, length)
        })?;
        // BLKPG sends no event of its own; without udev no one hears this one either.
        let _ = device_node::set_attribute(&sysfs.path(name, "uevent"), "change");
        let seen = sysfs.size(name)?;
        if seen == length {
            return Ok(());
        }
        let why = format!("it took the new size {length} and still shows {seen}; it takes effect at the next boot");
        Err(Error::new(Kind::Unsupported, "tell the kernel the size of", why).to(&*self.facts.device))
    }

    fn grow_filesystem(
        &mut self,
        place: &MountPoint,
        room: ByteCount,
        notify: &mut dyn FnMut(&str),
    ) -> Result<StepReport> {
        let (before, goal) = match plan::refit(&self.facts, room) {
            plan::Decision::Change { before, steps, .. } => match steps.into_iter().next() {
                Some(Step::GrowFilesystem(goal)) => (before, goal),
                _ => return Ok(StepReport::still(StepState::Full, before)),
            },
            plan::Decision::Refused(error) => return Err(error),
            _ => return Ok(StepReport::still(StepState::Full, room)),
        };
        if is_ext(&goal) {
            online::check_groups(self.request.sysfs.root, &self.request.subject.block.name, &goal)?;
        }
        if !place.is_writable() {
            timed(&mut self.steps, "make its mount writable", || place.make_writable())?;
        }
        let deadline = self.request.budget.map_or(Deadline::NEVER, |budget| Deadline::after(clock::now(), budget));
        let (what, device) = (format!("grow {}", goal.kind.name()), &self.facts.device);
        let grown = timed(&mut self.steps, &what, || online::grow(&place.point, device, &goal, deadline, notify));
        Ok(match grown {
            Ok(reached) => {
                let state = if is_ext(&goal) && reached < goal.to { StepState::Partly } else { StepState::Grown };
                StepReport { after: self.size_now(&goal, reached), ..StepReport::still(state, before) }
            }
            Err(error) => {
                let after = self.size_now(&goal, goal.from);
                StepReport { after, ..StepReport::stopped(StepState::Failed, before, error) }
            }
        })
    }

    /// Puts the mount back. What had to be done is done by now; failing here is a note, not a failure.
    fn leave(&mut self, place: &MountPoint) {
        if !place.is_writable() {
            let left = timed(&mut self.steps, "put its mount back", || place.leave());
            self.notes.extend(left.err().map(|error| format!("{error}, continuing with it as it is")));
        }
    }

    /// What the filesystem says of itself afterwards: the kernel may keep less than was asked for.
    fn size_now(&self, goal: &Goal, reached: u64) -> ByteCount {
        let bytes = |blocks: u64| ByteCount(blocks.saturating_mul(u64::from(goal.block_size)));
        let again = is_ext(goal).then(|| grow_facts::superblock(&self.facts.device, self.facts.size).ok().flatten());
        let told = again.flatten().and_then(|found| found.extent).map(|extent| extent.blocks);
        bytes(told.unwrap_or(reached))
    }
}

/// Whether its superblock on the device is up to date while it is mounted.
fn is_ext(goal: &Goal) -> bool {
    goal.kind.module() == Some("ext4")
}

fn timed<T>(steps: &mut Vec<Timed>, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = clock::now();
    let outcome = work();
    let took = clock::now().saturating_sub(start);
    steps.push(Timed { what: what.into(), took, worked: outcome.is_ok() });
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_another_program_keeps_locked_is_given_up_at_the_deadline() {
        let path = std::env::temp_dir().join(format!("wisp-lock-{}", std::process::id()));
        std::fs::write(&path, "a disk").unwrap();
        let open = || Device::open(path.to_str().unwrap(), Access::Read).unwrap();
        let (mine, theirs) = (open(), open());
        lock(&theirs, Deadline::NEVER).unwrap();
        assert_eq!(lock(&mine, Deadline::after(clock::now(), Duration::ZERO)).unwrap_err().kind, Kind::TimedOut);
        drop(theirs);
        lock(&mine, Deadline::after(clock::now(), Duration::ZERO)).unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
