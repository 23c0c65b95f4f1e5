//! `memcpy` and `memmove` of the freestanding program, which the compiler and every library call.
//!
//! musl's for x86-64 are made of `rep movs`. That is slow for the few bytes that decoders copy at a time, and for
//! overlapping ones, which it takes one by one from the end, slower than all else: `bzip2` data took 1.5 times as long.
//! What musl has for other CPUs is as good.

#![expect(unsafe_code, reason = "the compiler calls these by name, with pointers")]

use core::arch::asm;
use core::arch::x86_64::__m128i as Piece;

/// Bytes of the largest register that every x86-64 has.
const PIECE: usize = size_of::<Piece>();

/// `memcpy(3)`.
///
/// # Safety
/// `count` bytes can be read from `from` and written to `to`.
#[cfg_attr(freestanding, unsafe(no_mangle))]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller promises the same.
    unsafe { memmove(to, from, count) }
}

/// `memmove(3)`.
///
/// # Safety
/// `count` bytes can be read from `from` and written to `to`; they may overlap.
#[cfg_attr(freestanding, unsafe(no_mangle))]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    let is_below = to.addr().wrapping_sub(from.addr()) >= count;
    // SAFETY: the caller promises as many bytes as each needs.
    unsafe {
        match count {
            0 => {}
            1 => ends::<u8>(to, from, count),
            2..4 => ends::<u16>(to, from, count),
            4..8 => ends::<u32>(to, from, count),
            8..PIECE => ends::<u64>(to, from, count),
            PIECE..=32 => ends::<Piece>(to, from, count),
            _ if is_below => upwards(to, from, count),
            _ => downwards(to, from, count),
        }
    }
    to
}

/// Copies the first and the last bytes, which meet or overlap.
///
/// # Safety
/// As for [`memmove`]; `count` is one to two times the size of `T`.
unsafe fn ends<T: Copy>(to: *mut u8, from: *const u8, count: usize) {
    let rest = count.wrapping_sub(size_of::<T>());
    // SAFETY: both are within the `count` bytes, and are read before anything is written.
    unsafe {
        let (first, last) = (from.cast::<T>().read_unaligned(), from.add(rest).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(first);
        to.add(rest).cast::<T>().write_unaligned(last);
    }
}

/// Copies pieces from the first to the last.
///
/// # Safety
/// As for [`memmove`]; `count` is larger than a piece, and `to` is below `from` or behind what is read.
unsafe fn upwards(to: *mut u8, from: *const u8, count: usize) {
    let rest = count.wrapping_sub(PIECE);
    // SAFETY: the last piece is within the `count` bytes.
    let last = unsafe { from.add(rest).cast::<Piece>().read_unaligned() };
    let mut at = 0_usize;
    while at < rest {
        // SAFETY: `at` plus a piece is below `count`; what was written lies below all that is still to be read.
        unsafe { to.add(at).cast::<Piece>().write_unaligned(from.add(at).cast::<Piece>().read_unaligned()) };
        at = at.wrapping_add(PIECE);
        not_an_idiom();
    }
    // SAFETY: as for reading it.
    unsafe { to.add(rest).cast::<Piece>().write_unaligned(last) };
}

/// Copies pieces from the last to the first.
///
/// # Safety
/// As for [`memmove`]; `count` is larger than a piece, and `to` is above `from`.
unsafe fn downwards(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the first piece is within the `count` bytes.
    let first = unsafe { from.cast::<Piece>().read_unaligned() };
    let mut at = count;
    while at > PIECE {
        at = at.wrapping_sub(PIECE);
        // SAFETY: `at` plus a piece is at most `count`; what was written lies above all that is still to be read.
        unsafe { to.add(at).cast::<Piece>().write_unaligned(from.add(at).cast::<Piece>().read_unaligned()) };
        not_an_idiom();
    }
    // SAFETY: as for reading it.
    unsafe { to.cast::<Piece>().write_unaligned(first) };
}

/// Keeps the compiler from seeing in a loop what it knows a function for: the one that the loop is in.
fn not_an_idiom() {
    // SAFETY: there is no instruction in it.
    unsafe { asm!("", options(nostack, preserves_flags)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn bytes_arrive_whatever_their_number_and_overlap() {
        let original: Vec<u8> = (0..=250).cycle().take(400).collect();
        for count in 0..130 {
            for to in 0..200 {
                let mut bytes = original.clone();
                let mut expected = original.clone();
                expected.copy_within(100..100 + count, to);
                let start = bytes.as_mut_ptr();
                // SAFETY: both ranges are within the 400 bytes.
                let returned = unsafe { memmove(start.add(to), start.add(100), count) };
                assert_eq!(returned.addr(), start.addr() + to);
                assert!(bytes == expected, "{count} bytes to {to}");
            }
        }
        let mut bytes = [0; 300];
        // SAFETY: both are that long.
        unsafe { memcpy(bytes.as_mut_ptr(), original.as_ptr(), 300) };
        assert!(bytes == original[..300]);
    }
}
