//! `write_files`: each file whole or not at all, with its owner and mode from its first moment on.
//!
//! Every path is below the root: symbolic links on the way mean what they mean there, and none leads out of it. A link at the
//! end is followed, since that is where whoever reads the path looks.

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
    let mut path = file.path.clone();
    for _ in 0..LINKS_LIMIT {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let folder = folder(root, parent)?;
        match folder.look(name)?.map(|facts| facts.thing) {
            None | Some(Thing::File) => return replace(&folder, name, file, owner),
            Some(Thing::Link) => {
                let link = folder.link_target(name)?;
                path = if link.starts_with('/') { link } else { format!("{parent}/{link}") };
            }
            Some(_) => return Err(Error::refused(DOING, "it is there and no regular file").to(folder.path(name))),
        }
    }
    Err(Error::refused(DOING, "it is a link without end").to(path))
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
/// `Os`; `Absent` without the root.
pub(super) fn folder(root: &str, path: &str) -> Result<Folder> {
    let top = || Error::absent("open the folder", "the root is not there").to(root);
    let mut found = Folder::open(root, "/")?.ok_or_else(top)?;
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
    for end in ends {
        let so_far = path.get(..end).unwrap_or_default();
        let name = so_far.rsplit_once('/').map_or(so_far, |(_, name)| name);
        if name.is_empty() {
            continue;
        }
        found = match Folder::open(root, so_far)? {
            Some(folder) => folder,
            None => found.make(name, 0o755, Owner::ROOT)?,
        };
    }
    Ok(found)
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
