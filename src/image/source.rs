//! Where an image comes from, and the disk in it.
//!
//! What can be read at any offset and is not compressed is asked where its bytes are (`mapped`), so that holes are
//! neither read nor handed on; everything else passes from beginning to end (`streamed`). With a digest, a source that is
//! read in the order of its bytes is hashed while it is read, and any other before (`checked`).
#![forbid(unsafe_code)]

mod checked;
mod digest;
mod mapped;
mod origin;
mod streamed;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::extent::Watch;
use super::{Content, Expected, Means, Piece};
use crate::bytes::ReadAt;
use crate::codec;
use crate::container::{self, Map};
use crate::error::{Error, Result};
use crate::units::ByteCount;
use mapped::Mapped;
use origin::Origin;
use streamed::Streamed;

const DOING: &str = "read the image";

/// Something that holds an image: a file, a block device, a pipe, standard input (`-`), a URL.
pub struct Source<'m> {
    /// What it is called where people read it: a URL has no query there.
    label: String,
    origin: Origin<'m>,
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

impl<'m> Source<'m> {
    /// Opens `name`; of a URL the first bytes are fetched.
    ///
    /// # Errors
    /// `Absent` when there is nothing of that name; those of the kernel and of the server.
    pub fn open(name: &str, means: Means<'m>) -> Result<Self> {
        let (label, origin) = origin::open(name, means)?;
        Ok(Self { label, origin })
    }

    /// What it is called where people read it: its name, a URL without its query.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The disk in it, once. With a digest, what cannot be hashed while it is read is read twice, the first time here.
    ///
    /// # Errors
    /// As [`Map::open`] and [`container::stream::open`]; `Refused` when it is empty, has another size than expected, or
    /// another digest.
    pub fn image(&mut self, expected: &Expected) -> Result<Image<'_>> {
        let label = self.label.as_str();
        image(&mut self.origin, label, expected).map_err(|error| error.to(label))
    }
}

fn image<'a>(origin: &'a mut Origin<'_>, label: &'a str, expected: &Expected) -> Result<Image<'a>> {
    let stored = origin.size().map(ByteCount);
    if stored == Some(ByteCount(0)) {
        return Err(empty());
    }
    let member = origin.find_member()?;
    let is_mapped = member.is_some() || origin.is_mapped()?;
    let checksum = match expected.checksum {
        Some(checksum) if member.is_some() || is_mapped && !origin.is_in_order()? => {
            origin.check(checksum)?;
            None
        }
        other => other,
    };
    if let Some(member) = member {
        origin.narrow(member);
    }
    let image = match (is_mapped, &*origin) {
        (true, Origin::Seekable(source)) => {
            let map = Map::open(&**source, ByteCount(source.size()))?;
            let (format, variant, size) = (map.format(), map.variant(), Some(map.size()));
            let body = Box::new(Mapped::new(&**source, map, checksum));
            Image {
                format,
                variant,
                layers: Vec::new(),
                size,
                stored,
                label,
                expected: expected.size,
                at: 0,
                watch: None,
                body,
            }
        }
        _ => {
            let (streamed, layers) = Streamed::open(origin.stream()?, checksum)?;
            let format = streamed.format;
            let is_plain = layers.is_empty() && format == container::Format::Raw;
            let size = streamed.size.or_else(|| if is_plain { raw_size(stored) } else { None });
            let body = Box::new(streamed);
            Image {
                format,
                variant: "",
                layers,
                size,
                stored,
                label,
                expected: expected.size,
                at: 0,
                watch: None,
                body,
            }
        }
    };
    match (image.size, expected.size) {
        (Some(ByteCount(0)), _) => Err(empty()),
        (Some(size), Some(wanted)) if size != wanted => Err(other_size(size, wanted)),
        _ => Ok(image),
    }
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
