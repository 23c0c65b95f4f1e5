//! Which kernel this is, and what it calls this machine.

use crate::error::Result;
use alloc::string::String;

/// Its release, as in `/lib/modules/RELEASE`.
#[must_use]
pub fn release() -> String {
    String::from_utf8_lossy(rustix::system::uname().release().to_bytes()).into_owned()
}

/// What it calls this machine.
#[must_use]
pub fn host_name() -> String {
    String::from_utf8_lossy(rustix::system::uname().nodename().to_bytes()).into_owned()
}

/// Calls this machine `name`, unless it is called that already.
///
/// # Errors
/// `Os`: only root may; EINVAL for a name of more than 64 bytes.
pub fn set_host_name(name: &str) -> Result<()> {
    if rustix::system::uname().nodename().to_bytes() == name.as_bytes() {
        return Ok(());
    }
    let failed = |errno| super::refused(errno, "name this machine").to(name);
    rustix::system::sethostname(name.as_bytes()).map_err(failed)
}
