//! The end of the machine.

use super::{clock, fork, refused};
use crate::error::Result;
use crate::units::Deadline;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use core::time::Duration;
use rustix::system::RebootCommand;

/// What shall become of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Start again.
    Reboot,
    /// Switch off.
    PowerOff,
    /// Stop, with the screen as it is.
    Halt,
}

/// What is cached has this long to reach the disks: one that no longer answers must not keep the machine from ending.
const SYNC_TIME: Duration = Duration::from_secs(5);

/// How a panic of PID 1 ends the machine: 0 while that is open, else the place in [`ENDS`] and 1.
static AFTER_PANIC: AtomicU8 = AtomicU8::new(0);
const ENDS: [End; 3] = [End::Reboot, End::PowerOff, End::Halt];

/// Has a panic of PID 1 end the machine like that; without it the kernel panics.
pub fn on_panic(how: End) {
    let place = ENDS.iter().position(|end| *end == how).and_then(|place| u8::try_from(place).ok());
    AFTER_PANIC.store(place.map_or(0, |place| place.saturating_add(1)), Relaxed);
}

/// Ends the machine as [`on_panic`] was asked to; comes back where it was not, or where that fails.
#[cfg(freestanding)]
pub(super) fn end_after_panic() {
    let place = usize::from(AFTER_PANIC.load(Relaxed)).checked_sub(1);
    if let Some(how) = place.and_then(|place| ENDS.get(place)) {
        let _ = end_now(*how);
    }
}

/// Writes what is cached, as far as the disks take it, and ends the machine; comes back only with an error.
///
/// # Errors
/// `Os`: EPERM without `CAP_SYS_BOOT`.
pub fn end(how: End) -> Result<()> {
    let flush = fork::spawn(|_| {
        rustix::fs::sync();
        0
    });
    if let Ok(mut flush) = flush {
        // Done or not, it ends now.
        let _ = flush.listen(Deadline::after(clock::now(), SYNC_TIME));
    }
    end_now(how)
}

/// Ends the machine at once; what is cached is lost.
///
/// # Errors
/// `Os`: EPERM without `CAP_SYS_BOOT`.
pub fn end_now(how: End) -> Result<()> {
    let command = match how {
        End::Reboot => RebootCommand::Restart,
        End::PowerOff => RebootCommand::PowerOff,
        End::Halt => RebootCommand::Halt,
    };
    rustix::system::reboot(command).map_err(|errno| refused(errno, "end").to("the machine"))
}
