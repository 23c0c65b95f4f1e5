//! Zstandard (RFC 8878): by the reference implementation in C in the full build, whose speed image writing needs, and
//! by ruzstd in the initramfs build, where a module or two is unpacked and each byte of the program counts.

#[cfg(feature = "full")]
mod reference;
#[cfg(any(not(feature = "full"), test))]
mod small;

#[cfg(feature = "full")]
pub(super) use reference::{Clusters, Decoder, encode};
#[cfg(not(feature = "full"))]
pub(super) use small::{Clusters, Decoder};

/// `Magic_Number` of a frame.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// `Magic_Number` of a skippable frame without its lowest four bits, which are the writer's.
const SKIPPABLE: u32 = 0x184d_2a50;

const DOING: &str = "unpack the zstd data of";

const WINDOW_TOO_LARGE: &str = "its window is larger than 128 MiB";
const NEEDS_DICTIONARY: &str = "it needs a dictionary";
const WRONG_CHECKSUM: &str = "checksum does not match";
const NO_FRAME: &str = "it is no valid zstd frame";

/// The largest window, as a power of two, that is unpacked: what the `zstd` tool takes by default. Modules
/// packed with `--ultra` have windows of their own size.
const WINDOW_LOG_LIMIT: u32 = 27;

/// Skippable frames at the beginning of a file that are looked behind: `pzstd` and lz4-mt write one.
const SKIPPED: usize = 16;

/// Whether a file that begins with `start` is zstd. Skippable frames are lz4's too: what is behind them decides, and where
/// that is not in `start`, zstd.
pub(super) fn is_start(start: &[u8]) -> bool {
    match behind_skippable(start) {
        0 => start.starts_with(&MAGIC),
        at => start.get(at..).and_then(<[u8]>::first_chunk).is_none_or(|magic| !super::LZ4_MAGICS.contains(magic)),
    }
}

/// Where the first frame that is not skippable begins; it may be behind the end of `start`.
pub(super) fn behind_skippable(start: &[u8]) -> usize {
    let mut at = 0_usize;
    for _ in 0..SKIPPED {
        let Some(&[m0, m1, m2, m3, ref size @ ..]) = start.get(at..).and_then(<[u8]>::first_chunk::<8>) else { break };
        if u32::from_le_bytes([m0, m1, m2, m3]) & !0xf != SKIPPABLE {
            break;
        }
        at = at.saturating_add(8).saturating_add(u32::from_le_bytes(*size) as usize);
    }
    at
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use alloc::vec::Vec;

    use super::{reference, small};
    use crate::codec::{Input, read_all};
    use crate::error::Result;

    fn by_reference(packed: &[u8], limit: usize) -> Result<Vec<u8>> {
        read_all(&mut reference::Decoder::new(Input::new(packed)), limit)
    }

    fn by_small(packed: &[u8], limit: usize) -> Result<Vec<u8>> {
        read_all(&mut small::Decoder::new(Input::new(packed)), limit)
    }

    /// Bytes with repetitions near and far, and some blocks without any.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noise: Vec<u8> = core::iter::repeat_with(noise).take(length / 4).collect();
        noise.iter().cycle().take(length).enumerate().map(|(at, byte)| if at % 5 == 0 { 0 } else { *byte }).collect()
    }

    #[test]
    fn both_decoders_give_back_what_was_packed() {
        for length in [0, 1, 1_000, 1_000_000] {
            let content = sample(length);
            let packed = reference::encode(&content).unwrap();
            assert!(by_reference(&packed, length).unwrap() == content);
            assert!(by_small(&packed, length).unwrap() == content);
        }
    }

    #[test]
    fn no_damage_gives_other_bytes_by_either_decoder() {
        let content = sample(500);
        let mut packed = reference::encode(&content).unwrap();
        for bit in 0..packed.len() * 8 {
            packed[bit / 8] ^= 1 << (bit % 8);
            for decode in [by_reference, by_small] {
                let other = decode(&packed, 10_000).is_ok_and(|bytes| bytes != content);
                assert!(!other, "bit {bit}");
            }
            packed[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
