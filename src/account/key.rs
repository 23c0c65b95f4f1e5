//! Public keys as lines of `authorized_keys` (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Pure.

use crate::error::{Error, Result};
use crate::text::ssh_key;
use alloc::string::String;
use core::ops::Range;

const DOING: &str = "take the key";

/// Bytes of a line: the key of 16384 bits, the largest that OpenSSH makes, has 2,800, a certificate of it twice that.
pub const LENGTH_LIMIT: usize = 16 << 10;

/// A key that may stand in `authorized_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The line, without white space around it.
    pub line: String,
    body: Range<usize>,
    unknown_option: Option<String>,
    is_authority: bool,
}

impl Key {
    /// Parses a line with its options (`from="…"`, `command="…"`): the sender of a key decides how it may be used.
    ///
    /// # Errors
    /// `Refused`. The message contains nothing of the line, which may be a private key.
    pub fn parse(line: &str) -> Result<Self> {
        let refuse = |why| Err(Error::refused(DOING, why));
        let line = line.trim();
        if line.len() > LENGTH_LIMIT {
            return refuse("the line is longer than 16384 bytes");
        }
        if line.contains(|letter: char| letter.is_control() && letter != '\t') {
            return refuse("the line has a control character");
        }
        let Some(parts) = ssh_key::split(line).filter(|_| !line.starts_with('#')) else {
            return refuse("the line is not an SSH public key");
        };
        let text = |range: &Range<usize>| line.get(range.clone()).unwrap_or_default();
        if parts.body.is_empty() {
            return refuse("nothing follows the type of the key");
        }
        if let Err(fault) = ssh_key::check(text(&parts.kind), text(&parts.body)) {
            return refuse(fault.why());
        }
        match ssh_key::options(text(&parts.options)) {
            Ok(ssh_key::Options { unknown, is_authority }) => Ok(Self {
                line: line.into(),
                body: parts.body,
                unknown_option: unknown.map(String::from),
                is_authority,
            }),
            Err(why) => refuse(why),
        }
    }

    /// The blob, and whether the key is a certificate authority, which is not a login key itself.
    #[must_use]
    pub fn identity(&self) -> (&str, bool) {
        (self.body(), self.is_authority)
    }

    /// The key itself, as it is written.
    #[must_use]
    pub fn body(&self) -> &str {
        self.line.get(self.body.clone()).unwrap_or_default()
    }

    /// An option that wisp does not know. An sshd that does not know it ignores the key.
    #[must_use]
    pub fn unknown_option(&self) -> Option<&str> {
        self.unknown_option.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// Made by ssh-keygen for this test and for nothing else.
    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";

    #[test]
    fn keys_are_taken_with_their_comments_and_compared_by_their_bodies() {
        for line in [
            format!("ssh-ed25519 {ED25519}"),
            format!("  ssh-ed25519 \t {ED25519} ann@example.org and more\r\n"),
            format!("ssh-ed25519 {ED25519} google-ssh {{\"userName\":\"ann\"}}"),
        ] {
            let key = Key::parse(&line).unwrap();
            assert_eq!((key.body(), key.line.as_str()), (ED25519, line.trim()), "{line}");
        }
        for options in ["no-pty", "command=\"a \\\" b\",no-pty", "from=\"10.0.0.1, 10.0.0.2\"", "command=\"ssh-rsa A\""]
        {
            let line = format!("{options} ssh-ed25519 {ED25519} ann");
            assert_eq!(Key::parse(&line).unwrap().body(), ED25519, "{line}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_a_word_of_it() {
        let long = format!("ssh-ed25519 {ED25519} {}", "x".repeat(LENGTH_LIMIT));
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-ed25519 !!!!",
            &format!("ssh-rsa {ED25519}"),
            &format!("ssh-dss {ED25519}"),
            ED25519,
            &format!("ssh-ed25519 {ED25519} a\nssh-ed25519 {ED25519}"),
            &format!("ssh-ed25519 {ED25519} \x1b[2J"),
            &format!("ssh-ed25519 {ED25519}="),
            // The type alone.
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            &long,
        ] {
            let error = Key::parse(line).unwrap_err();
            assert!(error.to.is_empty() && !error.why.contains("AAAA"), "{line}");
        }
    }

    #[test]
    fn no_cut_and_no_flipped_bit_makes_anything_but_a_key() {
        let line = format!("command=\"x y\" ssh-ed25519 {ED25519} ann");
        for end in 0..line.len() {
            if let Ok(key) = Key::parse(&line[..end]) {
                assert_eq!(key.body(), ED25519, "{end}");
            }
            for bit in 0..8 {
                let mut bytes = line.clone().into_bytes();
                bytes[end] ^= 1 << bit;
                let Ok(text) = core::str::from_utf8(&bytes) else { continue };
                if let Ok(key) = Key::parse(text) {
                    assert!(key.line.contains(key.body()) && !key.line.contains('\n'));
                }
            }
        }
    }
}
