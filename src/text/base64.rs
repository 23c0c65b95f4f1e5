//! base64 (RFC 4648, section 4), with the white space that mail and XML put inside, and otherwise strict.

use crate::error::{Error, Result};
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Base64Unpadded, Encoding as _};

/// The bytes that `text` stands for.
///
/// # Errors
/// `Corrupt` for any character, padding or left-over bit that the encoding does not have.
pub fn decode(text: &[u8]) -> Result<Vec<u8>> {
    const DOING: &str = "decode the base64 in";
    let packed: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let plain = core::str::from_utf8(&packed).ok().and_then(|packed| Base64::decode_vec(packed).ok());
    plain.ok_or_else(|| Error::corrupt(DOING, "it is no base64"))
}

/// The same for text that may lack its padding, as some programs write it.
///
/// # Errors
/// As [`decode`].
pub fn decode_unpadded(text: &[u8]) -> Result<Vec<u8>> {
    decode(text).or_else(|error| {
        let packed: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let plain = core::str::from_utf8(&packed).ok().and_then(|packed| Base64Unpadded::decode_vec(packed).ok());
        plain.ok_or(error)
    })
}

/// The text that stands for `bytes`, in a time that does not tell them.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_specification_are_decoded() {
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9v\r\n YmFy\n", "foobar"),
        ] {
            assert_eq!(decode(text.as_bytes()).unwrap(), plain.as_bytes(), "{text}");
            assert_eq!(encode(plain.as_bytes()), text.replace([' ', '\r', '\n'], ""));
        }
    }

    #[test]
    fn padding_may_be_missing_as_a_whole() {
        for (text, plain) in [("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zg==", "f"), ("Zm9vY\nmE", "fooba")] {
            assert_eq!(decode_unpadded(text.as_bytes()).unwrap(), plain.as_bytes(), "{text}");
        }
        for text in ["Z", "Zg=", "Zh", "Zm9v!", "Zm-_"] {
            assert!(decode_unpadded(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9v!", "Zm-_", "=", "Zg==Zg=="] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
        assert!(decode(b"\xff\xfe").is_err());
    }
}
