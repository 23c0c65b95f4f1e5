//! Multiples of the generator of P-256, without the 151,552 bytes of table by which ring knows them by heart.
//!
//! ring has two functions for that and one for multiples of any point; for P-384 it uses the latter for both. The
//! linker of the shipped program (`--wrap` in `build.rs`) sends calls of the two here, and the table goes. A signature
//! then takes a fraction of a millisecond longer. No arithmetic is done here. The names carry ring's version: after an
//! update that changes them the table comes back, and `make size` says so.

#![expect(unsafe_code, reason = "the functions that are replaced, and the one that replaces them, are C")]

/// Four 64-bit limbs, the least significant first.
type Limbs = [u64; 4];

/// The generator (FIPS 186-4, D.1.2.3), each coordinate times 2^256 modulo the prime, as Montgomery's multiplication
/// wants it.
const GENERATOR: [Limbs; 2] = [
    [0x79e7_30d4_18a9_143c, 0x75ba_95fc_5fed_b601, 0x79fb_732b_7762_2510, 0x1890_5f76_a537_55c6],
    [0xddf2_5357_ce95_560a, 0x8b4a_b8e4_ba19_e45c, 0xd2e8_8688_dd21_f325, 0x8571_ff18_2588_5d85],
];

unsafe extern "C" {
    /// `crypto/fipsmodule/ec/p256-nistz.c`: constant time in the scalar.
    fn ring_core_0_17_14__p256_point_mul(
        point: *mut [Limbs; 3],
        scalar: *const Limbs,
        x: *const Limbs,
        y: *const Limbs,
    );
}

/// Stands for `p256_point_mul_base`.
// SAFETY: the name is made by the linker's `--wrap`, and nobody else has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ring_core_0_17_14__p256_point_mul_base(point: *mut [Limbs; 3], scalar: *const Limbs) {
    let [x, y] = &GENERATOR;
    // SAFETY: both pointers are those that ring hands over, of the sizes that it declares for either function.
    unsafe { ring_core_0_17_14__p256_point_mul(point, scalar, x, y) }
}

/// Stands for `p256_point_mul_base_vartime`, which may take a time that tells the scalar, and need not.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ring_core_0_17_14__p256_point_mul_base_vartime(
    point: *mut [Limbs; 3],
    scalar: *const Limbs,
) {
    let [x, y] = &GENERATOR;
    // SAFETY: as above.
    unsafe { ring_core_0_17_14__p256_point_mul(point, scalar, x, y) }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn ring_core_0_17_14__p256_point_mul_base(point: *mut [Limbs; 3], scalar: *const Limbs);
        fn ring_core_0_17_14__p256_mul_mont(product: *mut Limbs, left: *const Limbs, right: *const Limbs);
    }

    fn product(left: &Limbs, right: &Limbs) -> Limbs {
        let mut product = [0; 4];
        // SAFETY: three arrays of four limbs, as declared.
        unsafe { ring_core_0_17_14__p256_mul_mont(&mut product, left, right) };
        product
    }

    /// Whether two points in Jacobian coordinates are the same.
    fn are_same(one: &[Limbs; 3], other: &[Limbs; 3]) -> bool {
        let (square, other_square) = (product(&one[2], &one[2]), product(&other[2], &other[2]));
        let (cube, other_cube) = (product(&square, &one[2]), product(&other_square, &other[2]));
        product(&one[0], &other_square) == product(&other[0], &square)
            && product(&one[1], &other_cube) == product(&other[1], &cube)
    }

    #[test]
    fn multiples_are_those_of_the_table() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state
        };
        for round in 0..200 {
            // Below the order of the curve, whose highest limb is all ones and then zeros.
            let scalar = if round < 20 { [round + 1, 0, 0, 0] } else { [next(), next(), next(), next() >> 1] };
            let (mut table, mut point) = ([[0; 4]; 3], [[0; 4]; 3]);
            // SAFETY: a point and a scalar of the sizes declared.
            unsafe { ring_core_0_17_14__p256_point_mul_base(&mut table, &scalar) };
            // SAFETY: likewise.
            unsafe { __wrap_ring_core_0_17_14__p256_point_mul_base(&mut point, &scalar) };
            assert!(are_same(&table, &point), "{scalar:?}");
            // SAFETY: likewise.
            unsafe { __wrap_ring_core_0_17_14__p256_point_mul_base_vartime(&mut point, &scalar) };
            assert!(are_same(&table, &point) && table[2] != [0; 4], "{scalar:?} times it is a point, and the same");
        }
    }
}
