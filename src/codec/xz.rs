//! xz: streams of LZMA2 blocks with checks and an index (the .xz file format 1.2).

use alloc::vec::Vec;

use lzma_rust2::{Error as LzmaError, Read as _, XzReader};

use crate::error::{Error, Result};

/// The magic bytes of the stream header.
pub(super) const MAGIC: [u8; 6] = *b"\xfd7zXZ\0";

const DOING: &str = "unpack xz data";

/// KiB that unpacking may take: the dictionary of `xz -9`, the largest preset, is 64 MiB, and the decoder adds less
/// than one.
const MEMORY_KIB: u32 = 65 << 10;

pub(super) fn decode(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut reader = XzReader::new_mem_limit(input, true, MEMORY_KIB);
    let mut output = Vec::new();
    let mut used = 0_usize;
    loop {
        if used == output.len() {
            super::grow(&mut output, used, limit, DOING)?;
        }
        let count = reader.read(output.get_mut(used..).unwrap_or_default()).map_err(error_of)?;
        if count == 0 {
            break;
        }
        used = used.saturating_add(count);
    }
    super::check_length(used, limit, DOING)?;
    output.truncate(used);
    Ok(output)
}

fn error_of(error: LzmaError) -> Error {
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
