//! Digests of files, as `sha256sum` and `sha512sum` write them (FIPS 180-4).

use super::hexadecimal;
use crate::error::{Error, Result};
use alloc::format;
use alloc::string::String;

/// What a file must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl Checksum {
    /// The digest that `text` is in hexadecimal digits, of the kind that `word` names: `sha256` or `sha512`.
    ///
    /// # Errors
    /// `Usage`: it has other characters, or not as many as that kind has.
    pub fn parse(word: &str, text: &str) -> Result<Self> {
        let is_long = word == "sha512";
        let read = if is_long { bytes(text).map(Self::Sha512) } else { bytes(text).map(Self::Sha256) };
        let digits = if is_long { 128 } else { 64 };
        read.ok_or_else(|| Error::usage("understand", format!("{digits} hexadecimal digits are meant")).to(word))
    }

    /// What it is called in options: `sha256`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// What it is called in sentences: `SHA-256`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::Sha512(_) => "SHA-512",
        }
    }

    /// Its hexadecimal digits.
    #[must_use]
    pub fn digits(&self) -> String {
        match self {
            Self::Sha256(digest) => hexadecimal(digest),
            Self::Sha512(digest) => hexadecimal(digest),
        }
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut digest = [0; N];
    if text.len() != N.checked_mul(2)? || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        let from = at.checked_mul(2)?;
        *byte = u8::from_str_radix(text.get(from..from.checked_add(2)?)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn digits_of_either_kind_are_read_and_written() {
        for (word, length) in [("sha256", 64), ("sha512", 128)] {
            let text: String = "0123456789abcdef".chars().cycle().skip(3).take(length).collect();
            let read = Checksum::parse(word, &text.to_uppercase()).unwrap();
            assert_eq!((read.word(), read.digits()), (word, text.clone()));
            let plus = format!("+{}", &text[1..]);
            for wrong in ["", &text[1..], &format!("{text}0"), &plus] {
                let error = Checksum::parse(word, wrong).unwrap_err();
                assert_eq!(
                    (error.kind, &*error.why),
                    (Kind::Usage, &*format!("{length} hexadecimal digits are meant"))
                );
            }
        }
        assert_ne!(Checksum::Sha256([0; 32]).name(), Checksum::Sha512([0; 64]).name());
    }
}
