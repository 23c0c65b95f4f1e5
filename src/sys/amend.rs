//! Changes files of `/etc` the way they are found: a symbolic link of root is followed to its target, and a file that is a
//! mount point of its own, as container managers make `/etc/hosts` one, is written in place.
//!
//! A link counts only if no user but root can have made it or can replace it: link and directory are root's, and the
//! directory is not writable by others. Links lead to places below the root prefix, never outside.

use super::{file, refused};
use crate::error::{Error, Kind, Result};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

const DOING: &str = "change";

/// The kernel follows as many links in one path (`MAXSYMLINKS`).
const LINKS_LIMIT: usize = 40;

/// Components of a path that is not hostile.
const DEPTH_LIMIT: usize = 64;

/// EBUSY: a mount point cannot be replaced. EROFS: its directory is read-only, and the mounted file need not be.
const IN_PLACE: [Kind; 2] = [Kind::Os(16), Kind::Os(30)];

/// Makes the file at `path` below `root` what `change` makes of its bytes, with the mode and the owner it has; returns whether
/// anything was changed. One that does not exist counts as empty, and gets the permission bits `mode`.
///
/// # Errors
/// `Os`; `Refused` for more than `limit` bytes, for what is not a regular file, and for a link that is not root's alone.
pub fn amend(
    root: &str,
    path: &str,
    limit: usize,
    mode: u32,
    change: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) -> Result<bool> {
    let place = format!("{root}{}", resolve(root, path)?);
    let old = match rustix::fs::lstat(place.as_str()) {
        Ok(facts) if FileType::from_raw_mode(facts.st_mode).is_file() => Some((file::read(&place, limit)?, facts)),
        Ok(_) => return Err(Error::refused(DOING, "not a regular file").to(place)),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(refused(errno, DOING).to(place)),
    };
    let new = change(old.as_ref().map_or(&[], |(bytes, _)| bytes));
    if old.as_ref().is_some_and(|(bytes, _)| *bytes == new) {
        return Ok(false);
    }
    let facts = old.map(|(_, facts)| facts);
    let mode = facts.map_or(mode, |facts| facts.st_mode & 0o7777);
    match file::replace(&place, &new, mode, facts, file::Until::Removed) {
        Err(error) if facts.is_some() && IN_PLACE.contains(&error.kind) => overwrite(&place, &new)?,
        replaced => replaced?,
    }
    Ok(true)
}

/// Where `path` leads below `root`: a path without links, but for what is missing at its end.
fn resolve(root: &str, path: &str) -> Result<String> {
    let failed = |why: &'static str| Error::refused(DOING, why).to(format!("{root}{path}"));
    let mut links: usize = 0;
    let mut done: Vec<String> = Vec::new();
    // Last things first.
    let mut left: Vec<String> = components(path);
    while let Some(name) = left.pop() {
        if name == ".." {
            // At the top it leads to the top.
            done.pop();
            continue;
        }
        let folder = format!("{root}/{}", done.join("/"));
        done.push(name);
        if done.len() > DEPTH_LIMIT {
            return Err(failed("its path is too deep"));
        }
        let here = format!("{root}/{}", done.join("/"));
        let facts = match rustix::fs::lstat(here.as_str()) {
            Ok(facts) => Some(facts),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(refused(errno, DOING).to(here)),
        };
        let is_link = facts.is_some_and(|facts| FileType::from_raw_mode(facts.st_mode).is_symlink());
        // Where a link has led, others must not be able to put something either.
        if (is_link || links > 0) && !is_for_root_alone(&folder, facts.as_ref())? {
            return Err(failed("it is, or leads through, a symbolic link that is not only root's to change"));
        }
        if !is_link {
            continue;
        }
        links = links.saturating_add(1);
        if links > LINKS_LIMIT {
            return Err(refused(Errno::LOOP, DOING).to(here));
        }
        let target = super::device_node::link_target(&here)?;
        done.pop();
        if target.starts_with('/') {
            done.clear();
        }
        left.extend(components(&target));
    }
    Ok(format!("/{}", done.join("/")))
}

/// The names in `path`, last things first.
fn components(path: &str) -> Vec<String> {
    path.rsplit('/').filter(|name| !matches!(*name, "" | ".")).map(String::from).collect()
}

/// Whether only root, or who runs this, can have made what has these `facts`, and can replace it in `folder`.
fn is_for_root_alone(folder: &str, facts: Option<&Stat>) -> Result<bool> {
    let own = rustix::process::geteuid().as_raw();
    let is_ours = |facts: &Stat| facts.st_uid == 0 || facts.st_uid == own;
    let above = rustix::fs::stat(folder).map_err(|errno| refused(errno, DOING).to(folder))?;
    Ok(facts.is_none_or(is_ours) && is_ours(&above) && above.st_mode & 0o022 == 0)
}

/// Writes `content` over what the file at `path` holds. A power cut may leave a part of each; nothing else is possible here.
fn overwrite(path: &str, content: &[u8]) -> Result<()> {
    let write = || {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        file::write_whole(&file, content)?;
        rustix::fs::ftruncate(&file, u64::try_from(content.len()).unwrap_or(u64::MAX))?;
        rustix::fs::fsync(&file)
    };
    write().map_err(|errno| refused(errno, "write").to(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;

    fn tree(name: &str) -> (PathBuf, String) {
        let root = std::env::temp_dir().join(format!("wisp-amend-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in ["etc", "data", "open"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let path = root.to_str().unwrap().into();
        (root, path)
    }

    fn set(root: &str, path: &str) -> Result<bool> {
        amend(root, path, 100, 0o644, &mut |old| [old, b"\xffnew\n"].concat())
    }

    #[test]
    fn links_of_root_are_followed_below_the_root_and_stay_links() {
        let (root, path) = tree("links");
        for (link, target, wanted) in [
            ("etc/one", "/data/one", "data/one"),
            ("etc/two", "../data/two", "data/two"),
            ("etc/three", "../../../../../data/three", "data/three"),
            ("etc/four", "four.d/../file", "etc/file"),
            ("etc/five", "one", "data/one"),
        ] {
            symlink(target, root.join(link)).unwrap();
            let before = fs::read(root.join(wanted)).unwrap_or_default();
            assert!(set(&path, &format!("/{link}")).unwrap(), "{link}");
            assert_eq!(fs::read(root.join(wanted)).unwrap(), [&before[..], b"\xffnew\n"].concat(), "{link}");
            assert!(fs::symlink_metadata(root.join(link)).unwrap().is_symlink(), "{link}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_that_others_can_change_is_refused() {
        let (root, path) = tree("others");
        fs::set_permissions(root.join("open"), PermissionsExt::from_mode(0o1777)).unwrap();
        symlink("/open/file", root.join("etc/into")).unwrap();
        fs::write(root.join("open/file"), "old").unwrap();
        symlink("/data/file", root.join("open/link")).unwrap();
        symlink("loop", root.join("etc/loop")).unwrap();
        fs::create_dir(root.join("etc/folder")).unwrap();
        for (name, kind) in [
            ("/etc/into", Kind::Refused),
            ("/open/link", Kind::Refused),
            ("/etc/loop", Kind::Os(40)),
            ("/etc/folder", Kind::Refused),
        ] {
            assert_eq!(set(&path, name).unwrap_err().kind, kind, "{name}");
        }
        assert_eq!(fs::read_to_string(root.join("open/file")).unwrap(), "old");
        assert!(!root.join("data/file").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_of_a_user_is_refused() {
        if !crate::skip::needs_root() {
            return;
        }
        let (root, path) = tree("users");
        symlink("/data/file", root.join("etc/users")).unwrap();
        std::os::unix::fs::lchown(root.join("etc/users"), Some(1000), Some(1000)).unwrap();
        assert_eq!(set(&path, "/etc/users").unwrap_err().kind, Kind::Refused);
        assert!(!root.join("data/file").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_is_written_in_place_ends_where_it_ends() {
        let (root, path) = tree("place");
        fs::write(root.join("etc/hosts"), "a long line\nand another\n").unwrap();
        overwrite(&format!("{path}/etc/hosts"), b"short\n").unwrap();
        assert_eq!(fs::read(root.join("etc/hosts")).unwrap(), b"short\n");
        fs::set_permissions(root.join("etc/hosts"), PermissionsExt::from_mode(0o640)).unwrap();
        assert!(amend(&path, "/etc/hosts", 100, 0o644, &mut |_| b"else\n".into()).unwrap());
        let before = fs::metadata(root.join("etc/hosts")).unwrap();
        assert_eq!(before.permissions().mode() & 0o7777, 0o640);
        assert!(!amend(&path, "/etc/hosts", 100, 0o644, &mut |old| old.into()).unwrap());
        assert_eq!(fs::metadata(root.join("etc/hosts")).unwrap().ino(), before.ino(), "not written again");
        assert_eq!(amend(&path, "/etc/hosts", 2, 0o644, &mut |old| old.into()).unwrap_err().kind, Kind::Refused);
        fs::remove_dir_all(root).unwrap();
    }
}
