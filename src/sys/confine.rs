//! Confines this process to one directory, for commands that work on the system below it (`--root DIR`).
//!
//! Every path of such a command lies below the directory, and the links in it are those of a system that may be untrusted:
//! `etc -> /etc`, `etc/hostname -> ../../etc/hostname`. With the directory as the root directory of the process
//! (chroot(2)) none of them leads out, whichever function opens it.

use super::{file, fork, refused};
use crate::error::{Error, Kind, Result};
use alloc::format;
use rustix::io::Errno;
use rustix::process::{chdir, chroot};

const DOING: &str = "use the root directory";

/// The root prefix of all paths once the process is confined. It is not empty, because an empty one means the running
/// system.
pub const CONFINED: &str = "/.";

/// Refuses a `path` at which there is no directory, for a command that can call [`enter`] only later.
///
/// # Errors
/// `Absent`.
pub fn check(path: &str) -> Result<()> {
    // With the slash, a symlink to a directory is one.
    if file::is_directory(&format!("{path}/")) { Ok(()) } else { Err(absent(path)) }
}

fn absent(path: &str) -> Error {
    Error::absent(DOING, "not an existing directory").to(path)
}

/// Makes the directory at `path` the root directory of this process, for good; its paths begin with [`CONFINED`] from
/// there on. A user other than root, who may not do that, does it in a user namespace, with the same rights.
///
/// # Errors
/// `Absent` when it is not a directory; `Refused` where the kernel permits neither; `Os`.
pub fn enter(path: &str) -> Result<()> {
    let failed = |errno| match errno {
        Errno::NOENT | Errno::NOTDIR => absent(path),
        Errno::PERM => {
            let why = "not permitted; it takes root with CAP_SYS_CHROOT, or user namespaces";
            Error::new(Kind::Refused, DOING, why).to(path)
        }
        errno => refused(errno, DOING).to(path),
    };
    chdir(path).map_err(failed)?;
    match chroot(".") {
        Err(Errno::PERM) if !fork::is_root() => {
            fork::unshare_user().and_then(|()| chroot(".")).map_err(failed)?;
        }
        entered => entered.map_err(failed)?,
    }
    chdir("/").map_err(failed)
}
