//! What a disk image packs its data in: clusters of some KiB, each packed for itself and without a name or a size of its
//! own. [`Unpacker`] and [`Packer`] keep their memory from one cluster to the next.

use alloc::boxed::Box;

#[cfg(feature = "full")]
use miniz_oxide::DataFormat;
#[cfg(feature = "full")]
use miniz_oxide::deflate::CompressionLevel;
#[cfg(feature = "full")]
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::zstd;
use crate::error::{Error, Result};

const DOING: &str = "unpack a cluster of";

/// How a cluster is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1951, bare.
    Deflate,
    /// The same with a header and a checksum, RFC 1950.
    Zlib,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// The word of `qemu-img` for it; it calls bare deflate `zlib`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deflate | Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

/// Unpacks one cluster after the other.
#[derive(Default)]
pub struct Unpacker {
    inflate: Box<DecompressorOxide>,
    zstd: zstd::Clusters,
}

impl Unpacker {
    /// Takes memory for zstd when the first such cluster comes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Unpacks into the beginning of `into`, which is as long as a cluster, and returns how many bytes that were. Of
    /// `packed`, nothing is looked at behind the data that fills a cluster: its length is often known in sectors only.
    ///
    /// # Errors
    /// `Corrupt` when `packed` is not packed so, or ends too early; `Refused` when there is not enough memory.
    pub fn unpack(&mut self, packing: Packing, packed: &[u8], into: &mut [u8]) -> Result<usize> {
        match packing {
            Packing::Deflate => self.inflate(packed, into, 0),
            Packing::Zlib => self.inflate(packed, into, inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER),
            Packing::Zstd => self.zstd.unpack(packed, into),
        }
    }

    fn inflate(&mut self, packed: &[u8], into: &mut [u8], header: u32) -> Result<usize> {
        self.inflate.init();
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | header;
        match decompress(&mut self.inflate, packed, into, 0, flags) {
            (TINFLStatus::Done, _, length) => Ok(length),
            // The cluster is full, and there is no checksum that should be met.
            (TINFLStatus::HasMoreOutput, _, length) if header == 0 => Ok(length),
            (TINFLStatus::Adler32Mismatch, ..) => Err(Error::corrupt(DOING, "checksum does not match")),
            _ => Err(Error::corrupt(DOING, "it is no valid deflate stream")),
        }
    }
}

/// Packs one cluster after the other; the same cluster always to the same bytes.
#[cfg(feature = "full")]
pub struct Packer(Method);

#[cfg(feature = "full")]
enum Method {
    Deflate(Box<CompressorOxide>),
    Zstd(zstd::ClusterPacker),
}

#[cfg(feature = "full")]
impl Packer {
    /// Takes the memory for `packing`.
    ///
    /// # Errors
    /// `Refused` when there is not enough.
    pub fn new(packing: Packing) -> Result<Self> {
        let deflate = |format| {
            let context = CompressorOxide::with_format_and_level(format, CompressionLevel::DefaultLevel);
            Method::Deflate(Box::new(context))
        };
        Ok(Self(match packing {
            Packing::Deflate => deflate(DataFormat::Raw),
            Packing::Zlib => deflate(DataFormat::Zlib),
            Packing::Zstd => Method::Zstd(zstd::ClusterPacker::new()?),
        }))
    }

    /// Packs `cluster` into the beginning of `into` and returns how many bytes that took; `None` when there is not
    /// enough room, and so nothing would be gained.
    pub fn pack(&mut self, cluster: &[u8], into: &mut [u8]) -> Option<usize> {
        match &mut self.0 {
            Method::Deflate(context) => {
                context.reset();
                match compress(context, cluster, into, TDEFLFlush::Finish) {
                    (TDEFLStatus::Done, _, length) => Some(length),
                    _ => None,
                }
            }
            Method::Zstd(context) => context.pack(cluster, into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    const LENGTH: usize = 8 << 10;

    fn noise(mask: u8) -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & mask
        };
        core::iter::repeat_with(next).take(LENGTH).collect()
    }

    fn content() -> Vec<u8> {
        let mut content = noise(0x0f);
        content[LENGTH / 4..LENGTH / 2].fill(7);
        content
    }

    /// Made here and now by the encoders that the full build has; the other one knows them as bytes.
    #[cfg(feature = "full")]
    fn samples() -> Vec<(Packing, Vec<u8>)> {
        let pack = |packing| {
            let mut packed = vec![0; LENGTH];
            let length = Packer::new(packing).unwrap().pack(&content(), &mut packed).unwrap();
            packed.truncate(length);
            (packing, packed)
        };
        [Packing::Deflate, Packing::Zlib, Packing::Zstd].map(pack).to_vec()
    }

    #[cfg(not(feature = "full"))]
    fn samples() -> Vec<(Packing, Vec<u8>)> {
        let deflate = miniz_oxide::deflate::compress_to_vec(&content(), 6);
        let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&content(), 6);
        vec![(Packing::Deflate, deflate), (Packing::Zlib, zlib)]
    }

    #[test]
    fn a_cluster_comes_back_whatever_lies_behind_it() {
        let mut unpacker = Unpacker::new();
        for (packing, mut packed) in samples() {
            for garbage in [0, 1, 511] {
                packed.resize(packed.len() + garbage, 0xa5);
                let mut into = vec![0; LENGTH];
                assert_eq!(unpacker.unpack(packing, &packed, &mut into), Ok(LENGTH), "{packing:?}");
                assert!(into == content(), "{packing:?}");
            }
        }
    }

    #[test]
    fn one_that_is_longer_fills_the_room_and_one_that_is_shorter_says_so() {
        let mut unpacker = Unpacker::new();
        for (packing, packed) in samples() {
            let mut room = vec![0; LENGTH / 2];
            let half = unpacker.unpack(packing, &packed, &mut room);
            match packing {
                Packing::Zlib => assert!(half.is_err(), "its checksum is behind what has no room"),
                _ => assert!(half == Ok(LENGTH / 2) && room == content()[..LENGTH / 2], "{packing:?}"),
            }
            let mut room = vec![0; LENGTH * 2];
            assert_eq!(unpacker.unpack(packing, &packed, &mut room), Ok(LENGTH), "{packing:?}");
            assert!(room[..LENGTH] == content());
        }
    }

    #[test]
    fn one_that_is_cut_off_gives_no_whole_cluster() {
        let mut unpacker = Unpacker::new();
        let mut into = vec![0; LENGTH];
        for (packing, packed) in samples() {
            for length in 0..packed.len() {
                let got = unpacker.unpack(packing, &packed[..length], &mut into);
                // The end mark of deflate may be cut off once all bytes are there.
                let missed = got.is_err() || got.is_ok_and(|got| got < LENGTH);
                assert!(missed || into == content(), "{packing:?} cut to {length}");
                assert!(missed || length + 4 > packed.len(), "{packing:?} cut to {length}");
            }
        }
    }

    #[test]
    fn damage_is_an_answer_and_meets_the_checksum_where_there_is_one() {
        let mut unpacker = Unpacker::new();
        let mut into = vec![0; LENGTH];
        for (packing, mut packed) in samples() {
            let mut missed = 0;
            for bit in 0..packed.len() * 8 {
                packed[bit / 8] ^= 1 << (bit % 8);
                let got = unpacker.unpack(packing, &packed, &mut into);
                packed[bit / 8] ^= 1 << (bit % 8);
                missed += usize::from(packing == Packing::Zlib && got.is_ok() && into != content());
            }
            // Adler-32 is weak: it sees no difference when three bytes in a row change by 2, -4, 2.
            assert!(missed * 1000 < packed.len() * 8, "{missed} changes of {} bits", packed.len() * 8);
        }
    }

    #[cfg(feature = "full")]
    #[test]
    fn what_does_not_become_smaller_is_not_packed() {
        let mut into = vec![0; LENGTH - 1];
        for packing in [Packing::Deflate, Packing::Zstd] {
            let mut packer = Packer::new(packing).unwrap();
            assert_eq!(packer.pack(&noise(0xff), &mut into), None);
            let first = packer.pack(&content(), &mut into).unwrap();
            let packed = into[..first].to_vec();
            assert_eq!(packer.pack(&content(), &mut into), Some(first), "a packer that failed goes on");
            assert!(into[..first] == packed, "the same bytes to the same bytes");
        }
    }
}
