//! FAT, ISO 9660 and UDF: the few files that a cloud puts on a small volume (`meta-data`, `ovf-env.xml`).
//!
//! **wisp always reads these three itself and never has the kernel mount them.** Its own readers need no driver, module
//! or mount point, so they work in the smallest image and leave nothing to undo; a filesystem from outside is not handed
//! to code that runs in the kernel; and as pure code with limits they can be tested byte by byte.
//!
//! Only looks up paths and copies files and lists of names. Whatever the medium claims, a path has at most
//! [`DEPTH_LIMIT`] parts, a directory at most [`DIRECTORY_LIMIT`] bytes, a file no more than its reader allows.
#![forbid(unsafe_code)]

mod content;
mod fat;
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

/// The longest path of the formats that clouds use has three parts; a path of more is not worth the walk.
pub const DEPTH_LIMIT: usize = 16;

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
    /// A link, a device, or a file in a form that is not read.
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
    let Some(found) = filesystem::recognise(&*medium, size)? else { return Ok(None) };
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

impl Volume<'_> {
    /// What it is: [`Kind::Vfat`], [`Kind::Iso9660`] or [`Kind::Udf`].
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
            Sort::File => self.bytes(node, limit).map(Some).map_err(|error| named(error, path)),
        }
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
        let mut node = self.tree.root(&self.medium)?;
        let mut depth = 0usize;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if node.sort != Sort::Directory || depth >= DEPTH_LIMIT {
                return Ok(None);
            }
            depth = depth.saturating_add(1);
            let entries = self.entries(node).map_err(|error| named(error, path))?;
            let exact = entries.iter().find(|entry| entry.name == part);
            let alike = || entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(part));
            let found = exact.or_else(|| if self.tree.ignores_case() { alike() } else { None });
            let Some(found) = found else { return Ok(None) };
            node = found.node;
        }
        Ok(Some(node))
    }

    fn entries(&self, node: Node) -> Result<Vec<Entry>> {
        let bytes = self.bytes(node, DIRECTORY_LIMIT)?;
        self.tree.entries(&self.medium, &bytes)
    }

    fn bytes(&self, node: Node, limit: usize) -> Result<Vec<u8>> {
        self.medium.content(&self.tree.content(&self.medium, node, limit)?)
    }
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
