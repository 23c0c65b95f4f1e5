//! Damage: whatever happened to a file, what comes out of it is what went in, or an error.

use crate::tools::{PACKERS, Packer, Random, sample};

/// Far more than the samples hold.
const LIMIT: usize = 100_000;

#[test]
fn every_truncation_is_an_error() {
    let content = sample(2_000);
    for packer in PACKERS {
        let packed = packer.pack(&content);
        for length in 0..packed.len() {
            // A legacy frame of lz4 does not say where it ends, but begins with its magic number.
            let ends_anywhere = packer.arguments.contains(&"-l") && length >= 4;
            let is_error = packer.format.decode(&packed[..length], LIMIT).is_err();
            assert!(is_error || ends_anywhere, "{} cut to {length}", packer.line());
        }
    }
}

#[test]
fn no_flipped_bit_gives_other_bytes() {
    let content = sample(300);
    for packer in PACKERS {
        let mut packed = packer.pack(&content);
        for bit in 0..packed.len() * 8 {
            packed[bit / 8] ^= 1 << (bit % 8);
            check(packer, &packed, &content, || format!("bit {bit}"));
            packed[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// Bytes that were changed, lost, made up or moved, ten thousand times for each format.
#[test]
fn no_corruption_gives_other_bytes() {
    const ROUNDS: usize = 10_000;
    let content = sample(3_000);
    for packer in PACKERS {
        let alike = PACKERS.iter().filter(|other| other.format == packer.format).count();
        let packed = packer.pack(&content);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..ROUNDS.div_ceil(alike) {
            check(packer, &damaged(&packed, &mut random), &content, || format!("round {round}"));
        }
    }
}

fn check(packer: &Packer, packed: &[u8], content: &[u8], what: impl Fn() -> String) {
    if let Ok(unpacked) = packer.format.decode(packed, LIMIT) {
        assert!(!packer.checked || unpacked == content, "{}: {}", packer.line(), what());
    }
}

fn damaged(sound: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let end = at + random.below(20.min(bytes.len() - at));
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at..end].fill([0, 0xff][random.below(2)]),
            3 => drop(bytes.drain(at..end)),
            4 => drop(bytes.splice(at..at, (0..random.below(20)).map(|byte| byte as u8))),
            _ => bytes.copy_within(at..end, random.below(sound.len() / 2).min(at)),
        }
    }
    bytes
}
