//! The end of the machine.

use super::{clock, process, refused};
use crate::error::Result;
use crate::units::Deadline;
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

/// Writes what is cached, as far as the disks take it, and ends the machine; comes back only with an error.
///
/// # Errors
/// `Os`: EPERM without `CAP_SYS_BOOT`.
pub fn end(how: End) -> Result<()> {
    let flush = process::spawn(|_| {
        rustix::fs::sync();
        0
    });
    if let Ok(mut flush) = flush {
        // Done or not, it ends now.
        let _ = flush.listen(Deadline::after(clock::now(), SYNC_TIME));
    }
    let command = match how {
        End::Reboot => RebootCommand::Restart,
        End::PowerOff => RebootCommand::PowerOff,
        End::Halt => RebootCommand::Halt,
    };
    rustix::system::reboot(command).map_err(|errno| refused(errno, "end").to("the machine"))
}
