//! What the user sent along with the machine, as the bytes that were meant. Pure.
//!
//! base64 is undone first, then every layer of compression, again where there is more: by what is there and never by what was
//! announced.
//! What comes out is secret, as what went in: nothing here puts a byte of it into an error.
#![forbid(unsafe_code)]

mod config;
mod file;
mod kind;

pub use config::{Account, Command, Config, Repository};
pub use file::File;
pub use kind::{Userdata, UserdataKind};

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use crate::codec::{self, Format, Input};
use crate::error::{Error, Result};
use crate::text::base64;

const DOING: &str = "decode the user-data";

/// Bytes of user-data as it was fetched. The clouds take between 16 KiB and 256 KiB, a seed on a medium is the user's own
/// choice; cloud-init itself has no limit.
pub const RAW_LIMIT: usize = 16 << 20;

/// Bytes of user-data when it is decoded: what a script with a payload may weigh, and a small machine can still hold.
pub const LIMIT: usize = 32 << 20;

/// How many times as long as the raw bytes the decoded ones may be. Scripts and YAML shrink to a fifth, logs to a
/// twentieth.
const RATIO: usize = 100;

/// Bytes that any input may unpack to whatever the ratio: a short message of zeros is no attack.
const RATIO_FLOOR: usize = 1 << 20;

/// Layers of base64 that are undone: a tool that encodes what is encoded already does it once, and one more is a mistake in
/// two places.
const WRAPS_LIMIT: usize = 3;

/// Rounds of base64 around compression around base64.
const ROUNDS_LIMIT: usize = 4;

/// The bytes that the user meant: `bytes` without the base64 that they are as a whole, and without the compression that
/// they then begin with, again and again while there is any.
///
/// base64 is undone where it is that from beginning to end (padding may be missing), and what it decodes to is known for
/// user-data: text such as `test` is valid base64 too, and must stay what it is. Known are compressed bytes; what begins like
/// a script, a cloud-config or a MIME message once [`Userdata::body`] has passed over what editors leave in front; and text
/// without control characters that begins like a comment, mail or a JSON object.
///
/// # Errors
/// `Refused` for more than 16 MiB of `bytes`, more than 32 MiB or a hundred times as many of what they decode to, more
/// than eight layers of compression, or a layer that takes too much memory; `Corrupt` when a layer is damaged,
/// `Unsupported` for a part of a format that is left out.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    if bytes.len() > RAW_LIMIT {
        return Err(Error::refused(DOING, format!("it is longer than {RAW_LIMIT} bytes")));
    }
    let limit = bytes.len().saturating_mul(RATIO).clamp(RATIO_FLOOR, LIMIT);
    let mut plain = Cow::Borrowed(bytes);
    for _ in 0..ROUNDS_LIMIT {
        if let Some(unwrapped) = unwrap(&plain, WRAPS_LIMIT) {
            plain = Cow::Owned(unwrapped);
        }
        if Format::sniff(&plain).is_none() {
            break;
        }
        let unpacked = codec::unpack(Input::new(&*plain), limit as u64);
        let unpacked = unpacked.and_then(|mut unpacked| codec::read_all(&mut unpacked, limit));
        plain = Cow::Owned(unpacked.map_err(|error| error.to("the user-data"))?);
    }
    Ok(plain)
}

/// What is inside at most `layers` of base64, if that is known for user-data.
fn unwrap(bytes: &[u8], layers: usize) -> Option<Vec<u8>> {
    let layers = layers.checked_sub(1)?;
    let decoded = base64::decode_unpadded(bytes).ok().filter(|decoded| !decoded.is_empty())?;
    if is_known(&decoded) { Some(decoded) } else { unwrap(&decoded, layers) }
}

/// Whether `bytes` are what user-data is.
fn is_known(bytes: &[u8]) -> bool {
    // No text that means something else is base64 of these. Whatever follows them is judged when it is processed.
    const CERTAIN: [&str; 7] =
        ["#!", "#cloud-", "#alpine-config", "#include", "#part-handler", "Content-Type:", "MIME-Version:"];
    const LIKELY: [&str; 5] = ["#", "{", "From ", "Received:", "Return-Path:"];
    if Format::sniff(bytes).is_some() {
        return true;
    }
    let body = kind::body(bytes);
    let begins = |beginning: &&str| {
        body.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes()))
    };
    let is_plain = |letter: char| !letter.is_control() || letter.is_ascii_whitespace();
    CERTAIN.iter().any(begins)
        || LIKELY.iter().any(begins) && core::str::from_utf8(body).is_ok_and(|text| text.chars().all(is_plain))
}

#[cfg(test)]
mod tests;
