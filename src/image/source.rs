//! Where an image comes from, and the disk in it.

use super::{Content, Expected, Means, Piece};
use crate::codec;
use crate::container::Format;
use crate::error::{Error, Result};
use crate::units::ByteCount;
use alloc::vec::Vec;

/// Something that holds an image: a file, a block device, standard input (`-`), a URL.
pub struct Source;

/// The disk in a source.
pub struct Image<'a> {
    /// What the image is, below its compression.
    pub format: Format,
    /// Which kind of that: `version 3`, `dynamic`; often empty.
    pub variant: &'static str,
    /// The layers of compression around it, the outermost first.
    pub layers: Vec<codec::Format>,
    /// The disk's size, where it is known before the last byte.
    pub size: Option<ByteCount>,
    /// The size of the source, where that is known.
    pub stored: Option<ByteCount>,
    _source: &'a Source,
}

impl Source {
    /// Opens `name`; of a URL the first bytes are fetched.
    ///
    /// # Errors
    /// `Absent` when there is nothing of that name; those of the kernel and of the server.
    pub fn open(name: &str, means: Means<'_>) -> Result<Self> {
        let _ = means;
        Err(Error::unsupported("open the image", "sources are not built yet").to(name))
    }

    /// The disk in it, once.
    ///
    /// # Errors
    /// As `container::Map::open` and `container::stream::open`; `Refused` when its size is not the expected one.
    pub fn image(&self, expected: &Expected) -> Result<Image<'_>> {
        let _ = expected;
        Err(Error::unsupported("open the image", "sources are not built yet"))
    }
}

impl Image<'_> {
    /// Bytes of the source that were read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        0
    }
}

impl Content for Image<'_> {
    fn next(&mut self, _room: &mut [u8]) -> Result<Piece> {
        Ok(Piece::End)
    }
}
