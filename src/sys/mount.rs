//! Mounts, mount namespaces, and changing the root.

use super::refused;
use crate::error::{Error, Result};
use alloc::ffi::CString;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process;

pub use rustix::mount::MountFlags as Flags;

/// Mounts `source` of type `kind` at `target`, with the filesystem's own `options` ("a=b,c").
///
/// # Errors
/// `Os`.
pub fn mount(source: &str, target: &str, kind: &str, flags: Flags, options: &str) -> Result<()> {
    const DOING: &str = "mount";
    let options = CString::new(options).map_err(|_| Error::usage(DOING, "the options hold a NUL byte").to(source))?;
    rustix::mount::mount(source, target, kind, flags, &*options).map_err(|errno| refused(errno, DOING).to(source))
}

/// Changes the flags of the filesystem mounted at `target`.
///
/// # Errors
/// `Os`: EBUSY when files are open for writing and read-only is asked for.
pub fn remount(target: &str, flags: Flags) -> Result<()> {
    rustix::mount::mount_remount(target, flags, "").map_err(|errno| refused(errno, "remount").to(target))
}

/// Changes flags and options of the whole filesystem mounted at `target`; options that are not given may fall back to
/// their defaults.
///
/// # Errors
/// `Os`: EBUSY when files are open for writing and read-only is asked for, EINVAL for options it does not change.
pub fn reconfigure(target: &str, flags: Flags, options: &str) -> Result<()> {
    rustix::mount::mount_remount(target, flags, options).map_err(|errno| refused(errno, "remount").to(target))
}

/// Moves the mount at `source` to `target`.
///
/// # Errors
/// `Os`.
pub fn shift(source: &str, target: &str) -> Result<()> {
    rustix::mount::mount_move(source, target).map_err(|errno| refused(errno, "move the mount").to(source))
}

/// Unmounts `target`; `lazily` detaches it at once and lets the kernel finish when the last user is gone.
///
/// # Errors
/// `Os`: EBUSY.
pub fn unmount(target: &str, lazily: bool) -> Result<()> {
    let flags = if lazily { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    rustix::mount::unmount(target, flags).map_err(|errno| refused(errno, "unmount").to(target))
}

/// Gives this process its own copy of the mount tree: what it mounts from here on, no other process sees, and it is
/// gone when the process is.
///
/// # Errors
/// `Os`.
pub fn unshare() -> Result<()> {
    const DOING: &str = "make private the mounts of";
    super::fork::unshare_mounts().map_err(|errno| refused(errno, DOING).to("this process"))?;
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(|errno| refused(errno, DOING).to("this process"))
}

/// Makes the mount at `new` the root of the mount tree and of this process (`switch_root`).
///
/// # Errors
/// `Os`.
pub fn make_root(new: &str) -> Result<()> {
    const DOING: &str = "switch the root to";
    let step = |result: rustix::io::Result<()>| result.map_err(|errno| refused(errno, DOING).to(new));
    step(process::chdir(new))?;
    step(rustix::mount::mount_move(".", "/"))?;
    step(process::chroot("."))?;
    step(process::chdir("/"))
}

/// Words for mount(8) and the programs around it; a filesystem that is told one fails with EINVAL. `user=NAME` is not
/// among them: that is an option of network filesystems.
const FOR_PROGRAMS: [&str; 11] =
    ["defaults", "nofail", "_netdev", "auto", "noauto", "user", "nouser", "users", "nousers", "group", "owner"];

/// Comments for programs begin so.
const COMMENTS: [&str; 3] = ["x-", "X-", "comment="];

/// Flags and remaining options of an option list as in `rootflags=` or fstab ("noatime,data=ordered"). What only
/// programs honour is in neither.
#[must_use]
pub fn flags_of(options: &str) -> (Flags, alloc::string::String) {
    const WORDS: [(&str, Flags, bool); 27] = [
        ("ro", MountFlags::RDONLY, true),
        ("rw", MountFlags::RDONLY, false),
        ("nosuid", MountFlags::NOSUID, true),
        ("suid", MountFlags::NOSUID, false),
        ("nodev", MountFlags::NODEV, true),
        ("dev", MountFlags::NODEV, false),
        ("noexec", MountFlags::NOEXEC, true),
        ("exec", MountFlags::NOEXEC, false),
        ("sync", MountFlags::SYNCHRONOUS, true),
        ("async", MountFlags::SYNCHRONOUS, false),
        ("dirsync", MountFlags::DIRSYNC, true),
        ("noatime", MountFlags::NOATIME, true),
        ("atime", MountFlags::NOATIME, false),
        ("nodiratime", MountFlags::NODIRATIME, true),
        ("diratime", MountFlags::NODIRATIME, false),
        ("relatime", MountFlags::RELATIME, true),
        ("norelatime", MountFlags::RELATIME, false),
        ("strictatime", MountFlags::STRICTATIME, true),
        ("nostrictatime", MountFlags::STRICTATIME, false),
        ("lazytime", MountFlags::LAZYTIME, true),
        ("nolazytime", MountFlags::LAZYTIME, false),
        ("nosymfollow", MountFlags::NOSYMFOLLOW, true),
        ("symfollow", MountFlags::NOSYMFOLLOW, false),
        ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
        ("nomand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
        ("silent", MountFlags::SILENT, true),
        ("loud", MountFlags::SILENT, false),
    ];
    let mut flags = MountFlags::empty();
    let mut rest = alloc::string::String::new();
    let for_programs =
        |word: &str| FOR_PROGRAMS.contains(&word) || COMMENTS.iter().any(|start| word.starts_with(start));
    for word in options.split(',').filter(|word| !word.is_empty() && !for_programs(word)) {
        match WORDS.iter().find(|(name, ..)| *name == word) {
            Some((_, flag, on)) => flags.set(*flag, *on),
            None => {
                if !rest.is_empty() {
                    rest.push(',');
                }
                rest.push_str(word);
            }
        }
    }
    (flags, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_options_become_flags_and_the_rest_stays_in_order() {
        let (flags, rest) = flags_of("rw,noatime,data=ordered,,ro,commit=5");
        assert_eq!(flags, MountFlags::NOATIME | MountFlags::RDONLY);
        assert_eq!(rest, "data=ordered,commit=5");
        assert_eq!(flags_of("ro,rw").0, MountFlags::empty(), "the last one wins");
        assert_eq!(flags_of("defaults").1, "");
    }

    #[test]
    fn every_generic_option_and_its_opposite_stay_out_of_the_rest() {
        let on =
            "ro,nosuid,nodev,noexec,sync,dirsync,noatime,nodiratime,relatime,strictatime,lazytime,nosymfollow,mand";
        let (flags, rest) = flags_of(on);
        assert_eq!((flags.bits().count_ones(), rest.as_str()), (13, ""));
        let off = "rw,suid,dev,exec,async,atime,diratime,norelatime,nostrictatime,nolazytime,symfollow,nomand";
        assert_eq!(flags_of(&alloc::format!("{on},{off}")), (MountFlags::DIRSYNC, "".into()));
    }

    #[test]
    fn words_for_mount_and_systemd_do_not_reach_the_filesystem() {
        let words = "nofail,_netdev,auto,noauto,user,nouser,group,owner,x-systemd.growfs,x-initrd.mount,X-mount.mkdir";
        assert_eq!(flags_of(words), (MountFlags::empty(), "".into()));
        assert_eq!(flags_of("nofail,subvol=@,user=me,x-,extra").1, "subvol=@,user=me,extra");
    }
}
