//! The root partition and its filesystem grow to the end of their disk.

use super::context::Context;
use crate::error::{Kind, Result};
use crate::grow::{self, Private, Request, report::StepState};
use crate::probe::block::Sysfs;
use crate::probe::grow_facts::Subject;
use crate::settings::{Boot, Mode};

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

/// `ENOENT`: a device that the kernel or udev does not show.
const NO_DEVICE: Kind = Kind::Os(2);

/// `EPERM`: a container without CAP_SYS_RESOURCE. `ENOTTY`, `EOPNOTSUPP`: the kernel does not resize this filesystem while it
/// is mounted.
const PERMANENT: [Kind; 3] = [Kind::Os(1), Kind::Os(25), Kind::Os(95)];

/// A root that wisp does not grow, for a reason that stays (no block device, LVM, a partition behind it, a read-only disk), is
/// logged and is no failure: trying again at every boot would not change it.
pub(super) fn expand_root(context: &mut Context<'_>) -> Result<()> {
    if !context.is_live() || context.machine.evidence.container {
        context.say("only a running machine has a root to grow");
        return Ok(());
    }
    let mode = Boot::from_cmdline(&context.machine.evidence.cmdline).mode;
    if mode == Mode::Off {
        context.say("wisp.grow=off on the kernel command line");
        return Ok(());
    }
    // The root is mounted, so no mount of wisp's own is needed.
    let private = Private { point: "", options: "" };
    let subject = match Subject::mounted_at(SYSFS, "/") {
        Err(error) if !matches!(error.kind, Kind::Os(_) | Kind::TimedOut) || error.kind == NO_DEVICE => {
            context.warn(&alloc::format!("{error}"));
            return Ok(());
        }
        subject => subject?,
    };
    let request =
        Request { sysfs: SYSFS, subject, mode, dry_run: false, budget: None, private, markers: &[grow::DISABLED] };
    let report = grow::run(&request, &mut |line| context.say(line));
    report.lines().iter().for_each(|line| context.say(line));
    match report.error() {
        Some(error) if report.state() == StepState::Failed && PERMANENT.contains(&error.kind) => {
            context.degrade(&alloc::format!("{error}"));
            Ok(())
        }
        Some(error) if report.state() == StepState::Failed => Err(error.clone()),
        _ => Ok(()),
    }
}
