//! The digest of a source, taken while its bytes pass, and what it must be.

use alloc::format;
use sha2::{Digest as _, Sha256, Sha512};

use super::DOING;
use crate::error::{Error, Result};
use crate::text::checksum::Checksum;

/// Zeros that are hashed at once: holes count like the bytes they stand for. They are bytes of the program.
static ZEROS: [u8; 4 << 10] = [0; 4 << 10];

/// A digest in the making.
pub(super) struct Digest {
    state: State,
    expected: Checksum,
}

enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Digest {
    pub(super) fn new(expected: Checksum) -> Self {
        let state = match expected {
            Checksum::Sha256(_) => State::Sha256(Sha256::new()),
            Checksum::Sha512(_) => State::Sha512(Sha512::new()),
        };
        Self { state, expected }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
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
        let found = match self.state {
            State::Sha256(state) => Checksum::Sha256(state.finalize().into()),
            State::Sha512(state) => Checksum::Sha512(state.finalize().into()),
        };
        if found == self.expected {
            return Ok(());
        }
        let (name, found, expected) = (found.name(), found.digits(), self.expected.digits());
        Err(Error::refused(DOING, format!("its {name} is {found}, and {expected} was expected")))
    }
}
