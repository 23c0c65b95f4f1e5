//! Where an image comes from, and the disk in it.
//!
//! What can be read at any offset and is not compressed is asked where its bytes are (`mapped`), so that holes are
//! neither read nor handed on; everything else passes from beginning to end (`streamed`). With a digest, a source that is
//! read in the order of its bytes is hashed while it is read, and any other before (`checked`). What has tables and passes
//! from beginning to end goes to a temporary file first (`spool`), where it can be read at any offset.
#![forbid(unsafe_code)]

mod digest;
mod locator;
mod random_access;
mod sequential;
#[cfg(feature = "full")]
mod spool;
mod verified;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::extent::Watch;
use super::{Content, Environment, Expected, Piece};
use crate::bytes::ReadAt;
use crate::codec;
use crate::container::{self, Map};
use crate::error::{Error, Result};
use crate::units::ByteCount;
use locator::Origin;
use random_access::RandomAccess;
use sequential::Sequential;

const DOING: &str = "read the image";

/// Something that holds an image: a file, a block device, a pipe, standard input (`-`), a URL.
pub struct Source<'m> {
    /// What it is called where people read it: a URL has no query there.
    label: String,
    origin: Origin<'m>,
    means: Environment<'m>,
}

/// The disk in a source.
pub struct Image<'a> {
    /// What the image is, below its compression. A fixed VHD that is not read at any offset is taken for raw.
    pub format: container::Format,
    /// Which kind of that: `version 3`, `dynamic`; often empty.
    pub variant: &'static str,
    /// The layers of compression around it, the outermost first.
    pub layers: Vec<codec::Format>,
    /// The disk's size, where it is known before the last byte.
    pub size: Option<ByteCount>,
    /// The size of the source, where that is known.
    pub stored: Option<ByteCount>,
    /// What [`Image::read`] comes to, where that is known: bytes of the source or of the temporary file.
    pub total: Option<ByteCount>,
    label: &'a str,
    expected: Option<ByteCount>,
    /// Bytes of the disk that were handed on.
    at: u64,
    /// Judges at the end whether all of the disk came.
    watch: Option<Watch>,
    body: Box<dyn Body<'a> + 'a>,
}

/// How the disk comes out of the source.
trait Body<'a> {
    /// The next piece, whatever size was expected; the digest is.
    fn next(&mut self, room: &mut [u8]) -> Result<Piece>;

    /// Bytes of the source that were read so far.
    fn read(&self) -> u64;

    /// The disk, to be read at any offset.
    fn disk(&self) -> Result<Option<Box<dyn ReadAt + 'a>>> {
        Ok(None)
    }

    /// Bytes of the disk that are stored.
    fn data(&self) -> Result<Option<ByteCount>> {
        Ok(None)
    }
}

/// Before the disk was found.
struct Nothing;

impl Body<'_> for Nothing {
    fn next(&mut self, _: &mut [u8]) -> Result<Piece> {
        Ok(Piece::End)
    }

    fn read(&self) -> u64 {
        0
    }
}

impl<'m> Source<'m> {
    /// Opens `name`; of a URL the first bytes are fetched.
    ///
    /// # Errors
    /// `Absent` when there is nothing of that name; those of the kernel and of the server.
    pub fn open(name: &str, means: Environment<'m>) -> Result<Self> {
        let (label, origin) = locator::open(name, means)?;
        Ok(Self { label, origin, means })
    }

    /// What it is called where people read it: its name, a URL without its query.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether it is lost once it was read: a pipe, standard input from one.
    #[must_use]
    pub fn comes_once(&self) -> bool {
        matches!(self.origin, Origin::Stream(..)) && !self.label.contains("://")
    }

    /// The disk in it, once. With a digest, what cannot be hashed while it is read is read twice, the first time here. So is
    /// what has tables and cannot be read at any offset, which becomes a temporary file.
    ///
    /// # Errors
    /// As [`Map::open`] and [`container::stream::open`]; `Refused` when it is empty, has another size than expected, or
    /// another digest.
    pub fn image(&mut self, expected: &Expected) -> Result<Image<'_>> {
        let label = self.label.as_str();
        image(&mut self.origin, self.means, label, expected).map_err(|error| error.to(label))
    }
}

fn image<'a>(
    origin: &'a mut Origin<'_>,
    means: Environment<'_>,
    label: &'a str,
    expected: &Expected,
) -> Result<Image<'a>> {
    let stored = origin.size().map(ByteCount);
    if stored == Some(ByteCount(0)) {
        return Err(empty());
    }
    let member = origin.find_member()?;
    let is_mapped = member.is_some() || origin.is_mapped()?;
    let mut checksum = match expected.checksum {
        Some(checksum) if member.is_some() || is_mapped && !origin.is_in_order()? => {
            origin.check(checksum)?;
            None
        }
        other => other,
    };
    if let Some(member) = member {
        origin.narrow(member);
    }
    let mut image = Image {
        format: container::Format::Raw,
        variant: "",
        layers: Vec::new(),
        size: None,
        stored,
        total: stored,
        label,
        expected: expected.size,
        at: 0,
        watch: None,
        body: Box::new(Nothing),
    };
    if !is_mapped {
        let (streamed, layers) = Sequential::open(origin.stream()?, checksum.take())?;
        image.layers = layers;
        if !streamed.has_tables {
            image.format = streamed.format;
            let is_plain = image.layers.is_empty() && image.format == container::Format::Raw;
            image.size = streamed.size.or_else(|| if is_plain { raw_size(stored) } else { None });
            image.body = Box::new(streamed);
            return image.judged();
        }
        image.total = store(origin, streamed, &image.layers, stored, expected.size, means)?;
    }
    let Origin::Seekable(source) = &*origin else { return Err(not_seekable(image.format)) };
    let map = Map::open(&**source, ByteCount(source.size()))?;
    (image.format, image.variant, image.size) = (map.format(), map.variant(), Some(map.size()));
    image.body = Box::new(RandomAccess::new(&**source, map, checksum));
    image.judged()
}

/// Puts a file with tables, which comes from beginning to end, in the place of `origin`; its size.
#[cfg(feature = "full")]
fn store(
    origin: &mut Origin<'_>,
    streamed: Sequential<'_>,
    layers: &[codec::Format],
    stored: Option<ByteCount>,
    wanted: Option<ByteCount>,
    means: Environment<'_>,
) -> Result<Option<ByteCount>> {
    let stated = match layers {
        // A tar states the size of its member itself.
        [] => stored,
        [codec::Format::Xz] => origin.stated(),
        _ => None,
    };
    let (file, size) = spool::spool(streamed, layers, stated, wanted, means)?;
    origin.replace(file, size);
    Ok(Some(size))
}

/// An initramfs has no room for a temporary file.
#[cfg(not(feature = "full"))]
fn store(
    _: &mut Origin<'_>,
    streamed: Sequential<'_>,
    _: &[codec::Format],
    _: Option<ByteCount>,
    _: Option<ByteCount>,
    _: Environment<'_>,
) -> Result<Option<ByteCount>> {
    Err(not_seekable(streamed.format))
}

fn not_seekable(format: container::Format) -> Error {
    let why = "cannot be read from beginning to end: have it in a file, uncompressed";
    Error::unsupported(DOING, format!("{} {why}", format.name()))
}

/// The size of a disk that comes from beginning to end as it is, out of `stored` bytes, of which the last 512 may turn out
/// to be the footer of a fixed VHD. Before that comes, by its specification, a multiple of four heads' tracks: 2 KiB.
fn raw_size(stored: Option<ByteCount>) -> Option<ByteCount> {
    stored.filter(|stored| stored.0.is_multiple_of(4096))
}

impl<'a> Image<'a> {
    /// The disk, to be read at any offset, whatever was handed on already; `None` when it comes from beginning to end.
    ///
    /// # Errors
    /// As [`Map::open`].
    pub fn disk(&self) -> Result<Option<Box<dyn ReadAt + 'a>>> {
        self.body.disk().map_err(|error| error.to(self.label))
    }

    /// Bytes of the disk that are stored, where they are noted on this machine; the others are zeros.
    ///
    /// # Errors
    /// As [`Map::run_at`].
    pub fn data(&self) -> Result<Option<ByteCount>> {
        self.body.data().map_err(|error| error.to(self.label))
    }

    /// Holds the size, where it is known, against what was expected.
    fn judged(self) -> Result<Self> {
        match (self.size, self.expected) {
            (Some(ByteCount(0)), _) => Err(empty()),
            (Some(size), Some(wanted)) if size != wanted => Err(other_size(size, wanted)),
            _ => Ok(self),
        }
    }

    /// Fails at the end of a disk that was cut off; `doing` begins the message.
    pub(super) fn watch(&mut self, doing: &'static str) {
        self.watch = Some(Watch::new(doing));
    }

    /// Bytes of the source that were read so far, holes in it among them.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.body.read()
    }

    /// Whether it shows at its end that all of it came: its source states a length, its format or compression has an end.
    #[must_use]
    pub fn has_known_end(&self) -> bool {
        self.stored.is_some() || !self.layers.is_empty() || self.format != container::Format::Raw
    }

    /// Holds what was handed on so far against what was expected.
    fn measure(&mut self, piece: Piece) -> Result<Piece> {
        self.at = self.at.saturating_add(match piece {
            Piece::Bytes(count) => count as u64,
            Piece::Zeros(count) => count,
            Piece::End => 0,
        });
        let so_far = ByteCount(self.at);
        match self.expected {
            _ if piece == Piece::End && self.at == 0 => Err(empty()),
            Some(wanted) if piece == Piece::End && so_far != wanted => Err(other_size(so_far, wanted)),
            Some(wanted) if so_far > wanted => {
                Err(Error::refused(DOING, format!("its disk has more than the {} bytes expected", wanted.0)))
            }
            _ => Ok(piece),
        }
    }
}

impl Content for Image<'_> {
    fn next(&mut self, room: &mut [u8]) -> Result<Piece> {
        let piece = self.body.next(room).and_then(|piece| self.measure(piece)).map_err(|error| error.to(self.label))?;
        if let Some(watch) = &mut self.watch {
            match piece {
                Piece::Bytes(count) => watch.pass(room.get(..count).unwrap_or_default(), count as u64),
                Piece::Zeros(count) => watch.pass(&[], count),
                Piece::End => watch.finish()?,
            }
        }
        Ok(piece)
    }
}

fn empty() -> Error {
    Error::refused(DOING, "it is empty")
}

fn other_size(size: ByteCount, wanted: ByteCount) -> Error {
    Error::refused(DOING, format!("its disk has {} bytes, and {} were expected", size.0, wanted.0))
}
