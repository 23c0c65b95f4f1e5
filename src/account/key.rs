//! Public keys as lines (sshd(8), AUTHORIZED_KEYS FILE FORMAT; RFC 4253, section 6.6). Pure.

use crate::error::{Error, Result};
use crate::text::base64;
use alloc::string::String;
use core::ops::Range;

const DOING: &str = "take the key";

/// What sshd takes, without the keys that it took long ago (DSA).
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// What a type ends with whose key is signed by an authority, in place of `@openssh.com`.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Bytes of a line: the key of 16384 bits, the largest that OpenSSH makes, has 2,800, a certificate of it twice that.
pub const LENGTH_LIMIT: usize = 16 << 10;

/// A key that may stand in `authorized_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The line, without white space around it.
    pub line: String,
    body: Range<usize>,
}

impl Key {
    /// Takes a line that somebody wants to be trusted. Options are what its owner says (`command="…"`), and are taken from
    /// him alone.
    ///
    /// # Errors
    /// `Refused`, without a word of the line in it: it may be anything, a private key too.
    pub fn parse(line: &str, has_options: bool) -> Result<Self> {
        let refuse = |why| Err(Error::refused(DOING, why));
        let line = line.trim();
        if line.len() > LENGTH_LIMIT {
            return refuse("it is too long");
        }
        if line.contains(|letter: char| letter.is_control() && letter != '\t') {
            return refuse("it has a control character in it");
        }
        let Some((kind, body)) = find(line) else { return refuse("it is of no type that is known") };
        if kind.start > 0 && !has_options {
            return refuse("it has options, which only its owner may say");
        }
        let (kind, text) = (line.get(kind).unwrap_or_default(), line.get(body.clone()).unwrap_or_default());
        let Ok(blob) = base64::decode(text.as_bytes()) else { return refuse("it is no base64") };
        // The type again, after its length in four bytes.
        let inner = blob
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?));
        match inner {
            Some((inner, rest)) if inner == kind.as_bytes() && !rest.is_empty() => Ok(Self { line: line.into(), body }),
            _ => refuse("it is not what it says that it is"),
        }
    }

    /// The key itself, as it is written: what tells it from others.
    #[must_use]
    pub fn body(&self) -> &str {
        self.line.get(self.body.clone()).unwrap_or_default()
    }
}

/// The key itself in a line of `authorized_keys`; `None` if there is none that is known.
pub(super) fn body(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    find(line).and_then(|(_, body)| line.get(body))
}

/// Where type and key are in a line without white space around it.
fn find(line: &str) -> Option<(Range<usize>, Range<usize>)> {
    let first = word(line, 0);
    let kind = if line.get(first.clone()).is_some_and(is_type) { first } else { word(line, options_end(line)) };
    if !line.get(kind.clone()).is_some_and(is_type) {
        return None;
    }
    let body = word(line, kind.end);
    (!body.is_empty()).then_some((kind, body))
}

/// The first word of `line` from `from` on.
fn word(line: &str, from: usize) -> Range<usize> {
    let rest = line.get(from..).unwrap_or_default();
    let word = rest.trim_start_matches(is_blank);
    let start = line.len().saturating_sub(word.len());
    let length = word.find(is_blank).unwrap_or(word.len());
    start..start.saturating_add(length)
}

/// Where the options end that `line` begins with: at white space outside quotes.
fn options_end(line: &str) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = line.find(|letter: char| {
        if letter == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = letter == '\\' && !is_escaped;
        !is_quoted && is_blank(letter)
    });
    end.unwrap_or(line.len())
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t')
}

fn is_type(word: &str) -> bool {
    let is_certificate = |kind: &str| {
        let plain = kind.strip_suffix("@openssh.com").unwrap_or(kind);
        word.strip_suffix(CERTIFICATE) == Some(plain)
    };
    TYPES.iter().any(|kind| word == *kind || is_certificate(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// Made by ssh-keygen for this test and for nothing else.
    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIE3VyMJz2n0hTxP8xYxMq9zKq9n0x0Yk5H4T1mE8w2Aq";

    #[test]
    fn keys_are_taken_with_their_comments_and_told_apart_by_their_bodies() {
        for line in [
            format!("ssh-ed25519 {ED25519}"),
            format!("  ssh-ed25519 \t {ED25519} ann@example.org and more\r\n"),
            format!("ssh-ed25519 {ED25519} google-ssh {{\"userName\":\"ann\"}}"),
        ] {
            let key = Key::parse(&line, false).unwrap();
            assert_eq!((key.body(), key.line.as_str()), (ED25519, line.trim()), "{line}");
        }
        for options in ["no-pty", "command=\"a \\\" b\",no-pty", "from=\"10.0.0.1, 10.0.0.2\"", "command=\"ssh-rsa A\""]
        {
            let line = format!("{options} ssh-ed25519 {ED25519} ann");
            assert_eq!(Key::parse(&line, true).unwrap().body(), ED25519, "{line}");
            assert!(Key::parse(&line, false).is_err(), "{line}");
            assert_eq!(body(&line), Some(ED25519), "{line}");
        }
    }

    #[test]
    fn every_type_and_its_certificates_are_known() {
        for kind in TYPES {
            let signed = format!("{}{CERTIFICATE}", kind.trim_end_matches("@openssh.com"));
            assert!(is_type(kind) && is_type(&signed), "{kind}");
        }
        for kind in ["ssh-dss", "ssh-ed25519@openssh.com", "ssh-rsa-cert-v00@openssh.com", "", "sk-ssh-ed25519"] {
            assert!(!is_type(kind), "{kind}");
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
            let error = Key::parse(line, true).unwrap_err();
            assert!(error.to.is_empty() && !error.why.contains("AAAA"), "{line}");
        }
    }

    #[test]
    fn no_cut_and_no_flipped_bit_makes_anything_but_a_key() {
        let line = format!("command=\"x y\" ssh-ed25519 {ED25519} ann");
        for end in 0..line.len() {
            if let Ok(key) = Key::parse(&line[..end], true) {
                assert!(key.body().starts_with("AAAAC3NzaC1lZDI1NTE5AAAA"), "{end}");
            }
            for bit in 0..8 {
                let mut bytes = line.clone().into_bytes();
                bytes[end] ^= 1 << bit;
                let Ok(text) = core::str::from_utf8(&bytes) else { continue };
                if let Ok(key) = Key::parse(text, true) {
                    assert!(key.line.contains(key.body()) && !key.line.contains('\n'));
                }
            }
        }
    }
}
