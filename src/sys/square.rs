//! Squares modulo an RSA modulus for ring, by its own multiplication: the 11 KB of assembly that know a square to need
//! half the products come with more that only private keys need.
//!
//! A signature costs 16 squares; they take a tenth of a millisecond longer. Calls are sent here as those of
//! [`super::curve`] are, and no arithmetic is done here.

#![expect(unsafe_code, reason = "the function that is replaced, and those that replace it, are C")]

type Limb = u64;

unsafe extern "C" {
    /// `crypto/fipsmodule/bn/asm/x86_64-mont.pl`: the product of `a` and `b`, which may be the same, for `count` limbs,
    /// a multiple of 4, 8 at least.
    fn ring_core_0_17_14__bn_mul4x_mont(
        product: *mut Limb,
        a: *const Limb,
        b: *const Limb,
        modulus: *const Limb,
        n0: *const Limb,
        count: usize,
    );

    /// The same by instructions of 2014.
    fn ring_core_0_17_14__bn_mulx4x_mont(
        product: *mut Limb,
        a: *const Limb,
        b: *const Limb,
        modulus: *const Limb,
        n0: *const Limb,
        count: usize,
    );
}

/// Stands for `bn_sqr8x_mont`, whose `count` is a multiple of 8.
// SAFETY: the name is made by the linker's `--wrap`, and nobody else has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ring_core_0_17_14__bn_sqr8x_mont(
    square: *mut Limb,
    a: *const Limb,
    has_mulx_adx: Limb,
    modulus: *const Limb,
    n0: *const Limb,
    count: usize,
) {
    let multiply = if has_mulx_adx != 0 { ring_core_0_17_14__bn_mulx4x_mont } else { ring_core_0_17_14__bn_mul4x_mont };
    // SAFETY: ring hands over what it hands over to a product (`arithmetic/limbs/x86_64/mont.rs`), and says itself
    // whether this CPU has the instructions.
    unsafe { multiply(square, a, a, modulus, n0, count) }
}
