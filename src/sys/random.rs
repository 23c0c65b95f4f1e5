//! Random numbers from the kernel.

#![forbid(unsafe_code)]

use super::clock;
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

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_differ() {
        assert_ne!(super::number(), super::number());
    }
}
