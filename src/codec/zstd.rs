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

#[cfg(all(test, feature = "full"))]
mod tests {
    use alloc::vec::Vec;

    use super::{reference, small};

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
            assert!(reference::decode(&packed, length).unwrap() == content);
            assert!(small::decode(&packed, length).unwrap() == content);
        }
    }

    #[test]
    fn no_damage_gives_other_bytes_by_either_decoder() {
        let content = sample(500);
        let mut packed = reference::encode(&content).unwrap();
        for bit in 0..packed.len() * 8 {
            packed[bit / 8] ^= 1 << (bit % 8);
            for decode in [reference::decode, small::decode] {
                let other = decode(&packed, 10_000).is_ok_and(|bytes| bytes != content);
                assert!(!other, "bit {bit}");
            }
            packed[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
