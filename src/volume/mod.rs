//! FAT, ISO 9660 and UDF: the few files that a cloud puts on a small volume (`meta-data`, `ovf-env.xml`).
//!
//! **wisp always reads these three itself and never has the kernel mount them.** Its own readers need no driver, module
//! or mount point, so they work in the smallest image and leave nothing to undo; a filesystem from outside is not handed
//! to code that runs in the kernel; and as pure code with limits they can be tested byte by byte.
//!
//! Of ext, too, in the full build: an image that is packed for a cloud is looked into where it lies, and a seed may be on it.
//!
//! Only looks up paths and copies files and lists of names. Whatever the medium claims, a path has at most
//! [`DEPTH_LIMIT`] parts, a directory at most [`DIRECTORY_LIMIT`] bytes, a file no more than its reader allows.
#![forbid(unsafe_code)]

mod content;
#[cfg(feature = "full")]
mod ext;
mod fat;
#[cfg(feature = "full")]
mod file;
mod iso9660;
mod long_name;
mod rock_ridge;
mod text;
mod udf;
mod udf_descriptor;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::ReadAt;
use crate::error::{Error, Result};
use crate::filesystem::{self, Kind};
use crate::units::ByteCount;
use content::{Content, Medium};
#[cfg(feature = "full")]
pub use file::File;

/// The longest path of the formats that clouds use has three parts; a path of more is not worth the walk.
pub const DEPTH_LIMIT: usize = 16;

/// Parts that are looked up for one path, those of the links in it included.
const PARTS_LIMIT: usize = 64;

/// Bytes of a link's target; the kernel allows 4096, and [`PARTS_LIMIT`] parts do not need them.
#[cfg(feature = "full")]
const LINK_LIMIT: usize = 1024;

/// Bytes of one directory: some thousand names, where the largest known one (a config drive's `content`) has dozens.
/// It also bounds what a chain that runs in circles costs.
pub const DIRECTORY_LIMIT: usize = 256 << 10;

/// An open volume.
pub struct Volume<'a> {
    medium: Medium<'a>,
    tree: Box<dyn Tree>,
    kind: Kind,
    labels: Vec<String>,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    File,
    Directory,
    /// A symbolic link whose target is its content.
    #[cfg(feature = "full")]
    Link,
    /// A device, a file in a form that is not read, and a link where they are not followed.
    Special,
}

/// A file or directory, and where its tree finds it.
#[derive(Clone, Copy, Debug)]
struct Node {
    sort: Sort,
    /// In the tree's own terms: the first cluster, the offset of the extent, or the address of the file entry.
    at: u64,
    /// In bytes; 0 where the directory does not say it.
    length: u64,
}

/// A name in a directory.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    node: Node,
}

/// What the three formats have in common: everything on them is a run of extents, and a directory is bytes.
trait Tree {
    /// The directory at the top.
    fn root(&self, medium: &Medium<'_>) -> Result<Node>;

    /// Where the bytes of `node` lie; `Refused` when there are more than `limit`.
    fn content(&self, medium: &Medium<'_>, node: Node, limit: usize) -> Result<Content>;

    /// The entries of the directory that consists of `bytes`, without the ones for itself and the one above.
    fn entries(&self, medium: &Medium<'_>, bytes: &[u8]) -> Result<Vec<Entry>>;

    /// Whether `META-DATA` and `meta-data` are one name.
    fn ignores_case(&self) -> bool;
}

/// What a format makes of a medium.
struct Opened {
    tree: Box<dyn Tree>,
    /// The names of the volume, the one that `blkid` prints first.
    labels: Vec<String>,
}

/// Opens what lies on `medium`, of `size` bytes; `None` when it is none of the three.
///
/// A disc with both ISO 9660 and UDF on it (a bridge) is opened as UDF, which has every name in full where the other
/// half may have nothing but short ones; as ISO 9660 only when its UDF half is damaged or not supported.
///
/// # Errors
/// `Corrupt` when it contradicts itself, `Unsupported` when it is UDF of the kind that is written in pieces, and
/// whatever `medium` returns.
pub fn open<'a>(medium: Box<dyn ReadAt + 'a>, size: ByteCount) -> Result<Option<Volume<'a>>> {
    let Some(found) = filesystem::detect(&*medium, size)? else { return Ok(None) };
    let medium = Medium::new(medium, size);
    let (kind, opened) = match found.kind {
        Kind::Vfat => (Kind::Vfat, fat::open(&medium)?),
        Kind::Iso9660 => (Kind::Iso9660, iso9660::open(&medium)?),
        Kind::Udf => match udf::open(&medium) {
            Ok(opened) => (Kind::Udf, opened),
            Err(error) => (Kind::Iso9660, iso9660::open(&medium).map_err(|_| error)?),
        },
        _ => return Ok(None),
    };
    Ok(Some(Volume { medium, kind, tree: opened.tree, labels: opened.labels }))
}

/// As [`open`], and ext2, ext3 and ext4 as well: for looking into images, and for seeds. There symbolic links are followed,
/// all within the volume. A journal is not read: what a machine that lost its power has written last may be missing.
///
/// # Errors
/// As [`open`]; `Unsupported` when an ext filesystem has a feature that wisp does not know.
#[cfg(feature = "full")]
pub fn open_with_ext<'a>(medium: Box<dyn ReadAt + 'a>, size: ByteCount) -> Result<Option<Volume<'a>>> {
    let found = filesystem::detect(&*medium, size)?;
    let Some(found) = found.filter(|found| matches!(found.kind, Kind::Ext2 | Kind::Ext3 | Kind::Ext4)) else {
        return open(medium, size);
    };
    let (medium, kind) = (Medium::new(medium, size), found.kind);
    let opened = ext::open(&medium, found)?;
    Ok(Some(Volume { medium, kind, tree: opened.tree, labels: opened.labels }))
}

impl Volume<'_> {
    /// What it is: [`Kind::Vfat`], [`Kind::Iso9660`], [`Kind::Udf`], or one of ext.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name as `blkid` prints it; empty when it has none. For FAT that of the root directory, or else of the boot
    /// sector; for ISO 9660 that of Joliet, or else the plain one.
    #[must_use]
    pub fn label(&self) -> &str {
        self.labels.first().map_or("", String::as_str)
    }

    /// Whether any of its names is `label`, in capitals or small letters.
    #[must_use]
    pub fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own.eq_ignore_ascii_case(label))
    }

    /// The file at `path`, such as `openstack/latest/meta_data.json`; `None` when there is no file of that name.
    /// Names are compared exactly, and on FAT and on ISO 9660 without longer names, when none fits, also regardless of
    /// case.
    ///
    /// # Errors
    /// `Refused` when it has more than `limit` bytes; `Unsupported` when it is a symbolic link or otherwise no plain
    /// file; `Corrupt`, and whatever the medium returns.
    pub fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let Some(node) = self.find(path)? else { return Ok(None) };
        match node.sort {
            Sort::Directory => Ok(None),
            Sort::Special => Err(not_plain().to(path)),
            _ => self.bytes(node, limit).map(Some).map_err(|error| named(error, path)),
        }
    }

    /// The file at `path`, to be read in parts; `None` when there is no file of that name.
    ///
    /// # Errors
    /// As [`Volume::read`].
    #[cfg(feature = "full")]
    pub fn file(&self, path: &str, limit: usize) -> Result<Option<File<'_>>> {
        let Some(node) = self.find(path)?.filter(|node| node.sort == Sort::File) else { return Ok(None) };
        let content = self.tree.content(&self.medium, node, limit).map_err(|error| named(error, path))?;
        Ok(Some(File::new(&self.medium, content)))
    }

    /// The names in the directory at `path`, in the order of the medium; `None` when there is no such directory. The
    /// empty path is the top.
    ///
    /// # Errors
    /// As [`Volume::read`]; `Refused` when the directory has more than [`DIRECTORY_LIMIT`] bytes.
    pub fn list(&self, path: &str) -> Result<Option<Vec<String>>> {
        match self.find(path)? {
            Some(node) if node.sort == Sort::Directory => {
                let entries = self.entries(node).map_err(|error| named(error, path))?;
                Ok(Some(entries.into_iter().map(|entry| entry.name).collect()))
            }
            _ => Ok(None),
        }
    }

    fn find(&self, path: &str) -> Result<Option<Node>> {
        // The directories from the top to here, and the parts to go, the next one last.
        let mut above = Vec::from([self.tree.root(&self.medium)?]);
        let mut left = parts(path);
        for _ in 0..PARTS_LIMIT {
            let Some(part) = left.pop() else { return Ok(above.pop()) };
            #[cfg(feature = "full")]
            if part == ".." {
                above.truncate(above.len().saturating_sub(1).max(1));
                continue;
            }
            let here = above.last().copied().filter(|here| here.sort == Sort::Directory);
            let Some(here) = here.filter(|_| above.len() <= DEPTH_LIMIT) else { return Ok(None) };
            let entries = self.entries(here).map_err(|error| named(error, path))?;
            let exact = entries.iter().find(|entry| entry.name == part);
            let alike = || entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(&part));
            let found = exact.or_else(|| if self.tree.ignores_case() { alike() } else { None });
            let Some(node) = found.map(|found| found.node) else { return Ok(None) };
            #[cfg(feature = "full")]
            if node.sort == Sort::Link {
                let target = self.bytes(node, LINK_LIMIT).map_err(|error| named(error, path))?;
                let target = String::from_utf8_lossy(&target);
                if target.starts_with('/') {
                    above.truncate(1);
                }
                left.extend(parts(&target));
                continue;
            }
            above.push(node);
        }
        Ok(None)
    }

    fn entries(&self, node: Node) -> Result<Vec<Entry>> {
        let bytes = self.bytes(node, DIRECTORY_LIMIT)?;
        self.tree.entries(&self.medium, &bytes)
    }

    fn bytes(&self, node: Node, limit: usize) -> Result<Vec<u8>> {
        self.medium.content(&self.tree.content(&self.medium, node, limit)?)
    }
}

/// The parts of `path`, the first one last.
fn parts(path: &str) -> Vec<String> {
    path.rsplit('/').filter(|part| !matches!(*part, "" | ".")).map(String::from).collect()
}

/// [`Error::corrupt`] for a fixed text, never inlined: that halves what each of the many checks costs.
#[cold]
#[inline(never)]
fn corrupt(doing: &'static str, why: &'static str) -> Error {
    Error::corrupt(doing, why)
}

/// Why a link, a device, or a file in a form of its own is not read.
fn not_plain() -> Error {
    Error::unsupported("read", "it is no plain file in one piece")
}

/// What cannot or will not be read has a name; damage is the whole volume's, whose name the caller knows.
fn named(error: Error, path: &str) -> Error {
    use crate::error::Kind::{Refused, Unsupported};
    if matches!(error.kind, Refused | Unsupported) { error.to(path) } else { error }
}
