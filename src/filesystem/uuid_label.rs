//! UUIDs and labels as `blkid` prints them, because that is what kernel command lines and fstabs hold.

use alloc::format;
use alloc::string::String;

/// Sixteen bytes in the order of the text form; `None` when all are zero, which means "not set" everywhere.
#[must_use]
pub fn uuid(bytes: [u8; 16]) -> Option<String> {
    if bytes == [0; 16] {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}

/// A volume serial number of FAT and exFAT; `None` when zero.
pub(super) fn serial(number: u32) -> Option<String> {
    let [a, b, c, d] = number.to_be_bytes();
    (number != 0).then(|| format!("{a:02X}{b:02X}-{c:02X}{d:02X}"))
}

/// Text of a fixed width: ends at the first NUL, loses its trailing blanks; `None` when nothing is left.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default().trim_ascii_end();
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
}

/// UTF-16, little-endian, of a fixed width: ends at the first NUL; `None` when nothing is left.
pub(super) fn text_utf16(bytes: &[u8]) -> Option<String> {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    let text: String = char::decode_utf16(units.take_while(|&unit| unit != 0))
        .map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    let text = text.trim_ascii_end();
    (!text.is_empty()).then(|| text.into())
}
