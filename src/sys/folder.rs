//! Folders that are held open, and what is in them by one name at a time.
//!
//! Whoever owns a folder may exchange what is in it at any moment, also between two looks of ours. So nothing here goes
//! through a symbolic link or over more than one name, and what was opened is what is judged and changed. Files are
//! replaced whole: written under another name, flushed, renamed.

#![forbid(unsafe_code)]

use super::refused;
use crate::error::{Error, Result};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::{Errno, retry_on_intr};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Permission bits, with those for set-user-ID and the like.
const MODE_BITS: u32 = 0o7777;

/// Who owns a file: user and group, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// The superuser and its group.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    /// Whose a file becomes that this process gives to this owner: only the superuser gives files away, and those that
    /// anybody else makes are his own.
    #[must_use]
    pub fn possible(self) -> Self {
        let own = rustix::process::geteuid();
        if own.is_root() {
            return self;
        }
        Self { uid: own.as_raw(), gid: rustix::process::getegid().as_raw() }
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// What the kernel says of a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub thing: Thing,
    /// Its permission bits.
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
    /// When it was changed last, in seconds since 1970.
    pub changed: i64,
}

/// An open folder, and the path that errors call it by.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: String,
}

impl Folder {
    /// The folder at `path` below `root`, whose own links lead nowhere else; `None` if there is none.
    ///
    /// # Errors
    /// `Os`: ENOTDIR when it is something else.
    pub fn open(root: &str, path: &str) -> Result<Option<Self>> {
        let whole = format!("{root}{path}");
        let opened = if root.is_empty() { fs::open(path, FOLDER, Mode::empty()) } else { below(root, path) };
        match opened {
            Ok(descriptor) => Ok(Some(Self { descriptor, path: whole })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refused(errno, "open the folder").to(whole)),
        }
    }

    /// The path of `name` in it, for errors and for the operator.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// What the folder itself is.
    ///
    /// # Errors
    /// `Os`.
    pub fn facts(&self) -> Result<Facts> {
        let found = fs::fstat(&self.descriptor);
        found.map(|found| facts(&found)).map_err(|errno| refused(errno, "look at").to(&*self.path))
    }

    /// What `name` in it is, if there is anything.
    ///
    /// # Errors
    /// `Os`.
    pub fn look(&self, name: &str) -> Result<Option<Facts>> {
        match fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(facts(&found))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed(errno, "look at", name)),
        }
    }

    /// The folder `name` in it, if it is there.
    ///
    /// # Errors
    /// `Os`: ENOTDIR for anything else, be it a link to a folder.
    pub fn enter(&self, name: &str) -> Result<Option<Self>> {
        match fs::openat(&self.descriptor, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(descriptor) => Ok(Some(Self { descriptor, path: self.path(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed(errno, "open the folder", name)),
        }
    }

    /// The folder `name` in it, made with this mode for this owner if it is not there.
    ///
    /// # Errors
    /// `Os`.
    pub fn make(&self, name: &str, mode: u32, owner: Owner) -> Result<Self> {
        if let Some(found) = self.enter(name)? {
            return Ok(found);
        }
        // Nobody else gets in before it has its owner.
        let made = fs::mkdirat(&self.descriptor, name, Mode::RWXU);
        made.map_err(|errno| self.failed(errno, "make the folder", name))?;
        let gone = || self.failed(Errno::NOENT, "open the folder", name);
        let folder = self.enter(name)?.ok_or_else(gone)?;
        folder.set(mode, owner)?;
        Ok(folder)
    }

    /// Gives the folder itself this mode and this owner, as far as it has others.
    ///
    /// # Errors
    /// `Os`.
    pub fn set(&self, mode: u32, owner: Owner) -> Result<()> {
        let (now, owner) = (self.facts()?, owner.possible());
        let changed = own(&self.descriptor, now.owner, owner).and_then(|()| {
            // A change of owner takes the bits for set-group-ID.
            if now.mode == mode && now.owner == owner {
                return Ok(());
            }
            fs::fchmod(&self.descriptor, Mode::from_raw_mode(mode))
        });
        changed.map_err(|errno| refused(errno, "set mode and owner of").to(&*self.path))
    }

    /// The names in it but `.` and `..`, as the kernel lists them, at most `limit`. Those that are not UTF-8 are left out.
    ///
    /// # Errors
    /// `Os`; `Refused` when there are more.
    pub fn names(&self, limit: usize) -> Result<Vec<String>> {
        const DOING: &str = "list";
        let failed = |errno| refused(errno, DOING).to(&*self.path);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            if names.len() >= limit {
                return Err(Error::refused(DOING, "it holds too many names").to(&*self.path));
            }
            names.push(name.to_string());
        }
        Ok(names)
    }

    /// The content of the file `name` and what it is; `None` if there is none.
    ///
    /// # Errors
    /// `Os`: ELOOP for a symbolic link; `Refused` for more than `limit` bytes, and for what is no regular file.
    pub fn read(&self, name: &str, limit: usize) -> Result<Option<(Vec<u8>, Facts)>> {
        const DOING: &str = "read";
        // Opening a pipe must not wait for somebody who writes.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match retry_on_intr(|| fs::openat(&self.descriptor, name, flags, Mode::empty())) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed(errno, DOING, name)),
        };
        let found = fs::fstat(&file).map_err(|errno| self.failed(errno, DOING, name))?;
        let facts = facts(&found);
        if facts.thing != Thing::File {
            return Err(Error::refused(DOING, "it is no regular file").to(self.path(name)));
        }
        let size = usize::try_from(found.st_size).ok().filter(|size| *size <= limit);
        let size = size.ok_or_else(|| Error::refused(DOING, "it is too large").to(self.path(name)))?;
        let mut content = Vec::with_capacity(size.saturating_add(1));
        // What is added meanwhile is not waited for.
        while content.len() <= limit && !content.spare_capacity_mut().is_empty() {
            let count = retry_on_intr(|| rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content)));
            if count.map_err(|errno| self.failed(errno, DOING, name))? == 0 {
                break;
            }
        }
        Ok(Some((content, facts)))
    }

    /// Makes `name` a file with this content, mode and owner; readers see the old one or the new one.
    ///
    /// # Errors
    /// `Os`: EISDIR when it is a folder. On an error the old file is still there.
    pub fn write(&self, name: &str, content: &[u8], mode: u32, owner: Owner) -> Result<()> {
        // What sshd, sudo and cron look for in their folders has no such name.
        let new = format!(".{name}.wisp");
        // A left-over of a run that was cut off.
        let _ = fs::unlinkat(&self.descriptor, &*new, AtFlags::empty());
        let written = self.write_new(&new, content, mode, owner).and_then(fs::fsync);
        let renamed = written.and_then(|()| fs::renameat(&self.descriptor, &*new, &self.descriptor, name));
        if renamed.is_err() {
            // It has failed already, and its reason is the one to tell.
            let _ = fs::unlinkat(&self.descriptor, &*new, AtFlags::empty());
        }
        renamed.map_err(|errno| self.failed(errno, "write", name))?;
        self.flush()
    }

    /// Makes the file `name`, which must not be there, for as long as the machine runs: it is not flushed.
    ///
    /// # Errors
    /// `Os`: EEXIST.
    pub fn create(&self, name: &str, content: &[u8]) -> Result<()> {
        let created = self.write_new(name, content, 0o600, Owner::ROOT);
        created.map(drop).map_err(|errno| self.failed(errno, "make the file", name))
    }

    fn write_new(&self, name: &str, content: &[u8], mode: u32, owner: Owner) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = retry_on_intr(|| fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR))?;
        own(&file, facts(&fs::fstat(&file)?).owner, owner.possible())?;
        let mut left = content;
        while !left.is_empty() {
            let count = retry_on_intr(|| rustix::io::write(&file, left))?;
            left = left.get(count..).filter(|_| count > 0).ok_or(Errno::IO)?;
        }
        fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(file)
    }

    /// Makes the symbolic link `name`.
    ///
    /// # Errors
    /// `Os`: EEXIST.
    pub fn make_link(&self, name: &str, target: &str, owner: Owner) -> Result<()> {
        let made = fs::symlinkat(target, &self.descriptor, name).and_then(|()| {
            let (uid, gid) = numbers(owner.possible());
            fs::chownat(&self.descriptor, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        });
        made.map_err(|errno| self.failed(errno, "make the symbolic link", name))
    }

    /// Where the symbolic link `name` points to.
    ///
    /// # Errors
    /// `Os`; `Unsupported` when it is no UTF-8.
    pub fn link_target(&self, name: &str) -> Result<String> {
        const DOING: &str = "read the link";
        let target = fs::readlinkat(&self.descriptor, name, Vec::new());
        let target = target.map_err(|errno| self.failed(errno, DOING, name))?;
        target.into_string().map_err(|_| Error::unsupported(DOING, "it is no UTF-8").to(self.path(name)))
    }

    /// Calls the file `name` also `other`; whether there was none of that name before.
    ///
    /// # Errors
    /// `Os`, but not EEXIST.
    pub fn link(&self, name: &str, other: &str) -> Result<bool> {
        match fs::linkat(&self.descriptor, name, &self.descriptor, other, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.failed(errno, "make the link", other)),
        }
    }

    /// Calls `name` by another name; what had that one, unless it was a folder with something in it, is gone.
    ///
    /// # Errors
    /// `Os`.
    pub fn rename(&self, name: &str, other: &str) -> Result<()> {
        let renamed = fs::renameat(&self.descriptor, name, &self.descriptor, other);
        renamed.map_err(|errno| self.failed(errno, "rename", name))
    }

    /// Removes the file or link `name`, if it is there.
    ///
    /// # Errors
    /// `Os`.
    pub fn remove(&self, name: &str) -> Result<()> {
        match fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed(errno, "remove", name)),
        }
    }

    /// Removes the empty folder `name`, if it is there.
    ///
    /// # Errors
    /// `Os`: ENOTEMPTY.
    pub fn remove_folder(&self, name: &str) -> Result<()> {
        match fs::unlinkat(&self.descriptor, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed(errno, "remove the folder", name)),
        }
    }

    /// Makes the names in it survive a power cut.
    ///
    /// # Errors
    /// `Os`.
    pub fn flush(&self) -> Result<()> {
        fs::fsync(&self.descriptor).map_err(|errno| refused(errno, "flush").to(&*self.path))
    }

    /// A lock on the file `name`, which is made if it is not there; `None` while another process has it. It is let go
    /// with the process at the latest.
    ///
    /// # Errors
    /// `Os`.
    pub fn lock(&self, name: &str) -> Result<Option<Lock>> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let taken = fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR)
            .and_then(|file| fs::fcntl_lock(&file, fs::FlockOperation::NonBlockingLockExclusive).map(|()| file));
        match taken {
            Ok(file) => Ok(Some(Lock { _file: file })),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(self.failed(errno, "lock", name)),
        }
    }

    fn failed(&self, errno: Errno, doing: &'static str, name: &str) -> Error {
        refused(errno, doing).to(self.path(name))
    }
}

/// A lock by `fcntl`, which all of glibc's and shadow's programs see.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

/// Opens a folder of another system, whose links mean that system.
fn below(root: &str, path: &str) -> rustix::io::Result<OwnedFd> {
    let top = fs::openat(CWD, root, FOLDER, Mode::empty())?;
    match fs::openat2(&top, path, FOLDER, Mode::empty(), ResolveFlags::IN_ROOT) {
        // Before Linux 5.6, or forbidden by a container: then without links.
        Err(Errno::NOSYS | Errno::PERM) => fs::openat(&top, path.trim_start_matches('/'), FOLDER, Mode::empty()),
        outcome => outcome,
    }
}

fn facts(found: &Stat) -> Facts {
    let thing = match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Thing::File,
        FileType::Directory => Thing::Folder,
        FileType::Symlink => Thing::Link,
        _ => Thing::Other,
    };
    Facts {
        thing,
        mode: found.st_mode & MODE_BITS,
        owner: Owner { uid: found.st_uid, gid: found.st_gid },
        changed: found.st_mtime,
    }
}

/// Gives an open file to `owner`, unless it is his.
fn own(file: &OwnedFd, now: Owner, owner: Owner) -> rustix::io::Result<()> {
    if now == owner {
        return Ok(());
    }
    let (uid, gid) = numbers(owner);
    fs::fchown(file, uid, gid)
}

fn numbers(owner: Owner) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn root(name: &str) -> String {
        let path = std::env::temp_dir().join(format!("wisp-folder-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("a")).unwrap();
        path.to_str().unwrap().to_string()
    }

    #[test]
    fn a_file_is_replaced_whole_and_left_overs_are_swept() {
        let root = root("write");
        let folder = Folder::open(&root, "/a").unwrap().unwrap();
        let owner = folder.facts().unwrap().owner;
        std::fs::write(format!("{root}/a/.f.wisp"), "cut off").unwrap();
        for content in [&[7; 10_000][..], b""] {
            folder.write("f", content, 0o640, owner).unwrap();
            let (read, facts) = folder.read("f", 10_000).unwrap().unwrap();
            assert_eq!((read.as_slice(), facts.thing, facts.mode), (content, Thing::File, 0o640));
        }
        assert_eq!(folder.names(1).unwrap(), ["f"]);
        assert_eq!(folder.names(0).unwrap_err().kind, Kind::Refused);
        folder.write("f", b"12345", 0o600, owner).unwrap();
        assert_eq!(folder.read("f", 4).unwrap_err().kind, Kind::Refused);
        assert!(folder.read("g", 4).unwrap().is_none() && folder.look("g").unwrap().is_none());
        folder.remove("f").unwrap();
        folder.remove("f").unwrap();
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn no_link_is_followed_and_nothing_but_files_is_read() {
        let root = root("links");
        std::fs::write(format!("{root}/secret"), "secret").unwrap();
        symlink("../secret", format!("{root}/a/file")).unwrap();
        symlink("..", format!("{root}/a/folder")).unwrap();
        let folder = Folder::open(&root, "/a").unwrap().unwrap();
        let owner = folder.facts().unwrap().owner;
        assert_eq!(folder.read("file", 10).unwrap_err().kind, Kind::Os(40));
        assert_eq!(folder.enter("folder").unwrap_err().kind, Kind::Os(20));
        assert_eq!(folder.make("folder", 0o700, owner).unwrap_err().kind, Kind::Os(20));
        assert!(folder.lock("file").is_err());
        folder.make("pipe", 0o750, owner).unwrap();
        assert_eq!(folder.look("pipe").unwrap().unwrap().mode, 0o750);
        assert_eq!(folder.read("pipe", 10).unwrap_err().kind, Kind::Refused);
        folder.write("file", b"ours", 0o600, owner).unwrap();
        assert_eq!(std::fs::read(format!("{root}/secret")).unwrap(), b"secret");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn links_of_a_root_mean_that_root() {
        let root = root("inside");
        symlink("/a", format!("{root}/home")).unwrap();
        assert!(Folder::open(&root, "/home").unwrap().is_some());
        assert!(Folder::open(&root, "/none").unwrap().is_none());
        assert!(Folder::open("", &root).unwrap().is_some());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn modes_are_mended_and_links_are_copied() {
        let root = root("set");
        let folder = Folder::open(&root, "/a").unwrap().unwrap();
        let owner = folder.facts().unwrap().owner;
        folder.set(0o700, owner).unwrap();
        assert_eq!(std::fs::metadata(format!("{root}/a")).unwrap().permissions().mode() & 0o777, 0o700);
        folder.make_link("l", "to/where", owner).unwrap();
        assert_eq!(folder.link_target("l").unwrap(), "to/where");
        assert!(folder.link("l", "m").unwrap() && !folder.link("l", "m").unwrap());
        folder.rename("m", "n").unwrap();
        assert!(folder.rename("m", "n").is_err() && folder.remove_folder("n").is_err());
        folder.remove_folder("m").unwrap();
        folder.flush().unwrap();
        std::fs::remove_dir_all(root).unwrap();
    }
}
