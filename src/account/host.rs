//! The keys by which the machine is known (`ssh_host_*_key`): every clone of an image has the same until they are renewed.
//!
//! The private half is written as OpenSSH does (PROTOCOL.key, `openssh-key-v1`, unencrypted), readable by the superuser
//! alone, and is nowhere else. Ed25519 is RFC 8032; the arithmetic is not done here.

use super::home::folder;
use super::sshd::{self, Config};
use crate::error::{Error, Result};
use crate::sys::folder::{Folder, Owner};
use crate::sys::program::Program;
use crate::sys::{file, random, stdio};
use crate::text::base64;
use alloc::string::String;
use alloc::vec::Vec;
use curve25519_dalek::EdwardsPoint;
use rustix::fd::AsFd as _;
use sha2::{Digest as _, Sha512};

const DOING: &str = "renew the host keys";

/// What makes keys of other types. It comes with sshd.
const GENERATOR: &str = "/usr/bin/ssh-keygen";

/// What a public key begins with on the wire (RFC 8709): its type and the length of the rest.
const TYPE: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// Where sshd looks for one if nothing else is said.
const USUAL: &str = "/etc/ssh/ssh_host_ed25519_key";

/// Characters in a line of the private half; OpenSSH's own number.
const LINE: usize = 70;

/// What became of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The new Ed25519 key: its line of `.pub`.
    pub public: Option<String>,
    /// Keys that sshd is told to show and that nobody could make.
    pub missing: Vec<String>,
}

/// Gives the system below `root` keys of its own and removes those of its image; `None` where there is no sshd. Cut off,
/// it is done again from the beginning: nobody has seen those keys. Where sshd is told to show keys of other types and
/// this is the running system, its ssh-keygen makes them, as the services of the distributions do.
///
/// # Errors
/// `Refused` when sshd is told to show only keys that cannot be made here: those of the image stay, since without any it
/// does not start. `Os`.
pub fn renew(root: &str) -> Result<Option<Renewed>> {
    let Some(ssh) = Folder::open(root, sshd::FOLDER)? else { return Ok(None) };
    let told = Config::read(root).host_keys;
    let is_ours = |path: &&&str| path.starts_with('/') && path.contains("ed25519") && !path.ends_with(".pub");
    let told: Vec<&str> = if told.is_empty() { Vec::from([USUAL]) } else { told.iter().map(|path| &**path).collect() };
    let own = told.iter().find(is_ours).copied();
    let is_usual = |path: &&str| path.strip_prefix(sshd::FOLDER).is_some_and(|name| name.starts_with("/ssh_host_"));
    // It makes those of usual names alone.
    let has_generator = root.is_empty() && file::exists(GENERATOR) && told.iter().any(is_usual);
    if own.is_none() && !has_generator {
        return Err(Error::refused(DOING, "sshd is told to show only such as cannot be made here; the old ones stay"));
    }
    let mut renewed = Renewed::default();
    if let Some((above, name)) = own.and_then(|path| path.rsplit_once('/')) {
        renewed.public = Some(write_new(&folder(root, above)?, name)?);
    }
    for name in file::list(&ssh.path("."))? {
        let path = [sshd::FOLDER, "/", name.strip_suffix(".pub").unwrap_or(&name)].concat();
        if name.starts_with("ssh_host_") && name.contains("_key") && Some(&*path) != own {
            ssh.remove(&name)?;
        }
    }
    for (above, name) in told.iter().filter(|path| Some(**path) != own).filter_map(|path| path.rsplit_once('/')) {
        if let Some(folder) = Folder::open(root, above)? {
            folder.remove(name)?;
        }
    }
    if own.is_none() || told.len() > 1 && has_generator {
        let program = Program { path: GENERATOR, arguments: &["-A"], environment: &[] };
        program.run(stdio::error().as_fd(), &mut || ())?.success(DOING)?;
    }
    ssh.flush()?;
    let is_missing = |path: &&&str| !file::exists(&[root, path].concat());
    renewed.missing = told.iter().filter(is_missing).map(|path| String::from(*path)).collect();
    Ok(Some(renewed))
}

/// Makes an Ed25519 key; its public half as a line.
fn write_new(folder: &Folder, name: &str) -> Result<String> {
    let public_name = [name, ".pub"].concat();
    let mut seed = [0; 32];
    random::fill(&mut seed)?;
    let public = public_half(&seed);
    let mut private = emit_private(&seed, &public);
    wipe(&mut seed);
    // Never a private half beside the public one of another key.
    folder.remove(&public_name)?;
    let written = folder.write(name, &private, 0o600, Owner::ROOT);
    wipe(&mut private);
    written?;
    let line = ["ssh-ed25519 ", &base64::encode(&[TYPE, &public].concat())].concat();
    folder.write(&public_name, [&*line, "\n"].concat().as_bytes(), 0o644, Owner::ROOT)?;
    Ok(line)
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
    // Else the compiler sees that nobody reads it.
    core::hint::black_box(secret);
}
