//! Writes a gzip file (RFC 1952) of one member, piece by piece, in memory that does not grow. Of zeros, which most of a
//! disk is, a MiB is packed once, and what that made is written again: its bytes refer to nothing before them.
//!
//! The file has neither name nor time: the same content, put in the same pieces, gives the same bytes.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crc32fast::Hasher;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress};

use super::cluster;
use crate::error::{Error, Result};
use crate::units::{ByteCount, MIB};

/// Magic, deflate, no flags, no time, neither fastest nor slowest, Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// What is handed on at once: larger than all that one call of the library may have to give.
const OUTPUT: usize = 128 << 10;

/// Zeros that are fed to the library where there are less than a MiB of them.
const ZEROS: [u8; 4096] = [0; 4096];

/// A gzip file that is being written.
pub struct Gzip<'a> {
    write: &'a mut dyn FnMut(ByteCount, &[u8]) -> Result<()>,
    /// Bytes that were written.
    length: u64,
    deflate: Box<CompressorOxide>,
    output: Vec<u8>,
    crc32: Hasher,
    /// Bytes of content, modulo 2^32 as the trailer states them.
    isize: u32,
    /// A MiB of zeros: packed, and its checksum.
    void: Option<(Vec<u8>, Hasher)>,
}

impl<'a> Gzip<'a> {
    /// Begins a file. `write` is given an offset, which is where the last bytes ended, and bytes.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn new(write: &'a mut dyn FnMut(ByteCount, &[u8]) -> Result<()>) -> Result<Self> {
        write(ByteCount(0), &HEADER)?;
        Ok(Self {
            write,
            length: HEADER.len() as u64,
            deflate: cluster::deflate(),
            output: vec![0; OUTPUT],
            crc32: Hasher::new(),
            isize: 0,
            void: None,
        })
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.crc32.update(bytes);
        self.isize = self.isize.wrapping_add(bytes.len() as u32);
        self.pack(bytes, TDEFLFlush::None)
    }

    /// Adds `count` zeros.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn put_zeros(&mut self, count: u64) -> Result<()> {
        let mut rest = count;
        if rest >= MIB {
            // To a whole byte, and nothing behind it may refer to anything before.
            self.pack(&[], TDEFLFlush::Full)?;
            let (packed, crc32) = self.void.take().unwrap_or_else(void);
            while rest >= MIB {
                (self.write)(ByteCount(self.length), &packed)?;
                self.length = self.length.saturating_add(packed.len() as u64);
                self.crc32.combine(&crc32);
                self.isize = self.isize.wrapping_add(MIB as u32);
                rest = rest.saturating_sub(MIB);
            }
            self.void = Some((packed, crc32));
        }
        while rest > 0 {
            let zeros = ZEROS.get(..usize::try_from(rest).unwrap_or(usize::MAX)).unwrap_or(&ZEROS);
            self.put(zeros)?;
            rest = rest.saturating_sub(zeros.len() as u64);
        }
        Ok(())
    }

    /// Writes what is left, and the trailer. Returns the file's length.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn finish(mut self) -> Result<ByteCount> {
        self.pack(&[], TDEFLFlush::Finish)?;
        let mut trailer = [0; 8];
        let (crc32, isize) = trailer.split_at_mut(4);
        crc32.copy_from_slice(&self.crc32.finalize().to_le_bytes());
        isize.copy_from_slice(&self.isize.to_le_bytes());
        (self.write)(ByteCount(self.length), &trailer)?;
        Ok(ByteCount(self.length.saturating_add(trailer.len() as u64)))
    }

    fn pack(&mut self, bytes: &[u8], flush: TDEFLFlush) -> Result<()> {
        let (write, length) = (&mut self.write, &mut self.length);
        pack(&mut self.deflate, bytes, flush, &mut self.output, &mut |packed| {
            write(ByteCount(*length), packed)?;
            *length = length.saturating_add(packed.len() as u64);
            Ok(())
        })
    }
}

/// Packs all of `bytes`, and hands on what that gives by way of `output`.
fn pack(
    deflate: &mut CompressorOxide,
    bytes: &[u8],
    flush: TDEFLFlush,
    output: &mut [u8],
    write: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut rest = bytes;
    loop {
        let (status, taken, given) = compress(deflate, rest, output, flush);
        if !matches!(status, TDEFLStatus::Okay | TDEFLStatus::Done) {
            return Err(Error::corrupt("pack", "the encoder failed"));
        }
        rest = rest.get(taken..).unwrap_or_default();
        let packed = output.get(..given).unwrap_or_default();
        if !packed.is_empty() {
            write(packed)?;
        }
        // What did not fill the room was all.
        if rest.is_empty() && given < output.len() {
            return Ok(());
        }
    }
}

/// A MiB of zeros, from a whole byte to a whole byte, and its checksum.
fn void() -> (Vec<u8>, Hasher) {
    let (mut packed, mut crc32) = (Vec::new(), Hasher::new());
    let (mut deflate, mut output) = (cluster::deflate(), vec![0; OUTPUT]);
    let pieces = (MIB as usize).checked_div(ZEROS.len()).unwrap_or_default();
    for piece in 1..=pieces {
        crc32.update(&ZEROS);
        let flush = if piece == pieces { TDEFLFlush::Full } else { TDEFLFlush::None };
        // Writing to memory does not fail, and zeros are always packed.
        let _ = pack(&mut deflate, &ZEROS, flush, &mut output, &mut |bytes| {
            packed.extend_from_slice(bytes);
            Ok(())
        });
    }
    (packed, crc32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Format;

    /// What stands between two runs of zeros; half of it repeats itself.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noise: Vec<u8> = core::iter::repeat_with(next).take(length.div_ceil(2)).collect();
        noise.iter().cycle().take(length).copied().collect()
    }

    fn file(pieces: &[(usize, u64)]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut write = |at: ByteCount, bytes: &[u8]| {
            assert_eq!(at.0, file.len() as u64);
            file.extend_from_slice(bytes);
            Ok(())
        };
        let mut gzip = Gzip::new(&mut write).unwrap();
        for (bytes, zeros) in pieces {
            gzip.put(&noise(*bytes)).unwrap();
            gzip.put_zeros(*zeros).unwrap();
        }
        let length = gzip.finish().unwrap();
        assert_eq!(length.0, file.len() as u64);
        file
    }

    #[test]
    fn what_was_put_comes_back() {
        for pieces in [
            &[][..],
            &[(1, 0)],
            &[(0, 1)],
            &[(300_000, 5)],
            &[(0, MIB)],
            &[(0, 3 * MIB + 1), (9, 2 * MIB - 1)],
            &[(70_000, MIB), (70_000, 5 * MIB + 4097), (1, 0), (200_000, MIB - 1), (3, 0)],
        ] {
            let mut content = Vec::new();
            for (bytes, zeros) in pieces {
                content.extend(noise(*bytes));
                content.resize(content.len() + *zeros as usize, 0);
            }
            let packed = file(pieces);
            assert!(Format::Gzip.decode(&packed, content.len()).unwrap() == content, "{pieces:?}");
            assert!(packed == file(pieces), "the same bytes");
        }
    }

    #[test]
    fn zeros_take_the_thousandth_part() {
        assert!(file(&[(0, 64 * MIB)]).len() < 70_000);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_answer() {
        for calls in 0..4 {
            let mut left = calls;
            let mut write = |_: ByteCount, _: &[u8]| {
                left -= 1;
                if left < 0 { Err(Error::os(28, "write to")) } else { Ok(()) }
            };
            let made = Gzip::new(&mut write).and_then(|mut gzip| {
                gzip.put(&noise(400_000))?;
                gzip.put_zeros(MIB)?;
                gzip.finish()
            });
            assert_eq!(made, Err(Error::os(28, "write to")), "{calls}");
        }
    }
}
