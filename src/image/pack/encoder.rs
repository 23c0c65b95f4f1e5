//! What a disk becomes: each form takes the blocks of a disk that are not zeros, in order, and writes a file.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::Format;
use crate::codec::{Gzip, Packer};
use crate::container::{Cluster, Qcow2, fixed_vhd_footer, tar_end, tar_header};
use crate::error::Result;
use crate::image::zero_aware_hash::{BLOCK, Fingerprint};
use crate::units::ByteCount;

const _: () = assert!(BLOCK == Qcow2::CLUSTER);

/// The only name that Google Compute Engine takes.
const MEMBER: &str = "disk.raw";

/// Where the bytes go: an offset, and what is written there. What is never written reads as zeros.
pub(super) type Output<'a> = &'a mut dyn FnMut(ByteCount, &[u8]) -> Result<()>;

/// A file that is being made.
pub(super) trait Encoder {
    /// Takes the block at `at`.
    fn put(&mut self, at: u64, block: &[u8]) -> Result<()>;

    /// Completes the file; returns its length, to which it is to be cut or made longer.
    fn finish(self: Box<Self>) -> Result<ByteCount>;
}

/// Begins a file of a disk of `size` bytes, made at `time` (seconds since 1970).
pub(super) fn begin<'a>(
    format: Format,
    size: ByteCount,
    time: u64,
    output: Output<'a>,
) -> Result<Box<dyn Encoder + 'a>> {
    Ok(match format {
        Format::Raw => Box::new(Raw { size, output }),
        Format::Vhd => Box::new(Vhd { raw: Raw { size, output }, fingerprint: Fingerprint::default(), at: 0, time }),
        Format::TarGz => {
            let mut gzip = Gzip::new(output)?;
            gzip.put(&tar_header(MEMBER, size.0, time)?)?;
            Box::new(TarGz { size, gzip, at: 0 })
        }
        Format::Qcow2 => {
            Box::new(Packed { image: Qcow2::new(size, output)?, packer: Packer::new(), room: vec![0; BLOCK - 1] })
        }
    })
}

struct Raw<'a> {
    size: ByteCount,
    output: Output<'a>,
}

impl Encoder for Raw<'_> {
    fn put(&mut self, at: u64, block: &[u8]) -> Result<()> {
        (self.output)(ByteCount(at), block)
    }

    fn finish(self: Box<Self>) -> Result<ByteCount> {
        Ok(self.size)
    }
}

struct Vhd<'a> {
    raw: Raw<'a>,
    /// Of it the id of the disk is made.
    fingerprint: Fingerprint,
    at: u64,
    time: u64,
}

impl Encoder for Vhd<'_> {
    fn put(&mut self, at: u64, block: &[u8]) -> Result<()> {
        self.fingerprint.zeros(at.saturating_sub(self.at));
        self.fingerprint.bytes(block);
        self.at = at.saturating_add(block.len() as u64);
        self.raw.put(at, block)
    }

    fn finish(self: Box<Self>) -> Result<ByteCount> {
        let Raw { size, output } = self.raw;
        let digest = self.fingerprint.finish();
        let id = digest.first_chunk().copied().unwrap_or_default();
        let footer = fixed_vhd_footer(size, id, self.time)?;
        output(size, &footer)?;
        Ok(ByteCount(size.0.saturating_add(footer.len() as u64)))
    }
}

struct TarGz<'a> {
    size: ByteCount,
    gzip: Gzip<'a>,
    at: u64,
}

impl Encoder for TarGz<'_> {
    fn put(&mut self, at: u64, block: &[u8]) -> Result<()> {
        self.gzip.put_zeros(at.saturating_sub(self.at))?;
        self.at = at.saturating_add(block.len() as u64);
        self.gzip.put(block)
    }

    fn finish(mut self: Box<Self>) -> Result<ByteCount> {
        self.gzip.put_zeros(self.size.0.saturating_sub(self.at))?;
        self.gzip.put(&tar_end(self.size.0))?;
        self.gzip.finish()
    }
}

struct Packed<'a> {
    image: Qcow2<'a>,
    packer: Packer,
    /// One byte too few for a cluster that became no smaller.
    room: Vec<u8>,
}

impl Encoder for Packed<'_> {
    fn put(&mut self, at: u64, block: &[u8]) -> Result<()> {
        let packed = self.packer.pack(block, &mut self.room).and_then(|length| self.room.get(..length));
        self.image.put(ByteCount(at), packed.map_or(Cluster::Stored(block), Cluster::Packed))
    }

    fn finish(self: Box<Self>) -> Result<ByteCount> {
        self.image.finish()
    }
}
