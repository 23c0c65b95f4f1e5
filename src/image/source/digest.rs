//! The SHA-256 of a source, taken while its bytes pass, and what it must be.

use alloc::format;
use sha2::{Digest as _, Sha256};

use super::DOING;
use crate::error::{Error, Result};
use crate::text::hexadecimal;

/// Zeros that are hashed at once: holes count like the bytes they stand for. They are bytes of the program.
static ZEROS: [u8; 4 << 10] = [0; 4 << 10];

/// A digest in the making.
pub(super) struct Digest {
    state: Sha256,
    expected: [u8; 32],
}

impl Digest {
    pub(super) fn new(expected: [u8; 32]) -> Self {
        Self { state: Sha256::new(), expected }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
    }

    /// As if `count` zeros had passed.
    pub(super) fn update_zeros(&mut self, mut count: u64) {
        while count > 0 {
            let now = usize::try_from(count).map_or(ZEROS.len(), |count| count.min(ZEROS.len()));
            self.update(ZEROS.get(..now).unwrap_or_default());
            count = count.saturating_sub(now as u64);
        }
    }

    /// Compares; everything has passed.
    pub(super) fn check(self) -> Result<()> {
        let found: [u8; 32] = self.state.finalize().into();
        if found == self.expected {
            return Ok(());
        }
        let why = format!("its SHA-256 is {}, and {} was expected", hexadecimal(&found), hexadecimal(&self.expected));
        Err(Error::refused(DOING, why))
    }
}
