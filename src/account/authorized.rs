//! The keys by which somebody may log in (`authorized_keys`).
//!
//! Keys are added, and told apart by their bodies; what is there stays, in its order. Below a home, which its owner may
//! change at any moment, no symbolic link is followed. Modes and owners are made what sshd's `StrictModes` wants.

use super::Account;
use super::home::folder;
use super::key::{self, Key};
use super::sshd::Config;
use crate::error::{Error, Result};
use crate::sys::folder::{Facts, Folder, Owner};
use alloc::vec::Vec;

/// Bytes of a file of keys: some thousand of them.
const FILE_LIMIT: usize = 4 << 20;

/// What others may not have of the way to keys: `StrictModes` of sshd.
const WRITABLE: u32 = 0o022;

/// What they need not have of keys, or of the folder that these are in.
const ANYTHING: u32 = 0o077;

/// Lets `keys` log in as `account`, which has a home; how many of them are new.
///
/// # Errors
/// `Refused` when sshd takes no keys from files, or the file is none that may be changed; `Os`: ELOOP and ENOTDIR for
/// symbolic links.
pub fn install_keys(root: &str, account: &Account, keys: &[Key]) -> Result<usize> {
    const DOING: &str = "install keys for";
    let path = Config::read(root).keys_path(account)?;
    let user = account.owner.possible();
    if let Some((above, name)) = path.rsplit_once('/').filter(|_| path.starts_with('/')) {
        // sshd reads it as the user.
        return merge(&folder(root, above)?, name, keys, user, (0o644, WRITABLE, Owner::ROOT.possible()));
    }
    let absent = || Error::absent(DOING, "it has no home").to(&*account.name);
    let mut place = Folder::open(root, &account.home)?.ok_or_else(absent)?;
    let home = place.facts()?;
    if home.owner.uid == user.uid {
        tighten(&place, home, user, WRITABLE)?;
    } else if home.owner.uid != Owner::ROOT.uid {
        return Err(Error::refused(DOING, "its home is somebody else's").to(&*account.name));
    }
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let mut parts = folders.split('/').filter(|part| !matches!(*part, "" | ".")).peekable();
    while let Some(part) = parts.next() {
        if place.look(part)?.is_some_and(|found| is_secret(found, user, 0o005)) {
            // One that a power cut left before it had its owner is empty.
            place.remove_folder(part)?;
        }
        place = place.make(part, 0o700, user)?;
        let now = place.facts()?;
        if is_secret(now, user, 0o005) {
            return Err(Error::refused(DOING, "somebody exchanges folders meanwhile").to(&*account.name));
        }
        tighten(&place, now, user, if parts.peek().is_some() { WRITABLE } else { ANYTHING })?;
    }
    merge(&place, name, keys, user, (0o600, ANYTHING, user))
}

/// Takes the bits in `mask` from a folder, and gives it to the user if it is not his.
fn tighten(folder: &Folder, now: Facts, user: Owner, mask: u32) -> Result<()> {
    folder.set(now.mode & !mask, if now.owner.uid == user.uid { now.owner } else { user })
}

/// Whether something is not the user's and he may not read it. He can have moved it where his own should be, to be given
/// it.
const fn is_secret(facts: Facts, user: Owner, readable: u32) -> bool {
    facts.owner.uid != user.uid && facts.mode & readable != readable
}

/// Adds what is missing to the file `name` of a user, which shall have this mode, nothing of this mask, and this owner.
fn merge(
    folder: &Folder,
    name: &str,
    keys: &[Key],
    user: Owner,
    (mode, mask, owner): (u32, u32, Owner),
) -> Result<usize> {
    let found = folder.read(name, FILE_LIMIT)?;
    if found.as_ref().is_some_and(|(_, facts)| is_secret(*facts, user, 0o004)) {
        return Err(Error::refused("add keys to", "it is somebody else's").to(folder.path(name)));
    }
    let is_sound = found.as_ref().is_none_or(|(_, facts)| facts.mode & mask == 0 && facts.owner.uid == owner.uid);
    let mut content = found.map_or_else(Vec::new, |(content, _)| content);
    let added = add(&mut content, keys);
    if content.len() > FILE_LIMIT {
        // Nobody would read it again.
        return Err(Error::refused("add keys to", "there are too many of them").to(folder.path(name)));
    }
    if added > 0 || !is_sound {
        folder.write(name, &content, mode, owner)?;
    }
    Ok(added)
}

/// Adds the keys whose bodies are not there; how many.
fn add(content: &mut Vec<u8>, keys: &[Key]) -> usize {
    let lines = content.split(|byte| *byte == b'\n').filter_map(|line| core::str::from_utf8(line).ok());
    let mut known: Vec<&str> = lines.filter_map(key::body).collect();
    let mut new: Vec<&Key> = Vec::new();
    for key in keys {
        if !known.contains(&key.body()) {
            known.push(key.body());
            new.push(key);
        }
    }
    for key in &new {
        if !content.is_empty() && !content.ends_with(b"\n") {
            content.push(b'\n');
        }
        content.extend_from_slice(key.line.as_bytes());
        content.push(b'\n');
    }
    new.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";

    #[test]
    fn keys_are_added_once_behind_those_that_are_there() {
        let key = Key::parse(&alloc::format!("{KEY} new"), false).unwrap();
        let new = &key.line;
        let after = |content: &str| {
            let mut content = content.as_bytes().to_vec();
            let added = add(&mut content, &[key.clone(), key.clone()]);
            (added, String::from_utf8_lossy(&content).into_owned())
        };
        assert_eq!(after(""), (1, alloc::format!("{new}\n")));
        assert_eq!(after("# mine\n\nodd"), (1, alloc::format!("# mine\n\nodd\n{new}\n")));
        assert_eq!(after(&alloc::format!("#{KEY}\n")), (1, alloc::format!("#{KEY}\n{new}\n")));
        for there in [KEY.into(), alloc::format!("no-pty {KEY} old\nodd"), alloc::format!(" {KEY} other name\r\n")] {
            assert_eq!(after(&there), (0, there));
        }
    }

    #[test]
    fn many_keys_are_added_and_too_many_leave_the_file_as_it_is() {
        let key = |number: u32, comment: usize| {
            let blob = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", &number.to_be_bytes().repeat(8)[..]].concat();
            let line = alloc::format!("ssh-ed25519 {} {}", crate::text::base64::encode(&blob), "c".repeat(comment));
            Key::parse(&line, false).unwrap()
        };
        let path = std::env::temp_dir().join(alloc::format!("wisp-keys-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Folder::open("", path.to_str().unwrap()).unwrap().unwrap();
        let user = folder.facts().unwrap().owner;
        let merge = |keys: &[Key]| merge(&folder, "keys", keys, user, (0o600, ANYTHING, user));
        let many: Vec<Key> = (0..4096).map(|number| key(number, 0)).collect();
        assert_eq!((merge(&many).unwrap(), merge(&many).unwrap()), (4096, 0));
        let long: Vec<Key> = (5000..5300).map(|number| key(number, 16_000)).collect();
        assert_eq!(merge(&long).unwrap_err().kind, crate::error::Kind::Refused);
        assert_eq!(merge(&[key(9999, 0)]).unwrap(), 1, "it can still be read");
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_the_user_may_not_read_is_secret() {
        let user = Owner { uid: 1000, gid: 1000 };
        let facts = |uid, mode| Facts {
            number: 0,
            thing: crate::sys::folder::Thing::File,
            mode,
            owner: Owner { uid, gid: 0 },
            changed: 0,
        };
        assert!(is_secret(facts(0, 0o640), user, 0o004) && is_secret(facts(1001, 0o700), user, 0o005));
        assert!(!is_secret(facts(0, 0o644), user, 0o004) && !is_secret(facts(1000, 0o600), user, 0o004));
    }
}
