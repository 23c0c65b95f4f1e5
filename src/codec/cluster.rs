//! What a disk image packs its data in: clusters of some KiB, each packed for itself and without a name or a size of its
//! own. [`Unpacker`] and [`Packer`] keep their memory from one cluster to the next.

use alloc::boxed::Box;

#[cfg(feature = "full")]
use miniz_oxide::DataFormat;
#[cfg(feature = "full")]
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
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

/// Packs one cluster after the other by deflate; the same cluster always to the same bytes. zstd would pack as small in
/// the same time, is read by fewer, and its encoder's fast half is not in the program.
#[cfg(feature = "full")]
pub struct Packer(Box<CompressorOxide>);

#[cfg(feature = "full")]
impl Packer {
    /// Takes its memory, a third of a MiB.
    #[must_use]
    pub fn new() -> Self {
        Self(deflate())
    }

    /// Packs `cluster` into the beginning of `into` and returns how many bytes that took; `None` when there is not
    /// enough room, and so nothing would be gained.
    pub fn pack(&mut self, cluster: &[u8], into: &mut [u8]) -> Option<usize> {
        self.0.reset();
        match compress(&mut self.0, cluster, into, TDEFLFlush::Finish) {
            (TDEFLStatus::Done, _, length) => Some(length),
            _ => None,
        }
    }
}

#[cfg(feature = "full")]
impl Default for Packer {
    fn default() -> Self {
        Self::new()
    }
}

/// An encoder for the content of a disk.
#[cfg(feature = "full")]
pub(super) fn deflate() -> Box<CompressorOxide> {
    /// Of a Debian system it leaves a hundredth more than 6, the usual one, in half the time.
    const LEVEL: i32 = 4;
    let flags = create_comp_flags_from_zip_params(LEVEL, DataFormat::Raw.to_window_bits(), 0);
    Box::new(CompressorOxide::new(flags))
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

    /// Made here and now. Of zstd there are samples where its encoder is; the initramfs build knows it as bytes.
    fn samples() -> Vec<(Packing, Vec<u8>)> {
        vec![
            (Packing::Deflate, miniz_oxide::deflate::compress_to_vec(&content(), 6)),
            (Packing::Zlib, miniz_oxide::deflate::compress_to_vec_zlib(&content(), 6)),
            #[cfg(feature = "full")]
            (Packing::Zstd, crate::codec::Format::Zstd.encode(&content()).unwrap()),
        ]
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
                // The end mark of deflate, and the checksum of zstd, may be cut off once all bytes are there.
                let missed = got.is_err() || got.is_ok_and(|got| got < LENGTH);
                assert!(missed || into == content(), "{packing:?} cut to {length}");
                assert!(missed || length + 4 >= packed.len(), "{packing:?} cut to {length}");
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
        let mut packer = Packer::new();
        assert_eq!(packer.pack(&noise(0xff), &mut into), None);
        let first = packer.pack(&content(), &mut into).unwrap();
        let packed = into[..first].to_vec();
        assert_eq!(packer.pack(&content(), &mut into), Some(first), "a packer that failed goes on");
        assert!(into[..first] == packed, "the same bytes to the same bytes");
        let mut unpacked = vec![0; LENGTH];
        assert_eq!(Unpacker::new().unpack(Packing::Deflate, &packed, &mut unpacked), Ok(LENGTH));
        assert!(unpacked == content());
    }
}
