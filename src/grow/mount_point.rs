//! Where a filesystem is reached while it grows, and how it becomes writable for that long.
//!
//! Filesystems grow only on a writable mount. What must be made writable is made so in this process's own copy of the
//! mount tree, as little of it as possible, and put back afterwards.

#![forbid(unsafe_code)]

use crate::error::{Kind, Result};
use crate::sys::mount::{self, Flags};
use crate::sys::{pid, tree};
use crate::text::mountinfo::Mount;
use alloc::format;
use alloc::string::String;

/// A directory to mount at for a moment, removed when this is dropped.
///
/// No other process has it: removing a directory also unmounts what another process has mounted there in its own view.
#[derive(Debug)]
pub struct PrivatePoint(String);

impl PrivatePoint {
    /// Makes it.
    ///
    /// # Errors
    /// `Os`.
    pub fn make() -> Result<Self> {
        let path = format!("/run/wisp/mount-{}", pid::own_number());
        tree::make_directories(&path, 0o700)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for PrivatePoint {
    fn drop(&mut self) {
        // Still mounted, which the report tells, it stays for the end of this process.
        let _ = tree::remove_directory(&self.0);
    }
}

/// Options that a filesystem shows but does not take back.
const EINVAL: Kind = Kind::Os(22);

/// A mount of the filesystem that is to grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountPoint {
    /// Where it is.
    pub point: String,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Writable as it is.
    Writable,
    /// Only this mount is read-only, others of the filesystem may be writable and stay so.
    MountReadOnly,
    /// The filesystem is read-only, with these options of its own.
    FilesystemReadOnly { flags: Flags, options: String },
    /// wisp mounted it, read-only so far, where no other process sees it.
    Private { flags: Flags, options: String },
}

impl MountPoint {
    /// Where someone else mounted it.
    pub(super) fn of(mount: &Mount) -> Self {
        let state = match (mount.filesystem_is_read_only(), mount.read_only) {
            (true, _) => {
                let (flags, options) = mount::flags_of(&mount.options);
                State::FilesystemReadOnly { flags: flags.difference(Flags::RDONLY), options }
            }
            (false, true) => State::MountReadOnly,
            (false, false) => State::Writable,
        };
        Self { point: mount.point.clone(), state }
    }

    /// Mounts `device` read-only at `point`, seen by this process alone, with options as in `rootflags=`.
    pub(super) fn mount(device: &str, point: &str, kind: &str, options: &str) -> Result<Self> {
        let (flags, options) = mount::flags_of(options);
        let flags = flags.difference(Flags::RDONLY);
        mount::unshare()?;
        mount::mount(device, point, kind, flags | Flags::RDONLY, &options)?;
        Ok(Self { point: point.into(), state: State::Private { flags, options } })
    }

    /// Whether [`MountPoint::make_writable`] has something to do.
    pub(super) fn is_writable(&self) -> bool {
        self.state == State::Writable
    }

    /// Makes it writable until [`MountPoint::leave`].
    pub(super) fn make_writable(&self) -> Result<()> {
        match &self.state {
            State::Writable => Ok(()),
            State::MountReadOnly => {
                mount::unshare()?;
                mount::remount(&self.point, Flags::BIND)
            }
            State::FilesystemReadOnly { flags, options } => {
                mount::unshare()?;
                self.reconfigure(*flags, options)
            }
            State::Private { flags, options } => self.reconfigure(*flags, options),
        }
    }

    /// Puts things back as they were before wisp came.
    pub(super) fn leave(&self) -> Result<()> {
        match &self.state {
            State::Writable | State::MountReadOnly => Ok(()),
            State::FilesystemReadOnly { flags, options } => self.reconfigure(*flags | Flags::RDONLY, options),
            State::Private { .. } => mount::unmount(&self.point, false),
        }
    }

    /// With its own options, since those that are left out may change; without those that the filesystem refuses.
    fn reconfigure(&self, flags: Flags, options: &str) -> Result<()> {
        match mount::reconfigure(&self.point, flags, options) {
            Err(error) if error.kind == EINVAL => mount::reconfigure(&self.point, flags, ""),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::mountinfo;

    fn place(flags: &str, options: &str) -> MountPoint {
        let line = alloc::format!("22 1 254:2 / / {flags} - xfs /dev/vda2 {options}");
        MountPoint::of(&mountinfo::find(&line, "/").unwrap())
    }

    #[test]
    fn as_little_as_possible_is_made_writable() {
        assert!(place("rw,relatime", "rw").is_writable());
        assert_eq!(place("ro,relatime", "rw").state, State::MountReadOnly, "others may be writing to it");
        let (flags, options) = (Flags::LAZYTIME, "inode32,noquota".into());
        let wanted = State::FilesystemReadOnly { flags, options };
        assert_eq!(place("ro", "ro,lazytime,inode32,noquota").state, wanted, "its options are kept");
    }
}
