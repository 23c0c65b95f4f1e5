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

/// Bytes of a key that ssh-keygen makes.
const KEY_LIMIT: usize = 64 << 10;

/// What an Ed25519 key is called.
const TYPE: &str = "ssh-ed25519";

/// Where sshd looks for one if nothing else is said.
const USUAL: &str = "/etc/ssh/ssh_host_ed25519_key";

/// Characters in a line of the private half; OpenSSH's own number.
const LINE: usize = 70;

/// What became of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The new Ed25519 key: its line of `.pub`.
    pub public: Option<String>,
    /// Keys that sshd is told to show and that nobody could make, each with why.
    pub missing: Vec<Error>,
}

/// Gives the system below `root` keys of its own and removes those of its image; `None` where there is no sshd. Cut off,
/// it is done again from the beginning: nobody has seen those keys.
///
/// # Errors
/// `Refused` when sshd is told to show only keys that cannot be made here: those of the image stay, since without any it
/// does not start. `Os`.
pub fn renew(root: &str) -> Result<Option<Renewed>> {
    let Some(ssh) = Folder::open(root, sshd::FOLDER)? else { return Ok(None) };
    let told = Config::read(root).host_keys;
    let is_ours = |path: &&str| path.contains("ed25519") && !path.ends_with(".pub");
    let own = if told.is_empty() { Some(USUAL) } else { told.iter().map(|path| &**path).find(is_ours) };
    let mut made: Vec<&str> = own.into_iter().collect();
    let mut renewed = Renewed::default();
    for path in told.iter().map(|path| &**path).filter(|path| Some(*path) != own) {
        match generate(root, path) {
            Ok(()) => made.push(path),
            Err(error) => renewed.missing.push(error.to(path)),
        }
    }
    if made.is_empty() {
        return Err(Error::refused(DOING, "sshd is told to show only such as cannot be made here; the old ones stay"));
    }
    if let Some((above, name)) = own.and_then(|path| path.rsplit_once('/')) {
        renewed.public = Some(write_new(&folder(root, above)?, name)?);
    }
    for name in file::list(&ssh.path("."))?.iter().filter(|name| name.starts_with("ssh_host_") && name.contains("_key"))
    {
        let path = [sshd::FOLDER, "/", name].concat();
        if !made.iter().any(|made| path == *made || path.strip_suffix(".pub") == Some(made)) {
            ssh.remove(name)?;
        }
    }
    ssh.flush()?;
    Ok(Some(renewed))
}

/// Makes an Ed25519 key; its public half as a line.
fn write_new(folder: &Folder, name: &str) -> Result<String> {
    let public_name = [name, ".pub"].concat();
    let (mut seed, mut check) = ([0; 32], [0; 4]);
    random::fill(&mut seed)?;
    random::fill(&mut check)?;
    let public = public_half(&seed);
    let mut private = emit_private(&seed, &public, check);
    wipe(&mut seed);
    // Never a private half beside the public one of another key.
    folder.remove(&public_name)?;
    let written = folder.write(name, &private, 0o600, Owner::ROOT);
    wipe(&mut private);
    written?;
    let line = [TYPE, " ", &base64::encode(&emit_public(&public))].concat();
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

/// A public key as it goes over the wire (RFC 8709).
fn emit_public(public: &[u8; 32]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, TYPE.as_bytes());
    put(&mut out, public);
    out
}

/// The file of a private key (PROTOCOL.key). `check` stands there twice, to tell whether decrypting went well.
fn emit_private(seed: &[u8; 32], public: &[u8; 32], check: [u8; 4]) -> Vec<u8> {
    let mut secret = Vec::with_capacity(256);
    secret.extend_from_slice(&check);
    secret.extend_from_slice(&check);
    secret.extend_from_slice(&emit_public(public));
    secret.extend_from_slice(&64_u32.to_be_bytes());
    secret.extend_from_slice(seed);
    secret.extend_from_slice(public);
    // No comment.
    put(&mut secret, b"");
    // A multiple of the block of no cipher, which is 8.
    secret.extend_from_slice(&[1, 2, 3, 4, 5]);
    let mut whole = Vec::with_capacity(512);
    whole.extend_from_slice(b"openssh-key-v1\0");
    put(&mut whole, b"none");
    put(&mut whole, b"none");
    put(&mut whole, b"");
    whole.extend_from_slice(&1_u32.to_be_bytes());
    put(&mut whole, &emit_public(public));
    put(&mut whole, &secret);
    wipe(&mut secret);
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

/// Adds a string as SSH has it (RFC 4251, section 5).
fn put(out: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

/// Leaves nothing of a secret in memory that is given back.
fn wipe(secret: &mut [u8]) {
    secret.fill(0);
    // Else the compiler sees that nobody reads it.
    core::hint::black_box(secret);
}

/// Has a key of another type made by ssh-keygen, on the running system alone.
fn generate(root: &str, path: &str) -> Result<()> {
    let absent = |why| Error::absent("make the host key", why);
    let (above, name) = path.rsplit_once('/').ok_or_else(|| absent("its path is none"))?;
    let kind = ["ecdsa", "rsa", "ed25519"].into_iter().find(|kind| name.contains(kind));
    let kind = kind.ok_or_else(|| absent("its name does not tell its type"))?;
    if !root.is_empty() || !file::exists(GENERATOR) {
        return Err(absent("there is no ssh-keygen to run"));
    }
    let folder = folder(root, above)?;
    let new = [".", name, ".wisp"].concat();
    let (public, new_public) = ([name, ".pub"].concat(), [&*new, ".pub"].concat());
    folder.remove(&new)?;
    folder.remove(&new_public)?;
    let arguments = ["-q", "-t", kind, "-N", "", "-C", "", "-f", &folder.path(&new)];
    let program = Program { path: GENERATOR, arguments: &arguments, environment: &[] };
    program.run(stdio::error().as_fd(), &mut || ())?.success("make the host key")?;
    let gone = || absent("ssh-keygen left none");
    let (mut private, _) = folder.read(&new, KEY_LIMIT)?.ok_or_else(gone)?;
    let (line, _) = folder.read(&new_public, KEY_LIMIT)?.ok_or_else(gone)?;
    folder.remove(&new_public)?;
    folder.remove(&public)?;
    // Once more, and flushed.
    let written = folder.write(name, &private, 0o600, Owner::ROOT);
    wipe(&mut private);
    written?;
    folder.write(&public, &line, 0o644, Owner::ROOT)
}
