//! Compression formats, detected by their magic bytes. Pure.
//!
//! A decoder pulls packed bytes from a [`Source`] and is one itself, so layers nest and nothing is held whole. Every
//! decoder verifies the checksums its format carries, takes all members, streams or frames that follow each other, and
//! refuses windows above a limit; none of them trusts a size that the input states. The initramfs build has the three
//! formats that kernel modules come in. The clusters of a disk image have an [`Unpacker`] of their own. Encoders exist in the full build only, and the same input gives the same bytes.
#![forbid(unsafe_code)]

#[cfg(feature = "formats")]
mod bzip2;
mod cluster;
mod gzip;
#[cfg(feature = "full")]
mod gzip_writer;
#[cfg(feature = "formats")]
mod lz4;
#[cfg(feature = "formats")]
mod lzma;
#[cfg(feature = "formats")]
mod lzo;
#[cfg(feature = "formats")]
mod lzop;
mod source;
#[cfg(feature = "full")]
mod stated;
mod xz;
mod zstd;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use crate::error::{Error, Result};

#[cfg(feature = "full")]
pub use cluster::Packer;
pub use cluster::{Packing, Unpacker};
#[cfg(feature = "full")]
pub use gzip_writer::Gzip;
pub use source::{Input, Source};
#[cfg(feature = "full")]
pub use stated::of_xz;

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 1952.
    Gzip,
    /// The .xz file format 1.2.
    Xz,
    /// RFC 8878.
    Zstd,
    /// What `bzip2` writes.
    #[cfg(feature = "formats")]
    Bzip2,
    /// The format of LZMA Utils, before xz: a header of 13 bytes, no magic number, no checksum.
    #[cfg(feature = "formats")]
    Lzma,
    /// What `lzop` writes.
    #[cfg(feature = "formats")]
    Lzop,
    /// The LZ4 frame format 1.6.3, and the legacy one.
    #[cfg(feature = "formats")]
    Lz4,
}

/// Takes `input`, which stands before the format's first byte, apart.
type Open = for<'a> fn(Input<'a>) -> Box<dyn Source + 'a>;

/// Name, how to tell whether a file begins like this, decoder.
type Row = (Format, &'static str, fn(&[u8]) -> bool, Open);

/// Every format. Lzma is last, because it is detected by what its header may say and not by a magic number.
const FORMATS: &[Row] = &[
    (Format::Gzip, "gzip", |start| start.starts_with(&gzip::MAGIC), |input| Box::new(gzip::Decoder::new(input))),
    (Format::Xz, "xz", |start| start.starts_with(&xz::MAGIC), |input| Box::new(xz::Decoder::new(input))),
    (Format::Zstd, "zstd", zstd::is_start, |input| Box::new(zstd::Decoder::new(input))),
    #[cfg(feature = "formats")]
    (Format::Bzip2, "bzip2", bzip2::is_start, |input| Box::new(bzip2::Decoder::new(input))),
    #[cfg(feature = "formats")]
    (Format::Lzop, "lzop", |start| start.starts_with(&lzop::MAGIC), |input| Box::new(lzop::Decoder::new(input))),
    #[cfg(feature = "formats")]
    (Format::Lz4, "lz4", lz4::is_start, |input| Box::new(lz4::Decoder::new(input))),
    #[cfg(feature = "formats")]
    (Format::Lzma, "lzma", lzma::is_start, |input| Box::new(lzma::Decoder::new(input))),
];

/// The magic numbers of lz4's frames, which may be behind the same skippable frames as those of zstd.
const LZ4_MAGICS: [[u8; 4]; 2] = [0x184d_2204_u32.to_le_bytes(), 0x184c_2102_u32.to_le_bytes()];

/// How far is looked behind skippable frames: what packers write has 4 bytes of content, and comments are short.
const SKIPPABLE_LIMIT: usize = 1 << 20;

const DOING: &str = "unpack";

/// Bytes of a file that tell its format: as many as the longest header that is looked at, lzma's, and one.
const START: usize = 14;

/// Layers of compression that lie around anything by intent are two: a file, and the transport. A file that unpacks to
/// itself exists for every format.
const LAYERS: usize = 8;

/// The warning of a decoder that ignored what follows the end, as its tool does.
const TRAILING: &str = "trailing garbage ignored";

/// How much a decoder's output grows before the limit is looked at again: the usual module fits at once.
const STEP: usize = 256 << 10;

impl Format {
    /// The format that `input` begins like; its first 14 bytes tell.
    #[must_use]
    pub fn sniff(input: &[u8]) -> Option<Self> {
        FORMATS.iter().find(|(_, _, is_start, _)| is_start(input)).map(|(format, ..)| *format)
    }

    /// The name of the tool that it is known by.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, ..)| name)
    }

    /// A source of what `input` unpacks to. Nothing is read yet.
    ///
    /// Its errors: `Corrupt` when the input contradicts the format or a checksum does not match (found, for most
    /// formats, only behind the bytes it is about), `Unsupported` when it uses a part of the format that wisp leaves
    /// out, `Refused` when unpacking would take more memory than the format's usual encoders ask for, and those of
    /// `input`.
    #[must_use]
    pub fn decoder(self, input: Input<'_>) -> Input<'_> {
        match self.row() {
            Some((.., open)) => Input::boxed(open(input)),
            None => input,
        }
    }

    /// Unpacks the whole of `input`.
    ///
    /// # Errors
    /// Those of [`Format::decoder`], and `Refused` when the output would be longer than `limit` bytes.
    pub fn decode(self, input: &[u8], limit: usize) -> Result<Vec<u8>> {
        read_all(&mut self.decoder(Input::new(input)), limit)
    }

    /// Packs `input` as small as the format's usual effort makes it, in a form that the Linux kernel unpacks as an
    /// initramfs.
    ///
    /// # Errors
    /// `Refused` when there is not enough memory for the encoder, `Unsupported` for a format that wisp only unpacks.
    #[cfg(feature = "full")]
    pub fn encode(self, input: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Gzip => Ok(gzip::encode(input)),
            Self::Xz => xz::encode(input),
            Self::Zstd => zstd::encode(input),
            _ => Err(Error::unsupported("pack", "wisp only unpacks this format").to(self.name())),
        }
    }

    /// What the beginning of `input`, which stands before the format's first byte, says of how much it unpacks to. It may
    /// be less: another frame may follow.
    ///
    /// # Errors
    /// Those of `input`.
    pub fn stated_in_front(self, input: &mut Input<'_>) -> Result<Option<u64>> {
        match self {
            #[cfg(feature = "full")]
            Self::Zstd => Ok(stated::of_zstd(input.peek(stated::ZSTD_START)?)),
            _ => {
                let _ = input;
                Ok(None)
            }
        }
    }

    fn row(self) -> Option<&'static Row> {
        FORMATS.iter().find(|(format, ..)| *format == self)
    }
}

/// Takes off every layer of compression that `input` begins with. Only the beginning is read; what is read from the
/// returned source fails when any layer turns out longer than `limit` bytes.
///
/// # Errors
/// Those of [`Format::decoder`] for the first bytes of each layer, `Refused` when there are more than 8.
pub fn unpack(mut input: Input<'_>, limit: u64) -> Result<Input<'_>> {
    for _ in 0..=LAYERS {
        match input.format()? {
            None => return Ok(input),
            Some(format) => input = Input::new(Limited { layer: format.decoder(input), left: limit, limit }),
        }
    }
    Err(Error::refused(DOING, format!("it has more than {LAYERS} layers of compression")))
}

/// A layer of compression that may unpack to so much and no more.
struct Limited<'a> {
    layer: Input<'a>,
    left: u64,
    limit: u64,
}

impl Source for Limited<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = self.layer.read(into)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| too_long(self.limit))?;
        Ok(count)
    }

    fn warning(&self) -> Option<&'static str> {
        self.layer.warning()
    }
}

fn too_long(limit: u64) -> Error {
    Error::refused(DOING, format!("it unpacks to more than {limit} bytes"))
}

/// All that is left in `source`.
///
/// # Errors
/// Those of the source, `Refused` when there are more than `limit` bytes.
pub fn read_all(source: &mut dyn Source, limit: usize) -> Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut used = 0_usize;
    loop {
        if used == output.len() {
            // In the end one byte more than the limit, to tell an output of exactly that length from a longer one.
            let wanted = used.saturating_mul(2).max(used.saturating_add(STEP));
            source::lengthen(&mut output, wanted.min(limit.saturating_add(1)));
        }
        let count = source.read(output.get_mut(used..).unwrap_or_default())?;
        used = used.saturating_add(count);
        if used > limit {
            return Err(too_long(limit as u64));
        }
        if count == 0 {
            output.truncate(used);
            return Ok(output);
        }
    }
}
