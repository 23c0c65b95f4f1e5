//! What an image needs on a disk that is larger than it: the backup of its GPT at the end, a kernel that knows its
//! partitions, and, where it is asked for, the last one grown.
//!
//! The image is on the disk by then and boots, so what cannot be done here is told and no failure.
#![forbid(unsafe_code)]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::target::Target;
use crate::bytes::ReadAt;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::grow::report::Report;
use crate::grow::{self, Private, PrivatePoint, Request};
use crate::probe::block::{Block, Sysfs};
use crate::probe::grow_facts::Subject;
use crate::settings::Mode;
use crate::sys::block::Access;
use crate::sys::clock;
use crate::table::{self, Geometry, Rule, Table, Write};

/// Anyone who looks at a disk that was just written, as udev does, is done within moments; it sends no event when it
/// is.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
const EBUSY: Kind = Kind::Os(16);

/// The writes that put the table of a disk right that begins as `disk` does; none where there is no GPT.
///
/// # Errors
/// As [`table::read`] and [`Table::relocate`].
pub(super) fn relocation(disk: &dyn ReadAt, geometry: Geometry) -> Result<Vec<Write>> {
    let table = table::read(disk, geometry)?;
    Ok(table.map(|table| table.relocate(disk, Rule::default())).transpose()?.unwrap_or_default().0)
}

/// Puts the table of `target` right, and has the kernel look at it.
///
/// # Errors
/// `Os`, `Corrupt`: the disk does not take it.
pub(super) fn put_right(target: &Target, notes: &mut Vec<String>) -> Result<()> {
    match relocation(&target.pinned, target.geometry()) {
        Ok(writes) => {
            for write in &writes {
                disk::write_verified(&target.device, write.at, &write.bytes)
                    .map_err(|error| error.to(&*target.node))?;
            }
            if !writes.is_empty() {
                notes.push("the backup GPT was moved to the end of the disk".into());
            }
        }
        Err(error) if matches!(error.kind, Kind::Os(_)) => return Err(error.to(&*target.node)),
        Err(error) => notes.push(format!("{}; its partition table stays as it is", error.to(&*target.node))),
    }
    notes.extend(tell_kernel(target));
    Ok(())
}

/// Has the kernel read the partition table of a whole disk; what to tell if it does not.
pub(super) fn tell_kernel(target: &Target) -> Option<String> {
    let disk = &target.device;
    if target.block.slice.is_some() {
        return None;
    }
    for _ in 1..TRIES {
        if !disk.reread_partitions().is_err_and(|error| error.kind == EBUSY) {
            // A device that cannot have partitions says so.
            return None;
        }
        clock::pause(PAUSE);
    }
    disk.reread_partitions()
        .err()
        .map(|error| format!("{error}; the kernel knows the old partitions until it restarts"))
}

/// Grows what lies last on the disk `block`, which no program has open for itself alone.
pub(super) fn grow(sysfs: Sysfs<'_>, block: &Block, notify: &dyn Fn(&str)) -> Vec<String> {
    let subject = match subject(sysfs, block) {
        Ok(subject) => subject,
        Err(error) => return alloc::vec![format!("{error}; nothing is grown")],
    };
    let point = match PrivatePoint::make() {
        Ok(point) => point,
        Err(error) => return alloc::vec![format!("{error}; nothing is grown")],
    };
    let private = Private { point: point.path(), options: "" };
    let markers = &[grow::DISABLED];
    let request = Request { sysfs, subject, mode: Mode::On, dry_run: false, budget: None, private, markers };
    let report = grow::run(&request, &mut |line| notify(line));
    let why = report.error().map(|error| format!("{error}"));
    let has_grown = report.partition.iter().chain([&report.filesystem]).any(|half| half.after > half.before);
    let mut notes = Report { steps: Vec::new(), ..report }.lines();
    notes.extend(why);
    if !has_grown {
        notes.push("nothing was grown".into());
    }
    notes
}

/// The last partition, or the whole disk where it has none.
fn subject(sysfs: Sysfs<'_>, block: &Block) -> Result<Subject> {
    let device = block.open(Access::Read)?;
    let sector = device.sector_size()?;
    let geometry = Geometry { sector, sectors: sector.sectors_in(device.size()?) };
    let table = table::read(&device, geometry).map_err(|error| error.to(device.path()))?;
    let last = table.as_ref().map(Table::partitions).and_then(|all| all.iter().max_by_key(|part| part.first));
    let Some(last) = last else { return Subject::device(sysfs, block.number) };
    let is_it =
        |part: &Block| part.slice.as_ref().is_some_and(|slice| slice.disk == block.name && slice.number == last.number);
    let part = sysfs.all().into_iter().find(is_it).ok_or_else(|| {
        let why = format!("the kernel does not show its partition {}", last.number);
        Error::absent("find what to grow on", why).to(block.node())
    })?;
    Subject::device(sysfs, part.number)
}
