//! `write_files`: each file whole or not at all, with its owner and mode from its first moment on.
//!
//! Every path is below the root: symbolic links mean what they mean there, at the end too, since that is where whoever reads
//! the path looks, and none leads out of it. Only links of root's are followed: in a folder of somebody else's, its owner
//! would say which file of the system is replaced, and given to him.

use super::super::context::Context;
use super::{Outcomes, config};
use crate::error::{Error, Kind, Result};
use crate::sys::folder::{Folder, Owner, Thing};
use crate::userdata::{self, File};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DOING: &str = "write";

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
    let (folder, name) = walk(root, &file.path, true)?;
    match folder.look(&name)?.map(|facts| facts.thing) {
        None | Some(Thing::File) => replace(&folder, &name, file, owner),
        Some(_) => Err(Error::refused(DOING, "it is there and no regular file").to(folder.path(&name))),
    }
}

fn replace(folder: &Folder, name: &str, file: &File<'_>, owner: Owner) -> Result<()> {
    let (old, has) = match folder.read(name, userdata::LIMIT)? {
        Some((old, facts)) => (old, Some((facts.mode, facts.owner))),
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

/// The folder at `path` below `root`, made with those above it that are missing; these may be read by all.
///
/// # Errors
/// `Os`; `Absent` without the root; `Refused` for a link that is not followed.
pub(super) fn folder(root: &str, path: &str) -> Result<Folder> {
    walk(root, path, false).map(|(folder, _)| folder)
}

/// Goes along `path`; of that of a file to the folder that it is in, whatever links lead there, and returns its name besides.
fn walk(root: &str, path: &str, is_file: bool) -> Result<(Folder, String)> {
    let top = || Error::absent("open the folder", "the root is not there").to(root);
    let mut here = Folder::open(root, "/")?.ok_or_else(top)?;
    // From the root to where we are; what is ahead, the next name last.
    let (mut above, mut links) = (Vec::new(), 0_usize);
    let ahead = |path: &str| path.rsplit('/').filter(|part| !matches!(*part, "" | ".")).map(String::from).collect();
    let mut names: Vec<String> = ahead(path);
    while let Some(name) = names.pop() {
        if name == ".." {
            here = above.pop().unwrap_or(here);
        } else if here.look(&name)?.is_some_and(|found| found.thing == Thing::Link) {
            links = links.saturating_add(1);
            if links > LINKS_LIMIT {
                return Err(Error::refused(DOING, "it is a link without end").to(path));
            }
            if !here.facts()?.is_for_root_alone() {
                return Err(Error::refused(DOING, "it is a link that others than root can change").to(here.path(&name)));
            }
            let target = here.link_target(&name)?;
            if target.starts_with('/') && !above.is_empty() {
                here = above.swap_remove(0);
                above.clear();
            }
            names.extend(ahead(&target));
        } else if is_file && names.is_empty() {
            return Ok((here, name));
        } else {
            let next = here.make(&name, 0o755, Owner::ROOT)?;
            above.push(core::mem::replace(&mut here, next));
        }
    }
    if is_file { Err(Error::refused(DOING, "it is a folder").to(path)) } else { Ok((here, String::new())) }
}

/// Whose a file shall be, by the accounts below `root`.
fn owner(root: &str, file: &File<'_>) -> Result<Owner> {
    let uid = number(root, "passwd", file.user)?;
    let gid = number(root, "group", file.group.unwrap_or("root"))?;
    Ok(Owner { uid, gid })
}

/// The number of `name` in a file of accounts. Names come before numbers, as with chown; root needs no file.
fn number(root: &str, table: &str, name: &str) -> Result<u32> {
    let content = Folder::open(root, "/etc")?.map(|etc| etc.read(table, ACCOUNTS_LIMIT)).transpose()?.flatten();
    let text = String::from_utf8_lossy(content.as_ref().map_or(&[], |(content, _)| content)).into_owned();
    let entry = text.lines().map(|line| line.split(':')).find_map(|mut fields| {
        (fields.next() == Some(name)).then(|| fields.nth(1).and_then(|number| number.parse().ok())).flatten()
    });
    let own = if name == "root" { Some(0) } else { name.parse().ok() };
    let absent = || Error::absent("find the owner in", format!("there is no {name}"));
    entry.or(own).ok_or_else(|| absent().to(format!("{root}/etc/{table}")))
}
