//! Bytes nobody can guess (`getrandom(2)`).

use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};

use super::refused;
use crate::error::Result;

/// Fills `buffer`. Shortly after the machine was switched on this waits until the kernel has gathered enough.
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
