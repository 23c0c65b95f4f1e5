//! What a path stands for: device numbers and symbolic links.

use super::refused;
use crate::error::{Error, Result};
use alloc::string::String;
use alloc::vec::Vec;
use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, Stat};

const DOING: &str = "look at";

/// Major and minor number of a device.
pub type Number = (u32, u32);

/// The device that the block device node at `path` stands for.
///
/// # Errors
/// `Os`; `Refused` when it is not a block device.
pub fn block_number(path: &str) -> Result<Number> {
    let facts = rustix::fs::stat(path).map_err(|errno| refused(errno, DOING).to(path))?;
    number_of(&facts).map_err(|error| error.to(path))
}

/// The block device that is open as `descriptor`.
pub(super) fn open_block_number(descriptor: BorrowedFd<'_>) -> Result<Number> {
    number_of(&rustix::fs::fstat(descriptor).map_err(|errno| refused(errno, DOING))?)
}

fn number_of(facts: &Stat) -> Result<Number> {
    if FileType::from_raw_mode(facts.st_mode).is_block_device() {
        return Ok(split(facts.st_rdev));
    }
    Err(Error::refused(DOING, "it is not a block device"))
}

/// The device that holds the file or directory at `path`; major 0 where no block device does.
///
/// # Errors
/// `Os`.
pub fn holding_device(path: &str) -> Result<Number> {
    rustix::fs::stat(path).map(|facts| split(facts.st_dev)).map_err(|errno| refused(errno, "look at").to(path))
}

/// Whether two paths lead to one file.
#[must_use]
pub fn is_same_file(one: &str, other: &str) -> bool {
    let identity = |path: &str| rustix::fs::stat(path).map(|facts| (facts.st_dev, facts.st_ino));
    identity(one).is_ok_and(|one| identity(other) == Ok(one))
}

/// Where the symbolic link at `path` points to.
///
/// # Errors
/// `Os`: EINVAL when it is none.
pub fn link_target(path: &str) -> Result<String> {
    const DOING: &str = "read the link";
    let target = rustix::fs::readlink(path, Vec::new()).map_err(|errno| refused(errno, DOING).to(path))?;
    target.into_string().map_err(|_| Error::unsupported(DOING, "it is no UTF-8").to(path))
}

/// What the attribute of sysfs at `path` says, without its newline. One read gets it whole: it is a page at most.
///
/// # Errors
/// `Os`; `Unsupported` when it is no UTF-8.
pub fn attribute(path: &str) -> Result<String> {
    use rustix::fs::{Mode, OFlags};
    const DOING: &str = "read";
    let failed = |errno| refused(errno, DOING).to(path);
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let mut page = [0; 4096];
    let count = rustix::io::read(&file, &mut page).map_err(failed)?;
    let text = core::str::from_utf8(page.get(..count).unwrap_or_default());
    text.map(|text| text.trim_end().into()).map_err(|_| Error::unsupported(DOING, "it is no UTF-8").to(path))
}

/// Puts `text` into an attribute of sysfs or procfs with one write.
///
/// # Errors
/// `Os`.
pub fn set_attribute(path: &str, text: &str) -> Result<()> {
    use rustix::fs::{Mode, OFlags};
    const DOING: &str = "write";
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| refused(errno, DOING).to(path))?;
    rustix::io::write(&file, text.as_bytes()).map(|_| ()).map_err(|errno| refused(errno, DOING).to(path))
}

fn split(device: u64) -> Number {
    (rustix::fs::major(device), rustix::fs::minor(device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_block_devices_have_a_block_number() {
        assert_eq!(block_number("/dev/null").unwrap_err().kind, Kind::Refused);
        assert_eq!(block_number("/nonexistent").unwrap_err().kind, Kind::Os(2));
        assert_eq!(holding_device("/proc").unwrap().0, 0, "procfs has no block device");
    }
}
