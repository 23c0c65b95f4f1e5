//! xz: streams of LZMA2 blocks with checks and an index (the .xz file format 1.2).

mod framing;

#[cfg(feature = "full")]
use alloc::vec::Vec;

use lzma_rust2::{Error as LzmaError, Read as _, XzReader};

use super::{Input, Source};
use crate::error::{Error, Result};
use framing::Framing;

/// The magic bytes of the stream header.
pub(super) const MAGIC: [u8; 6] = *b"\xfd7zXZ\0";

const DOING: &str = "unpack the xz data of";

/// KiB that unpacking may take: the dictionary of `xz -9`, the largest preset, is 64 MiB, and the decoder adds less
/// than one.
pub(super) const MEMORY_KIB: u32 = 65 << 10;

pub(super) struct Decoder<'a>(XzReader<Followed<'a>>);

/// The input of the library, which reads no byte twice and none ahead; its framing is checked on the way.
struct Followed<'a> {
    input: Input<'a>,
    framing: Framing,
    failure: Option<Error>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        let followed = Followed { input, framing: Framing::new(), failure: None };
        Self(XzReader::new_mem_limit(followed, true, MEMORY_KIB))
    }
}

impl Source for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let result = self.0.read(into);
        let followed = self.0.inner_mut();
        match result {
            Ok(0) if !followed.framing.is_complete() => Err(Error::corrupt(DOING, "it ends too early")),
            Ok(count) => Ok(count),
            Err(error) => {
                let error = followed.failure.take().unwrap_or_else(|| error_of(error));
                Err(followed.input.failure_or(error))
            }
        }
    }

    fn warning(&self) -> Option<&'static str> {
        self.0.inner().input.warning()
    }
}

impl lzma_rust2::Read for Followed<'_> {
    fn read(&mut self, into: &mut [u8]) -> lzma_rust2::Result<usize> {
        let count = lzma_rust2::Read::read(&mut self.input, into)?;
        match self.framing.follow(into.get(..count).unwrap_or_default()) {
            Ok(()) => Ok(count),
            Err(error) => {
                self.failure = Some(error);
                Err(LzmaError::Other("its framing is not valid"))
            }
        }
    }
}

impl lzma_rust2::Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> lzma_rust2::Result<usize> {
        self.read_for_library(into).ok_or(LzmaError::Other("the source failed"))
    }
}

pub(super) fn error_of(error: LzmaError) -> Error {
    match error {
        LzmaError::Eof | LzmaError::Interrupted => Error::corrupt(DOING, "it ends too early"),
        LzmaError::Unsupported(why) => Error::unsupported(DOING, why),
        LzmaError::OutOfMemory(why) => Error::refused(DOING, why),
        LzmaError::InvalidData(why)
        | LzmaError::InvalidInput(why)
        | LzmaError::Other(why)
        | LzmaError::WriteZero(why) => Error::corrupt(DOING, why),
    }
}

/// One stream as the kernel takes it for an initramfs: CRC32 is the only check that `lib/xz` can verify, and its
/// dictionary must be allocatable at boot.
#[cfg(feature = "full")]
pub(super) fn encode(input: &[u8]) -> Result<Vec<u8>> {
    use lzma_rust2::{CheckType, Write as _, XzOptions, XzWriter};
    const PACKING: &str = "pack xz data";
    /// The default of `xz`. Its dictionary of 8 MiB sees most of an initramfs at once.
    const PRESET: u32 = 6;
    let failed = |error| match error {
        LzmaError::OutOfMemory(why) => Error::refused(PACKING, why),
        other => {
            let error = error_of(other);
            Error::new(error.kind, PACKING, error.why.clone())
        }
    };
    let mut options = XzOptions::with_preset(PRESET);
    options.set_check_sum_type(CheckType::Crc32);
    let mut writer = XzWriter::new(Vec::new(), options).map_err(failed)?;
    writer.write_all(input).map_err(failed)?;
    writer.finish().map_err(failed)
}
