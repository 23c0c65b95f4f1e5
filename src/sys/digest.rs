//! SHA-256 and SHA-384 for ring, by the crate that checks xz streams, in place of ring's own: 26 KB of assembly, a loop
//! for each kind of CPU.
//!
//! A handshake hashes 10 KB. Calls are sent here as those of [`super::curve`] are; the crate asks the CPU for itself,
//! and no hashing is done here.

#![expect(unsafe_code, reason = "the functions that are replaced are C")]

use core::slice::from_raw_parts;

use sha2::block_api::{compress256, compress512};

/// Stands for each of `sha256_block_data_order_*`.
// SAFETY: the name is made by the linker's `--wrap`, and nobody else has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ring_core_0_17_14__sha256_block_data_order_nohw(
    state: *mut [u32; 8],
    blocks: *const [u8; 64],
    count: usize,
) {
    // SAFETY: ring hands over a state of its own and so many blocks (`digest/sha2/ffi.rs`).
    let (state, blocks) = unsafe { (&mut *state, from_raw_parts(blocks, count)) };
    compress256(state, blocks);
}

/// Stands for each of `sha512_block_data_order_*`; SHA-384 is SHA-512 that starts otherwise.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ring_core_0_17_14__sha512_block_data_order_nohw(
    state: *mut [u64; 8],
    blocks: *const [u8; 128],
    count: usize,
) {
    // SAFETY: as above.
    let (state, blocks) = unsafe { (&mut *state, from_raw_parts(blocks, count)) };
    compress512(state, blocks);
}
