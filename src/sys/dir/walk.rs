//! Resolves a path one component at a time.
//!
//! In directories that only root can change, symbolic links owned by root are followed. Below the first other directory
//! everything belongs to its owner, who can replace it at any moment: no link and no `..` is followed, and checks are made
//! on what was opened.

use super::{Dir, FileStatus, FileType, Owner, facts};
use crate::error::{Error, Result};
use crate::sys::refused;
use alloc::string::String;
use alloc::vec::Vec;
use rustix::fs;

const DOING: &str = "resolve the path";

/// Symbolic links in one path; the kernel's own limit (`MAXSYMLINKS`).
const LINK_LIMIT: usize = 40;

/// Components of one path: it has at most 4095 bytes (`PATH_MAX`), so at most half as many components; twice that
/// leaves room for links.
const NAME_LIMIT: usize = 4096;

/// The identity of a directory, independent of its path: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(u64, u64);

/// A directory in the path.
#[derive(Debug)]
pub struct Step {
    /// The directory, open.
    pub folder: Dir,
    /// Its attributes.
    pub facts: FileStatus,
    /// Its device and inode.
    pub identity: Identity,
    /// Whether only root can change it and all directories above it.
    pub is_roots: bool,
}

/// A resolved path.
#[derive(Debug)]
pub struct Walk {
    /// The existing directories, from the root on; never empty.
    pub steps: Vec<Step>,
    /// The missing components below them; for a file its name is the last, whether it exists or not.
    pub rest: Vec<String>,
}

impl Walk {
    /// Resolves the file at `path` below `root`; links do not leave the root.
    ///
    /// # Errors
    /// `Os`: ENOTDIR for a component that is not a directory, or a link that is not followed; `Refused` for too many links,
    /// and for `..` below a directory that others can change.
    pub fn to_file(root: &str, path: &str) -> Result<Self> {
        Self::to(root, path, true)
    }

    /// Resolves the directory at `path`; it exists if `rest` is empty.
    ///
    /// # Errors
    /// As [`Self::to_file`].
    pub fn to_folder(root: &str, path: &str) -> Result<Self> {
        Self::to(root, path, false)
    }

    fn to(root: &str, path: &str, is_file: bool) -> Result<Self> {
        let top = Dir::open("", if root.is_empty() { "/" } else { root })?;
        let mut top = top.ok_or_else(|| Error::absent(DOING, "the root directory does not exist").to(root))?;
        top.path = root.trim_end_matches('/').into();
        let mut steps = Vec::from([Step::new(top, true)?]);
        // In reverse order.
        let mut ahead: Vec<String> = reversed(path);
        let (mut links, mut names) = (0_usize, 0_usize);
        while let Some(name) = ahead.pop() {
            names = names.saturating_add(1);
            if names > NAME_LIMIT {
                return Err(Error::refused(DOING, "the path has too many components").to(path));
            }
            let Some(last) = steps.last() else { break };
            if name == ".." {
                if !last.is_roots {
                    return Err(Error::refused(
                        DOING,
                        "\"..\" below a directory that users other than root can change",
                    )
                    .to(path));
                }
                // The parent of the root is the root.
                if steps.len() > 1 {
                    steps.pop();
                }
                continue;
            }
            let found = last.folder.look(&name)?;
            if found.is_some_and(|found| found.file_type == FileType::Link && last.is_roots && is_roots(found)) {
                links = links.saturating_add(1);
                if links > LINK_LIMIT {
                    return Err(Error::refused(DOING, "too many symbolic links").to(path));
                }
                let target = last.folder.link_target(&name)?;
                if target.starts_with('/') {
                    steps.truncate(1);
                }
                ahead.extend(reversed(&target));
                continue;
            }
            let entered = if is_file && ahead.is_empty() { None } else { last.folder.enter(&name)? };
            let Some(folder) = entered else {
                ahead.push(name);
                break;
            };
            let step = Step::new(folder, last.is_roots)?;
            steps.push(step);
        }
        ahead.reverse();
        Ok(Self { steps, rest: ahead })
    }

    /// The last existing directory.
    #[must_use]
    pub fn last(&self) -> Option<&Step> {
        self.steps.last()
    }
}

impl Step {
    fn new(folder: Dir, is_above: bool) -> Result<Self> {
        let found = fs::fstat(&folder.descriptor).map_err(|errno| refused(errno, DOING).to(&*folder.path))?;
        let facts = facts(&found);
        let is_roots = is_above && facts.is_for_root_alone();
        Ok(Self { folder, facts, identity: Identity(found.st_dev, found.st_ino), is_roots })
    }
}

fn is_roots(link: FileStatus) -> bool {
    link.owner.uid == Owner::ROOT.possible().uid
}

/// The components of a path in reverse order.
fn reversed(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|name| !matches!(*name, "" | ".")).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// A root with `a/b` and a link to it; what `look` says of it.
    fn with_root<T>(name: &str, look: impl FnOnce(&str) -> T) -> T {
        let root = std::env::temp_dir().join(alloc::format!("wisp-walk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        let out = look(root.to_str().unwrap());
        std::fs::remove_dir_all(root).unwrap();
        out
    }

    #[test]
    fn links_of_root_are_followed_within_the_root_and_say_where_they_lead() {
        with_root("links", |root| {
            for (link, target) in [("abs", "/a/b"), ("rel", "a/../a/./b"), ("up", "../../../a/b"), ("loop", "loop")] {
                symlink(target, alloc::format!("{root}/{link}")).unwrap();
            }
            let direct = Walk::to_folder(root, "/a/b").unwrap();
            assert!(direct.rest.is_empty() && direct.steps.len() == 3);
            for link in ["/abs", "rel", "//up/", "/a/../abs/."] {
                let walk = Walk::to_folder(root, link).unwrap();
                assert_eq!(walk.last().unwrap().identity, direct.last().unwrap().identity, "{link}");
                let file = Walk::to_file(root, &[link, "/x/y"].concat()).unwrap();
                assert_eq!(
                    (file.last().unwrap().identity, file.rest.join("/")),
                    (direct.last().unwrap().identity, "x/y".into())
                );
            }
            assert_eq!(Walk::to_folder(root, "/loop").unwrap_err().kind, Kind::Refused);
            assert_eq!(Walk::to_file(root, "/a/b").unwrap().rest, ["b"], "a file by the name of a directory");
        });
    }

    #[test]
    fn behind_a_directory_that_others_can_change_no_link_is_followed() {
        with_root("others", |root| {
            symlink("b", alloc::format!("{root}/a/link")).unwrap();
            assert!(Walk::to_file(root, "/a/link/f").unwrap().last().unwrap().is_roots);
            std::fs::set_permissions(alloc::format!("{root}/a"), std::fs::Permissions::from_mode(0o1777)).unwrap();
            assert_eq!(Walk::to_file(root, "/a/link/f").unwrap_err().kind, Kind::Os(20));
            assert_eq!(Walk::to_file(root, "/a/../b/f").unwrap_err().kind, Kind::Refused);
            let walk = Walk::to_file(root, "/a/b/f").unwrap();
            assert!(!walk.last().unwrap().is_roots, "root's directory in one that others can change");
            assert_eq!(Walk::to_file(root, "/a/link").unwrap().rest, ["link"], "it is for the one who opens it");
        });
    }
}
