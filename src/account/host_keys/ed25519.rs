//! Ed25519 keys in the formats of OpenSSH (PROTOCOL.key, `openssh-key-v1`, unencrypted) and dropbear. The curve is RFC 8032;
//! the arithmetic is not done here.

use crate::error::Result;
use crate::sys::random;
use crate::text::base64;
use alloc::string::String;
use alloc::vec::Vec;
use curve25519_dalek::EdwardsPoint;
use sha2::{Digest as _, Sha512};

/// What a public key begins with on the wire (RFC 8709): its type and the length of the rest.
const TYPE: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// The same in dropbear's files, where both halves follow.
const DROPBEAR_TYPE: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x40";

/// Characters in a line of the private half; OpenSSH's own number.
const LINE: usize = 70;

/// A new key: calls `put` with its private half in OpenSSH's format or dropbear's, and returns its public one as a line.
pub(super) fn make(is_dropbear: bool, put: impl FnOnce(&[u8]) -> Result<()>) -> Result<String> {
    let mut seed = [0; 32];
    random::fill(&mut seed)?;
    let public = public_half(&seed);
    let mut private = if is_dropbear { [DROPBEAR_TYPE, &seed, &public].concat() } else { emit_private(&seed, &public) };
    wipe(&mut seed);
    let written = put(&private);
    wipe(&mut private);
    written?;
    Ok(["ssh-ed25519 ", &base64::encode(&[TYPE, &public].concat())].concat())
}

/// The public half (RFC 8032, 5.1.5).
fn public_half(seed: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha512::digest(seed);
    let mut scalar = [0; 32];
    scalar.iter_mut().zip(&hash).for_each(|(to, from)| *to = *from);
    let public = EdwardsPoint::mul_base_clamped(scalar).compress().to_bytes();
    wipe(&mut hash);
    wipe(&mut scalar);
    public
}

/// The file of a private key (PROTOCOL.key). Of Ed25519 without a comment every length is known. Two equal numbers say
/// that it was decrypted well; nothing was encrypted.
fn emit_private(seed: &[u8; 32], public: &[u8; 32]) -> Vec<u8> {
    const HEAD: &[u8] = b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01\0\0\0\x33";
    const MIDDLE: &[u8] = b"\0\0\0\x88\0\0\0\0\0\0\0\0";
    const PRIVATE: &[u8] = b"\0\0\0\x40";
    // No comment, and what fills the last block of eight bytes.
    const TAIL: &[u8] = b"\0\0\0\0\x01\x02\x03\x04\x05";
    let mut whole = [HEAD, TYPE, public, MIDDLE, TYPE, public, PRIVATE, seed, public, TAIL].concat();
    let mut text = base64::encode(&whole).into_bytes();
    wipe(&mut whole);
    let mut file = Vec::with_capacity(1024);
    file.extend_from_slice(b"-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in text.chunks(LINE) {
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    file.extend_from_slice(b"-----END OPENSSH PRIVATE KEY-----\n");
    wipe(&mut text);
    file
}

/// Leaves nothing of a secret in memory that is given back.
fn wipe(secret: &mut [u8]) {
    secret.fill(0);
    // Else the compiler sees that no one reads it.
    core::hint::black_box(secret);
}
