//! Names on media: UTF-16, Latin-1 and padded bytes to text.

use alloc::string::String;

/// UTF-16, up to the first NUL; halves of pairs without their other half become U+FFFD.
pub(super) fn utf16(units: &mut dyn Iterator<Item = u16>) -> String {
    char::decode_utf16(units.take_while(|&unit| unit != 0))
        .map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// UTF-16 with the high byte first.
pub(super) fn utf16_be(bytes: &[u8]) -> String {
    utf16(&mut bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }))
}

/// One byte a letter.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect()
}

/// Bytes of a fixed width, filled up with blanks or NULs. Letters that are neither ASCII nor UTF-8 are of a code page
/// that no one tells, and become U+FFFD.
pub(super) fn padded(bytes: &[u8]) -> String {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned()
}
