//! What the user sent along with the machine, as the bytes that were meant. Pure.
//!
//! base64 is undone first, then every layer of compression, both told by what is there and never by what was announced.
//! What comes out is secret, as what went in: nothing here puts a byte of it into an error.
#![forbid(unsafe_code)]

mod config;
mod file;
mod form;

pub use config::{Account, Command, Config, Repository};
pub use file::File;
pub use form::{Form, Userdata};

use alloc::borrow::Cow;
use alloc::format;

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

/// The bytes that the user meant: `bytes` without the base64 that they are as a whole, and without the compression that
/// they then begin with.
///
/// base64 is undone where it strictly is, from beginning to end, and what it decodes to is known for user-data: text such
/// as `test` is valid base64 too, and must stay what it is. Known are compressed bytes, and UTF-8 without control
/// characters that begins like a script, a cloud-config (`#`), a MIME message or a JSON object.
///
/// # Errors
/// `Refused` for more than 16 MiB of `bytes`, more than 32 MiB or a hundred times as many of what they decode to, more
/// than eight layers of compression, or a layer that takes too much memory; `Corrupt` when a layer is damaged,
/// `Unsupported` for a part of a format that is left out.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    if bytes.len() > RAW_LIMIT {
        return Err(Error::refused(DOING, format!("it is longer than {RAW_LIMIT} bytes")));
    }
    let raw_length = bytes.len();
    let unwrapped = base64::decode(bytes).ok().filter(|decoded| is_known(decoded));
    let bytes = unwrapped.map_or(Cow::Borrowed(bytes), Cow::Owned);
    if Format::sniff(&bytes).is_none() {
        return Ok(bytes);
    }
    let limit = raw_length.saturating_mul(RATIO).clamp(RATIO_FLOOR, LIMIT);
    let plain = codec::unpack(Input::new(&*bytes), limit as u64);
    let plain = plain.and_then(|mut plain| codec::read_all(&mut plain, limit));
    plain.map(Cow::Owned).map_err(|error| error.to("the user-data"))
}

/// Whether `bytes` are what user-data is.
fn is_known(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&str; 7] = ["#", "{", "Content-Type:", "MIME-Version:", "From ", "Received:", "Return-Path:"];
    if Format::sniff(bytes).is_some() {
        return true;
    }
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let is_plain = |letter: char| !letter.is_control() || letter.is_ascii_whitespace();
    let begins =
        |beginning: &str| text.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning));
    BEGINNINGS.iter().any(|beginning| begins(beginning)) && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests;
