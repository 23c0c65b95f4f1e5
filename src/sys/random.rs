//! Random numbers from the kernel (`getrandom(2)`).

#![forbid(unsafe_code)]

use super::{clock, refused};
use crate::error::Result;
use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};

/// A number that a neighbour cannot guess. Early in the boot, while the kernel's generator is not seeded yet, it is the
/// best the kernel has (`GRND_INSECURE`), because waiting could take for ever: good for the number of a transaction
/// and not for a key.
#[must_use]
pub fn number() -> u64 {
    for flags in [GetRandomFlags::NONBLOCK, GetRandomFlags::INSECURE] {
        let mut bytes = [0; 8];
        // So few bytes are delivered whole or not at all.
        if getrandom(&mut bytes, flags).is_ok() {
            return u64::from_ne_bytes(bytes);
        }
    }
    // Kernels before 5.6 have no second way: the time at least differs from boot to boot.
    let now = clock::now();
    u64::from(now.subsec_nanos()) << 32 ^ now.as_secs()
}

/// Fills `buffer` with bytes that are good for keys. Shortly after the machine was switched on this waits until the
/// kernel has gathered enough.
///
/// # Errors
/// `Os`: the kernel has no such call.
pub fn fill(buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let count = retry_on_intr(|| getrandom(&mut *rest, GetRandomFlags::empty()));
        filled = filled.saturating_add(count.map_err(|errno| refused(errno, "ask the kernel for random bytes"))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_in_every_byte() {
        let numbers: [u64; 9] = core::array::from_fn(|_| number());
        for at in 0..8 {
            let is_same = numbers.iter().all(|number| number.to_ne_bytes()[at] == numbers[0].to_ne_bytes()[at]);
            assert!(!is_same, "by chance byte {at} is the same in nine numbers once in 2^64");
        }
    }

    #[test]
    fn every_byte_is_filled() {
        let mut seen = [0u8; 1000];
        for _ in 0..8 {
            let mut buffer = [0; 1000];
            fill(&mut buffer).unwrap();
            seen.iter_mut().zip(buffer).for_each(|(seen, byte)| *seen |= byte);
        }
        assert!(seen.iter().all(|byte| *byte != 0), "a byte that is 0 eight times was not filled");
    }
}
