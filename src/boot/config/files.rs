//! `write_files`: each file whole or not at all, with its owner and mode from its first moment on.
//!
//! Every path is below the root: symbolic links mean what they mean there, at the end too, since that is where anyone
//! who reads the path looks, and none leads out of it. Only links of root's are followed: in a folder of another's, its
//! owner would say which file of the system is replaced, and given to him. Below such a folder everything is his: there
//! content is added only to what he can read already, since the file may be a hard link to one that he cannot.

use super::super::context::Context;
use super::{Outcomes, config};
use crate::error::{Error, Kind, Result};
use crate::sys::dir::{Dir, FileStatus, FileType, Owner};
use crate::userdata::{self, File};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DOING: &str = "write";

/// The bits by which a file is read.
const READABLE: u32 = 0o444;

/// What the kernel itself follows.
const LINKS_LIMIT: usize = 40;

/// passwd and group; of a machine with a hundred thousand accounts they have some 6 MiB.
const ACCOUNTS_LIMIT: usize = 16 << 20;

pub(in super::super) fn userdata_write_files(context: &mut Context<'_>) -> Result<()> {
    let context = &*context;
    let Some(config) = config(context)? else { return Ok(()) };
    let mut outcomes = Outcomes::new(context);
    let (files, errors) = config.files()?;
    for error in errors {
        outcomes.note(Err(error));
    }
    for file in &files {
        let written = owner(context.root(), file).and_then(|owner| write(context.root(), file, owner));
        outcomes.note(written.map_err(|error| {
            // The kernel's reason is told by the kind.
            let is_kernels = matches!(error.kind, Kind::Os(_));
            let why = if is_kernels { format!("{} {}", error.doing, error.to) } else { format!("{error}") };
            Error::new(error.kind, DOING, why).to(file.called())
        }));
    }
    outcomes.end()
}

/// Makes a file below `root` what it shall be. One that is so is not touched.
fn write(root: &str, file: &File<'_>, owner: Owner) -> Result<()> {
    let (folder, name, is_roots) = walk(root, &file.path, true)?;
    match folder.look(&name)?.map(|facts| facts.file_type) {
        None | Some(FileType::File) => replace(&folder, &name, file, owner, is_roots),
        Some(_) => Err(Error::refused(DOING, "it is there and no regular file").to(folder.path(&name))),
    }
}

fn replace(folder: &Dir, name: &str, file: &File<'_>, owner: Owner, is_roots: bool) -> Result<()> {
    let (old, has) = match folder.read(name, userdata::LIMIT)? {
        Some((old, facts)) => {
            if file.append && !is_roots && !may_show(facts, folder.facts()?, file, owner.possible()) {
                let why = "it belongs to another user, and what is in it would be shown to more users";
                return Err(Error::refused("append to", why).to(folder.path(name)));
            }
            (old, Some((facts.mode, facts.owner)))
        }
        None => (Vec::new(), None),
    };
    // What a run before this one added is not added again.
    let added = if old.ends_with(&file.content) { &[][..] } else { &file.content };
    let wanted = if file.append { [&old, added].concat() } else { file.content.clone() };
    if has == Some((file.mode, owner.possible())) && old == wanted {
        return Ok(());
    }
    folder.write(name, &wanted, file.mode, owner)
}

/// Whether the content of `old`, in a folder that others than root can change, may go into a file of `owner` with the mode of
/// `file`: all can read it, it is the folder's owner's, or the file stays as open as it is.
fn may_show(old: FileStatus, folder: FileStatus, file: &File<'_>, owner: Owner) -> bool {
    let is_public = old.mode & 0o004 != 0;
    let is_his = old.owner.uid == folder.owner.uid && folder.owner.uid != Owner::ROOT.possible().uid;
    let stays = old.owner == owner && file.mode & !old.mode & READABLE == 0;
    is_public || is_his || stays
}

/// The folder at `path` below `root`, made with those above it that are missing; these may be read by all.
///
/// # Errors
/// `Os`; `Absent` without the root; `Refused` for a link that is not followed.
pub(super) fn folder(root: &str, path: &str) -> Result<Dir> {
    walk(root, path, false).map(|(folder, ..)| folder)
}

/// Goes along `path`; of that of a file to the folder that it is in, whatever links lead there, and returns its name besides,
/// and whether only root can change any folder on the way.
fn walk(root: &str, path: &str, is_file: bool) -> Result<(Dir, String, bool)> {
    let top = || Error::absent("open the folder", "the root is not there").to(root);
    let mut here = Dir::open(root, "/")?.ok_or_else(top)?;
    let mut is_roots = here.facts()?.is_for_root_alone();
    // From the root to where we are; what is ahead, the next name last.
    let (mut above, mut links) = (Vec::new(), 0_usize);
    let ahead = |path: &str| path.rsplit('/').filter(|part| !matches!(*part, "" | ".")).map(String::from).collect();
    let mut names: Vec<String> = ahead(path);
    while let Some(name) = names.pop() {
        if name == ".." {
            here = above.pop().unwrap_or(here);
        } else if here.look(&name)?.is_some_and(|found| found.file_type == FileType::Link) {
            links = links.saturating_add(1);
            if links > LINKS_LIMIT {
                return Err(Error::refused(DOING, "it is a link without end").to(path));
            }
            if !is_roots {
                return Err(Error::refused(DOING, "it is a link that others than root can change").to(here.path(&name)));
            }
            let target = here.link_target(&name)?;
            if target.starts_with('/') && !above.is_empty() {
                here = above.swap_remove(0);
                above.clear();
            }
            names.extend(ahead(&target));
        } else if is_file && names.is_empty() {
            return Ok((here, name, is_roots));
        } else {
            let next = here.make(&name, 0o755, Owner::ROOT)?;
            is_roots &= next.facts()?.is_for_root_alone();
            above.push(core::mem::replace(&mut here, next));
        }
    }
    if is_file { Err(Error::refused(DOING, "it is a folder").to(path)) } else { Ok((here, String::new(), is_roots)) }
}

/// Whose a file shall be, by the accounts below `root`.
fn owner(root: &str, file: &File<'_>) -> Result<Owner> {
    let uid = number(root, "passwd", file.user)?;
    let gid = number(root, "group", file.group.unwrap_or("root"))?;
    Ok(Owner { uid, gid })
}

/// The number of `name` in a file of accounts. Names come before numbers, as with chown; root needs no file.
fn number(root: &str, table: &str, name: &str) -> Result<u32> {
    let content = Dir::open(root, "/etc")?.map(|etc| etc.read(table, ACCOUNTS_LIMIT)).transpose()?.flatten();
    let text = String::from_utf8_lossy(content.as_ref().map_or(&[], |(content, _)| content)).into_owned();
    let entry = text.lines().map(|line| line.split(':')).find_map(|mut fields| {
        (fields.next() == Some(name)).then(|| fields.nth(1).and_then(|number| number.parse().ok())).flatten()
    });
    let own = if name == "root" { Some(0) } else { name.parse().ok() };
    let absent = || Error::absent("find the owner in", format!("there is no {name}"));
    // To chown(2) this number means that the owner stays what it is.
    let number = entry.or(own).filter(|number| *number != u32::MAX);
    number.ok_or_else(|| absent().to(format!("{root}/etc/{table}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::needs_root;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    use std::path::{Path, PathBuf};

    /// A root with a user's home, number 1000, and a secret of root's. Only root can give files away.
    fn root(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("wisp-files-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("home/ann/own")).unwrap();
        std::fs::create_dir_all(root.join("etc")).unwrap();
        for path in ["home/ann", "home/ann/own"] {
            chown(root.join(path), Some(1000), Some(1000)).unwrap();
        }
        put(&root.join("etc/shadow"), "root:$6$secret:\n", 0o640, (0, 42));
        root
    }

    fn put(path: &Path, text: &str, mode: u32, (uid, gid): (u32, u32)) {
        std::fs::write(path, text).unwrap();
        chown(path, Some(uid), Some(gid)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn append(root: &Path, path: &str, mode: u32, owner: (u32, u32)) -> Result<()> {
        let content = b"more\n".to_vec();
        let file = File { index: 0, path: path.into(), content, mode, user: "root", group: None, append: true };
        write(root.to_str().unwrap(), &file, Owner { uid: owner.0, gid: owner.1 })
    }

    #[test]
    fn content_is_added_to_no_file_that_the_owner_of_the_folder_cannot_read() {
        if !needs_root() {
            return;
        }
        let root = root("planted");
        for (mode, owner) in [(0o600, (1000, 1000)), (0o644, (0, 0)), (0o640, (0, 1000)), (0o644, (0, 42))] {
            let planted = root.join("home/ann/own/log");
            let _ = std::fs::remove_file(&planted);
            std::fs::hard_link(root.join("etc/shadow"), &planted).unwrap();
            let error = append(&root, "/home/ann/own/log", mode, owner).unwrap_err();
            assert_eq!(error.kind, Kind::Refused, "{mode:o} {owner:?}");
            let facts = std::fs::metadata(&planted).unwrap();
            assert_eq!((facts.nlink(), facts.uid(), facts.gid(), facts.mode() & 0o777), (2, 0, 42, 0o640));
        }
        assert_eq!(std::fs::read_to_string(root.join("etc/shadow")).unwrap(), "root:$6$secret:\n");
        // A folder of root's below that of a user can be moved there by him.
        let moved = root.join("home/ann/moved");
        std::fs::create_dir(&moved).unwrap();
        put(&moved.join("log"), "secret\n", 0o600, (0, 0));
        assert_eq!(append(&root, "/home/ann/moved/log", 0o644, (0, 0)).unwrap_err().kind, Kind::Refused);
        symlink("log", moved.join("link")).unwrap();
        assert_eq!(append(&root, "/home/ann/moved/link", 0o600, (0, 0)).unwrap_err().kind, Kind::Refused);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn content_is_added_to_what_may_be_shown_and_once() {
        if !needs_root() {
            return;
        }
        let root = root("shown");
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        // In root's own folders what user-data says is done, whichever user gets the file.
        append(&root, "/etc/shadow", 0o600, (1000, 1000)).unwrap();
        assert_eq!(text("etc/shadow"), "root:$6$secret:\nmore\n");
        for (path, mode, owner) in [
            ("home/ann/his", 0o600, (1000, 1000)),
            ("home/ann/public", 0o644, (0, 0)),
            ("home/ann/same", 0o600, (0, 0)),
            ("home/ann/closed", 0o640, (0, 0)),
        ] {
            put(&root.join(path), "old\n", mode, owner);
            let (mode, owner) = if path.ends_with("closed") { (0o600, (0, 0)) } else { (mode, owner) };
            for _ in 0..2 {
                append(&root, &format!("/{path}"), mode, owner).unwrap();
                assert_eq!(text(path), "old\nmore\n", "{path}");
            }
        }
        append(&root, "/home/ann/new", 0o600, (0, 0)).unwrap();
        append(&root, "/home/ann/new", 0o600, (0, 0)).unwrap();
        assert_eq!(text("home/ann/new"), "more\n");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_number_that_means_no_change_is_no_owner() {
        if !needs_root() {
            return;
        }
        let root = root("number");
        std::fs::write(root.join("etc/passwd"), "odd:x:4294967295:1::/:/bin/sh\n").unwrap();
        let find = |name| number(root.to_str().unwrap(), "passwd", name);
        for name in ["4294967295", "odd", "4294967296", "-1"] {
            assert_eq!(find(name).unwrap_err().kind, Kind::Absent, "{name}");
        }
        assert_eq!(find("4294967294").unwrap(), 4_294_967_294);
        std::fs::remove_dir_all(root).unwrap();
    }
}
