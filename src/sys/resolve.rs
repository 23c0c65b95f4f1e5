//! Resolves a path inside a root directory: symbolic links and `..` never lead out of it (`RESOLVE_IN_ROOT` of
//! openat2(2)).
//!
//! The kernel does this since Linux 5.6. Older kernels have no such call, and seccomp filters of containers forbid it: there
//! the path is walked one name at a time, with every directory on the way held open.

use alloc::ffi::CString;
use alloc::vec::Vec;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{self, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Symbolic links that one path may lead through; the kernel's own number (path_resolution(7)).
const LINKS_LIMIT: usize = 40;

/// Names that one path may have, with those that links add: as many as the longest path, 4096 bytes, in each link.
const NAMES_LIMIT: usize = LINKS_LIMIT * 2048;

/// Opens what `path` means to a process whose root directory is `root`. A symbolic link at the end is followed.
pub(super) fn open(root: &str, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let root = CString::new(root).map_err(|_| Errno::NOENT)?;
    let top = fs::openat(CWD, &*root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let whole = CString::new(path).map_err(|_| Errno::NOENT)?;
    match fs::openat2(&top, &*whole, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT) {
        // Not in this kernel; forbidden by a filter; or a rename somewhere kept the kernel from being sure about a `..`.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => walk(&top, path.as_bytes(), flags),
        outcome => outcome,
    }
}

/// The same without openat2.
fn walk(top: &OwnedFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    // The directories below the root on the way here, so that `..` is the one that was left, wherever that was moved since.
    let mut above: Vec<OwnedFd> = Vec::new();
    let mut ahead: Vec<Vec<u8>> = Vec::new();
    push(&mut ahead, path)?;
    let mut links = 0_usize;
    while let Some(name) = ahead.pop() {
        if name == b"." {
            continue;
        }
        if name == b".." {
            above.pop();
            continue;
        }
        let name = CString::new(name).map_err(|_| Errno::NOENT)?;
        let found = fs::openat(here(top, &above), &*name, LOOK, Mode::empty())?;
        match FileType::from_raw_mode(fs::fstat(&found)?.st_mode) {
            FileType::Symlink => {
                links = links.saturating_add(1);
                if links > LINKS_LIMIT {
                    return Err(Errno::LOOP);
                }
                let target = fs::readlinkat(&found, c"", Vec::new())?;
                if target.as_bytes().starts_with(b"/") {
                    above.clear();
                }
                push(&mut ahead, target.as_bytes())?;
            }
            FileType::Directory => above.push(found),
            _ if ahead.is_empty() && flags.contains(OFlags::PATH) && !flags.contains(OFlags::DIRECTORY) => {
                return Ok(found);
            }
            _ if ahead.is_empty() && !flags.contains(OFlags::DIRECTORY) => {
                // Should a link have taken its place, that one is not followed.
                let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                return fs::openat(here(top, &above), &*name, flags, Mode::empty());
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    fs::openat(here(top, &above), c".", flags | OFlags::CLOEXEC, Mode::empty())
}

/// The directory in which the next name is looked up.
fn here<'a>(top: &'a OwnedFd, above: &'a [OwnedFd]) -> BorrowedFd<'a> {
    above.last().unwrap_or(top).as_fd()
}

/// Puts the names of `path` in front of those ahead. A slash at the end asks for a directory, as `.` does.
fn push(ahead: &mut Vec<Vec<u8>>, path: &[u8]) -> rustix::io::Result<()> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    if path.ends_with(b"/") {
        ahead.push(b".".to_vec());
    }
    ahead.extend(names.rev().map(<[u8]>::to_vec));
    if ahead.len() > NAMES_LIMIT { Err(Errno::NAMETOOLONG) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
