//! The keys by which someone may log in (`authorized_keys`).
//!
//! Keys are added and compared by their blobs; existing lines stay, in their order. The path is resolved one component at a
//! time ([`Walk`]). In a home, and below the first directory not owned by root, everything belongs to the user, who can
//! change it at any moment: no symbolic link is followed there. A file that sshd also reads for another user gets no key of
//! one user. Modes are set to what sshd's `StrictModes` requires.

use super::key::Key;
use super::sshd::{Config, expand, names_account};
use super::{Account, TABLE_LIMIT, read, table};
use crate::error::{Error, Result};
use crate::sys::dir::walk::{Step, Walk};
use crate::sys::dir::{Dir, FileStatus, Owner};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DOING: &str = "install keys for";

/// Bytes of a file of keys: some thousand of them.
const FILE_LIMIT: usize = 4 << 20;

/// What others may not have of the way to keys: `StrictModes` of sshd.
const WRITABLE: u32 = 0o022;

/// What they need not have of keys, or of the folder that these are in.
const ANYTHING: u32 = 0o077;

/// Accounts that are compared; a hundred thousand take a second.
const ACCOUNTS_LIMIT: usize = 100_000;

/// The file for the keys of an account.
struct Place {
    walk: Walk,
    /// The index of the home in the path, if the path leads through it.
    home: Option<usize>,
    /// Whether new directories and the file are owned by the user.
    is_users: bool,
}

/// Lets `keys` log in as `account`; returns how many of them are new. They are added to the first file of
/// `AuthorizedKeysFile` that is for this account alone and can be written.
///
/// # Errors
/// `Refused` when sshd reads no file, or no file may be changed; `Os`: ELOOP and ENOTDIR for symbolic links.
pub fn install_keys(root: &str, account: &Account, keys: &[Key]) -> Result<usize> {
    let config = Config::read(root);
    let group = read(root, "group", TABLE_LIMIT)?;
    let mut failure = None;
    for pattern in config.keys_files(account, &group).patterns {
        let place = Place::find(root, account, &pattern, &config);
        match place.and_then(|place| place.install(account, keys)) {
            Ok(added) => return Ok(added),
            // The first file is the one that users expect.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let none = || refuse(account, "sshd reads no authorized_keys file (AuthorizedKeysFile none)");
    Err(failure.unwrap_or_else(none))
}

/// A warning when sshd reads another file for some connections of `account`.
///
/// # Errors
/// `Os`.
pub fn keys_warning(root: &str, account: &Account) -> Result<Option<String>> {
    let files = Config::read(root).keys_files(account, &read(root, "group", TABLE_LIMIT)?);
    let warning = |line| format!("sshd reads another AuthorizedKeysFile for connections of \"Match {line}\"");
    Ok(files.elsewhere.map(warning))
}

fn refuse(account: &Account, why: impl Into<alloc::borrow::Cow<'static, str>>) -> Error {
    Error::refused(DOING, why).to(&*account.name)
}

impl Place {
    /// Resolves `pattern`; fails unless the file is for keys of `account` alone.
    fn find(root: &str, account: &Account, pattern: &str, config: &Config) -> Result<Self> {
        let Some(path) = expand(pattern, account) else {
            return Err(refuse(account, format!("AuthorizedKeysFile {pattern} is not a file of one user")));
        };
        let home = Walk::to_folder(root, &account.home)?;
        let walk = Walk::to_file(root, &path)?;
        if let (Some(place), Some(end)) = (walk.last(), home.last())
            && !home.rest.is_empty()
            && place.identity == end.identity
            && walk.rest.starts_with(&home.rest)
        {
            return Err(Error::absent(DOING, "it has no home").to(&*account.name));
        }
        // A home that is the root directory does not make every path a path in a home.
        let home = home.last().filter(|_| home.rest.is_empty() && home.steps.len() > 1);
        let home = home.and_then(|home| walk.steps.iter().position(|step| step.identity == home.identity));
        if home.is_none() && !pattern.starts_with('/') {
            return Err(refuse(account, "its home is the root directory"));
        }
        if home.is_none() && !names_account(pattern) {
            return Err(refuse(account, format!("AuthorizedKeysFile {pattern} is one file for all users")));
        }
        let is_users = home.is_some() || walk.last().is_some_and(|last| !last.is_roots);
        let place = Self { walk, home, is_users };
        place.check(account, config.is_strict())?;
        if place.is_shared(root, account, config)? {
            return Err(refuse(account, format!("AuthorizedKeysFile {pattern} is also the file of another user")));
        }
        Ok(place)
    }

    /// Refuses a path through a directory of another user, or one that sshd does not accept.
    fn check(&self, account: &Account, is_strict: bool) -> Result<()> {
        let user = account.owner.possible();
        let is_ok = |owner: Owner| owner.uid == user.uid || owner.uid == Owner::ROOT.possible().uid;
        // sshd does not check what is above a home, and its owner may be any user: no link was followed there.
        let own = self.home.map_or(0, |home| home);
        for step in self.walk.steps.iter().skip(own) {
            if !is_ok(step.facts.owner) {
                let what = if self.home.is_some() {
                    "its home belongs to another user"
                } else {
                    "a directory in the path belongs to another user"
                };
                return Err(refuse(account, format!("{what}: {}", step.folder.path(""))));
            }
            if self.home.is_none() && is_strict && step.facts.mode & WRITABLE != 0 {
                let path = step.folder.path("");
                return Err(refuse(
                    account,
                    format!("other users can write to {path}, so sshd ignores the file (StrictModes)"),
                ));
            }
            if !self.is_users && !may_enter(step.facts, user) {
                return Err(refuse(
                    account,
                    format!("sshd reads the file as the user, who cannot search {}", step.folder.path("")),
                ));
            }
        }
        Ok(())
    }

    /// Whether sshd reads the same file for an account with another UID. A directory of the user is the user's own; one of
    /// root may be the home of two accounts, or a bind mount of another user's directory.
    fn is_shared(&self, root: &str, account: &Account, config: &Config) -> Result<bool> {
        let Some(last) = self.walk.last() else { return Ok(false) };
        let user = account.owner.possible();
        if user.uid == Owner::ROOT.uid || last.facts.owner.uid == user.uid && user.uid != Owner::ROOT.possible().uid {
            return Ok(false);
        }
        let passwd = read(root, "passwd", TABLE_LIMIT)?;
        let others = table::lines(&passwd).take(ACCOUNTS_LIMIT).filter_map(Account::parse);
        for other in others.filter(|other| other.owner.uid != account.owner.uid) {
            for path in config.all_patterns().filter_map(|pattern| expand(pattern, &other)) {
                let name = path.rsplit_once('/').map_or(&*path, |(_, name)| name);
                if self.walk.rest.last().is_none_or(|own| own != name) {
                    continue;
                }
                let walk = Walk::to_file(root, &path).ok().filter(|walk| walk.rest == self.walk.rest);
                if walk.is_some_and(|walk| walk.last().is_some_and(|other| other.identity == last.identity)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Creates missing directories and adds the keys.
    fn install(self, account: &Account, keys: &[Key]) -> Result<usize> {
        let user = account.owner.possible();
        let Walk { mut steps, mut rest } = self.walk;
        let Some(name) = rest.pop() else {
            return Err(refuse(account, "its AuthorizedKeysFile is the root directory"));
        };
        let own = self.home.or_else(|| steps.iter().position(|step| !step.is_roots)).unwrap_or(steps.len());
        // The home and the directories above it are never removed.
        let kept = own.saturating_add(usize::from(self.home.is_some()));
        let secret = |(_, step): &(usize, &Step)| is_secret(step.facts, user, 0o005);
        if let Some((at, _)) = steps.iter().enumerate().skip(kept).find(secret) {
            // A directory that a power cut left before it had its owner is empty.
            let removed = steps.split_off(at);
            if let (Some(above), Some(first)) = (steps.last(), removed.first()) {
                above.folder.remove_folder(first.folder.name())?;
            }
            rest.splice(..0, removed.iter().map(|step| step.folder.name().into()));
        }
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.iter().enumerate().skip(own) {
            let is_for_keys = at == last && rest.is_empty() && at >= kept;
            let mask = match step.facts.owner.uid == user.uid {
                true if is_for_keys => ANYTHING,
                // The mode of a home owned by root is root's choice.
                false if at < kept => 0,
                _ => WRITABLE,
            };
            step.folder.set(step.facts.mode & !mask, step.facts.owner)?;
        }
        let (mode, mask, owner) =
            if self.is_users { (0o600, ANYTHING, user) } else { (0o644, WRITABLE, Owner::ROOT.possible()) };
        let mut made: Option<Dir> = None;
        for part in &rest {
            let Some(above) = made.as_ref().or(steps.last().map(|step| &step.folder)) else { break };
            let folder = above.make(part, if self.is_users { 0o700 } else { 0o755 }, owner)?;
            if folder.facts()?.owner.uid != owner.uid {
                return Err(refuse(account, "another process replaces its directories"));
            }
            made = Some(folder);
        }
        let folder = made.as_ref().or(steps.last().map(|step| &step.folder));
        folder.map_or(Ok(0), |folder| merge(folder, &name, keys, user, (mode, mask, owner)))
    }
}

/// Whether the user may search a directory. Only the primary group is known, so any group but root's may be one of the
/// user's.
const fn may_enter(facts: FileStatus, user: Owner) -> bool {
    let is_of_group = facts.owner.gid != 0 || user.gid == 0;
    user.uid == 0 || facts.owner.uid == user.uid || facts.mode & 0o001 != 0 || is_of_group && facts.mode & 0o010 != 0
}

/// Whether something is not the user's and he may not read it. He can have moved it where his own should be, to be given
/// it.
const fn is_secret(facts: FileStatus, user: Owner, readable: u32) -> bool {
    facts.owner.uid != user.uid && facts.mode & readable != readable
}

/// Adds what is missing to the file `name` of a user, which shall have this mode, nothing of this mask, and this owner.
fn merge(folder: &Dir, name: &str, keys: &[Key], user: Owner, (mode, mask, owner): (u32, u32, Owner)) -> Result<usize> {
    let found = folder.read(name, FILE_LIMIT)?;
    if found.as_ref().is_some_and(|(_, facts)| is_secret(*facts, user, 0o004)) {
        return Err(Error::refused("add keys to", "it is somebody else's").to(folder.path(name)));
    }
    let is_sound = found.as_ref().is_none_or(|(_, facts)| facts.mode & mask == 0 && facts.owner.uid == owner.uid);
    let mut content = found.map_or_else(Vec::new, |(content, _)| content);
    let added = add(&mut content, keys);
    if content.len() > FILE_LIMIT {
        // No one would read it again.
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
    let known: Vec<Key> = lines.filter_map(|line| Key::parse(line).ok()).collect();
    let mut known: BTreeSet<(&str, bool)> = known.iter().map(Key::identity).collect();
    let new: Vec<&Key> = keys.iter().filter(|key| known.insert(key.identity())).collect();
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
        let key = Key::parse(&alloc::format!("{KEY} new")).unwrap();
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
            Key::parse(&line).unwrap()
        };
        let path = std::env::temp_dir().join(alloc::format!("wisp-keys-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Dir::open("", path.to_str().unwrap()).unwrap().unwrap();
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
        let facts = |uid, mode| FileStatus {
            number: 0,
            file_type: crate::sys::dir::FileType::File,
            mode,
            owner: Owner { uid, gid: 0 },
            changed: 0,
        };
        assert!(is_secret(facts(0, 0o640), user, 0o004) && is_secret(facts(1001, 0o700), user, 0o005));
        assert!(!is_secret(facts(0, 0o644), user, 0o004) && !is_secret(facts(1000, 0o600), user, 0o004));
    }
}
