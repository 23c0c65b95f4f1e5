//! A disk that comes from beginning to end: from a pipe or a server, or out of compression or a tar.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::digest::Digest;
use super::{Body, DOING, Piece};
use crate::codec::{self, Input, Source};
use crate::container::{self, stream};
use crate::error::{Error, Result};
use crate::text::checksum::Checksum;
use crate::units::ByteCount;

/// Bytes of what follows the image that are hashed at once.
const STEP: usize = 128 << 10;

pub(super) struct Sequential<'a> {
    pub(super) format: container::Format,
    pub(super) size: Option<ByteCount>,
    /// Whether what comes is not the disk but a file of this format.
    pub(super) has_tables: bool,
    /// Bytes that come, where a header says so.
    #[cfg(feature = "full")]
    pub(super) length: Option<ByteCount>,
    content: Input<'a>,
    wire: Rc<RefCell<Connection<'a>>>,
}

/// What the source itself sends, below all decoders.
struct Connection<'a> {
    source: Box<dyn Source + 'a>,
    read: u64,
    digest: Option<Digest>,
}

/// The decoders' end of it. The other one is with [`Sequential`], which asks how far it is.
struct Tap<'a>(Rc<RefCell<Connection<'a>>>);

impl<'a> Sequential<'a> {
    /// Finds out what `source` is: also the layers of compression around it, the outermost first.
    pub(super) fn open(source: Box<dyn Source + 'a>, checksum: Option<Checksum>) -> Result<(Self, Vec<codec::Format>)> {
        let wire = Rc::new(RefCell::new(Connection { source, read: 0, digest: checksum.map(Digest::new) }));
        let stream = stream::open(Input::new(Tap(Rc::clone(&wire))))?;
        let streamed = Self {
            format: stream.format,
            size: stream.size,
            has_tables: stream.has_tables,
            #[cfg(feature = "full")]
            length: stream.length,
            content: stream.content,
            wire,
        };
        Ok((streamed, stream.layers))
    }

    /// Compares the digest, of which what follows the image is a part too.
    fn finish(&mut self) -> Result<()> {
        // A disk is more than a file: a damaged header of a second member would lose all behind it.
        if self.content.warning().is_some() {
            return Err(Error::corrupt(DOING, "something that is not compressed follows its compressed data"));
        }
        let Ok(mut wire) = self.wire.try_borrow_mut() else { return Ok(()) };
        if wire.digest.is_some() {
            let mut rest = vec![0; STEP];
            while wire.read(&mut rest)? > 0 {}
        }
        wire.digest.take().map_or(Ok(()), Digest::check)
    }
}

impl<'a> Body<'a> for Sequential<'a> {
    fn next(&mut self, room: &mut [u8]) -> Result<Piece> {
        let mut filled = 0_usize;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.content.read(rest)? {
                0 => break,
                count => filled = filled.saturating_add(count),
            }
        }
        if filled == 0 {
            self.finish()?;
            return Ok(Piece::End);
        }
        Ok(Piece::Bytes(filled))
    }

    fn read(&self) -> u64 {
        self.wire.try_borrow().map_or(0, |wire| wire.read)
    }
}

impl Source for Connection<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = self.source.read(into)?;
        self.read = self.read.saturating_add(count as u64);
        if let Some(digest) = &mut self.digest {
            digest.update(into.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

impl Source for Tap<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        match self.0.try_borrow_mut() {
            Ok(mut wire) => wire.read(into),
            Err(_) => Err(Error::corrupt(DOING, "it is being read")),
        }
    }
}
