//! The end of the machine.

use super::refused;
use crate::error::Result;
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

/// Writes what is cached and ends the machine; comes back only with an error.
///
/// # Errors
/// `Os`: EPERM without `CAP_SYS_BOOT`.
pub fn end(how: End) -> Result<()> {
    rustix::fs::sync();
    let command = match how {
        End::Reboot => RebootCommand::Restart,
        End::PowerOff => RebootCommand::PowerOff,
        End::Halt => RebootCommand::Halt,
    };
    rustix::system::reboot(command).map_err(|errno| refused(errno, "end").to("the machine"))
}
