//! Folders that are held open, and what is in them by one name at a time.
//!
//! Anyone who owns a folder may exchange what is in it at any moment, also between two looks of ours. So nothing here
//! goes through a symbolic link or over more than one name, and what was opened is what is judged and changed. Files
//! are replaced whole: written under another name, flushed, renamed.

#![forbid(unsafe_code)]

pub mod walk;

use super::{file, refused, resolve};
use crate::error::{Error, Result};
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::{Errno, retry_on_intr};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

const READ: &str = "read";

/// What a file that is made may be before it is done.
const OPEN_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The mode of a folder that is not done yet: no other process gets in, and the bit for shared folders, which has no
/// meaning then, tells it from any that someone made for himself.
pub const UNFINISHED: u32 = 0o1700;

/// What a folder inherits of the one that it is made in.
const SET_GROUP: u32 = 0o2000;

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
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// What the kernel says of a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Which it is among all of its filesystem: two names with one number are of one file.
    pub number: u64,
    /// What it is.
    pub file_type: FileType,
    /// Its permission bits.
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
    /// When it was changed last, in seconds since 1970.
    pub changed: i64,
}

impl FileStatus {
    /// Whether it is a folder that this user's wisp has made, and not yet given its mode and owner.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let is_ours = self.owner.uid == Owner::ROOT.possible().uid;
        self.file_type == FileType::Dir && self.mode & !SET_GROUP == UNFINISHED && is_ours
    }

    /// Whether no other process than this process's user, who is root, and his group can change it.
    #[must_use]
    pub fn is_for_root_alone(&self) -> bool {
        let ours = Owner::ROOT.possible();
        let open = if self.owner.gid == ours.gid { 0o002 } else { 0o022 };
        self.owner.uid == ours.uid && self.mode & open == 0
    }
}

/// An open folder, and the path that errors call it by.
#[derive(Debug)]
pub struct Dir {
    descriptor: OwnedFd,
    path: String,
}

impl Dir {
    /// The folder at `path` below `root`, whose own links lead nowhere else; `None` if there is none.
    ///
    /// # Errors
    /// `Os`: ENOTDIR when it is something else.
    pub fn open(root: &str, path: &str) -> Result<Option<Self>> {
        let whole = [root, path].concat();
        match open(root, path, FOLDER) {
            Ok(descriptor) => Ok(Some(Self { descriptor, path: whole })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refused(errno, "open the folder").to(whole)),
        }
    }

    /// The last component of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&*self.path, |(_, name)| name)
    }

    /// What `path` below `root` leads to, links at its end included; `None` if that is nothing.
    ///
    /// # Errors
    /// `Os`.
    pub fn find(root: &str, path: &str) -> Result<Option<FileStatus>> {
        let found = open(root, path, OFlags::PATH | OFlags::CLOEXEC).and_then(fs::fstat);
        match found {
            Ok(found) => Ok(Some(facts(&found))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(refused(errno, "look at").to([root, path].concat())),
        }
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    /// As [`file::list`].
    pub fn list(&self) -> Result<Vec<String>> {
        let opened = fs::openat(&self.descriptor, c".", FOLDER, Mode::empty());
        file::list_open(opened.map_err(|errno| self.failed(errno, "list", "."))?, &self.path)
    }

    /// The path of `name` in it, for errors and for the operator.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        [&*self.path, "/", name].concat()
    }

    /// What the folder itself is.
    ///
    /// # Errors
    /// `Os`.
    pub fn facts(&self) -> Result<FileStatus> {
        let found = fs::fstat(&self.descriptor);
        found.map(|found| facts(&found)).map_err(|errno| self.failed(errno, "look at", "."))
    }

    /// What `name` in it is, if there is anything.
    ///
    /// # Errors
    /// `Os`.
    pub fn look(&self, name: &str) -> Result<Option<FileStatus>> {
        match fs::statat(&self.descriptor, &*named(name), AtFlags::SYMLINK_NOFOLLOW) {
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
        let entered = self.open_in(name, FOLDER, "open the folder")?;
        Ok(entered.map(|descriptor| Self { descriptor, path: self.path(name) }))
    }

    /// The folder `name` in it, made with this mode for this owner if it is not there.
    ///
    /// # Errors
    /// `Os`; `Refused` when someone puts another in its place meanwhile.
    pub fn make(&self, name: &str, mode: u32, owner: Owner) -> Result<Self> {
        if let Some(found) = self.enter(name)? {
            return Ok(found);
        }
        const DOING: &str = "make the folder";
        let made = fs::mkdirat(&self.descriptor, &*named(name), Mode::from_raw_mode(UNFINISHED));
        made.map_err(|errno| self.failed(errno, DOING, name))?;
        let folder = self.enter(name)?.ok_or_else(|| self.failed(Errno::NOENT, DOING, name))?;
        folder.finish(mode, owner)?;
        Ok(folder)
    }

    /// Gives a folder that was just made its mode and its owner: that one and no other, which anyone who owns the
    /// folder around it can have put in its place.
    fn finish(&self, mode: u32, owner: Owner) -> Result<()> {
        if self.facts()?.is_unfinished() {
            return self.set(mode, owner);
        }
        Err(Error::refused("make the folder", "somebody put another in its place").to(&*self.path))
    }

    /// Gives the folder itself this mode and this owner, as far as it has others.
    ///
    /// # Errors
    /// `Os`.
    pub fn set(&self, mode: u32, owner: Owner) -> Result<()> {
        let (now, owner) = (self.facts()?, owner.possible());
        if now.mode == mode && now.owner == owner {
            return Ok(());
        }
        // A change of owner takes the bits for set-group-ID.
        let changed = own(&self.descriptor, now.owner, owner)
            .and_then(|()| fs::fchmod(&self.descriptor, Mode::from_raw_mode(mode)));
        changed.map_err(|errno| self.failed(errno, "set mode and owner of", "."))
    }

    /// The content of the file `name` and what it is; `None` if there is none.
    ///
    /// # Errors
    /// `Os`: ELOOP for a symbolic link; `Refused` for more than `limit` bytes, and for what is no regular file.
    pub fn read(&self, name: &str, limit: usize) -> Result<Option<(Vec<u8>, FileStatus)>> {
        // Opening a pipe must not wait for someone who writes.
        let Some(file) = self.open_in(name, OFlags::RDONLY | OFlags::NONBLOCK, READ)? else { return Ok(None) };
        read_open(&file, limit, &self.path(name)).map(Some)
    }

    /// The same for the file that `path` below `root` leads to, links at its end included.
    ///
    /// # Errors
    /// As [`Dir::read`].
    pub fn read_at(root: &str, path: &str, limit: usize) -> Result<Option<(Vec<u8>, FileStatus)>> {
        let whole = [root, path].concat();
        match open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC) {
            Ok(file) => read_open(&file, limit, &whole).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refused(errno, READ).to(whole)),
        }
    }

    /// Where the symbolic link `name` points to.
    ///
    /// # Errors
    /// `Os`; `Unsupported` when it is no UTF-8.
    pub fn link_target(&self, name: &str) -> Result<String> {
        const DOING: &str = "read the link";
        let target = fs::readlinkat(&self.descriptor, &*named(name), Vec::new());
        let target = target.map_err(|errno| self.failed(errno, DOING, name))?;
        target.into_string().map_err(|_| Error::unsupported(DOING, "it is no UTF-8").to(self.path(name)))
    }

    /// Opens what `name` in it is, and not where that leads to.
    fn open_in(&self, name: &str, flags: OFlags, doing: &'static str) -> Result<Option<OwnedFd>> {
        match fs::openat(&self.descriptor, &*named(name), flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, OPEN_MODE) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed(errno, doing, name)),
        }
    }

    /// Makes `name` a file with this content, mode and owner; readers see the old one or the new one.
    ///
    /// # Errors
    /// `Os`: EISDIR when it is a folder. On an error the old file is still there.
    pub fn write(&self, name: &str, content: &[u8], mode: u32, owner: Owner) -> Result<()> {
        // What sshd, sudo and cron look for in their folders has no such name.
        let new = [".", name, ".wisp"].concat();
        let mut made = self.write_new(&new, content, mode, owner);
        if matches!(made, Err(Errno::EXIST)) {
            // A left-over of a run that was cut off.
            self.remove(&new)?;
            made = self.write_new(&new, content, mode, owner);
        }
        let written = made.and_then(|file| {
            fs::fsync(&file)?;
            fs::renameat(&self.descriptor, &*named(&new), &self.descriptor, &*named(name))
        });
        if let Err(errno) = written {
            // It has failed already, and its reason is the one to tell.
            let _ = self.remove(&new);
            return Err(self.failed(errno, "write", name));
        }
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
        let file = fs::openat(&self.descriptor, &*named(name), flags, OPEN_MODE)?;
        own(&file, facts(&fs::fstat(&file)?).owner, owner.possible())?;
        super::file::write_whole(&file, content)?;
        fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(file)
    }

    /// Makes the symbolic link `name`.
    ///
    /// # Errors
    /// `Os`: EEXIST.
    pub fn make_link(&self, name: &str, target: &str, owner: Owner) -> Result<()> {
        let (link, owner) = (named(name), owner.possible());
        let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
        let made = fs::symlinkat(&*named(target), &self.descriptor, &*link)
            .and_then(|()| fs::chownat(&self.descriptor, &*link, uid, gid, AtFlags::SYMLINK_NOFOLLOW));
        made.map_err(|errno| self.failed(errno, "make the symbolic link", name))
    }

    /// Calls the file `name` also `other`; whether there was none of that name before.
    ///
    /// # Errors
    /// `Os`, but not EEXIST.
    pub fn link(&self, name: &str, other: &str) -> Result<bool> {
        match fs::linkat(&self.descriptor, &*named(name), &self.descriptor, &*named(other), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.failed(errno, "make the link", other)),
        }
    }

    /// Moves the file `name`, if it is there, to the folder `other` of the same filesystem, in place of one of that name.
    ///
    /// # Errors
    /// `Os`: EISDIR, EXDEV.
    pub fn move_to(&self, name: &str, other: &Self) -> Result<()> {
        match fs::renameat(&self.descriptor, &*named(name), &other.descriptor, &*named(name)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(other.failed(errno, "replace", name)),
        }
    }

    /// Waits until the file `name`, which another program wrote, is on the medium.
    ///
    /// # Errors
    /// `Os`.
    pub fn flush_file(&self, name: &str) -> Result<()> {
        const DOING: &str = "flush";
        let file = self.open_in(name, OFlags::RDONLY, DOING)?.ok_or(Errno::NOENT);
        file.and_then(fs::fsync).map_err(|errno| self.failed(errno, DOING, name))
    }

    /// Removes the file or link `name`, if it is there.
    ///
    /// # Errors
    /// `Os`: EISDIR for a folder.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes the empty folder `name`, if it is there.
    ///
    /// # Errors
    /// `Os`: ENOTEMPTY.
    pub fn remove_folder(&self, name: &str) -> Result<()> {
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &str, flags: AtFlags) -> Result<()> {
        match fs::unlinkat(&self.descriptor, &*named(name), flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed(errno, "remove", name)),
        }
    }

    /// Makes the names in it survive a power cut.
    ///
    /// # Errors
    /// `Os`.
    pub fn flush(&self) -> Result<()> {
        fs::fsync(&self.descriptor).map_err(|errno| self.failed(errno, "flush", "."))
    }

    /// A lock on the file `name`, which is made if it is not there; `None` while another process has it. It is let go
    /// with the process at the latest.
    ///
    /// # Errors
    /// `Os`.
    pub fn lock(&self, name: &str) -> Result<Option<Lock>> {
        const DOING: &str = "lock";
        let Some(file) = self.open_in(name, OFlags::WRONLY | OFlags::CREATE, DOING)? else { return Ok(None) };
        match fs::fcntl_lock(&file, fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(self.failed(errno, DOING, name)),
        }
    }

    fn failed(&self, errno: Errno, doing: &'static str, name: &str) -> Error {
        refused(errno, doing).to(self.path(name))
    }
}

/// The content of a regular file, which errors call `path`.
fn read_open(file: &OwnedFd, limit: usize, path: &str) -> Result<(Vec<u8>, FileStatus)> {
    let found = fs::fstat(file).map_err(|errno| refused(errno, READ).to(path))?;
    let facts = facts(&found);
    let size = usize::try_from(found.st_size).ok().filter(|size| *size <= limit && facts.file_type == FileType::File);
    let Some(size) = size else {
        return Err(Error::refused(READ, "it is no file, or too large").to(path));
    };
    let mut content = Vec::with_capacity(size.saturating_add(1));
    // What is added meanwhile is not waited for.
    while !content.spare_capacity_mut().is_empty() {
        let count = retry_on_intr(|| rustix::io::read(file, rustix::buffer::spare_capacity(&mut content)));
        if count.map_err(|errno| refused(errno, READ).to(path))? == 0 {
            break;
        }
    }
    Ok((content, facts))
}

/// Opens what is at `path` below `root`.
fn open(root: &str, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    if root.is_empty() { fs::open(&*named(path), flags, Mode::empty()) } else { resolve::open(root, path, flags) }
}

/// A name as the kernel wants it. One with a NUL byte inside is of nothing that is there.
fn named(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}

/// A lock by `fcntl`, which all of glibc's and shadow's programs see.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

fn facts(found: &Stat) -> FileStatus {
    let file_type = match fs::FileType::from_raw_mode(found.st_mode) {
        fs::FileType::RegularFile => FileType::File,
        fs::FileType::Directory => FileType::Dir,
        fs::FileType::Symlink => FileType::Link,
        _ => FileType::Other,
    };
    FileStatus {
        number: found.st_ino,
        file_type,
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
    fs::fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use alloc::format;
    use alloc::string::ToString;
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
        let folder = Dir::open(&root, "/a").unwrap().unwrap();
        let owner = folder.facts().unwrap().owner;
        std::fs::write(format!("{root}/a/.f.wisp"), "cut off").unwrap();
        for content in [&[7; 10_000][..], b""] {
            folder.write("f", content, 0o640, owner).unwrap();
            let (read, facts) = folder.read("f", 10_000).unwrap().unwrap();
            assert_eq!((read.as_slice(), facts.file_type, facts.mode), (content, FileType::File, 0o640));
        }
        assert_eq!(std::fs::read_dir(format!("{root}/a")).unwrap().count(), 1);
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
        let folder = Dir::open(&root, "/a").unwrap().unwrap();
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
    fn a_directory_put_in_place_of_a_new_one_keeps_its_owner() {
        let root = root("exchanged");
        let other = Dir::open(&root, "/a").unwrap().unwrap();
        other.set(0o700, Owner::ROOT.possible()).unwrap();
        assert_eq!(other.finish(0o755, Owner::ROOT).unwrap_err().kind, Kind::Refused);
        assert_eq!(other.facts().unwrap().mode, 0o700);
        // What is made in a folder of a group is of that group.
        other.set(0o2755, Owner::ROOT.possible()).unwrap();
        assert_eq!(other.make("made", 0o750, Owner::ROOT).unwrap().facts().unwrap().mode, 0o750);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn links_of_a_root_mean_that_root() {
        let root = root("inside");
        symlink("/a", format!("{root}/home")).unwrap();
        assert!(Dir::open(&root, "/home").unwrap().is_some());
        assert!(Dir::open(&root, "/none").unwrap().is_none());
        assert!(Dir::open("", &root).unwrap().is_some());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn modes_are_repaired_and_only_empty_directories_removed() {
        let root = root("set");
        let folder = Dir::open(&root, "/a").unwrap().unwrap();
        let owner = folder.facts().unwrap().owner;
        folder.set(0o700, owner).unwrap();
        assert_eq!(std::fs::metadata(format!("{root}/a")).unwrap().permissions().mode() & 0o777, 0o700);
        folder.make_link("l", "to/where", owner).unwrap();
        assert_eq!(folder.link_target("l").unwrap(), "to/where");
        assert_eq!(folder.make_link("l", "to/where", owner).unwrap_err().kind, Kind::Os(17));
        let top = Dir::open(&root, "/").unwrap().unwrap();
        assert!(folder.link("l", "m").unwrap() && !folder.link("l", "m").unwrap());
        assert_eq!(top.remove_folder("a").unwrap_err().kind, Kind::Os(39));
        folder.remove("l").unwrap();
        folder.remove("m").unwrap();
        top.remove_folder("a").unwrap();
        top.remove_folder("a").unwrap();
        folder.flush().unwrap();
        std::fs::remove_dir_all(root).unwrap();
    }
}
