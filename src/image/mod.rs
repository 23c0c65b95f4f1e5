//! Disk images: read from anywhere, written onto disks, compared with them, packed for clouds.
//!
//! ```text
//! file, device, pipe, URL ─► Source ─► Image, which is Content: pieces of the disk in order ─┬─► write ─► a disk
//!        (fetch, file)       (codec, container, digest)                                      ├─► verify
//!                                                                                            └─► pack ─► a file
//! ```
//!
//! Anyone who takes [`Piece`]s need not know the format, nor whether the bytes come through a pipe. The last one comes
//! only when the whole source was read as far as it must be and its digest is the expected one: what was written before
//! that may not look like a disk that boots, so [`write`](mod@write) holds its first MiB back.
#![forbid(unsafe_code)]

#[cfg(feature = "full")]
mod cloud;
mod disk_writer;
pub mod extent;
pub mod layout;
#[cfg(feature = "full")]
pub mod lint;
mod overlap;
#[cfg(feature = "full")]
pub mod pack;
mod pipeline;
mod protocol;
mod relocate;
mod source;
pub mod target;
pub mod write;
mod writer_process;
mod zero_aware_hash;

#[cfg(feature = "full")]
pub use cloud::Cloud;
pub use source::{Image, Source};

use crate::error::Result;
use crate::fetch::Policy;
use crate::text::checksum::Checksum;
use crate::units::ByteCount;
use core::net::IpAddr;

/// What comes next of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes, in the beginning of the caller's buffer; at least one.
    Bytes(usize),
    /// So many zeros, which were not put anywhere; at least one. Bytes may be zeros, too.
    Zeros(u64),
    /// Nothing: all of it has come, and it is what it should be.
    End,
}

/// A disk from its first byte to its last.
pub trait Content {
    /// The next piece; bytes fill `room`, which is not empty, from its beginning, and all of it where that costs no wait.
    ///
    /// # Errors
    /// Whatever keeps it from being had, and at the end `Refused` when it is not what was expected.
    fn next(&mut self, room: &mut [u8]) -> Result<Piece>;
}

/// What the user says of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The digest of the source, byte for byte as it lies in its file or comes from its server.
    pub checksum: Option<Checksum>,
    /// Bytes of the disk in it.
    pub size: Option<ByteCount>,
}

/// What a source may use beside the files of this machine.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Name servers to ask instead of those of `/etc/resolv.conf`; none: those.
    pub servers: &'a [IpAddr],
    /// Hears when a server has to be asked again, and when a download goes on after a break.
    pub notify: &'a dyn Fn(&str),
    /// How patient a download is.
    pub policy: Policy,
    /// Where an image with tables may go that cannot be read at any offset; none: it is refused.
    pub spool: Option<Spool<'a>>,
}

impl<'a> Environment<'a> {
    /// The same, for an image that goes to `node`, a disk of `size` bytes, or is compared with it.
    const fn for_target(mut self, node: &'a str, size: ByteCount) -> Self {
        if let Some(spool) = &mut self.spool {
            spool.target = Some((node, size));
        }
        self
    }
}

/// Where temporary files may lie, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Spool<'a> {
    /// The directory.
    pub directory: &'a str,
    /// The disk that the image is for, and its size: no temporary file may lie on it, and no larger disk is unpacked.
    pub target: Option<(&'a str, ByteCount)>,
}

/// What to say of a raw image from a pipe, or from a server that states no length.
const UNKNOWN_LENGTH: &str =
    "the length of the image is not verified: neither source nor format states it, so a truncated image looks complete";

/// What is being done with an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It is written onto a disk, or into a file.
    #[default]
    Write,
    /// It is compared with a disk.
    Compare,
    /// What was written is read back from the disk.
    ReadBack,
}

impl Phase {
    /// The word in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Compare => "compare",
            Self::ReadBack => "read-back",
        }
    }
}

/// How far a deed is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes of the source that were read; while it is read back, of the disk.
    pub read: u64,
    /// All of them, where that is known.
    pub of: Option<u64>,
    /// Bytes of the disk that are dealt with.
    pub disk: u64,
    /// Those of them that were written as data.
    pub written: u64,
}
