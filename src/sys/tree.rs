//! Directories: making them, and emptying the initramfs.

use super::refused;
use crate::error::{Error, Result};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// `RAMFS_MAGIC` and `TMPFS_MAGIC` of linux/magic.h: what an initramfs lives in.
const MEMORY_FILESYSTEMS: [i64; 2] = [0x8584_58f6, 0x0102_1994];

/// No initramfs has deeper trees than `lib/modules/VERSION/kernel/drivers/...`.
const DEPTH_LIMIT: usize = 32;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Makes the directory `path`, unless something is there already.
///
/// # Errors
/// `Os`.
pub fn make_directory(path: &str, mode: u32) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(refused(errno, "make the directory").to(path)),
    }
}

/// Makes the directory `path` and those above it that are missing; these may be read by all.
///
/// # Errors
/// `Os`.
pub fn make_directories(path: &str, mode: u32) -> Result<()> {
    // Those above it are there nearly always.
    if make_directory(path, mode).is_ok() {
        return Ok(());
    }
    for (slash, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
        make_directory(path.get(..slash).unwrap_or_default(), 0o755)?;
    }
    make_directory(path, mode)
}

/// Removes the empty directory `path`.
///
/// # Errors
/// `Os`: EBUSY when something is mounted there in this process's view.
pub fn remove_directory(path: &str) -> Result<()> {
    rustix::fs::rmdir(path).map_err(|errno| refused(errno, "remove the directory").to(path))
}

/// Makes `path` a symbolic link to `target`, unless it is one already.
///
/// # Errors
/// `Os`: EEXIST when something else is there.
pub fn make_link(target: &str, path: &str) -> Result<()> {
    let is_same =
        || rustix::fs::readlink(path, alloc::vec::Vec::new()).is_ok_and(|old| old.to_bytes() == target.as_bytes());
    match rustix::fs::symlink(target, path) {
        Err(Errno::EXIST) if is_same() => Ok(()),
        outcome => outcome.map_err(|errno| refused(errno, "make the symbolic link").to(path)),
    }
}

/// Removes the file or symbolic link `path`; whether there was one.
///
/// # Errors
/// `Os`: EISDIR for a directory.
pub fn remove_file(path: &str) -> Result<bool> {
    match rustix::fs::unlink(path) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        // Of a read-only filesystem the kernel says so first, whether the file exists or not.
        Err(_) if matches!(rustix::fs::lstat(path), Err(Errno::NOENT | Errno::NOTDIR)) => Ok(false),
        Err(errno) => Err(refused(errno, "remove").to(path)),
    }
}

/// Whether something, be it a dangling link, is called `path`.
#[must_use]
pub fn is_there(path: &str) -> bool {
    rustix::fs::lstat(path).is_ok()
}

/// Whether `path` is there in the system whose root is `root`: links on the way and at its end mean that root.
#[must_use]
pub fn is_there_in(root: &str, path: &str) -> bool {
    find_in(root, path, OFlags::empty()) == Ok(true)
}

/// Whether something, be it a dangling link, is called `path` in the system whose root is `root`; links on the way mean
/// that root.
///
/// # Errors
/// `Os` where that cannot be found out, as of a folder that the disk cannot read.
pub fn is_named_in(root: &str, path: &str) -> Result<bool> {
    find_in(root, path, OFlags::NOFOLLOW)
}

fn find_in(root: &str, path: &str, flags: OFlags) -> Result<bool> {
    let joined = alloc::format!("{root}{path}");
    let failed = |errno| refused(errno, "look for").to(&*joined);
    let top = rustix::fs::open(root, FOLDER, Mode::empty()).map_err(failed)?;
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(&top, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(_) => Ok(true),
        // Before Linux 5.6: that the name is there is all that can be found out.
        Err(Errno::NOSYS) => Ok(is_there(&joined)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(errno) => Err(failed(errno)),
    }
}

/// Whether `/` is a filesystem in memory, as an initramfs is and the root of a container hardly ever.
#[must_use]
pub fn root_is_in_memory() -> bool {
    rustix::fs::statfs("/").is_ok_and(|facts| MEMORY_FILESYSTEMS.contains(&facts.f_type))
}

/// Frees the memory of the initramfs: removes everything below `/` that is on the same filesystem as `/` itself.
///
/// # Errors
/// `Refused` when `/` is not a filesystem in memory: emptying a disk is not what anybody meant.
pub fn empty_initramfs() -> Result<()> {
    empty_memory("/")
}

/// Removes everything below the directory `path` that is on the same filesystem, which must be in memory.
fn empty_memory(path: &str) -> Result<()> {
    const DOING: &str = "empty the initramfs in";
    let failed = |errno| refused(errno, DOING).to(path);
    let root = rustix::fs::open(path, FOLDER, Mode::empty()).map_err(failed)?;
    let kind = rustix::fs::fstatfs(&root).map_err(failed)?.f_type;
    if !MEMORY_FILESYSTEMS.contains(&kind) {
        return Err(Error::refused(DOING, "it is not a filesystem in memory").to(path));
    }
    let device = rustix::fs::fstat(&root).map_err(failed)?.st_dev;
    empty(root.as_fd(), device, DEPTH_LIMIT);
    Ok(())
}

/// Removes what is in `folder` as far as it is on `device`. What resists stays: it only costs memory.
fn empty(folder: BorrowedFd<'_>, device: u64, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(listing) = Dir::read_from(folder) else { return };
    for entry in listing.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
            continue;
        }
        let Ok(inner) = rustix::fs::openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) else { continue };
        if rustix::fs::fstat(&inner).is_ok_and(|facts| facts.st_dev == device) {
            empty(inner.as_fd(), device, depth);
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::skip::skip;
    use std::format;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    #[test]
    fn links_of_another_root_are_resolved_in_it() {
        let root = std::env::temp_dir().join(format!("wisp-tree-{}", std::process::id()));
        std::fs::create_dir_all(root.join("usr/wisp-sbin")).unwrap();
        std::fs::write(root.join("usr/wisp-sbin/init"), "").unwrap();
        symlink("/usr/wisp-sbin", root.join("sbin")).unwrap();
        symlink("/usr/wisp-sbin/init", root.join("start")).unwrap();
        symlink("/nowhere", root.join("dangling")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        let top = root.to_str().unwrap();
        let paths = ["/sbin/init", "/start", "/dangling", "/circle", "/etc/init", "/circle/init", "/start/init"];
        let found = paths.map(|path| is_there_in(top, path));
        let named = paths.map(|path| is_named_in(top, path).unwrap());
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, [true, true, false, false, false, false, false]);
        assert_eq!(named, [true, true, true, true, false, false, false]);
        assert!(is_named_in(top, "/start").is_err(), "without the root nothing is known");
    }

    /// A directory in `above` with a file, a directory and a link to what is outside; whether `above` is in memory.
    fn filled(above: &Path) -> (PathBuf, bool) {
        let root = above.join(format!("wisp-empty-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("root/usr/lib/modules")).unwrap();
        std::fs::create_dir(root.join("outside")).unwrap();
        for file in ["root/init", "root/usr/lib/modules/a", "outside/file"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        symlink("../outside", root.join("root/link")).unwrap();
        let kind = rustix::fs::statfs(root.to_str().unwrap()).unwrap().f_type;
        (root, MEMORY_FILESYSTEMS.contains(&kind))
    }

    #[test]
    fn a_disk_is_never_emptied() {
        // What is there outlives a boot (file-hierarchy(7)), so it is on a disk, or on the overlay of a container.
        let (root, is_in_memory) = filled(Path::new("/var/tmp"));
        if is_in_memory {
            skip("/var/tmp is in memory");
        } else {
            let error = empty_memory(root.join("root").to_str().unwrap()).unwrap_err();
            assert_eq!(error.kind, Kind::Refused);
            assert!(root.join("root/init").exists() && root.join("root/usr/lib/modules/a").exists());
        }
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_filesystem_in_memory_is_emptied_and_nothing_outside() {
        if !Path::new("/dev/shm").is_dir() {
            return skip("there is no /dev/shm");
        }
        let (root, is_in_memory) = filled(Path::new("/dev/shm"));
        if is_in_memory {
            empty_memory(root.join("root").to_str().unwrap()).unwrap();
            assert_eq!(std::fs::read_dir(root.join("root")).unwrap().count(), 0);
            assert!(root.join("outside/file").exists(), "links are not followed");
        } else {
            skip("/dev/shm is not a filesystem in memory");
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
