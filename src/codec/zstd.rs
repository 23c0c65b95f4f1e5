//! Zstandard (RFC 8878): by the reference implementation in C in the full build, whose speed image writing needs, and
//! by ruzstd in the initramfs build, where a module or two is unpacked and each byte of the program counts.

#[cfg(feature = "full")]
mod reference;
#[cfg(any(not(feature = "full"), test))]
mod small;

#[cfg(feature = "full")]
pub(super) use reference::{decode, encode};
#[cfg(not(feature = "full"))]
pub(super) use small::decode;

/// `Magic_Number` of a frame.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

const DOING: &str = "unpack zstd data";

/// The largest window, as a power of two, that is unpacked: what the `zstd` tool takes unless told otherwise. Modules
/// packed with `--ultra` have windows of their own size.
const WINDOW_LOG_LIMIT: u32 = 27;
