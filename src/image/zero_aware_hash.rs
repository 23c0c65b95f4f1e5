//! What tells whether a disk holds what was written to it, without keeping that: SHA-256 over its blocks.
//!
//! Blocks of zeros are counted, any other is hashed behind the number of zeros before it. So the fingerprint of a disk is
//! the same whatever its format, and whether zeros came as such or as bytes.
#![forbid(unsafe_code)]

use sha2::{Digest as _, Sha256};

/// The unit in which zeros are found: what most file systems and qcow2 reserve at once, and little enough that a device
/// told to zero it does less than to write it.
pub(super) const BLOCK: usize = 64 << 10;

/// [`BLOCK`], as disks count.
pub(super) const BLOCK_BYTES: u64 = BLOCK as u64;

/// A fingerprint that is being taken.
#[derive(Clone, Default)]
pub(super) struct Fingerprint {
    hash: Sha256,
    /// Zeros since the last block that was hashed.
    zeros: u64,
}

impl Fingerprint {
    /// Bytes that come next, from the beginning of a block on; only the last ones may end within a block.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK) {
            if is_zero(block) {
                self.zeros(block.len() as u64);
            } else {
                self.hash.update(self.zeros.to_le_bytes());
                self.hash.update(block);
                self.zeros = 0;
            }
        }
    }

    /// Zeros that come next, whole blocks but for the last ones.
    pub const fn zeros(&mut self, count: u64) {
        self.zeros = self.zeros.saturating_add(count);
    }

    /// The digest.
    pub fn finish(mut self) -> [u8; 32] {
        self.hash.update(self.zeros.to_le_bytes());
        self.hash.finalize().into()
    }
}

/// Whether all of `bytes` are zero. Bytes of data are known by the first few; 64 at a time, it reads zeros as fast as memory
/// hands them out.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let (lines, rest) = bytes.as_chunks::<64>();
    lines.iter().all(is_zero_line) && rest.iter().all(|byte| *byte == 0)
}

#[inline(always)]
fn is_zero_line(line: &[u8; 64]) -> bool {
    let (words, _) = line.as_chunks::<8>();
    let &[a, b, c, d, e, f, g, h] = words else { return false };
    let word = u64::from_ne_bytes;
    (word(a) | word(b) | word(c) | word(d) | word(e) | word(f) | word(g) | word(h)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn of(parts: &[&dyn Fn(&mut Fingerprint)]) -> [u8; 32] {
        let mut print = Fingerprint::default();
        parts.iter().for_each(|part| part(&mut print));
        print.finish()
    }

    #[test]
    fn zeros_are_found_and_a_single_bit_is_too() {
        let mut bytes = vec![0; 1000];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in [0, 63, 64, 500, 999] {
            bytes[at] = 0x10;
            assert!(!is_zero(&bytes), "{at}");
            bytes[at] = 0;
        }
    }

    #[test]
    fn a_disk_has_one_fingerprint_however_it_comes() {
        let mut disk = vec![0; 5 * BLOCK + 512];
        disk[2 * BLOCK + 7] = 1;
        disk[3 * BLOCK] = 2;
        let whole = of(&[&|print| print.bytes(&disk)]);
        let told = of(&[
            &|print| print.zeros(2 * BLOCK_BYTES),
            &|print| print.bytes(&disk[2 * BLOCK..3 * BLOCK]),
            &|print| print.bytes(&disk[3 * BLOCK..4 * BLOCK]),
            &|print| print.zeros(BLOCK_BYTES),
            &|print| print.zeros(512),
        ]);
        assert_eq!(whole, told);
        let short = of(&[&|print| print.bytes(&disk[..5 * BLOCK])]);
        let moved = of(&[&|print| print.zeros(BLOCK_BYTES), &|print| print.bytes(&disk[..4 * BLOCK + 512])]);
        assert!(whole != short && whole != moved && short != moved);
    }
}
