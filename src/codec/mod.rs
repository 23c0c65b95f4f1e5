//! Compression formats, recognised by their magic bytes. Pure.
//!
//! Whole inputs in memory, as kernel modules and an initramfs are. Every decoder verifies the checksums its format
//! carries, takes all members, streams or frames that follow each other, and stops at the caller's limit; none of them
//! trusts a size that the input states. Encoders exist in the full build only, and the same input gives the same bytes.
#![forbid(unsafe_code)]

mod gzip;
mod xz;
mod zstd;

use alloc::format;
use alloc::vec::Vec;

use crate::error::{Error, Result};

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 1952.
    Gzip,
    /// The .xz file format 1.2.
    Xz,
    /// RFC 8878.
    Zstd,
}

/// How much a decoder's output grows before the limit is looked at again: the usual module fits at once.
const STEP: usize = 256 << 10;

impl Format {
    /// The format whose magic bytes `input` begins with.
    #[must_use]
    pub fn sniff(input: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Format); 3] =
            [(&gzip::MAGIC, Format::Gzip), (&xz::MAGIC, Format::Xz), (&zstd::MAGIC, Format::Zstd)];
        MAGICS.iter().find(|(magic, _)| input.starts_with(magic)).map(|(_, format)| *format)
    }

    /// Unpacks the whole of `input`.
    ///
    /// # Errors
    /// `Corrupt` when `input` contradicts the format or a checksum does not match, `Unsupported` when it uses a part of
    /// the format that wisp leaves out, `Refused` when the output would be longer than `limit` bytes or unpacking would
    /// take more memory than the format's usual encoders ask for.
    pub fn decode(self, input: &[u8], limit: usize) -> Result<Vec<u8>> {
        match self {
            Self::Gzip => gzip::decode(input, limit),
            Self::Xz => xz::decode(input, limit),
            Self::Zstd => zstd::decode(input, limit),
        }
    }

    /// Packs `input` as small as the format's usual effort makes it, in a form that the Linux kernel unpacks as an
    /// initramfs.
    ///
    /// # Errors
    /// `Refused` when there is not enough memory for the encoder.
    #[cfg(feature = "full")]
    pub fn encode(self, input: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Gzip => Ok(gzip::encode(input)),
            Self::Xz => xz::encode(input),
            Self::Zstd => zstd::encode(input),
        }
    }
}

/// Makes room, filled with zeros, behind the `used` first bytes of `output`: in the end one byte more than `limit`, so
/// that a decoder can tell an output of exactly `limit` bytes from a longer one.
fn grow(output: &mut Vec<u8>, used: usize, limit: usize, doing: &'static str) -> Result<()> {
    check_length(used, limit, doing)?;
    let wanted = used.saturating_mul(2).max(used.saturating_add(STEP));
    output.resize(wanted.min(limit.saturating_add(1)), 0);
    Ok(())
}

fn check_length(used: usize, limit: usize, doing: &'static str) -> Result<()> {
    if used > limit {
        return Err(Error::refused(doing, format!("it unpacks to more than {limit} bytes")));
    }
    Ok(())
}
